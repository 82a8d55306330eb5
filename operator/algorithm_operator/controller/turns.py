"""Whose turn it is among the jobs of an Algorithm with limits. One at a time: each answer changes the next one.

What the limits count is written before the job may start: first what the Algorithm remembers, which outlives the job,
then the job's own status. An operator that dies between the two counts that job twice, and never not at all.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from algorithm_operator.controller.context import Context
from algorithm_operator.controller.statuses import write_status
from algorithm_operator.core import limits, names
from algorithm_operator.core.starting import admitted, held
from algorithm_operator.core.world import Algorithm, Decision, World
from algorithm_operator.kube.resources import ALGORITHM_JOBS, ALGORITHMS


async def take_turn(world: World, context: Context) -> Decision | bool:
    """Let the job start if it is its turn (True), or say what it waits for."""
    job, name = world.job, world.job.spec.algorithm_ref.name
    async with context.turn_of(job.namespace, name):
        # As others have left it who were before us.
        algorithm = _algorithm(job.namespace, name, context)
        if algorithm is None or algorithm.spec.limits is None:
            return True  # it was changed meanwhile
        world = replace(world, now=context.clock.now())
        line = limits.queue(context.store.by_namespace(ALGORITHM_JOBS, job.namespace), name, asking=job.name)
        if job.name not in line.waiting:
            return True  # it is gone
        turn = limits.turn(
            job.name, name, algorithm.spec.limits, line, algorithm.status.recent_starts or [], world.now
        )
        if isinstance(turn, limits.Held):
            return held(world, turn)
        if turn.starts is not None:
            await _remember(algorithm, turn, context)
        await write_status(job, admitted(world), context)
    return True


def _algorithm(namespace: str, name: str, context: Context) -> Algorithm | None:
    body = context.store.get(ALGORITHMS, namespace, name)
    try:
        return Algorithm.of(body) if body is not None else None
    except ValidationError:
        return None  # what the job waits for is then that


async def _remember(algorithm: Algorithm, turn: limits.Admitted, context: Context) -> None:
    starts = [each.wire() for each in turn.starts or []]
    written = await context.client.apply(
        ALGORITHMS,
        algorithm.namespace,
        algorithm.name,
        {"metadata": {"uid": algorithm.uid}, "status": {"recentStarts": starts}},
        subresource="status",
        field_manager=names.STARTS_MANAGER,
    )
    context.store.put(ALGORITHMS, written)
