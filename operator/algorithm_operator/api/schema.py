"""From pydantic's JSON schema to the structural schema of a CRD. Pure.

Structural means: no references, one plain type everywhere, no nulls; and, this project's own rule, every string
and list bounded (or CEL rules cost too much) and every field described (`kubectl explain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.base import Model

Schema = dict[str, Any]
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_RULES = "x-kubernetes-validations"
_OPTIONAL = "x-optional"
"""Of a field that the model needs and fills in itself where the wire leaves it out."""
_DROPPED = ("title", "$defs", "examples", _OPTIONAL)


class SchemaError(ValueError):
    """A model that makes no sound CRD; the message names the field."""


def structural(model: type[Model], *, with_rules: bool = True) -> Schema:
    """The structural schema of `model`.

    `with_rules=False` leaves the CEL rules out, for status: it repeats parts of specs that were checked already.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    converted = _convert(schema, schema.get("$defs", {}), model.__name__, (), with_rules)
    _check(converted, model.__name__)
    return converted


def _convert(
    node: Mapping[str, Any], defs: Mapping[str, Any], path: str, inside: tuple[str, ...], with_rules: bool
) -> Schema:
    node = _without_null(node)
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        if name in inside:
            raise SchemaError(f"{path}: {name} contains itself")
        own = {key: value for key, value in node.items() if key != "$ref"}
        return _convert({**defs[name], **own}, defs, path, (*inside, name), with_rules)
    out = {key: value for key, value in node.items() if key not in _DROPPED}
    if "required" in out:
        fields = out.get("properties", {})
        out["required"] = [name for name in out["required"] if not fields[name].get(_OPTIONAL)]
    if out.get(_PRESERVE):
        out.pop("additionalProperties", None)
    if "const" in out:
        out["enum"] = [out.pop("const")]
    if not with_rules:
        out.pop(_RULES, None)
    if out.get(_INT_OR_STRING):
        out.pop("type", None)
    if out.get("type") == "integer":
        out["format"] = "int64"
    if "properties" in out:
        out["properties"] = {
            name: _convert(child, defs, f"{path}.{name}", inside, with_rules)
            for name, child in out["properties"].items()
        }
    if "items" in out:
        out["items"] = _convert(out["items"], defs, f"{path}[]", inside, with_rules)
    if "default" in out:
        _set_default(out, path)
    return {key: out[key] for key in sorted(out, key=_order)}


def _order(key: str) -> tuple[bool, int, str]:
    """What it is first, what is below it last."""
    first = ("description", "type", "format", "enum", "default")
    last = ("required", "properties", "items")
    return key in last, first.index(key) if key in first else len(first), key


def _without_null(node: Mapping[str, Any]) -> Schema:
    """`X | None` as X that may be absent: the API server drops nulls."""
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if not choices:
        return rest
    if len(choices) > 1:
        raise SchemaError(f"a union of {len(choices)} types has no structural schema")
    return {**choices[0], **rest}


def _set_default(out: Schema, path: str) -> None:
    """No value is no default. Of objects it stands twice, whole and by field, for those who give a part."""
    default = out["default"]
    if default is None or default == []:
        del out["default"]
    elif isinstance(default, dict):
        fields = out.get("properties", {}).items()
        inner = {name: field["default"] for name, field in fields if "default" in field}
        whole = {name: value for name, value in default.items() if value is not None}
        if whole != inner:
            raise SchemaError(f"{path}: the default is {whole}, and by field {inner}")
        out["default"] = whole


def _check(node: Schema, path: str) -> None:
    if node.get(_PRESERVE) or node.get(_INT_OR_STRING):
        return
    match node.get("type"):
        case "object":
            if not node.get("properties"):
                raise SchemaError(f"{path}: an object without fields")
            for name, child in node["properties"].items():
                if not child.get("description"):
                    raise SchemaError(f"{path}.{name}: no description")
                _check(child, f"{path}.{name}")
        case "array":
            if "maxItems" not in node:
                raise SchemaError(f"{path}: a list without maxItems")
            _check(node["items"], f"{path}[]")
        case "string":
            if not {"maxLength", "enum", "format"} & node.keys():
                raise SchemaError(f"{path}: a string without maxLength")
        case "integer" | "number" | "boolean":
            pass
        case other:
            raise SchemaError(f"{path}: type {other!r} is not structural")
