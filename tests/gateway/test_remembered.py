"""Answers that hold for a while."""

import asyncio

import pytest

from algorithm_operator.gateway.remembered import Remembered


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Oracle:
    """Says how often it was asked, for `holds` seconds."""

    def __init__(self, holds: float = 10) -> None:
        self.holds, self.asked = holds, 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self) -> tuple[int, float]:
        self.asked += 1
        mine = self.asked
        await self.open.wait()
        return mine, self.holds


@pytest.mark.parametrize(
    ("holds", "later", "answer"),
    [(10, 9.9, 1), (10, 10, 2), (0, 0, 2), (-5, 0, 2), (float("inf"), 1e9, 1)],
    ids=["holds", "is over", "never held", "ended before", "for ever"],
)
async def test_an_answer_holds_for_its_time(holds: float, later: float, answer: int) -> None:
    clock, ask = Clock(), Oracle(holds)
    known: Remembered[int] = Remembered(clock=clock)
    assert await known.get(b"q", ask) == 1
    clock.now = later
    assert await known.get(b"q", ask) == answer


async def test_the_same_question_at_the_same_time_is_put_once() -> None:
    ask, known = Oracle(holds=0), Remembered[int]()
    ask.open.clear()
    waiting = [asyncio.create_task(known.get(b"q", ask)) for _ in range(20)]
    other = asyncio.create_task(known.get(b"other", ask))
    await asyncio.sleep(0)
    waiting[0].cancel()  # whoever asked first goes away: the others are answered
    await asyncio.sleep(0)
    ask.open.set()
    assert set(await asyncio.gather(*waiting[1:])) == {1}
    assert await other == 2
    assert waiting[0].cancelled()


async def test_an_error_is_not_remembered() -> None:
    known, calls = Remembered[int](), 0

    async def fails() -> tuple[int, float]:
        nonlocal calls
        calls += 1
        raise RuntimeError("not now")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await known.get(b"q", fails)
    assert calls == 2
    assert await known.get(b"q", Oracle()) == 1


async def test_there_is_room_for_so_many() -> None:
    known, ask = Remembered[int](size=3), Oracle()
    for question in (b"a", b"b", b"c", b"a", b"d"):
        await known.get(question, ask)
    assert len(known) == 3
    assert await known.get(b"a", ask) == 1  # asked for lately
    assert await known.get(b"b", ask) == 5  # had to go
