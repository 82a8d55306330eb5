"""Answers that hold for a while: the same question, asked again or at the same time, is put once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")

Ask = Callable[[], Awaitable[tuple[V, float]]]
"""Finds an answer, and for how many seconds it holds: none at 0."""


class Remembered(Generic[V]):
    """At most `size` answers, those that were not asked for the longest go first. An error is nobody's answer but of
    those who were waiting for it."""

    def __init__(self, size: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._clock = size, clock
        self._known: OrderedDict[bytes, tuple[V, float]] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def get(self, question: bytes, ask: Ask[V]) -> V:
        """The answer; raises what `ask` raises."""
        known = self._known.get(question)
        if known is not None and self._clock() < known[1]:
            self._known.move_to_end(question)
            return known[0]
        task = self._asked.get(question)
        if task is None:
            # A task of its own: whoever asked first may go away, and the others still want to know.
            task = self._asked[question] = asyncio.create_task(self._find(question, ask))
            task.add_done_callback(lambda done: self._answered(question, done))
        return await asyncio.shield(task)

    async def _find(self, question: bytes, ask: Ask[V]) -> V:
        answer, seconds = await ask()
        self._known.pop(question, None)
        if seconds > 0:
            self._known[question] = (answer, self._clock() + seconds)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return answer

    def _answered(self, question: bytes, task: asyncio.Task[V]) -> None:
        self._asked.pop(question, None)
        if not task.cancelled():
            task.exception()  # looked at: nobody may be left who does
