"""The verdict on an ended attempt: facts in; reason, sentence, blame and retry out. Pure, table-tested.

Never `pod.status.phase`: it says Succeeded when the collector crashed, and Failed when the algorithm had ended well.
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithm_operator.api.reasons import CATALOGUE, Blame, Reason, sentence
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.api.text import shown
from algorithm_operator.contract.exits import (
    COLLECT_FINDINGS,
    STAGE_BAD_INPUT,
    STAGE_NOT_ISOLATED,
    ExitRecord,
)
from algorithm_operator.core.exceeded import exceeded, network_hint
from algorithm_operator.core.facts import Facts, Phase

NO_ERRORS = "No errors were reported in the logs."
_LINE_LIMIT = 400
_LIMIT_WORDS = ("exceeds the limit", "exceeds the total limit", "local ephemeral storage limit")
"""What the kubelet says of a Pod that passed a bound of its own: of a volume, of the Pod, of a container."""
_REFUSED_BY_NODE = (
    "UnexpectedAdmissionError",
    "OutOf",
    "NodeAffinity",
    "NodeShutdown",
    "Terminated",
    "Preempting",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended. `manifest_sha256` is set where the algorithm and the collector ended well: the attempt
    has succeeded if, and only if, a manifest with that hash can be read."""

    reason: Reason
    message: str = ""
    exit_code: int | None = None
    record: ExitRecord | None = None
    manifest_sha256: str | None = None

    @property
    def blame(self) -> Blame | None:
        """Whose fault it is; None for a success or a cancelled job."""
        return CATALOGUE[self.reason].blame

    @property
    def retry(self) -> bool:
        """Whether a new attempt may help."""
        return CATALOGUE[self.reason].retry


def _say(reason: Reason, facts: Facts, **arguments: object) -> Verdict:
    record = facts.collect_report.exit if facts.collect_report else None
    return Verdict(reason, sentence(reason, **arguments)[:1024], facts.algorithm.exit_code, record)


def judge(facts: Facts, run: RunSnapshot, *, cancelled: bool = False) -> Verdict:
    """The verdict on an attempt whose Pod has ended (`facts.ended`) or was given up."""
    report = facts.collect_report
    announced = report.manifest_sha256 if report and report.ok else None
    if facts.algorithm.exit_code == 0 and facts.collect.exit_code == 0 and report and announced:
        # All the evidence is there: neither a late deletion nor a deadline that passed while collecting unmakes it.
        return Verdict(Reason.COMPLETED, "", 0, report.exit, announced)
    if cancelled:
        return _say(Reason.CANCELLED, facts)
    for look in (_disrupted, _not_staged, _not_started, _algorithm_failed):
        found = look(facts, run)
        if found is not None:
            return found
    return _not_collected(facts)


def _disrupted(facts: Facts, run: RunSnapshot) -> Verdict | None:
    """The Pod as a whole was ended by somebody else."""
    node = shown(facts.node or "")
    why = shown(facts.pod_message or facts.pod_reason or "no reason was given")
    if facts.disruption:
        match facts.disruption:
            case "PreemptionByScheduler":
                return _say(Reason.PREEMPTED, facts)
            case "DeletionByTaintManager" | "DeletionByPodGC":
                return _say(Reason.NODE_LOST, facts, node=node)
            case _:
                return _say(Reason.EVICTED, facts, why=why)
    if facts.pod_reason == "Evicted":
        # Without DisruptionTarget the kubelet enforced a limit of the Pod itself.
        named = any(word in facts.pod_message for word in _LIMIT_WORDS)
        return _say(Reason.DISK_LIMIT_EXCEEDED if named else Reason.EVICTED, facts, why=why)
    if facts.pod_reason == "NodeLost":
        return _say(Reason.NODE_LOST, facts, node=node)
    if facts.pod_reason.startswith(_REFUSED_BY_NODE):
        return _say(Reason.ADMISSION_BY_NODE, facts, why=why)
    if facts.deleted_at is not None:
        ended = facts.algorithm.finished_at
        if ended is None or ended >= facts.deleted_at:
            return _say(Reason.POD_DELETED, facts)
    return None


def _not_staged(facts: Facts, run: RunSnapshot) -> Verdict | None:
    stage, report = facts.stage, facts.stage_report
    if stage.phase is not Phase.TERMINATED or stage.exit_code == 0 or facts.pod_reason == "DeadlineExceeded":
        return None
    message = shown(report.message, 1000) if report and report.message else ""
    reason = _known(report.reason) if report else None
    match stage.exit_code:
        case code if code == STAGE_BAD_INPUT and message:
            return Verdict(reason or Reason.INPUT_INVALID, message)
        case code if code == STAGE_NOT_ISOLATED:
            return Verdict(Reason.NETWORK_NOT_ISOLATED, message or "The isolation of the Pod was not seen.")
    if stage.reason == "OOMKilled":
        message = "the stage step ran out of memory; an admin raises stepsResources.stage.memory"
    why = message or f"the step ended with exit code {stage.exit_code} ({shown(stage.reason)})"
    return _say(Reason.STAGING_FAILED, facts, why=why)


def _not_started(facts: Facts, run: RunSnapshot) -> Verdict | None:
    algorithm = facts.algorithm
    if algorithm.started and algorithm.reason not in ("StartError", "ContainerCannotRun"):
        return None
    if facts.pod_reason == "DeadlineExceeded":
        return _say(Reason.DEADLINE_BEFORE_START, facts, limit=run.time_limit_seconds)
    why = shown(algorithm.message or facts.pod_message or algorithm.reason or "no reason was given")
    if algorithm.reason in ("ContainerStatusUnknown",):
        return _say(Reason.LOST, facts, why=why)
    return _say(Reason.CONTAINER_CREATE_FAILED, facts, container="algorithm", why=why)


def _algorithm_failed(facts: Facts, run: RunSnapshot) -> Verdict | None:
    algorithm = facts.algorithm
    record = facts.collect_report.exit if facts.collect_report else None
    if algorithm.reason == "ContainerStatusUnknown" or algorithm.phase is not Phase.TERMINATED:
        return _say(Reason.LOST, facts, why=shown(algorithm.message or "its container's status is unknown"))
    if algorithm.exit_code == 0:
        return None
    limit = exceeded(facts, run)
    if limit is not None:
        message = f"{limit.message} {_exit(facts, run)}" if limit.ended_itself else limit.message
        return Verdict(limit.reason, message[:1024], algorithm.exit_code, record)
    if record is not None and record.start_error:
        return _say(Reason.NOT_STARTABLE, facts, why=shown(record.start_error, _LINE_LIMIT))
    if record is None and algorithm.exit_code == 125:
        return _say(Reason.RUNNER_FAILED, facts, why="see the log of container algorithm")
    words = _exit(facts, run, hint=network_hint(facts, run))
    return Verdict(Reason.EXIT_CODE, words, algorithm.exit_code, record)


def _exit(facts: Facts, run: RunSnapshot, *, hint: str = "") -> str:
    """The exit code and the algorithm's last words."""
    record = facts.collect_report.exit if facts.collect_report else None
    code = facts.algorithm.exit_code
    return sentence(Reason.EXIT_CODE, code=code, line=_last_words(record, run), hint=hint)


def _last_words(record: ExitRecord | None, run: RunSnapshot) -> str:
    """The last line on stderr, as Grand Challenge tells it; or where it is, if it is not to be told."""
    policy = run.log_policy
    if record is not None and record.stderr.bytes and not policy.error_in_status:
        where = f" in DataStore {policy.store.name}" if policy.store is not None else ""
        return f"what it wrote to stderr is not told here (logPolicy), it is in the logs{where}."
    line = record.last_stderr_line if record is not None and policy.error_in_status else None
    return shown(line, _LINE_LIMIT) if line and line.strip() else NO_ERRORS


def _not_collected(facts: Facts) -> Verdict:
    collect, report = facts.collect, facts.collect_report
    if collect.exit_code == COLLECT_FINDINGS and report and report.message:
        return _say(Reason.OUTPUT_INVALID, facts, why=shown(report.message, 1000))
    if collect.reason == "OOMKilled":
        why = "the collect step ran out of memory; an admin raises stepsResources.collect.memory"
    elif report and report.message:
        why = shown(report.message, 900)
    else:
        why = f"the step ended with exit code {collect.exit_code} ({shown(collect.reason)})"
    return _say(Reason.COLLECT_FAILED, facts, why=why)


def _known(reason: str | None) -> Reason | None:
    try:
        return Reason(reason) if reason else None
    except ValueError:
        return None
