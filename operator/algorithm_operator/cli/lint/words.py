"""What a JSON schema says of a value, in plain words."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from jsonschema.exceptions import ValidationError

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.lint.manifests import Path

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Of one field: why, and what to do about it. Safe to show."""

    path: Path
    why: str
    fix: str = ""


def problem(error: ValidationError) -> Problem:
    """`error` as a problem; of a required field that is not there the path is the field's own."""
    path: Path = tuple(error.absolute_path)
    want: Any = error.validator_value
    value: Any = error.instance
    match error.validator:
        case "required":
            # jsonschema names the field in its message alone.
            (name,) = [name for name in want if error.message.startswith(f"{name!r} ")]
            return Problem((*path, name), "it is needed and not there", f"add {name}")
        case "additionalProperties":
            name = str(path[-1])
            fix = f"did you mean {want[0]}?" if want else "take it away"
            return Problem(path, f"there is no field {quoted(name, 64)}", fix)
        case "type":
            return Problem(
                path, f"it must be {_type(want)}, and is {_kind_of(value)}", _type_fix(want, value)
            )
        case "enum":
            near = difflib.get_close_matches(str(value), want, 1, 0.5) or [
                each for each in want if str(each).lower() == str(value).lower()
            ]
            fix = f"did you mean {near[0]}?" if near else ""
            return Problem(path, f"{_said(value)} is none of {', '.join(map(str, want))}", fix)
        case "pattern":
            return Problem(path, f"{_said(value)} does not have the form {want}", _near_pattern(want, value))
        case "minLength" | "minItems":
            why = "it is empty" if not value else f"it has {len(value)}"
            return Problem(path, f"{why}; at least {want} {_units(value)} needed")
        case "maxLength" | "maxItems":
            return Problem(path, f"it has {len(value)} {_units(value)}; at most {want} are allowed")
        case "minimum":
            return Problem(path, f"{_said(value)} is less than {want}, the least that is allowed")
        case "maximum":
            return Problem(path, f"{_said(value)} is more than {want}, the most that is allowed")
        case "oneOf":
            fields = [field for choice in want for field in choice["required"]]
            there = [field for field in fields if field in value]
            why = f"it has {' and '.join(there)}" if there else f"it has none of {', '.join(fields)}"
            return Problem(path, why, "give exactly one of them")
    return Problem(path, shown(error.message, 1024))


def _type(want: str | list[str]) -> str:
    names = [want] if isinstance(want, str) else want
    return " or ".join(_TYPES[name] for name in names)


def _kind_of(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"{str(value).lower()} (YAML reads yes, no, on, off, y and n so too)"
        case int() | float():
            return f"the number {_said(value)}"
        case str():
            return f"the text {_said(value)}"
        case list():
            return "a list"
    return "a mapping"


def _type_fix(want: str | list[str], value: Any) -> str:
    if want == "string" and isinstance(value, bool | int | float):
        return "write it in quotes"
    if want in ("integer", "boolean", "number") and isinstance(value, str):
        return "write it without quotes"
    if want == "array":
        return 'begin each entry with "- "'
    return ""


def _near_pattern(pattern: str, value: str) -> str:
    """What was probably meant: a slug or a name, a quantity without its blank and its B for bytes."""
    slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
    for near in (slug, value.strip(), value.replace(" ", "").removesuffix("B")):
        if near and re.search(pattern, near):
            return f"did you mean {quoted(near, 64)}?"
    return ""


def _said(value: Any) -> str:
    return quoted(value, 64) if isinstance(value, str) else shown(str(value), 64)


def _units(value: Any) -> str:
    one = len(value) == 1
    return (
        ("character" if one else "characters") if isinstance(value, str) else ("entry" if one else "entries")
    )
