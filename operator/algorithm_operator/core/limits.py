"""Whether an Algorithm's limits let one more job start, or which place in the queue it has. Pure.

The operator asks for the jobs that no gateway made, all of a namespace together; the gateway asks for each user before
it makes a job. What is kept of the past is bounded, and wrong in one direction alone: it may count a job for too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import pairwise
from typing import Any

from algorithm_operator.api.conditions import rfc3339
from algorithm_operator.api.job import TERMINAL
from algorithm_operator.api.limits import JobsPerUser, Limits, Starts
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.core import names
from algorithm_operator.core.facts import moment

Object = Mapping[str, Any]

WAITS = (Reason.ACTIVE_JOBS_LIMIT, Reason.RECENT_JOBS_LIMIT)
"""What a job's status says while it waits for its turn."""
MAX_STARTS = 500
"""Entries that are kept of the past; of more, two that are close in time become one."""
SOON_SECONDS, LATE_SECONDS = 30.0, 300.0
"""How often a waiting job is looked at for its place alone: the farther back, the rarer."""


class Standing(Enum):
    """What a job is to the limits of its Algorithm."""

    ACTIVE = "active"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs of an Algorithm in a namespace that no gateway made: how many are active, and which wait, in order."""

    active: int
    waiting: Sequence[str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The job may start, once `starts` is what the Algorithm's status remembers (None: nothing to remember)."""

    starts: list[Starts] | None


@dataclass(frozen=True, slots=True)
class Held:
    """The job waits; looked at again after that many seconds, if nothing wakes it before."""

    reason: Reason
    message: str
    again: float


def effective(own: Limits | None, default: Limits | None) -> Limits:
    """The limits that hold for an Algorithm: its own, each that it leaves out from the installation."""
    own, default = own or Limits(), default or Limits()
    active = own.active_jobs_per_user
    return Limits(
        active_jobs_per_user=default.active_jobs_per_user if active is None else active,
        jobs_per_user=default.jobs_per_user if own.jobs_per_user is None else own.jobs_per_user,
    )


def is_active(job: Object) -> bool:
    """Whether a job as stored is under way: let start, and not ended."""
    status = job.get("status") or {}
    return status.get("state") not in TERMINAL and bool(status.get("admittedAt") or status.get("attempts"))


def standing(job: Object) -> Standing | None:
    """What a job as stored is to the operator's limits; None: nothing, such as those that the gateway made.

    A job that waits for something else (a DataStore, its admin) neither takes a place nor stands in anybody's way.
    """
    meta, spec, status = job["metadata"], job.get("spec") or {}, job.get("status") or {}
    if names.LABEL_PK in (meta.get("labels") or {}):
        return None
    if is_active(job):
        return Standing.ACTIVE
    leaves = meta.get("deletionTimestamp") or spec.get("suspend") or spec.get("cancel")
    accepted = status.get("algorithm") is not None and status.get("state") not in TERMINAL
    waits = accepted and status.get("reason") in (None, *WAITS)
    unseen = status.get("state") is None  # or a younger one could be looked at first
    return Standing.WAITING if (waits or unseen) and not leaves else None


def algorithm_of(job: Object) -> str:
    """The Algorithm that a job as stored names."""
    return str(((job.get("spec") or {}).get("algorithmRef") or {}).get("name"))


def queue(jobs: Iterable[Object], algorithm: str, asking: str | None = None) -> Queue:
    """The queue of that Algorithm among the jobs of a namespace; the job `asking` is in it whatever its status says."""
    active, waiting = 0, []
    for job in jobs:
        if algorithm_of(job) != algorithm:
            continue
        meta = job["metadata"]
        found = Standing.WAITING if meta["name"] == asking else standing(job)
        if found is Standing.WAITING:
            waiting.append((str(meta.get("creationTimestamp")), str(meta["name"])))
        elif found is Standing.ACTIVE:
            active += 1
    return Queue(active, [name for _, name in sorted(waiting)])


def turn(
    job: str, algorithm: str, limits: Limits, line: Queue, starts: Sequence[Starts], now: datetime
) -> Admitted | Held:
    """Whether it is the job's turn: there is room for it and for all that wait before it. `starts`: as remembered."""
    place, most = line.waiting.index(job) + 1, limits.active_jobs_per_user
    told = {"place": ordinal(place), "waiting": len(line.waiting), "algorithm": algorithm}
    again = min(max(2.0 * place, SOON_SECONDS), LATE_SECONDS)
    if most is not None and line.active + place > most:
        message = sentence(Reason.ACTIVE_JOBS_LIMIT, **told, active=line.active, limit=most)
        return Held(Reason.ACTIVE_JOBS_LIMIT, message, again)
    per = limits.jobs_per_user
    if per is None:
        return Admitted(None)
    started = sum(each.jobs for each in within(starts, per, now))
    if started + place > per.count:
        free = free_at(starts, per, now)
        facts = {**told, "started": started, "limit": per.count, "period": per.period, "time": rfc3339(free)}
        again = min(again, max((free - now).total_seconds(), 1.0))
        return Held(Reason.RECENT_JOBS_LIMIT, sentence(Reason.RECENT_JOBS_LIMIT, **facts), again)
    return Admitted(remembered(starts, per, now))


def within(starts: Iterable[Starts], per: JobsPerUser, now: datetime) -> list[Starts]:
    """Those that still count."""
    return [each for each in starts if _over_at(each, per) > now]


def free_at(starts: Iterable[Starts], per: JobsPerUser, now: datetime) -> datetime:
    """When the next job may start: `now`, or the time at which enough of `starts` count no more."""
    counted = sorted((_over_at(each, per), each.jobs) for each in within(starts, per, now))
    surplus = sum(jobs for _, jobs in counted) - per.count + 1
    for over, jobs in counted:
        if surplus <= 0:
            break
        now, surplus = over, surplus - jobs
    return now


def remembered(starts: Iterable[Starts], per: JobsPerUser, now: datetime) -> list[Starts]:
    """`starts` with one more at `now`, less those that count no more; never more than MAX_STARTS entries."""
    kept = [*within(starts, per, now), Starts(at=rfc3339(now))]
    while len(kept) > MAX_STARTS:
        # How much longer the jobs of the earlier would count, all together.
        costs = [(_at(later) - _at(earlier)) * earlier.jobs for earlier, later in pairwise(kept)]
        cheapest = costs.index(min(costs))
        earlier, later = kept[cheapest : cheapest + 2]
        kept[cheapest : cheapest + 2] = [later.model_copy(update={"jobs": earlier.jobs + later.jobs})]
    return kept


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _at(starts: Starts) -> datetime:
    found = moment(starts.at)
    if found is None:
        raise ValueError("a start without a time")
    return found


def _over_at(starts: Starts, per: JobsPerUser) -> datetime:
    # `at` has whole seconds: the start was up to one later.
    return _at(starts) + per.length + timedelta(seconds=1)
