"""Who asks, and what they may do: a Kubernetes token of our audience, and the cluster's own authorization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from algorithm_operator.gateway.errors import forbidden, not_found


class Verb(StrEnum):
    """As in RBAC rules."""

    GET = "get"
    LIST = "list"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Resource(StrEnum):
    """Resources of our API group that rights are asked for. The last three exist in the gateway alone: RBAC rules name
    them all the same."""

    ALGORITHMS = "algorithms"
    JOBS = "algorithmjobs"
    IMAGES = "images"
    UPLOADS = "uploads"
    ARCHIVES = "archives"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a token belongs to, as TokenReview says."""

    username: str
    uid: str | None = None
    groups: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Authorizer(Protocol):
    """Asks the cluster."""

    async def may(
        self, person: Person, namespace: str, verb: Verb, resource: Resource, name: str | None = None
    ) -> bool:
        """Whether RBAC (or whatever authorizes in this cluster) allows it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one person may do in one namespace. What one may not see does not exist."""

    person: Person
    namespace: str
    authorizer: Authorizer

    async def may(self, verb: Verb, resource: Resource, name: str | None = None) -> bool:
        """Whether it is allowed."""
        return await self.authorizer.may(self.person, self.namespace, verb, resource, name)

    async def see(self, resource: Resource, name: str | None = None) -> None:
        """Raises 404 unless the person may get it."""
        if not await self.may(Verb.GET, resource, name):
            raise not_found()

    async def act(self, verb: Verb, resource: Resource, name: str | None = None) -> None:
        """Raises 403 unless it is allowed, or 404 if the person may not even look."""
        if not await self.may(verb, resource, name):
            if not await self.may(Verb.GET, resource, name):
                raise not_found()
            raise forbidden()
