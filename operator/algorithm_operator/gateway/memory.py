"""What the process keeps between requests. Nothing is wrong when it is lost, only slower."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Hashable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from algorithm_operator.gateway.errors import unavailable

V = TypeVar("V")
_PLACE = "algorithm-operator.place"
"""Where a request's ASGI scope says who has its place."""


class Kept(Generic[V]):
    """Values by key, of a total weight of at most `room`; those that were not asked for the longest go first."""

    def __init__(self, room: int, age: timedelta | None = None) -> None:
        self._room, self._age, self._weight = room, age, 0
        self._values: OrderedDict[Hashable, tuple[V, int, datetime]] = OrderedDict()

    def get(self, key: Hashable, now: datetime) -> V | None:
        """What is kept, unless it is too old by now."""
        found = self._values.get(key)
        if found is None or (self._age is not None and now - found[2] >= self._age):
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, now: datetime, weight: int = 1) -> None:
        """Keep it, in place of what was kept."""
        if (before := self._values.pop(key, None)) is not None:
            self._weight -= before[1]
        self._values[key] = (value, weight, now)
        self._weight += weight
        while self._weight > self._room:
            _, (_, gone, _) = self._values.popitem(last=False)
            self._weight -= gone


class Locks:
    """A lock a key, for as long as somebody holds or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def __call__(self, *key: str) -> asyncio.Lock:
        """`async with locks(…)`: one at a time, in the order in which they came."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock


class Places:
    """Who has how many requests open, in all namespaces: nobody takes all places that there are."""

    def __init__(self, each: int = 128) -> None:
        self._each = each
        self._taken: Counter[str] = Counter()

    def take(self, scope: MutableMapping[str, Any], username: str) -> None:
        """Say whose request that is, once or more. Raises 503 if that is one too many."""
        if _PLACE in scope:
            return
        if self._taken[username] >= self._each:
            raise unavailable(f"You have {self._each} requests open at the same time. Try again in a moment.")
        self._taken[username] += 1
        scope[_PLACE] = username

    def leave(self, scope: MutableMapping[str, Any]) -> None:
        """The request is over."""
        if (username := scope.pop(_PLACE, None)) is not None:
            self._taken[username] -= 1
            if not self._taken[username]:
                del self._taken[username]


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one gateway."""

    locks: Locks = field(default_factory=Locks)
    places: Places = field(default_factory=Places)
    lists: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Of jobs: what is done with so many at the same time has it."""
    values: Kept[bytes] = field(default_factory=lambda: Kept(64 << 20))
    """JSON of outputs, by sha256."""
    names: Kept[str] = field(default_factory=lambda: Kept(100_000))
    """metadata.name of jobs, by namespace and metadata.uid."""
    durations: Kept[dict[str, float]] = field(default_factory=lambda: Kept(1000, timedelta(minutes=5)))
    """Mean seconds that Algorithms ran, by name; by namespace."""
