"""What every request has at hand: the gateway's parts, and the caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from algorithm_operator.gateway.errors import refused
from algorithm_operator.gateway.identity import Rights
from algorithm_operator.gateway.memory import Memory
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.storage import Stores
from algorithm_operator.gateway.urls import Urls
from algorithm_operator.kube.client import Client

T = TypeVar("T")


class Database(Protocol):
    """The gateway's tables (database/engine.py)."""

    async def run(self, work: Callable[[Session], T]) -> T:
        """Do `work` in one transaction, in a thread: committed when it returns, rolled back when it raises."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of the gateway."""

    settings: Settings
    cluster: Client
    database: Database
    stores: Stores
    memory: Memory = field(default_factory=Memory)
    arriving: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Bytes of parts of uploads that are on their way, by namespace and person. They count in the limits as well."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Caller:
    """A request that was authenticated: for whom, in which namespace, at which host."""

    gateway: Gateway
    rights: Rights
    urls: Urls

    @property
    def namespace(self) -> str:
        """The tenant."""
        return self.rights.namespace

    @property
    def username(self) -> str:
        """Who asks."""
        return self.rights.person.username

    async def store(self) -> str:
        """The name of the DataStore that takes the namespace's uploads and results. 400 if there is none."""
        name = await self.gateway.stores.default(self.namespace)
        if name is None:
            raise refused(
                f"Namespace {self.namespace} has no DataStore that the gateway could use; an admin makes one with "
                "default: true."
            )
        return name


async def serving(request: Request) -> Gateway:
    """The gateway that answers a request: app.py has put it there."""
    gateway: Gateway = request.app.state.gateway
    return gateway


Serving = Annotated[Gateway, Depends(serving)]
"""The parameter of a view that needs no token."""


async def authenticated(request: Request) -> Caller:
    """The caller of a request: app.py has put there how one is found."""
    caller: Caller = await request.app.state.authenticate(request)
    return caller


Calling = Annotated[Caller, Depends(authenticated)]
"""The parameter of every other view."""
