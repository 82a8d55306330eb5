"""The status of a job, written so that it never lands on another job, and never on one that has ended."""

from __future__ import annotations

import logging

from algorithm_operator.api.job import TERMINAL, AlgorithmJobStatus
from algorithm_operator.api.reasons import Reason
from algorithm_operator.controller.context import Context
from algorithm_operator.core import names
from algorithm_operator.core.world import Job
from algorithm_operator.kube.errors import Conflict, Invalid, NotFound
from algorithm_operator.kube.resources import ALGORITHM_JOBS

log = logging.getLogger(__name__)


class Overtaken(Exception):  # noqa: N818 - not an error: the store knows better now
    """The job is not the one that was decided about: gone, replaced, or ended by another operator."""


async def write_status(job: Job, status: AlgorithmJobStatus, context: Context) -> None:
    """Apply the whole status if it differs from the one that was read; our own write is taken into the store.

    Raises Overtaken, or the ApiError of the request.
    """
    wire = status.wire()
    if wire == job.status.wire():
        return
    body = {"metadata": {"uid": job.uid}, "status": wire}
    try:
        written = await context.client.apply(
            ALGORITHM_JOBS,
            job.namespace,
            job.name,
            body,
            subresource="status",
            field_manager=names.FIELD_MANAGER,
        )
    except (NotFound, Conflict, Invalid) as error:
        if await _is_overtaken(job, context):
            raise Overtaken from error
        raise
    context.store.put(ALGORITHM_JOBS, written)
    if status.state != job.status.state:
        log.info(
            "job is %s",
            status.state,
            extra={"key": f"{job.namespace}/{job.name}", "uid": job.uid, "reason": status.reason},
        )
        if status.state in TERMINAL:
            context.metrics.job_finished(str(status.state), str(status.reason))
        elif status.reason == Reason.RETRYING:
            context.metrics.attempt_retried(str(status.attempts[-1].reason))


async def _is_overtaken(job: Job, context: Context) -> bool:
    """Whether a status was refused since the job is gone, is another one, or has ended; the store learns it."""
    live = await context.client.get(ALGORITHM_JOBS, job.namespace, job.name)
    if live is None or live["metadata"]["uid"] != job.uid:
        context.store.delete(
            ALGORITHM_JOBS, {"metadata": {"namespace": job.namespace, "name": job.name, "uid": job.uid}}
        )
    if live is None:
        return True
    context.store.put(ALGORITHM_JOBS, live)
    ended = (live.get("status") or {}).get("state") in TERMINAL and job.status.state not in TERMINAL
    return bool(ended or live["metadata"]["uid"] != job.uid)
