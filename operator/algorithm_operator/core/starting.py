"""An accepted job: its Pod is created once everything that seals it is in place. Pure."""

from __future__ import annotations

from datetime import timedelta

from algorithm_operator.api.conditions import ConditionType, find, is_true, without_condition
from algorithm_operator.api.job import AlgorithmJobStatus, State
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import attempt, names, pods, policies
from algorithm_operator.core.admission import wait
from algorithm_operator.core.ending import failed, next_number, retry_seconds, set_condition, without_waits
from algorithm_operator.core.facts import facts_of, moment
from algorithm_operator.core.limits import Held
from algorithm_operator.core.verdict import Verdict
from algorithm_operator.core.world import CreatePod, Decision, TakeTurn, World, stamp

DENIED_AGAIN_SECONDS = (10.0, 60.0)
"""A Pod that the cluster refused is tried again that often: at first, and after a while."""


def start(world: World, number: int) -> Decision:
    """Create the Pod of attempt `number`, or say what it waits for."""
    job, status = world.job, world.job.status
    if job.spec.cancel:
        return Decision(failed(world, status, Verdict(Reason.CANCELLED, sentence(Reason.CANCELLED))))
    if job.spec.suspend and not status.attempts:
        return _suspended(world)
    if is_true(status.conditions, ConditionType.SUSPENDED):
        status = status.model_copy(
            update={
                "state": State.QUEUED,
                "reason": None,
                "message": "",
                "conditions": without_condition(status.conditions, ConditionType.SCHEDULED),
            }
        )
        status = set_condition(status, job, world.now, ConditionType.SUSPENDED, False, Reason.ACCEPTED, "")
    if status.attempts and (last := moment(status.attempts[-1].finished_at)) is not None:
        due = last + timedelta(seconds=retry_seconds(world, status.attempts[-1].number))
        if due > world.now:
            return Decision(status, requeue=(due - world.now).total_seconds())
    if held_back := _held_back(world):
        reason, message = held_back
        type_ = ConditionType.ISOLATED if reason is Reason.ISOLATION_UNVERIFIED else ConditionType.SCHEDULED
        return wait(world, status, type_, reason, message)
    algorithm = world.algorithm
    if algorithm is not None and algorithm.spec.limits is not None and _needs_a_turn(world):
        return Decision(status, [TakeTurn()])
    body = pods.run_pod(planned(world, number), world.run, world.stores, world.settings)
    return Decision(status, [CreatePod(body)])


def admitted(world: World) -> AlgorithmJobStatus:
    """The status of a job that the limits of its Algorithm let start."""
    update = {"state": State.QUEUED, "reason": None, "message": "", "admitted_at": stamp(world.now)}
    return without_waits(world.job.status).model_copy(update=update)


def held(world: World, turn: Held) -> Decision:
    """The limits of its Algorithm let other jobs start first."""
    reason, message = turn.reason, turn.message
    return wait(world, world.job.status, ConditionType.SCHEDULED, reason, message, requeue=turn.again)


def _needs_a_turn(world: World) -> bool:
    """Whether limits hold the job back: once, before its first Pod. The gateway has asked them for its own jobs."""
    status = world.job.status
    return not world.job.of_gateway and not status.attempts and status.admitted_at is None


def planned(world: World, number: int) -> Plan:
    """The plan of attempt `number`."""
    job = world.job
    return attempt.plan(
        namespace=job.namespace,
        job=job.name,
        job_uid=job.uid,
        attempt=number,
        spec=job.spec,
        run=world.run,
        targets=world.targets or [],
        settings=world.settings,
    )


def denied(world: World, reason: Reason, message: str) -> Decision:
    """The cluster did not take the Pod: the job waits, and says why. No attempt is consumed."""
    said = find(world.job.status.conditions, ConditionType.SCHEDULED)
    since = moment(said.last_transition_time) if said is not None and said.status == "False" else None
    waited = (world.now - since).total_seconds() if since is not None else 0.0
    first, most = DENIED_AGAIN_SECONDS
    again = min(max(waited / 4, first), most)
    return wait(world, world.job.status, ConditionType.SCHEDULED, reason, message, requeue=again)


def _suspended(world: World) -> Decision:
    message = sentence(Reason.SUSPENDED)
    decision = wait(
        world,
        world.job.status.model_copy(update={"admitted_at": None}),  # it takes nobody's place meanwhile
        ConditionType.SCHEDULED,
        Reason.SUSPENDED,
        message,
        state=State.SUSPENDED,
        keep=(ConditionType.SUSPENDED,),
    )
    return Decision(
        set_condition(
            decision.status, world.job, world.now, ConditionType.SUSPENDED, True, Reason.SUSPENDED, ""
        )
    )


def _held_back(world: World) -> tuple[Reason, str] | None:
    """What still keeps the job's Pod from being created, in the order in which an admin would mend it."""
    job, run, namespace = world.job, world.run, world.job.namespace
    for pod in [*world.foreign, *world.pods.values()]:
        facts = facts_of(pod)
        if pod in world.foreign or not facts.ended:
            return Reason.PREDECESSOR_LEAVING, sentence(Reason.PREDECESSOR_LEAVING, pod=facts.name)
    if (why := world.unreadable.get(f"Algorithm/{run.name}")) is not None and _needs_a_turn(world):
        # Nobody knows its limits.
        return Reason.ALGORITHM_NOT_READY, sentence(Reason.ALGORITHM_NOT_READY, algorithm=run.name, why=why)
    for store in attempt.stores_of_run(job.spec, run):
        if (why := world.unreadable.get(f"DataStore/{store}")) is not None:
            return Reason.STORE_NOT_READY, sentence(Reason.STORE_NOT_READY, store=store, why=why)
        if store not in world.stores:
            return Reason.STORE_NOT_FOUND, sentence(Reason.STORE_NOT_FOUND, store=store, namespace=namespace)
    gpu = run.resources.gpu
    if gpu.count and gpu.type not in world.settings.gpu_types:
        known = ", ".join(sorted(world.settings.gpu_types)) or "none"
        return Reason.GPU_TYPE_UNKNOWN, sentence(Reason.GPU_TYPE_UNKNOWN, type=gpu.type, known=known)
    labels = names.labels(names.ROLE_RUN, job.name, next_number(world.job.status))
    if (unsealed := policies.unsealed(namespace, world.restricted, world.policies, labels)) is not None:
        return unsealed
    if world.targets is None:
        canary = world.settings.canary_service
        return Reason.ISOLATION_UNVERIFIED, sentence(Reason.ISOLATION_UNVERIFIED, canary=canary)
    return None
