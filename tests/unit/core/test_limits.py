"""Whose turn it is: the queue, the limits, and what is remembered of the past."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from algorithm_operator.api.limits import JobsPerUser, Limits, Starts, parse_period
from algorithm_operator.api.reasons import Reason
from algorithm_operator.core import limits, names
from algorithm_operator.core.limits import Admitted, Held, Queue, Standing
from tests.unit.core.builders import NOW, at

ACCEPTED = {"algorithm": {"name": "a"}, "state": "Queued"}
HOUR = JobsPerUser(count=2, period="1h")


def job(name: str = "j", created: float = 0, *, algorithm: str = "a", **fields: Any) -> dict[str, Any]:
    """A stored job, accepted unless `status` says otherwise."""
    meta = {"name": name, "creationTimestamp": at(created), **fields.pop("metadata", {})}
    spec = {"algorithmRef": {"name": algorithm}, **fields.pop("spec", {})}
    return {"metadata": meta, "spec": spec, "status": {**ACCEPTED, **fields}}


def starts(*seconds: float) -> list[Starts]:
    return [Starts(at=at(each)) for each in seconds]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("720h", 2592000), ("1m", 60), ("60s", 60), ("1h30m", 5400), ("1h0m1s", 3601), ("8760h", 31536000)],
)
def test_a_period(text: str, seconds: int) -> None:
    assert parse_period(text).total_seconds() == seconds
    assert JobsPerUser(count=1, period=text).length == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "h", "59s", "8761h", "8760h1s", "1d", "1m1h", "-1h", "1.5h", " 1h", "1h\n", "٣h", "9" * 15 + "h"],
)
def test_no_period(text: str) -> None:
    with pytest.raises(ValueError, match="between 1m and 8760h"):
        parse_period(text)
    with pytest.raises(ValidationError):
        JobsPerUser(count=1, period=text)


OWN = Limits(active_jobs_per_user=1)
DEFAULT = Limits(active_jobs_per_user=16, jobs_per_user=HOUR)


@pytest.mark.parametrize(
    ("own", "default", "expected"),
    [
        (None, None, Limits()),
        (None, DEFAULT, DEFAULT),
        (OWN, None, OWN),
        (OWN, DEFAULT, Limits(active_jobs_per_user=1, jobs_per_user=HOUR)),
    ],
    ids=["none", "the installation's", "its own", "each by itself"],
)
def test_the_limits_that_hold(own: Limits | None, default: Limits | None, expected: Limits) -> None:
    assert limits.effective(own, default) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (job(), Standing.WAITING),
        (job(reason="ActiveJobsLimit"), Standing.WAITING),
        (job(reason="RecentJobsLimit"), Standing.WAITING),
        (job(reason="StoreNotFound"), None),
        ({**job(), "status": {}}, Standing.WAITING),
        ({**job(), "status": {"state": "Pending", "reason": "AlgorithmNotReady"}}, None),
        (job(spec={"suspend": True}), None),
        (job(spec={"cancel": True}), None),
        (job(metadata={"deletionTimestamp": at(0)}), None),
        (job(admittedAt=at(0)), Standing.ACTIVE),
        (job(admittedAt=at(0), reason="QuotaExceeded"), Standing.ACTIVE),
        (job(attempts=[{"number": 1}], state="Running"), Standing.ACTIVE),
        (job(attempts=[{"number": 1}], spec={"suspend": True}), Standing.ACTIVE),
        (job(admittedAt=at(0), attempts=[{"number": 1}], state="Succeeded"), None),
        (job(state="Cancelled"), None),
        (job(metadata={"labels": {names.LABEL_PK: "x"}}), None),
        (job(attempts=[{"number": 1}], metadata={"labels": {names.LABEL_PK: "x"}}), None),
    ],
    ids=[
        "accepted",
        "waits for a place",
        "waits for its time",
        "waits for something else",
        "not looked at",
        "not accepted",
        "suspended",
        "cancelled",
        "being deleted",
        "let start",
        "let start, and without room in the cluster",
        "running",
        "suspended too late",
        "over",
        "cancelled before its start",
        "the gateway's",
        "the gateway's, running",
    ],
)
def test_what_a_job_is_to_the_limits(body: dict[str, Any], expected: Standing | None) -> None:
    assert limits.standing(body) is expected


def test_the_queue_is_in_order_of_age_and_then_of_name() -> None:
    jobs = [
        job("b", 2),
        job("late", 3),
        job("a", 2),
        job("first", 1, reason="ActiveJobsLimit"),
        job("other", 0, algorithm="other"),
        job("runs", 0, admittedAt=at(0)),
        job("blocked", 0, reason="StoreNotFound"),
    ]
    assert limits.queue(jobs, "a") == Queue(1, ["first", "a", "b", "late"])
    assert limits.queue(jobs, "a", asking="blocked") == Queue(1, ["blocked", "first", "a", "b", "late"])


def turn(place: int, active: int = 0, past: list[Starts] | None = None, **fields: Any) -> Admitted | Held:
    """The turn of the job with that place among five."""
    line = Queue(active, [f"j{n}" for n in range(1, 6)])
    return limits.turn(f"j{place}", "brain", Limits(**fields), line, past or [], NOW)


@pytest.mark.parametrize(
    ("place", "active", "most", "goes"),
    [
        (1, 0, 1, True),
        (2, 0, 1, False),
        (1, 1, 1, False),
        (3, 2, 5, True),
        (4, 2, 5, False),
        (1, 9, 3, False),
    ],
)
def test_so_many_at_a_time(place: int, active: int, most: int, goes: bool) -> None:
    found = turn(place, active, active_jobs_per_user=most)
    assert isinstance(found, Admitted) == goes
    if isinstance(found, Held):
        assert found.reason is Reason.ACTIVE_JOBS_LIMIT
        assert found.message.startswith(
            f'{limits.ordinal(place)} of 5 waiting: {active} of {most} jobs of Algorithm "brain" are active'
        )
    else:
        assert found == Admitted(None)


def test_so_many_in_a_period() -> None:
    recent = starts(-3700, -3000, -600)
    held = turn(1, past=recent, jobs_per_user=HOUR)
    assert isinstance(held, Held)
    assert held.reason is Reason.RECENT_JOBS_LIMIT
    assert '1st of 5 waiting: 2 of 2 jobs of Algorithm "brain" were started in the last 1h' in held.message
    assert f"the next may start at {at(601)}" in held.message
    assert 0 < held.again <= limits.SOON_SECONDS
    assert turn(1, past=recent[1:], jobs_per_user=JobsPerUser(count=3, period="1h")) == Admitted(
        starts(-3000, -600, 0)
    )
    assert isinstance(
        turn(2, past=recent[2:], jobs_per_user=HOUR), Held
    )  # for the first takes the last place


def test_a_job_is_looked_at_when_its_time_has_come() -> None:
    held = turn(1, past=starts(-3590, -3590), jobs_per_user=HOUR)
    assert isinstance(held, Held)
    assert held.again == 11.0


def test_of_two_limits_each_is_told() -> None:
    both = {"active_jobs_per_user": 1, "jobs_per_user": HOUR}
    past = starts(-10, -5)
    found = [turn(1, 1, past, **both), turn(1, 0, past, **both), turn(1, 0, past[1:], **both)]
    assert [getattr(each, "reason", None) for each in found] == [*limits.WAITS, None]


@pytest.mark.parametrize(
    ("count", "past", "expected"),
    [
        (1, [], 0),
        (2, [(-3000, 1)], 0),
        (1, [(-3000, 1)], 601),
        (1, [(-3000, 1), (-1000, 1)], 2601),
        (2, [(-1000, 1), (-3000, 1)], 601),
        (3, [(-3000, 2), (-1000, 3)], 2601),
        (1, [(-4000, 5)], 0),
    ],
    ids=["none", "room", "one", "the last of two", "not in order", "several at once", "long ago"],
)
def test_when_the_next_may_start(count: int, past: list[tuple[float, int]], expected: float) -> None:
    per = JobsPerUser(count=count, period="1h")
    found = limits.free_at([Starts(at=at(when), jobs=jobs) for when, jobs in past], per, NOW)
    assert found == NOW + timedelta(seconds=expected)


@given(st.lists(st.integers(0, 90), max_size=1200), st.integers(1, 2000))
def test_what_is_remembered_is_bounded_and_never_too_little(gaps: list[int], count: int) -> None:
    """However many there were: a start counts for its whole period, and not much longer than that."""
    per = JobsPerUser(count=count, period="1h")
    now = NOW
    kept: list[Starts] = []
    all_: list[datetime] = []
    for gap in gaps:
        now += timedelta(seconds=gap)
        kept = limits.remembered(kept, per, now)
        all_.append(now)
        assert len(kept) <= limits.MAX_STARTS
    counted = sum(each.jobs for each in limits.within(kept, per, now))
    assert counted >= sum(now - each < per.length for each in all_)
    assert counted <= len(all_)


def test_a_thousand_starts_in_an_hour_are_all_counted_and_go_little_by_little() -> None:
    per = JobsPerUser(count=100000, period="1h")
    kept: list[Starts] = []
    for number in range(1000):
        kept = limits.remembered(kept, per, NOW + timedelta(seconds=3 * number))
    assert len(kept) == limits.MAX_STARTS
    assert sum(each.jobs for each in kept) == 1000
    assert max(each.jobs for each in kept) <= 4
    later = NOW + timedelta(seconds=3600 + 1500)
    assert 499 <= sum(each.jobs for each in limits.within(kept, per, later)) <= 504


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (112, "112th"),
    ],
)
def test_ordinals(number: int, said: str) -> None:
    assert limits.ordinal(number) == said
