"""A value against a JSON schema: the first thing that does not fit, in words that do not repeat the value. Pure."""

from __future__ import annotations

from typing import Any

import referencing
import referencing.exceptions
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from algorithm_operator.api.text import quoted, shown

_NOTHING_ELSEWHERE: referencing.Registry[Any] = referencing.Registry()
"""What references may lead to besides the schema itself: nothing is ever fetched."""
_MAX_STEPS = 8
_TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def misfit(draft: type[Validator], schema: dict[str, Any], value: Any) -> str | None:
    """What of `value` does not fulfil `schema`, in Grand Challenge's words and bounded, or None.

    The work is that of the schema: `contract/customschemas.py` tells which ones may be checked where.
    """
    validator = draft(schema, registry=_NOTHING_ELSEWHERE)
    # Every message of the library repeats what it is about, however large: ask for the plain type first.
    plain = schema.get("type")
    if isinstance(plain, str) and plain in _TYPES and not validator.is_type(value, plain):
        return _unfulfilled(f"instance is not {_TYPES[plain]}.")
    try:
        error = next(iter(validator.iter_errors(value)), None)
    except RecursionError:
        return _unfulfilled("instance is nested too deep, or the schema refers to itself without an end.")
    except referencing.exceptions.Unresolvable as missing:
        return _unfulfilled(f"its $ref {quoted(missing.ref, 64)} leads nowhere.")
    return None if error is None else _unfulfilled(f"instance{_where(error)} {_said(error)}.")


def _unfulfilled(detail: str) -> str:
    return f"JSON does not fulfill schema: {shown(detail, 400)}"


def _where(error: ValidationError) -> str:
    """The place in the value, as Python would index it; of deep ones the last steps."""
    steps = [_json(step, 64) for step in error.absolute_path]
    cut = "[…]" if len(steps) > _MAX_STEPS else ""
    return cut + "".join(f"[{step}]" for step in steps[-_MAX_STEPS:])


def _said(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return "is not " + " or ".join(_TYPES.get(each, "of a known type") for each in types)
        case "required":
            return f"has no {quoted(next(key for key in wanted if key not in instance), 64)}"
        case "additionalProperties" if wanted is False:
            known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            return f"may not have {quoted(next(key for key in instance if key not in known), 64)}"
        case "const":
            return f"is not {_json(wanted, 64)}"
        case "enum":
            return f"is none of {', '.join(_json(each, 48) for each in wanted[:8])}" + ", …" * (
                len(wanted) > 8
            )
        case "minItems":
            return f"has {len(instance)} entries, and at least {_json(wanted, 32)} are needed"
        case "maxItems":
            return f"has {len(instance)} entries, and at most {_json(wanted, 32)} are allowed"
        case "anyOf" | "oneOf" if error.context:
            return f"fits none of the {len(wanted)} forms that it may have"
        case "oneOf":
            return f"fits several of the {len(wanted)} forms of which it may have one"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf":
            return f"is {_json(instance, 32)}, and {error.validator} is {_json(wanted, 32)}"
        case rule:
            return f"does not fulfill {quoted(str(rule), 32)}: {_json(wanted, 96)}"


def _json(value: object, limit: int) -> str:
    """A part of a schema, or a small part of a value."""
    return quoted(value, limit) if isinstance(value, str) else shown(_small(value), limit)


def _small(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, dict):
        return "{…}"
    return "[…]" if isinstance(value, list) else str(value)
