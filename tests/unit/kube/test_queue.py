"""The work queue, on an event loop whose time passes only when nothing else is to be done."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

from algorithm_operator.kube.queue import Shutdown, WorkQueue


class _Selector(selectors.DefaultSelector):
    """Never waits: it tells the loop how long it would have."""

    slept = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "deadlock: nothing is due ever"
            self.slept += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.slept


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(work)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 3)


def queue(**options: Any) -> WorkQueue[str]:
    return WorkQueue(jitter=lambda: 1.0, **options)


def test_a_key_waits_once() -> None:
    async def work() -> None:
        q = queue()
        for key in ("a", "b", "a"):
            q.add(key)
        assert len(q) == 2
        assert [await q.get(), await q.get()] == ["a", "b"]
        assert len(q) == 0

    run(work())


def test_a_key_added_while_worked_on_comes_again_once_and_after() -> None:
    async def work() -> None:
        q = queue()
        q.add("a")
        key = await q.get()
        q.add("a")
        q.add("a")
        assert len(q) == 0
        q.done(key)
        assert await q.get() == "a"
        q.done("a")
        assert len(q) == 0

    run(work())


def test_two_workers_never_hold_one_key() -> None:
    async def work() -> None:
        q = queue()
        held: set[str] = set()
        looks: list[str] = []

        async def worker() -> None:
            while True:
                key = await q.get()
                assert key not in held
                held.add(key)
                await asyncio.sleep(0.01)
                held.discard(key)
                looks.append(key)
                q.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(4)]
        for step in range(40):
            q.add(f"k{step % 3}")
            await asyncio.sleep(0.003)
        await asyncio.sleep(1)
        assert set(looks) == {"k0", "k1", "k2"}
        assert not any(worker.done() for worker in workers)
        for task in workers:
            task.cancel()

    run(work())


def test_of_several_deadlines_the_earliest_wins() -> None:
    async def work() -> None:
        q = queue()
        q.add_after("a", 10)
        q.add_after("a", 3)
        q.add_after("a", 7)
        assert (len(q), q.delayed) == (0, 1)
        assert await q.get() == "a"
        assert now() == 3
        q.done("a")
        assert q.delayed == 0

    run(work())


def test_an_add_replaces_a_deadline() -> None:
    async def work() -> None:
        q = queue()
        q.add_after("a", 5)
        q.add("a")
        assert q.delayed == 0
        await q.get()
        assert now() == 0
        q.add_after("a", 0)  # at once, but after this look
        assert len(q) == 0
        q.done("a")
        assert len(q) == 1

    run(work())


def test_a_deadline_that_comes_while_worked_on_is_not_lost() -> None:
    async def work() -> None:
        q = queue()
        q.add("a")
        await q.get()
        q.add_after("a", 1)
        await asyncio.sleep(2)
        q.done("a")
        assert await q.get() == "a"

    run(work())


def test_backoff_doubles_to_its_limit_until_forgotten() -> None:
    async def work() -> None:
        q = queue(backoff_first=1, backoff_max=5)
        assert [q.retry("a") for _ in range(5)] == [1, 2, 4, 5, 5]
        assert q.retry("b") == 1
        q.forget("a")
        assert q.retry("a") == 1

    run(work())


def test_jitter_is_between_half_and_all() -> None:
    async def work() -> None:
        q: WorkQueue[int] = WorkQueue(backoff_first=2, backoff_max=2)
        seconds = [q.retry(key) for key in range(200)]
        assert 1 <= min(seconds) < max(seconds) <= 2

    run(work())


def test_a_retry_happens_after_its_backoff() -> None:
    async def work() -> None:
        q = queue(backoff_first=4)
        q.add("a")
        key = await q.get()
        q.retry(key)
        q.done(key)
        assert await q.get() == "a"
        assert now() == 4

    run(work())


def test_a_cancelled_getter_loses_no_key() -> None:
    async def work() -> None:
        q = queue()
        first, second = asyncio.create_task(q.get()), asyncio.create_task(q.get())
        await asyncio.sleep(0)
        q.add("a")  # wakes the first, which is cancelled before it runs
        first.cancel()
        assert await second == "a"

    run(work())


def test_shutdown_ends_waiting_and_timers() -> None:
    async def work() -> None:
        q = queue()
        getter = asyncio.create_task(q.get())
        await asyncio.sleep(0)
        q.add_after("a", 1)
        q.shutdown()
        with pytest.raises(Shutdown):
            await getter
        q.add("b")
        q.add_after("c", 1)
        assert (len(q), q.delayed) == (0, 0)
        with pytest.raises(Shutdown):
            await q.get()

    run(work())


def test_a_queue_that_nobody_takes_from_is_stalled() -> None:
    async def work() -> None:
        q = queue()
        assert q.stalled_seconds == 0
        q.add("a")
        await asyncio.sleep(3)
        assert q.stalled_seconds == pytest.approx(3)
        await q.get()
        assert q.stalled_seconds == 0
        await asyncio.sleep(5)
        q.add("b")
        await asyncio.sleep(1)
        assert q.stalled_seconds == pytest.approx(1)

    run(work())


def test_a_long_queue_that_moves_slowly_is_not_stalled() -> None:
    """As where many registries do not answer: each look takes its time, and no worker hangs."""

    async def work() -> None:
        q = queue()
        for number in range(100):
            q.add(str(number))
        for _ in range(100):
            await asyncio.sleep(45)
            assert q.stalled_seconds == pytest.approx(45)
            q.done(await q.get())
        assert q.stalled_seconds == 0

    run(work())
