"""A keyed work queue: a key is worked on by one worker at a time, and never forgotten while it is dirty."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Shutdown(Exception):  # noqa: N818 - not an error: the queue has ended
    """Raised by `get` once the queue is shut down."""


class WorkQueue(Generic[K]):
    """Keys to work on. Adding a waiting key again changes nothing; adding one being worked on repeats it after.

    Delays run on the event loop's clock. `backoff_first` doubles up to `backoff_max` seconds with each retry of a
    key, with jitter between half and all of it (`jitter` gives a number in 0.5..1).
    """

    def __init__(
        self,
        *,
        backoff_first: float = 0.5,
        backoff_max: float = 60.0,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1),  # noqa: S311
    ) -> None:
        self._first, self._max, self._jitter = backoff_first, backoff_max, jitter
        self._waiting: dict[K, float] = {}  # in order of arrival, with its time
        self._taken = float("-inf")
        self._processing: set[K] = set()
        self._again: set[K] = set()  # added while processing
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._retries: dict[K, int] = {}
        self._getters: list[asyncio.Future[None]] = []
        self._ended = False

    def add(self, key: K) -> None:
        """Work on `key` as soon as a worker is free."""
        if self._ended:
            return
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()  # this look is the earlier one, and says anew when the next is due
        if key in self._processing:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().time()
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Work on `key` in `seconds` at the latest; of several deadlines the earliest wins."""
        if self._ended:
            return
        if seconds <= 0:
            return self.add(key)
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def retry(self, key: K) -> float:
        """Work on `key` after its backoff, which is returned; each retry doubles the next until `forget`."""
        count = self._retries.get(key, 0)
        self._retries[key] = count + 1
        seconds = min(self._max, self._first * 2.0 ** min(count, 32)) * self._jitter()
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """The key went well: its backoff starts from the beginning."""
        self._retries.pop(key, None)

    async def get(self) -> K:
        """Wait for a key and take it; the caller must call `done` with it. Shutdown when the queue has ended."""
        while not self._waiting and not self._ended:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake_one()  # the wake-up was ours, and someone else must have it
                raise
            finally:
                if getter in self._getters:
                    self._getters.remove(getter)
        if self._ended:
            raise Shutdown
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._taken = asyncio.get_running_loop().time()
        self._processing.add(key)
        if self._waiting:
            self._wake_one()
        return key

    def done(self, key: K) -> None:
        """The worker is through with `key`; if it was added meanwhile, it is worked on again."""
        self._processing.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def shutdown(self) -> None:
        """Give out no more keys; waiting and later `get`s raise Shutdown."""
        self._ended = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)

    def _wake_one(self) -> None:
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
                return

    def __len__(self) -> int:
        """Keys that wait for a worker now."""
        return len(self._waiting)

    @property
    def delayed(self) -> int:
        """Keys that wait for a time."""
        return len(self._timers)

    @property
    def stalled_seconds(self) -> float:
        """How long keys have waited without any worker taking one: a long queue that moves is not stalled."""
        arrived = next(iter(self._waiting.values()), None)
        return 0.0 if arrived is None else asyncio.get_running_loop().time() - max(arrived, self._taken)
