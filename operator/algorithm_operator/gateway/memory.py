"""What the process keeps between requests. Nothing is wrong when it is lost, only slower."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

V = TypeVar("V")


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


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one gateway."""

    locks: Locks = field(default_factory=Locks)
    lists: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Of jobs: what is done with so many at the same time has it."""
    values: Kept[bytes] = field(default_factory=lambda: Kept(64 << 20))
    """JSON of outputs, by sha256."""
    names: Kept[str] = field(default_factory=lambda: Kept(100_000))
    """metadata.name of jobs, by namespace and metadata.uid."""
    durations: Kept[dict[str, float]] = field(default_factory=lambda: Kept(1000, timedelta(minutes=5)))
    """Mean seconds that Algorithms ran, by name; by namespace."""
