"""One object against its CustomResourceDefinition, as the API server does it: types, bounds, CEL rules, unknown fields.

The definition that is checked against is the one that the models make, so no rule stands here a second time. The rules
of x-kubernetes-... are given to `jsonschema` as keywords of their own; CEL is evaluated by the cel library.
"""

from __future__ import annotations

import copy
import difflib
import functools
import re
from collections.abc import Iterator
from typing import Any

import cel
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from algorithm_operator.api import crd
from algorithm_operator.api.schema import Schema
from algorithm_operator.api.text import shown
from algorithm_operator.cli.lint.words import Problem, problem
from algorithm_operator.core.quantity import parse

KINDS = {kind.name: kind for kind in crd.KINDS}
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_MAX_INT = 2**63 - 1
_RULES = "x-kubernetes-validations"


def problems(kind: str, body: dict[str, Any]) -> list[Problem]:
    """Why the API server would refuse to create that object of ours, all of it."""
    schema = _schema(kind)
    whole = with_defaults(kind, {key: value for key, value in body.items() if key != "status"})
    if isinstance(metadata := whole.get("metadata"), dict):  # its name is all that rules see of it
        name, prefix = metadata.get("name"), metadata.get("generateName", "")
        whole["metadata"] = {"name": name if isinstance(name, str) else f"{prefix}xxxxx"}
    found = [problem(error) for error in sorted(_CHECK(schema).iter_errors(whole), key=_place)]
    return list(dict.fromkeys(found))


def with_defaults(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server would store it, if it did."""
    whole = copy.deepcopy(body)
    _fill_in(whole, _schema(kind))
    return whole


def _place(error: ValidationError) -> list[str]:
    return [f"{part:05}" if isinstance(part, int) else part for part in error.absolute_path]


@functools.cache
def _schema(kind: str) -> Schema:
    (version,) = crd.definition(KINDS[kind])["spec"]["versions"]
    return _json_schema(version["schema"]["openAPIV3Schema"])


def _json_schema(node: Schema) -> Schema:
    """The structural schema in JSON schema's words, where these differ."""
    out = dict(node)
    if "properties" in out:
        out["properties"] = {name: _json_schema(child) for name, child in out["properties"].items()}
        out["additionalProperties"] = False
    if "items" in out:
        out["items"] = _json_schema(out["items"])
    if out.get(_INT_OR_STRING):
        out["type"] = ["integer", "string"]
    if "integer" in out.get("type", ()):
        out.setdefault("maximum", _MAX_INT)
        out.setdefault("minimum", -_MAX_INT)
    return out


def _fill_in(value: Any, schema: Schema) -> None:
    """The defaults, as the API server stores them: rules see them. A null is no value where there is a default."""
    if isinstance(value, list):
        for each in value:
            _fill_in(each, schema.get("items", {}))
    elif isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if value.get(name) is None and "default" in child:
                value[name] = copy.deepcopy(child["default"])
            _fill_in(value.get(name), child)


def _seen_by_cel(value: Any, schema: Schema) -> Any:
    """Without what has no type, and what is in mappings of no known fields: CEL cannot see it."""
    if isinstance(value, list):
        return [_seen_by_cel(each, schema["items"]) for each in value]
    if isinstance(value, dict) and schema.get(_PRESERVE):
        return {}
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        known = {name: child for name, child in fields.items() if "type" in child}
        return {
            name: _seen_by_cel(each, known.get(name, {}))
            for name, each in value.items()
            if name in known or not fields  # metadata
        }
    return value


def _cel(validator: Validator, rules: list[dict[str, str]], value: Any, schema: Schema) -> Iterator[Any]:
    # As on the server: what has the wrong shape is no matter of rules.
    if not _STRUCTURE(schema).is_valid(value):
        return
    context = cel.Context()
    context.add_variable("self", _seen_by_cel(value, schema))
    context.add_function("lowerAscii", lambda text: text.lower())
    context.add_function("quantity", lambda text: float(parse(text)))
    context.add_function("isGreaterThan", lambda one, other: one > other)
    context.add_function("compareTo", lambda one, other: (one > other) - (one < other))
    for rule in rules:
        if re.search(r"\boldSelf\b", rule["rule"]) or _program(rule["rule"]).execute(context):
            continue  # what compares with the object as it was has nothing to compare with
        expression = rule.get("messageExpression")
        message = _program(expression).execute(context) if expression is not None else None
        field = rule.get("fieldPath", "").split(".")[1:]
        yield ValidationError(message or rule["message"], path=field)


@functools.cache
def _program(expression: str) -> cel.Program:
    """A rule is compiled once: that takes far longer than to ask it, and each socket asks all of its rules."""
    return cel.compile(expression)


def _unique(validator: Validator, keys: list[str], value: Any, schema: Schema) -> Iterator[Any]:
    if not isinstance(value, list):
        return
    fields = schema["items"]["properties"]
    seen: set[tuple[str, ...]] = set()
    for number, each in enumerate(value):
        if not isinstance(each, dict):
            continue
        identity = tuple(repr(each.get(key, fields[key].get("default"))) for key in keys)
        if identity in seen:
            named = ", ".join(f"{key} {shown(str(each.get(key)), 64)}" for key in keys)
            yield ValidationError(f"{named} is there already", path=[number])
        seen.add(identity)


def _pattern(validator: Validator, pattern: str, value: Any, schema: Schema) -> Iterator[Any]:
    # Python's $ matches before a line feed too.
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError("")


def _known(validator: Validator, allowed: object, value: Any, schema: Schema) -> Iterator[Any]:
    if not isinstance(value, dict) or schema.get(_PRESERVE):
        return
    for name in value.keys() - schema["properties"].keys():
        near = difflib.get_close_matches(name, schema["properties"], 1, 0.6)
        yield ValidationError("", path=[name], validator_value=near)


_STRUCTURE = extend(  # type: ignore[no-untyped-call]
    Draft7Validator, {"additionalProperties": _known, "pattern": _pattern}
)
_CHECK = extend(  # type: ignore[no-untyped-call]
    _STRUCTURE, {"x-kubernetes-list-map-keys": _unique, _RULES: _cel}
)
