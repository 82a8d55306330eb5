"""The base of every wire model, and the small vocabulary of structural-schema hints that CRDs need.

Models read leniently (an older operator must read what a newer CRD stored) and write camelCase. What the API
server alone checks (CEL rules, list types) stands beside the fields it is about, and `schema.py` carries it over.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "algorithm-operator.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Model(BaseModel):
    """A wire model: camelCase on the wire, snake_case in Python, unknown fields ignored when read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def wire(self) -> dict[str, Any]:
        """The JSON object as the API server stores it: aliases, and no unset or null fields."""
        return self.model_dump(by_alias=True, mode="json", exclude_none=True)


def cel(rule: str, message: str, **extra: str) -> dict[str, str]:
    """One entry of x-kubernetes-validations; `message` is what a person reads when the server refuses."""
    return {"rule": rule, "message": message, **extra}


def unchanged(field: str, *, optional: bool = False, of: str = "") -> str:
    """CEL: that field is as it was. (Comparing optionals, `self.?x == oldSelf.?x`, has no bounded cost.)"""
    new, old = f"self{of}.{field}", f"oldSelf{of}.{field}"
    if not optional:
        return f"{new} == {old}"
    return f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"


def rules(*entries: dict[str, str], **more: Any) -> ConfigDict:
    """The model_config of a model whose objects the API server checks with these CEL rules."""
    extra: dict[str, Any] = {"x-kubernetes-validations": list(entries), **more}
    return ConfigDict(json_schema_extra=extra)


def list_map(*keys: str) -> dict[str, Any]:
    """Schema of a list whose members are told apart by `keys` (camelCase): unique, and merged by server-side apply."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


FREE_JSON: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
"""Schema of a field that takes any JSON, null included. CEL cannot see such a field."""

DATE_TIME: dict[str, Any] = {"format": "date-time"}


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=63)]
"""A Grand Challenge slug: lower-case letters, digits and single hyphens."""

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)]
"""A metadata.name in the same namespace."""

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"

Quantity = Annotated[
    str,
    BeforeValidator(_text),
    Field(
        pattern=_QUANTITY,
        max_length=32,
        # pydantic leaves the pattern out of the schema where a validator comes before it
        json_schema_extra={"x-kubernetes-int-or-string": True, "pattern": _QUANTITY},
    ),
]
"""A Kubernetes quantity, such as "2", "500m" or "24G"; a plain number is read as its text."""

Sha256 = Annotated[str, Field(max_length=64)]
"""Lower-case hex."""
