"""The heart: what to do about one job, given all that is known. Pure; time is in the World.

A job is admitted (checked, its run fixed in status), started (its Pod created, once everything that seals it is in
place), followed (the Pod's facts become state and conditions) and ended. A module each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from algorithm_operator.api.job import TERMINAL, AlgorithmJobStatus
from algorithm_operator.core.admission import LOOK_AGAIN_SECONDS, admit
from algorithm_operator.core.ending import next_number
from algorithm_operator.core.facts import facts_of, moment
from algorithm_operator.core.following import LOST_SECONDS, follow
from algorithm_operator.core.starting import start
from algorithm_operator.core.world import (
    Action,
    ConfirmGone,
    Decision,
    DeleteJob,
    DeletePod,
    Object,
    ReleasePod,
    World,
)


def decide(world: World) -> Decision:
    """The next step for the job, and what is left to do about Pods that it no longer needs."""
    status = world.job.status
    if world.job.deleting or world.terminating:
        leaving = [*world.pods.values(), *world.salvage.values(), *world.foreign]
        return Decision(status, teardown(leaving, world.now), requeue=LOOK_AGAIN_SECONDS)
    decision = _step(world)
    tidying = [*teardown(world.foreign, world.now), *_tidy(world, decision.status)]
    requeue = decision.requeue
    if world.foreign:  # they are given up after a while, which no event says
        requeue = LOOK_AGAIN_SECONDS if requeue is None else min(requeue, LOOK_AGAIN_SECONDS)
    return replace(decision, actions=[*tidying, *decision.actions], requeue=requeue)


def _step(world: World) -> Decision:
    status = world.job.status
    if status.state in TERMINAL:
        return _finished(world)
    if status.algorithm is None:
        return admit(world)
    open_attempt = next((a for a in status.attempts if a.finished_at is None), None)
    number = open_attempt.number if open_attempt else next_number(status)
    pod = world.pods.get(number)
    if pod is not None:
        return follow(world, number, pod)
    if open_attempt is not None:
        return Decision(status, [ConfirmGone(open_attempt.pod, number)])
    return start(world, number)


def _finished(world: World) -> Decision:
    """A terminal job leaves when its time to live is over."""
    status = world.job.status
    ttl, finished = world.job.spec.ttl_seconds_after_finished, moment(status.finished_at)
    if ttl is None or finished is None:
        return Decision(status)
    left = (finished + timedelta(seconds=ttl) - world.now).total_seconds()
    return Decision(status, requeue=left) if left > 0 else Decision(status, [DeleteJob()])


def _tidy(world: World, status: AlgorithmJobStatus) -> list[Action]:
    """Pods of attempts that are closed in `status`, whoever closed them: they end, and are released."""
    actions: list[Action] = []
    is_open = {a.number: a.finished_at is None for a in status.attempts}
    upcoming = next_number(status)  # what is older and not in status was dropped from it
    over = status.state in TERMINAL
    for number, pod in world.pods.items():
        if over or not is_open.get(number, number >= upcoming):
            facts = facts_of(pod)
            if not facts.ended and facts.deleted_at is None:
                actions.append(DeletePod(facts.name, facts.uid))
            if facts.has_finalizer:
                actions.append(ReleasePod(facts.name, facts.uid))
    for number, pod in world.salvage.items():
        meta = pod["metadata"]
        if (over or not is_open.get(number, number >= upcoming)) and not meta.get("deletionTimestamp"):
            actions.append(DeletePod(str(meta["name"]), str(meta["uid"]), 0))
    return actions


def teardown(leaving: Iterable[Object], now: datetime) -> list[Action]:
    """End Pods whose job is leaving: delete them, and release the ones that have ended or whose node is lost."""
    actions: list[Action] = []
    for pod in leaving:
        facts = facts_of(pod)
        if facts.deleted_at is None:
            actions.append(DeletePod(facts.name, facts.uid))
        given_up = facts.gone_at is not None and (now - facts.gone_at).total_seconds() > LOST_SECONDS
        if facts.has_finalizer and (facts.ended or given_up or facts.node is None):
            actions.append(ReleasePod(facts.name, facts.uid))
    return actions
