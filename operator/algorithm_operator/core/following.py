"""A job whose Pod exists: its facts become state and conditions, and in the end a verdict. Pure."""

from __future__ import annotations

from datetime import timedelta

from algorithm_operator.api.conditions import ConditionType
from algorithm_operator.api.job import AlgorithmJobStatus, State
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.core import names, pods, policies, seal, silence, waiting
from algorithm_operator.core.ending import (
    cut,
    end_attempt,
    set_condition,
    timing,
    with_attempt,
    without_waits,
)
from algorithm_operator.core.facts import Facts, Phase, facts_of, moment
from algorithm_operator.core.starting import planned
from algorithm_operator.core.verdict import Verdict, judge
from algorithm_operator.core.world import (
    Action,
    CreatePod,
    Decision,
    DeletePod,
    EndPod,
    Object,
    ReadManifest,
    World,
    stamp,
)

BACKSTOP_SECONDS = 120
LOST_SECONDS = 60
LOOK_AGAIN_SECONDS = 5.0
RESYNC_SECONDS = 60.0
SALVAGE_SECONDS = 900
"""A salvage Pod that has not ended by then finds no node, or none that has the volume."""


def follow(world: World, number: int, pod: Object) -> Decision:
    """What the Pod of attempt `number` means for the job."""
    job, facts = world.job, facts_of(pod)
    status = with_attempt(job.status, number, facts)
    known = any(a.number == number and a.pod_uid == facts.uid for a in job.status.attempts)
    if not known and (changed := _changed(world, number, pod)):
        why = shown("; ".join(changed), 700)
        return end_attempt(
            world, status, number, Verdict(Reason.POD_MUTATED, sentence(Reason.POD_MUTATED, why=why))
        )
    if not known and not _asked_for(world, number, pod):
        verdict = Verdict(Reason.POD_NOT_OURS, sentence(Reason.POD_NOT_OURS, pod=facts.name))
        return end_attempt(world, status, number, verdict)
    if facts.ended:
        return _ended(world, status, number, facts)
    if is_overdue(facts, world):
        verdict = Verdict(Reason.NODE_LOST, sentence(Reason.NODE_LOST, node=facts.node))
        return end_attempt(world, status, number, verdict)
    mounted = [given.image.reference for given in world.job.spec.inputs if given.image is not None]
    held = waiting.explain(facts, world.run, world.nodes, world.stores, world.settings, world.events, mounted)
    if (
        held is not None
        and held.ends_as is not None
        and held.ends_at is not None
        and world.now >= held.ends_at
    ):
        return end_attempt(world, status, number, Verdict(held.ends_as, held.message))
    return _goes_on(world, status, facts, held, known=known)


def is_overdue(facts: Facts, world: World) -> bool:
    """Whether the Pod should have been gone for a while: its node does not answer."""
    return facts.gone_at is not None and (world.now - facts.gone_at).total_seconds() > LOST_SECONDS


def _changed(world: World, number: int, pod: Object) -> list[str]:
    """What admission made of the Pod that would break the seal, in words; looked at once, when it is first seen."""
    labels = pod["metadata"].get("labels") or {}
    ours = names.labels(names.ROLE_RUN, world.job.name, number)
    opened = policies.opening(world.policies, labels)
    if opened is not None and policies.opening(world.policies, ours) is None:
        return [f'it was given labels with which NetworkPolicy "{shown(opened, 253)}" opens it']
    if seal.digest(pod) == (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_SPEC_HASH):
        return []
    try:
        wanted = pods.run_pod(planned(world, number), world.run, world.stores, world.settings)
    except KeyError:  # a DataStore or type of GPU is gone meanwhile
        return ["it is not as it was asked for"]
    return seal.mutations(wanted, pod) or ["it is not as it was asked for"]


def _asked_for(world: World, number: int, pod: Object) -> bool:
    """Whether the Pod is the one that this operator would make: whoever may create Pods can write any owner, label and
    hash on one, and its containers would speak for the job."""
    try:
        wanted = pods.run_pod(planned(world, number), world.run, world.stores, world.settings)
    except KeyError:  # a DataStore or type of GPU is gone meanwhile
        return True
    return seal.digest(wanted) == (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_SPEC_HASH)


def _goes_on(
    world: World, status: AlgorithmJobStatus, facts: Facts, held: waiting.Waiting | None, *, known: bool
) -> Decision:
    job, run = world.job, world.run
    if known or held is not None or facts.node is not None or job.spec.cancel or job.spec.suspend:
        status = _progress(world, status, facts, held)
    else:
        status = job.status  # the scheduler is about to say something: nothing worth a write yet
    actions: list[Action] = []
    if job.spec.cancel and facts.deleted_at is None:
        end: Action = EndPod(facts.name, facts.uid) if facts.node else DeletePod(facts.name, facts.uid, 0)
        actions.append(end)
    limit = run.time_limit_seconds + run.collect_seconds + pods.GRACE_AFTER_COLLECT_SECONDS + BACKSTOP_SECONDS
    overdue = facts.started_at is not None and world.now > facts.started_at + timedelta(seconds=limit)
    if overdue and facts.deleted_at is None:
        actions.append(DeletePod(facts.name, facts.uid))
    requeue = RESYNC_SECONDS if status is not job.status else LOOK_AGAIN_SECONDS
    if held is not None and held.ends_at is not None:
        requeue = max(0.5, min(requeue, (held.ends_at - world.now).total_seconds()))
    if silence.starts_since(facts) is not None:
        requeue = min(requeue, silence.SILENT_SECONDS)
    return Decision(
        status,
        actions,
        requeue=requeue,
        needs_nodes=bool(facts.unschedulable) and facts.node is None,
        needs_events=facts.uid if held is None and silence.is_silent(facts, world.now) else None,
    )


def _ended(world: World, status: AlgorithmJobStatus, number: int, facts: Facts) -> Decision:
    verdict = judge(facts, world.run, cancelled=world.job.spec.cancel)
    status = status.model_copy(update={"timing": timing(world.job, facts)})
    if verdict.manifest_sha256 is None:
        return end_attempt(world, status, number, verdict)
    status = _progress(world, status, facts, None)
    salvaging = world.salvage.get(number)
    if salvaging is None:
        # The last word follows in a moment: a write now is worth it only if nobody knows of the attempt yet.
        known = status.attempts == world.job.status.attempts
        read = ReadManifest(facts.name, names.COLLECT, number, verdict)
        return Decision(world.job.status if known else status, [read])
    meta = salvaging["metadata"]
    begun = moment(meta.get("creationTimestamp"))
    late = begun is not None and (world.now - begun).total_seconds() > SALVAGE_SECONDS
    if not late and (salvaging.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
        return Decision(status, requeue=RESYNC_SECONDS)
    return Decision(status, [ReadManifest(str(meta["name"]), names.SALVAGE, number, verdict)])


def unread(world: World, number: int, why: str) -> Decision:
    """The announced manifest could not be read: a Pod looks for it in the store, else the attempt is lost."""
    job, run = world.job, world.run
    if number not in world.salvage and run.output_store is not None and run.output_store in world.stores:
        body = pods.salvage_pod(planned(world, number), run, world.stores, world.settings)
        return Decision(job.status, [CreatePod(body)], requeue=LOOK_AGAIN_SECONDS)
    verdict = Verdict(Reason.MANIFEST_LOST, sentence(Reason.MANIFEST_LOST, why=why))
    return end_attempt(world, job.status, number, verdict)


def not_salvaged(world: World, number: int, why: str) -> Decision:
    """The cluster did not take the salvage Pod: tried again for a while, then the attempt is lost."""
    ended = facts_of(world.pods[number]).collect.finished_at
    if ended is not None and (world.now - ended).total_seconds() > SALVAGE_SECONDS:
        verdict = Verdict(Reason.MANIFEST_LOST, sentence(Reason.MANIFEST_LOST, why=why))
        return end_attempt(world, world.job.status, number, verdict)
    return Decision(world.job.status, requeue=RESYNC_SECONDS)


def lost(world: World, number: int) -> Decision:
    """The Pod of attempt `number` is gone, seen by a live look: nothing can be read from it any more."""
    reason = Reason.CANCELLED if world.job.spec.cancel else Reason.POD_DELETED
    return end_attempt(world, world.job.status, number, Verdict(reason, sentence(reason)))


def _progress(
    world: World, status: AlgorithmJobStatus, facts: Facts, held: waiting.Waiting | None
) -> AlgorithmJobStatus:
    """State and conditions of an attempt that goes on."""
    job, now = world.job, world.now
    fields: dict[str, object] = {
        "state": _state(facts),
        "reason": str(held.reason) if held else None,
        "message": cut(held.message) if held else "",
        "observed_generation": job.generation,
    }
    if facts.algorithm.started_at is not None and status.started_at is None:
        fields["started_at"] = stamp(facts.algorithm.started_at)
    status = without_waits(status, ConditionType.SCHEDULED).model_copy(update=fields)
    if held is not None:
        message = cut(held.message)
        status = set_condition(status, job, now, ConditionType.SCHEDULED, False, held.reason, message)
    elif facts.node is not None:
        message = sentence(Reason.SCHEDULED, node=facts.node)
        status = set_condition(status, job, now, ConditionType.SCHEDULED, True, Reason.SCHEDULED, message)
    else:
        status = without_waits(status)
    if job.spec.suspend:  # set between the creation of the Pod and the first word about it
        reason = Reason.ALREADY_STARTED
        status = set_condition(status, job, now, ConditionType.SUSPENDED, False, reason, sentence(reason))
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
