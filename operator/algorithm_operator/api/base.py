"""The base of every wire model, and the small vocabulary of structural-schema hints that CRDs need.

Models read leniently (an older operator must read what a newer CRD stored) and write camelCase.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
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


Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=63)]
"""A Grand Challenge slug: lower-case letters, digits and single hyphens."""

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)]
"""A metadata.name in the same namespace."""

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=32)]
"""A Kubernetes quantity, such as "2", "500m" or "24G"."""
