"""The heart: what to do about one job, given all that is known. Pure; time is in the World.

A job is admitted (checked, its run fixed in status), started (its Pod created, once everything that seals it is in
place), followed (the Pod's facts become state and conditions) and ended (see ending.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from algorithm_operator.api.conditions import ConditionType, find, is_true
from algorithm_operator.api.job import TERMINAL, AlgorithmJobStatus, State
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.contract.accept import Accepted, Refused, accept
from algorithm_operator.contract.accept import Waiting as Held
from algorithm_operator.core import attempt, names, pods, policies, waiting
from algorithm_operator.core.ending import end_attempt, failed, retry_seconds, set_condition, with_attempt
from algorithm_operator.core.facts import Facts, Phase, facts_of, moment
from algorithm_operator.core.verdict import Verdict, judge
from algorithm_operator.core.world import (
    Action,
    ConfirmGone,
    CreatePod,
    Decision,
    DeleteJob,
    DeletePod,
    EndPod,
    Object,
    ReadManifest,
    ReleasePod,
    World,
    stamp,
)

BACKSTOP_SECONDS = 120
LOST_SECONDS = 60
LOOK_AGAIN_SECONDS = 5.0
RESYNC_SECONDS = 60.0
DENIED_AGAIN_SECONDS = 10.0
"""After a create: soon again, in case the cluster refused the Pod."""


def decide(world: World) -> Decision:
    """The next step for the job."""
    status = world.job.status
    if world.job.deleting or world.terminating:
        return Decision(
            status, teardown([*world.pods.values(), *world.foreign], world.now), requeue=LOOK_AGAIN_SECONDS
        )
    if status.state in TERMINAL:
        return _finished(world)
    if status.algorithm is None:
        return _admit(world)
    open_attempt = next((a for a in status.attempts if a.finished_at is None), None)
    number = open_attempt.number if open_attempt else len(status.attempts) + 1
    pod = world.pods.get(number)
    if pod is not None:
        return _follow(world, number, facts_of(pod))
    if open_attempt is not None:
        return Decision(status, [ConfirmGone(open_attempt.pod)])
    return _start(world, number)


def lost(world: World) -> Decision:
    """The open attempt's Pod is gone, seen by a live look: nothing can be read from it any more."""
    number = next(a.number for a in world.job.status.attempts if a.finished_at is None)
    verdict = Verdict(Reason.POD_DELETED, sentence(Reason.POD_DELETED))
    return end_attempt(world, world.job.status, number, verdict)


def teardown(leaving: Iterable[Object], now: datetime) -> list[Action]:
    """End Pods whose job is leaving: delete them, and release the ones that have ended or whose node is lost."""
    actions: list[Action] = []
    for pod in leaving:
        facts = facts_of(pod)
        if facts.deleted_at is None:
            actions.append(DeletePod(facts.name, facts.uid))
        given_up = _is_overdue(facts, now)
        if facts.has_finalizer and (facts.ended or given_up or facts.node is None):
            actions.append(ReleasePod(facts.name, facts.uid))
    return actions


def _is_overdue(facts: Facts, now: datetime) -> bool:
    """Whether the Pod should have been gone for a while: its node does not answer."""
    return facts.gone_at is not None and (now - facts.gone_at).total_seconds() > LOST_SECONDS


def _wait(
    world: World,
    status: AlgorithmJobStatus,
    type_: ConditionType,
    reason: Reason,
    message: str,
    *,
    state: State,
) -> Decision:
    status = status.model_copy(
        update={
            "state": state,
            "reason": str(reason),
            "message": message[:1024],
            "observed_generation": world.job.generation,
        }
    )
    status = set_condition(status, world.job, world.now, type_, False, reason, message)
    return Decision(status, requeue=LOOK_AGAIN_SECONDS)


def _admit(world: World) -> Decision:
    job, algorithm, status = world.job, world.algorithm, world.job.status
    if job.spec.cancel:
        return Decision(failed(world, status, Verdict(Reason.CANCELLED, sentence(Reason.CANCELLED))))
    accepted = ConditionType.ACCEPTED
    wanted = job.spec.algorithm_ref.name
    if algorithm is None:
        message = sentence(Reason.ALGORITHM_NOT_FOUND, algorithm=wanted, namespace=job.namespace)
        return _wait(world, status, accepted, Reason.ALGORITHM_NOT_FOUND, message, state=State.PENDING)
    ready = find(algorithm.status.conditions, ConditionType.READY)
    current = algorithm.status.observed_generation == algorithm.generation
    if ready is None or ready.status != "True" or not current:
        why = (
            ready.message
            if ready is not None and current and ready.status != "True"
            else "it is being checked."
        )
        message = sentence(Reason.ALGORITHM_NOT_READY, algorithm=wanted, why=why)
        return _wait(world, status, accepted, Reason.ALGORITHM_NOT_READY, message, state=State.PENDING)
    outcome = accept(
        spec=job.spec, algorithm_spec=algorithm.spec, stores=world.stores, namespace=job.namespace
    )
    if isinstance(outcome, Refused):
        status = set_condition(status, job, world.now, accepted, False, outcome.reason, outcome.message)
        return Decision(failed(world, status, Verdict(outcome.reason, outcome.message)))
    if isinstance(outcome, Held):
        return _wait(world, status, accepted, outcome.reason, outcome.message, state=State.PENDING)
    return _accepted(world, outcome)


def _accepted(world: World, outcome: Accepted) -> Decision:
    job, algorithm, status = world.job, world.algorithm, world.job.status
    if algorithm is None:
        raise ValueError("a job is accepted only with its Algorithm at hand")
    run = attempt.snapshot(
        name=algorithm.name,
        uid=algorithm.uid,
        generation=algorithm.generation,
        spec=algorithm.spec,
        status=algorithm.status,
        interface=outcome.interface,
        time_limit_seconds=outcome.time_limit_seconds,
        output_store=outcome.output_store,
    )
    status = status.model_copy(
        update={
            "algorithm": run,
            "accepted_at": stamp(world.now),
            "state": State.QUEUED,
            "reason": None,
            "message": "",
            "observed_generation": job.generation,
        }
    )
    message = sentence(Reason.ACCEPTED, interface=run.interface.name, digest=run.image_digest)
    status = set_condition(status, job, world.now, ConditionType.ACCEPTED, True, Reason.ACCEPTED, message)
    return Decision(status, requeue=0.0)


def _start(world: World, number: int) -> Decision:
    job, status = world.job, world.job.status
    run = world.run
    if job.spec.cancel:
        return Decision(failed(world, status, Verdict(Reason.CANCELLED, sentence(Reason.CANCELLED))))
    if job.spec.suspend and not status.attempts:
        decision = _wait(
            world,
            status,
            ConditionType.SCHEDULED,
            Reason.SUSPENDED,
            sentence(Reason.SUSPENDED),
            state=State.SUSPENDED,
        )
        held = set_condition(
            decision.status, job, world.now, ConditionType.SUSPENDED, True, Reason.SUSPENDED, ""
        )
        return Decision(held)
    if is_true(status.conditions, ConditionType.SUSPENDED):
        status = set_condition(status, job, world.now, ConditionType.SUSPENDED, False, Reason.ACCEPTED, "")
    earlier = [facts_of(pod) for pod in world.pods.values()]
    if any(not facts.ended for facts in earlier):
        return Decision(status, requeue=LOOK_AGAIN_SECONDS)
    if status.attempts and (last := moment(status.attempts[-1].finished_at)) is not None:
        due = last + timedelta(seconds=retry_seconds(world, status.attempts[-1].number))
        if due > world.now:
            return Decision(status, requeue=(due - world.now).total_seconds())
    if held_back := _unsealed(world):
        reason, message = held_back
        type_ = ConditionType.ISOLATED if reason is Reason.ISOLATION_UNVERIFIED else ConditionType.SCHEDULED
        decision = _wait(world, status, type_, reason, message, state=State.QUEUED)
        return Decision(decision.status, teardown(world.foreign, world.now), requeue=LOOK_AGAIN_SECONDS)
    made = attempt.plan(
        namespace=job.namespace,
        job=job.name,
        job_uid=job.uid,
        attempt=number,
        spec=job.spec,
        run=run,
        targets=world.targets or [],
        settings=world.settings,
    )
    body = pods.run_pod(made, run, world.stores, world.settings)
    return Decision(status, [CreatePod(body)], requeue=DENIED_AGAIN_SECONDS)


def _unsealed(world: World) -> tuple[Reason, str] | None:
    """What still keeps the job's Pod from being created, in the order in which an admin would mend it."""
    job, namespace = world.job, world.job.namespace
    run = world.run
    labels = {names.LABEL_ROLE: names.ROLE_RUN, names.LABEL_JOB: job.name, names.MANAGED_BY: names.OPERATOR}
    if world.foreign:
        pod = str(world.foreign[0]["metadata"]["name"])
        return Reason.PREDECESSOR_LEAVING, sentence(Reason.PREDECESSOR_LEAVING, pod=pod)
    for store in attempt.stores_of(job.spec, run):
        if store not in world.stores:
            return Reason.STORE_NOT_FOUND, sentence(Reason.STORE_NOT_FOUND, store=store, namespace=namespace)
    if not world.restricted:
        return Reason.NAMESPACE_NOT_RESTRICTED, sentence(Reason.NAMESPACE_NOT_RESTRICTED, namespace=namespace)
    if not policies.is_closed(world.policies, labels):
        return Reason.POLICY_MISSING, sentence(
            Reason.POLICY_MISSING, namespace=namespace, policy=names.DENY_ALL_POLICY
        )
    if (conflict := policies.opening(world.policies, labels)) is not None:
        return Reason.POLICY_CONFLICT, sentence(Reason.POLICY_CONFLICT, policy=conflict, namespace=namespace)
    if world.targets is None:
        canary = world.settings.canary_service
        return Reason.ISOLATION_UNVERIFIED, sentence(Reason.ISOLATION_UNVERIFIED, canary=canary)
    return None


def _follow(world: World, number: int, facts: Facts) -> Decision:
    job, run = world.job, world.run
    status = with_attempt(job.status, number, facts)
    if facts.ended:
        return _ended(world, status, number, facts)
    if _is_overdue(facts, world.now):
        verdict = Verdict(Reason.NODE_LOST, sentence(Reason.NODE_LOST, node=facts.node))
        return end_attempt(world, status, number, verdict)
    held = waiting.explain(facts, run, world.nodes, world.settings)
    if (
        held is not None
        and held.ends_as is not None
        and held.ends_at is not None
        and world.now >= held.ends_at
    ):
        return _given_up(world, status, number, facts, held)
    status = _progress(world, status, facts, held)
    actions: list[Action] = []
    if job.spec.cancel and facts.deleted_at is None:
        end: Action = EndPod(facts.name, facts.uid) if facts.node else DeletePod(facts.name, facts.uid, 0)
        actions.append(end)
    limit = run.time_limit_seconds + run.collect_seconds + pods.GRACE_AFTER_COLLECT_SECONDS + BACKSTOP_SECONDS
    overdue = facts.started_at is not None and world.now > facts.started_at + timedelta(seconds=limit)
    if overdue and facts.deleted_at is None:
        actions.append(DeletePod(facts.name, facts.uid))
    requeue = RESYNC_SECONDS
    if held is not None and held.ends_at is not None:
        requeue = max(0.5, min(requeue, (held.ends_at - world.now).total_seconds()))
    return Decision(
        status, actions, requeue=requeue, needs_nodes=bool(facts.unschedulable) and facts.node is None
    )


def _ended(world: World, status: AlgorithmJobStatus, number: int, facts: Facts) -> Decision:
    run = world.run
    verdict = judge(facts, run, cancelled=world.job.spec.cancel)
    if verdict.manifest_sha256 is None:
        return end_attempt(world, status, number, verdict)
    if world.salvage is not None:
        phase = (world.salvage.get("status") or {}).get("phase")
        if phase not in ("Succeeded", "Failed"):
            return Decision(status, requeue=LOOK_AGAIN_SECONDS)
        pod = str(world.salvage["metadata"]["name"])
        return Decision(status, [ReadManifest(pod, "salvage", verdict)])
    return Decision(status, [ReadManifest(facts.name, names.COLLECT, verdict)])


def salvage(world: World, number: int) -> Decision | None:
    """A Pod that reads the manifest from the store, where the log is gone; None if there is no store to read."""
    job, run = world.job, world.job.status.algorithm
    if (
        run is None
        or run.output_store is None
        or world.salvage is not None
        or run.output_store not in world.stores
    ):
        return None
    made = attempt.plan(
        namespace=job.namespace,
        job=job.name,
        job_uid=job.uid,
        attempt=number,
        spec=job.spec,
        run=run,
        targets=[],
        settings=world.settings,
    )
    return Decision(
        job.status, [CreatePod(pods.salvage_pod(made, run, world.stores, world.settings))], requeue=5.0
    )


def _given_up(
    world: World, status: AlgorithmJobStatus, number: int, facts: Facts, held: waiting.Waiting
) -> Decision:
    """An error that holds a GPU has lasted too long: the attempt ends, its Pod goes."""
    decision = end_attempt(world, status, number, Verdict(held.ends_as or held.reason, held.message))
    return Decision(
        decision.status, [DeletePod(facts.name, facts.uid, 0), *decision.actions], requeue=decision.requeue
    )


def _progress(
    world: World, status: AlgorithmJobStatus, facts: Facts, held: waiting.Waiting | None
) -> AlgorithmJobStatus:
    """State and conditions of an attempt that goes on."""
    job, now = world.job, world.now
    state = _state(facts)
    fields: dict[str, object] = {
        "state": state,
        "reason": str(held.reason) if held else None,
        "message": held.message[:1024] if held else "",
        "observed_generation": job.generation,
    }
    if facts.algorithm.started_at is not None:
        fields["started_at"] = stamp(facts.algorithm.started_at)
    status = status.model_copy(update=fields)
    if held is not None:
        status = set_condition(status, job, now, ConditionType.SCHEDULED, False, held.reason, held.message)
    elif facts.node is not None:
        message = sentence(Reason.SCHEDULED, node=facts.node)
        status = set_condition(status, job, now, ConditionType.SCHEDULED, True, Reason.SCHEDULED, message)
    if facts.stage.phase is Phase.TERMINATED and facts.stage.exit_code == 0:
        for type_, reason in (
            (ConditionType.STAGED, Reason.STAGED),
            (ConditionType.ISOLATED, Reason.ISOLATED),
        ):
            status = set_condition(status, job, now, type_, True, reason, sentence(reason))
    return status


def _state(facts: Facts) -> State:
    if facts.node is None:
        return State.QUEUED
    if facts.algorithm.phase is Phase.TERMINATED:
        return State.COLLECTING
    if facts.algorithm.phase is Phase.RUNNING:
        return State.RUNNING
    return State.STAGING


def _finished(world: World) -> Decision:
    """A terminal job: release what is left of its Pods; delete it when its time to live is over."""
    job, status = world.job, world.job.status
    actions: list[Action] = []
    for pod in world.pods.values():
        facts = facts_of(pod)
        if not facts.ended and facts.deleted_at is None:
            actions.append(DeletePod(facts.name, facts.uid))
        if facts.has_finalizer:
            actions.append(ReleasePod(facts.name, facts.uid))
    if world.salvage is not None and not world.salvage["metadata"].get("deletionTimestamp"):
        meta = world.salvage["metadata"]
        actions.append(DeletePod(str(meta["name"]), str(meta["uid"]), 0))
    ttl, finished = job.spec.ttl_seconds_after_finished, moment(status.finished_at)
    if ttl is None or finished is None:
        return Decision(status, actions)
    left = (finished + timedelta(seconds=ttl) - world.now).total_seconds()
    if left <= 0:
        return Decision(status, [*actions, DeleteJob()])
    return Decision(status, actions, requeue=left)
