"""How many jobs of an Algorithm a person may have: at the same time, and in a period.

Who asks holds a lock for the person and the Algorithm from `check` to the job's creation: two requests cannot both get
the last place. The lock is this process's, so it takes one gateway; several could let one job too many each.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.api.conditions import rfc3339
from algorithm_operator.api.job import TERMINAL
from algorithm_operator.api.limits import JobsPerUser, Limits
from algorithm_operator.core.limits import effective
from algorithm_operator.core.world import Algorithm
from algorithm_operator.gateway.context import Caller, Gateway
from algorithm_operator.gateway.database.models import JobStart
from algorithm_operator.gateway.errors import refused
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.kube.resources import ALGORITHM_JOBS

TOO_MANY_ACTIVE = "You have too many active jobs, please try again after they have completed"
OUT_OF_CREDITS = "You have run out of algorithm credits"


def defaults(settings: Settings) -> Limits:
    """The installation's limits."""
    per = None
    if settings.jobs_per_user is not None and settings.jobs_period_seconds is not None:
        per = JobsPerUser(count=settings.jobs_per_user, period=f"{settings.jobs_period_seconds}s")
    return Limits(active_jobs_per_user=settings.active_jobs_per_user, jobs_per_user=per)


async def check(caller: Caller, algorithm: Algorithm, pk: str) -> None:
    """Raise 400 unless the caller may start one more job, which has that pk."""
    limits = effective(algorithm.spec.limits, defaults(caller.gateway.settings))
    if (per := limits.jobs_per_user) is not None:
        now = caller.gateway.now()
        starts = await _starts(caller, algorithm.name, pk, now - per.length)
        if len(starts) >= per.count:
            raise refused(OUT_OF_CREDITS, _told(len(starts), algorithm.name, per, _free_at(starts, per)))
    if (most := limits.active_jobs_per_user) is not None and await _active(caller, algorithm.name) >= most:
        raise refused(TOO_MANY_ACTIVE)


async def note(caller: Caller, algorithm: str, pk: str) -> bool:
    """Count the start of a job, before it is created: if the gateway dies in between it counts for nothing, but never
    does a job that runs not count. Whether it was not counted already, by an earlier try with the same pk."""
    start = JobStart(
        id=pk,
        namespace=caller.namespace,
        username=caller.username,
        algorithm=algorithm,
        created=caller.gateway.now(),
    )

    def add(session: Session) -> bool:
        if session.get(JobStart, pk) is not None:
            return False
        session.add(start)
        return True

    return await caller.gateway.database.run(add)


async def forget(gateway: Gateway, pk: str) -> None:
    """The job that was noted could not be created."""

    def remove(session: Session) -> None:
        if (row := session.get(JobStart, pk)) is not None:
            session.delete(row)

    await gateway.database.run(remove)


async def noted(gateway: Gateway, pk: str) -> JobStart | None:
    """The start of the job with that pk."""
    return await gateway.database.run(lambda session: session.get(JobStart, pk))


async def _starts(caller: Caller, algorithm: str, pk: str, since: datetime) -> list[datetime]:
    """When the caller's jobs of the Algorithm were started since then, in order, but for the one with that pk."""
    asked = (
        select(JobStart.created)
        .where(
            JobStart.namespace == caller.namespace,
            JobStart.username == caller.username,
            JobStart.algorithm == algorithm,
            JobStart.created > since,
            JobStart.id != pk,
        )
        .order_by(JobStart.created)
    )
    return await caller.gateway.database.run(lambda session: list(session.scalars(asked)))


async def _active(caller: Caller, algorithm: str) -> int:
    """The caller's jobs of the Algorithm that have not ended, whoever made them."""
    fields = {"spec.algorithmRef.name": algorithm, "spec.requestedBy": caller.username}
    selector = [f"{field}={_escaped(value)}" for field, value in fields.items()]
    selector += [f"status.state!={state}" for state in sorted(TERMINAL)]
    jobs, _ = await caller.gateway.cluster.list(
        ALGORITHM_JOBS, caller.namespace, field_selector=",".join(selector), metadata_only=True
    )
    return len(jobs)


def _escaped(value: str) -> str:
    """A value in a field selector: usernames of identity providers may hold anything."""
    return "".join("\\" + char if char in "\\,=" else char for char in value)


def _free_at(starts: list[datetime], per: JobsPerUser) -> datetime:
    # Full seconds, as it is told: a moment earlier would be refused again.
    return starts[len(starts) - per.count] + per.length + timedelta(seconds=1)


def _told(count: int, algorithm: str, per: JobsPerUser, free: datetime) -> str:
    return (
        f"You have started {count} jobs of Algorithm {algorithm} in the last {per.period}, and {per.count} are "
        f"allowed; the next may start at {rfc3339(free)}."
    )
