"""How attempts and jobs end in status: another attempt, a failure, or a success settled by its manifest. Pure."""

from __future__ import annotations

from datetime import datetime

from algorithm_operator.api.conditions import Condition, ConditionType, with_condition, without_condition
from algorithm_operator.api.job import AlgorithmJobStatus, Attempt, Logs, ManifestRef, Output, State, Timing
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract import messages
from algorithm_operator.contract.manifest import MANIFEST, Manifest, ManifestOutput
from algorithm_operator.contract.values import dump_json, has_long_key
from algorithm_operator.core import names
from algorithm_operator.core.facts import Facts, moment
from algorithm_operator.core.verdict import Verdict
from algorithm_operator.core.world import Decision, Job, World, stamp

MAX_STATUS_VALUES_BYTES = 8192
MAX_MESSAGE = 1024
MAX_ATTEMPTS = 10
"""In status. Those that count are fewer; of the others the oldest go."""
_STEP_OF = {
    Reason.INPUT_INVALID: ConditionType.STAGED,
    Reason.INPUT_NOT_FOUND: ConditionType.STAGED,
    Reason.MODEL_NOT_FOUND: ConditionType.STAGED,
    Reason.MODEL_INVALID: ConditionType.STAGED,
    Reason.STAGING_FAILED: ConditionType.STAGED,
    Reason.NETWORK_NOT_ISOLATED: ConditionType.ISOLATED,
    Reason.OUTPUT_INVALID: ConditionType.COLLECTED,
    Reason.COLLECT_FAILED: ConditionType.COLLECTED,
    Reason.MANIFEST_LOST: ConditionType.COLLECTED,
}
"""The step that a failure is about: its condition says False."""
_WAITS = (
    (ConditionType.SCHEDULED, "False"),
    (ConditionType.ISOLATED, "False"),
    (ConditionType.SUSPENDED, "True"),
)
"""Conditions that explain a wait, and say nothing once it is over."""


def cut(message: str) -> str:
    """`message` as long as a status takes it."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def without_waits(status: AlgorithmJobStatus, *keep: ConditionType) -> AlgorithmJobStatus:
    """`status` less the conditions that explain what the job waits for, but for `keep`."""
    over = {(type_, word) for type_, word in _WAITS if type_ not in keep}
    conditions = [c for c in status.conditions if (c.type, c.status) not in over]
    return status.model_copy(update={"conditions": conditions})


def set_condition(
    status: AlgorithmJobStatus,
    job: Job,
    now: datetime,
    type_: ConditionType,
    value: bool,
    reason: Reason,
    message: str,
) -> AlgorithmJobStatus:
    """`status` with one condition set for the job's generation."""
    conditions: list[Condition] = with_condition(
        status.conditions, type_, value, reason, message, generation=job.generation, now=now
    )
    return status.model_copy(update={"conditions": conditions})


def failed(world: World, status: AlgorithmJobStatus, verdict: Verdict) -> AlgorithmJobStatus:
    """The job's last word when it did not succeed (a cancelled job has no blame)."""
    job, now = world.job, world.now
    state = State.CANCELLED if verdict.reason is Reason.CANCELLED else State.FAILED
    message = cut(verdict.message)
    status = without_waits(status).model_copy(
        update={
            "state": state,
            "reason": str(verdict.reason),
            "message": message,
            "blame": str(verdict.blame) if verdict.blame else None,
            "exit_code": verdict.exit_code,
            "finished_at": stamp(now),
            "observed_generation": job.generation,
        }
    )
    if verdict.record is not None:
        logs = Logs(stdout_bytes=verdict.record.stdout.bytes, stderr_bytes=verdict.record.stderr.bytes)
        status = status.model_copy(update={"logs": logs})
    step = _STEP_OF.get(verdict.reason)
    if step is not None and status.algorithm is not None:
        status = set_condition(status, job, now, step, False, verdict.reason, message)
    status = set_condition(status, job, now, ConditionType.FAILED, True, verdict.reason, message)
    return set_condition(status, job, now, ConditionType.STALLED, True, verdict.reason, message)


def end_attempt(world: World, status: AlgorithmJobStatus, number: int, verdict: Verdict) -> Decision:
    """Close attempt `number` in status; then either another attempt is due or the job has failed."""
    job, now = world.job, world.now
    counted = verdict.reason is not Reason.REGISTRY_UNREACHABLE
    ending = {
        "reason": str(verdict.reason),
        "message": cut(verdict.message),
        "finished_at": stamp(now),
        "counted": counted,
    }
    attempts = [a.model_copy(update=ending) if a.number == number else a for a in status.attempts]
    status = status.model_copy(update={"attempts": attempts})
    is_left = not counted or sum(a.counted for a in attempts) < job.spec.attempts
    if not (verdict.retry and is_left and not job.spec.cancel and not world.terminating):
        return Decision(failed(world, status, verdict))
    seconds = retry_seconds(world, number)
    message = sentence(Reason.RETRYING, number=number, reason=verdict.reason, seconds=seconds)
    status = without_waits(status).model_copy(
        update={"state": State.QUEUED, "reason": str(Reason.RETRYING), "message": message}
    )
    for type_ in (ConditionType.STAGED, ConditionType.ISOLATED):
        status = status.model_copy(update={"conditions": without_condition(status.conditions, type_)})
    status = set_condition(status, job, now, ConditionType.SCHEDULED, False, Reason.RETRYING, message)
    return Decision(status, requeue=float(seconds))


def retry_seconds(world: World, number: int) -> int:
    """How long after attempt `number` the next one starts: doubling, at most five minutes."""
    return int(min(world.settings.retry_seconds * 2 ** (number - 1), 300))


def succeeded(
    world: World, status: AlgorithmJobStatus, number: int, facts: Facts, verdict: Verdict, manifest: Manifest
) -> Decision:
    """The job succeeded: `manifest` is the one that the collector announced."""
    job, now = world.job, world.now
    run = status.algorithm
    folder = names.attempt_folder(job.name, job.uid, number) if run is not None and run.output_store else None
    attempts = [
        a.model_copy(update={"reason": str(Reason.COMPLETED), "finished_at": stamp(now)})
        if a.number == number
        else a
        for a in status.attempts
    ]
    logs = Logs(stdout_bytes=manifest.exit.stdout.bytes, stderr_bytes=manifest.exit.stderr.bytes)
    stored = (
        {socket.slug for socket in run.interface.outputs if socket.store_in_status}
        if run is not None
        else set()
    )
    status = without_waits(status).model_copy(
        update={
            "state": State.SUCCEEDED,
            "reason": str(Reason.COMPLETED),
            "message": "",
            "blame": None,
            "exit_code": 0,
            "attempts": attempts,
            "outputs": _outputs(manifest.outputs, folder, stored),
            "logs": logs,
            "manifest": ManifestRef(
                path=f"{folder}/{MANIFEST}" if folder else None, sha256=verdict.manifest_sha256 or ""
            ),
            "timing": timing(job, facts),
            "started_at": stamp(facts.algorithm.started_at) if facts.algorithm.started_at else None,
            "finished_at": stamp(now),
            "observed_generation": job.generation,
        }
    )
    for type_, reason, message in (
        (ConditionType.SCHEDULED, Reason.SCHEDULED, sentence(Reason.SCHEDULED, node=facts.node)),
        (ConditionType.STAGED, Reason.STAGED, sentence(Reason.STAGED)),
        (ConditionType.ISOLATED, Reason.ISOLATED, sentence(Reason.ISOLATED)),
        (ConditionType.COLLECTED, Reason.COLLECTED, sentence(Reason.COLLECTED)),
    ):
        status = set_condition(status, job, now, type_, True, reason, message)
    if logs.stderr_bytes:
        message = sentence(Reason.STDERR_OUTPUT, bytes=logs.stderr_bytes)
        status = set_condition(
            status, job, now, ConditionType.STDERR_OUTPUT, True, Reason.STDERR_OUTPUT, message
        )
    odd = [(each.slug, shown(why, MAX_MESSAGE)) for each in manifest.outputs for why in each.warnings]
    if odd:
        message = sentence(Reason.GEOMETRY_MISMATCH, outputs=messages.findings(odd, MAX_MESSAGE))
        status = set_condition(
            status, job, now, ConditionType.GEOMETRY_MISMATCH, True, Reason.GEOMETRY_MISMATCH, message
        )
    status = set_condition(status, job, now, ConditionType.COMPLETE, True, Reason.COMPLETED, "")
    return Decision(status)


def _outputs(outputs: list[ManifestOutput], folder: str | None, stored: set[str]) -> list[Output]:
    """Outputs as status shows them; values as long as they fit, everything else by path, size and sha256."""
    told: list[Output] = []
    budget = MAX_STATUS_VALUES_BYTES
    for output in outputs:
        file = output.file
        fields: dict[str, object] = {"slug": output.slug, "kind": output.kind, "image": output.image}
        if file is not None:
            path = f"{folder}/{file.path}" if folder else None
            fields |= {"path": path, "bytes": file.bytes, "sha256": file.sha256}
        if output.has_value and (output.slug in stored or file is None or folder is None):
            size = len(dump_json(output.value).encode())
            if size <= budget and not has_long_key(output.value):
                budget -= size
                fields["value"] = output.value
        told.append(Output.model_validate(fields))
    return told


def timing(job: Job, facts: Facts) -> Timing:
    """The bill of time of an attempt, in seconds, from the kubelet's and the scheduler's clocks."""

    def between(start: datetime | None, end: datetime | None) -> float | None:
        return (
            max(0.0, round((end - start).total_seconds(), 1))
            if start is not None and end is not None
            else None
        )

    stage, algorithm, collect = facts.stage, facts.algorithm, facts.collect
    before, after = (
        between(facts.scheduled_at, stage.started_at),
        between(stage.finished_at, algorithm.started_at),
    )
    return Timing(
        queued_seconds=between(moment(job.status.accepted_at) or job.created_at, facts.scheduled_at),
        pulled_seconds=round(before + after, 1) if before is not None and after is not None else None,
        staged_seconds=between(stage.started_at, stage.finished_at),
        ran_seconds=between(algorithm.started_at, algorithm.finished_at),
        collected_seconds=between(algorithm.finished_at, collect.finished_at),
    )


def with_attempt(status: AlgorithmJobStatus, number: int, facts: Facts) -> AlgorithmJobStatus:
    """`status` with attempt `number` recorded from its Pod."""
    fresh = Attempt(number=number, pod=facts.name, pod_uid=facts.uid, node=facts.node)
    attempts = [*(a for a in status.attempts if a.number != number), fresh]
    if len(attempts) > MAX_ATTEMPTS:
        attempts.remove(next(a for a in attempts if not a.counted))
    return status.model_copy(update={"attempts": attempts})


def next_number(status: AlgorithmJobStatus) -> int:
    """The number of the attempt after those that were."""
    return max((a.number for a in status.attempts), default=0) + 1
