"""A new job: checked against its algorithm and stores, then what it will run is fixed in status. Pure."""

from __future__ import annotations

from algorithm_operator.api.conditions import ConditionType, find
from algorithm_operator.api.job import AlgorithmJobStatus, State
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import quoted
from algorithm_operator.contract.accept import Accepted, accept
from algorithm_operator.contract.outcome import Refused
from algorithm_operator.contract.outcome import Waiting as Held
from algorithm_operator.contract.plan import MAX_PLAN_BYTES
from algorithm_operator.core import attempt
from algorithm_operator.core.ending import cut, failed, set_condition, without_waits
from algorithm_operator.core.inputs import stores_of_inputs
from algorithm_operator.core.verdict import Verdict
from algorithm_operator.core.world import Algorithm, Decision, World, stamp

LOOK_AGAIN_SECONDS = 5.0
_TARGETS_BYTES = 4096
"""Room in the plan for what is known only when the Pod is made."""


def wait(
    world: World,
    status: AlgorithmJobStatus,
    type_: ConditionType,
    reason: Reason,
    message: str,
    *,
    state: State = State.QUEUED,
    requeue: float = LOOK_AGAIN_SECONDS,
    keep: tuple[ConditionType, ...] = (),
) -> Decision:
    """The job waits, and the condition `type_` says for what; other waits are over."""
    update = {
        "state": state,
        "reason": str(reason),
        "message": cut(message),
        "observed_generation": world.job.generation,
    }
    status = without_waits(status, type_, *keep).model_copy(update=update)
    status = set_condition(status, world.job, world.now, type_, False, reason, cut(message))
    return Decision(status, requeue=requeue)


def admit(world: World) -> Decision:
    """Accept the job, refuse it for good, or say what it waits for."""
    job, algorithm, status = world.job, world.algorithm, world.job.status
    if job.spec.cancel:
        return Decision(failed(world, status, Verdict(Reason.CANCELLED, sentence(Reason.CANCELLED))))
    wanted = job.spec.algorithm_ref.name
    why = world.unreadable.get(f"Algorithm/{wanted}")
    if why is not None:
        return _held(
            world, Reason.ALGORITHM_NOT_READY, sentence(Reason.ALGORITHM_NOT_READY, algorithm=wanted, why=why)
        )
    if algorithm is None:
        message = sentence(Reason.ALGORITHM_NOT_FOUND, algorithm=wanted, namespace=job.namespace)
        return _held(world, Reason.ALGORITHM_NOT_FOUND, message)
    if (why := not_ready(algorithm)) is not None:
        return _held(
            world, Reason.ALGORITHM_NOT_READY, sentence(Reason.ALGORITHM_NOT_READY, algorithm=wanted, why=why)
        )
    if held := _unreadable(world):
        return held
    outcome = accept(
        job=job.name,
        spec=job.spec,
        algorithm_spec=algorithm.spec,
        stores=world.stores,
        jobs=world.jobs,
        imports=world.imports,
        namespace=job.namespace,
    )
    match outcome:
        case Refused(reason, message):
            return _refused(world, reason, message)
        case Held(reason, message):
            return _held(world, reason, message)
        case Accepted():
            return _accepted(world, algorithm, outcome)


def _unreadable(world: World) -> Decision | None:
    """What this version cannot read of all that the job names."""
    spec = world.job.spec
    outputs = [spec.output_store.name] if spec.output_store is not None else []
    made = [
        *(each.algorithm.output_store for each in world.jobs.values() if each.algorithm is not None),
        *(each.image.store for each in world.imports.values() if each.image is not None),
    ]
    for store in [*stores_of_inputs(spec.inputs, ()), *outputs, *made]:
        if (why := world.unreadable.get(f"DataStore/{store}")) is not None:
            return _held(
                world, Reason.STORE_NOT_READY, sentence(Reason.STORE_NOT_READY, store=store, why=why)
            )
    for given in spec.inputs:
        for kind, noun, maker in (
            ("AlgorithmJob", "job", given.job),
            ("ImageImport", "import", given.image_import),
        ):
            why = world.unreadable.get(f"{kind}/{maker.name}") if maker is not None else None
            if maker is not None and why is not None:
                facts = {"slug": given.slug, "maker": f"{noun} {quoted(maker.name)}", "why": why}
                return _held(world, Reason.INPUT_PENDING, sentence(Reason.INPUT_PENDING, **facts))
    return None


def not_ready(algorithm: Algorithm) -> str | None:
    """Why no job can run the Algorithm now, or None."""
    ready = find(algorithm.status.conditions, ConditionType.READY)
    if ready is None or algorithm.status.observed_generation != algorithm.generation:
        return "it is being checked."
    if ready.status != "True":
        return ready.message
    return None if algorithm.status.image is not None else "its image is being looked up."


def _held(world: World, reason: Reason, message: str) -> Decision:
    return wait(world, world.job.status, ConditionType.ACCEPTED, reason, message, state=State.PENDING)


def _refused(world: World, reason: Reason, message: str) -> Decision:
    status = set_condition(
        world.job.status, world.job, world.now, ConditionType.ACCEPTED, False, reason, cut(message)
    )
    return Decision(failed(world, status, Verdict(reason, message)))


def _accepted(world: World, algorithm: Algorithm, outcome: Accepted) -> Decision:
    job = world.job
    run = attempt.snapshot(
        name=algorithm.name,
        uid=algorithm.uid,
        generation=algorithm.generation,
        spec=algorithm.spec,
        status=algorithm.status,
        interface=outcome.interface,
        time_limit_seconds=outcome.time_limit_seconds,
        output_store=outcome.output_store,
        given=job.spec.inputs,
        handed=outcome.inputs,
    )
    planned = attempt.plan(
        namespace=job.namespace,
        job=job.name,
        job_uid=job.uid,
        attempt=1,
        spec=job.spec,
        run=run,
        targets=[],
        settings=world.settings,
    )
    size = len(attempt.text(planned).encode()) + _TARGETS_BYTES
    if size > MAX_PLAN_BYTES:
        return _refused(
            world,
            Reason.INPUT_TOO_LARGE,
            f"The job's values and sockets and the image's command take {size} bytes together, more than "
            f"{MAX_PLAN_BYTES}; put values into a DataStore, or make the Algorithm's schemas, overlaySegments and "
            "resultTemplate smaller.",
        )
    status = job.status.model_copy(
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
