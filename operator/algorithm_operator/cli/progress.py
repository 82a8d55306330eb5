"""How far a job is: what is shown while `run` waits. The decisions are pure; `follow` looks and draws."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from algorithm_operator.api.conditions import ConditionType, find
from algorithm_operator.api.job import State
from algorithm_operator.api.text import shown
from algorithm_operator.cli.connection import Cluster, UnreachableError
from algorithm_operator.cli.explain import waits_for
from algorithm_operator.cli.jobs import Job, find_job
from algorithm_operator.core.facts import moment

OUTAGE_SECONDS = 120
"""How long the API server may be away while a job is followed."""

_ON_THE_NODE = frozenset({State.STAGING, State.RUNNING})


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is to show. Seconds used count from the Pod's start on its node, as the limit does."""

    state: str
    waits_for: str = ""
    attempt: int = 0
    used_seconds: float | None = None
    limit_seconds: int | None = None

    @property
    def line(self) -> str:
        """One line, for output that cannot be redrawn."""
        attempt = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"{self.state}{attempt}" + (f": {self.waits_for}" if self.waits_for else "")


def moment_of(job: Job, now: datetime) -> Moment:
    """How far the job is at `now`."""
    status = job.status
    held = waits_for(job)
    used = limit = None
    if status.algorithm is not None:
        limit = status.algorithm.time_limit_seconds
    scheduled = find(status.conditions, ConditionType.SCHEDULED)
    if status.state in _ON_THE_NODE and scheduled is not None and scheduled.status == "True":
        since = moment(scheduled.last_transition_time)
        # This machine's clock may be behind the cluster's.
        used = max(0.0, (now - since).total_seconds()) if since else None
    return Moment(
        state=str(status.state or State.PENDING),
        waits_for=shown(held.message or held.reason, 500) if held else "",
        attempt=max((each.number for each in status.attempts), default=0),
        used_seconds=used,
        limit_seconds=limit,
    )


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def follow(cluster: Cluster, name: str, draw: Callable[[Moment], None], seconds: float = 1.0) -> Job:
    """Look at the job until it is finished; `draw` is told each time."""
    away_since: float | None = None
    while True:
        try:
            job = find_job(cluster, name)
            away_since = None
        except UnreachableError:  # it restarts, or this machine's network does
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > OUTAGE_SECONDS:
                raise
            time.sleep(seconds)
            continue
        draw(moment_of(job, datetime.now(UTC)))
        if job.finished:
            return job
        time.sleep(seconds)
