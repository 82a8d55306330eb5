"""What collect does once the algorithm is dead: logs, outputs, manifest; or logs and failure.json."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.text import shown
from algorithm_operator.contract import messages
from algorithm_operator.contract.enforcement import enforced_by
from algorithm_operator.contract.exits import (
    COLLECT_FAILED,
    COLLECT_FINDINGS,
    COLLECT_NO_RESULT,
    COLLECT_OK,
    CollectReport,
    ExitRecord,
)
from algorithm_operator.contract.failure import FAILURE, Failure, Finding
from algorithm_operator.contract.identity import identity
from algorithm_operator.contract.manifest import (
    MAX_MANIFEST_BYTES,
    IsolationSeen,
    Manifest,
    ManifestFile,
    ManifestOutput,
    StageRecord,
)
from algorithm_operator.contract.plan import Limits, Plan
from algorithm_operator.contract.sockets import is_image
from algorithm_operator.core import names, quantity
from algorithm_operator.steps import images, record, reporting, salvage, walk
from algorithm_operator.steps.commit import AttemptFolder
from algorithm_operator.steps.failures import StepError
from algorithm_operator.steps.outputs import Checked, Inspection
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import StepSettings

LOG_NAMES = ("stdout.log", "stderr.log", "combined.jsonl")
MAX_MESSAGE, MAX_LINE = 1000, 1024
MAX_FAMILIES = 8
"""Of refused sockets, told with how often: those that were asked for most."""


@dataclass(slots=True)
class Collection:
    """What is done after the algorithm's death."""

    plan: Plan
    settings: StepSettings
    roots: Roots
    environment: Mapping[str, str]
    folder: AttemptFolder | None
    log_folder: AttemptFolder | None
    """Where the logs go: `folder`, or that of the plan's log_store."""
    words: record.Words = field(default_factory=record.Words)

    def prepare(self) -> None:
        """What can be done while the algorithm runs."""
        if any(is_image(socket.kind) for socket in self.plan.outputs):
            images.preload()

    def collect(self) -> tuple[CollectReport, int]:
        """Keep what is to be kept; the report and the exit code."""
        began = time.monotonic()
        logs = self.keep_logs()
        ended = safe(self.words.exit, tell_error=self.plan.error_in_status)
        if ended is None or ended.exit_code != 0:
            report = CollectReport(ok=False, exit=ended, message=None if ended else self._no_record())
            return self._fail(report, COLLECT_NO_RESULT, [], logs)
        stage = self._stage_record()
        inspection = Inspection(
            self.roots.output,
            self.roots.scratch,
            self.settings,
            {each.slug: each.image for each in stage.inputs if each.image is not None},
            began + self.plan.limits.collect_seconds,
            keeps_files=self.folder is not None,
        )
        try:
            checked, findings = inspection.check(self.plan.outputs)
            if findings:
                message = messages.findings([(each.slug, each.message) for each in findings], MAX_MESSAGE)
                report = CollectReport(
                    ok=False,
                    reason=Reason.OUTPUT_INVALID,
                    message=message,
                    findings=len(findings),
                    exit=ended,
                )
                return self._fail(report, COLLECT_FINDINGS, findings, logs)
            return self._keep(checked, inspection, stage, logs, ended, began), COLLECT_OK
        finally:
            inspection.close()

    def _no_record(self) -> str:
        if self.words.connected:
            return "the runner ended without saying how the algorithm ended"
        return "the algorithm was not started"

    def _fail(
        self, report: CollectReport, code: int, findings: list[Finding], logs: list[ManifestFile]
    ) -> tuple[CollectReport, int]:
        if self.folder is not None:
            failure = Failure(
                job=self.plan.job,
                algorithm=self.plan.algorithm,
                reason=report.reason or "NoResult",
                message=report.message or "the algorithm did not end with exit code 0",
                findings=findings,
                exit=self._stored(report.exit),
                logs=logs,
                finished_at=_now(),
            )
            self.folder.keep_bytes(
                FAILURE, failure.model_dump_json(by_alias=True, exclude_none=True).encode()
            )
        return report, code

    def _keep(
        self,
        checked: list[Checked],
        inspection: Inspection,
        stage: StageRecord,
        logs: list[ManifestFile],
        ended: ExitRecord,
        began: float,
    ) -> CollectReport:
        hashes = [(each.slug, each.sha256) for each in stage.inputs]
        model_sha256 = stage.model.sha256 if stage.model is not None else None
        try:
            outputs = [self._keep_output(each) for each in checked]
            deadline = began + self.plan.limits.collect_seconds
            reporter = reporting.Reporter(self.plan, self.settings, self.roots.input, deadline)
            report = reporting.keep(self.folder, reporter, checked)
            seconds = round(time.monotonic() - began, 3)
            others = inspection.undeclared()
            manifest = Manifest(
                job=self.plan.job,
                algorithm=self.plan.algorithm,
                pod=self._pod(),
                limits=self._limits(ended),
                isolation=self._isolation(stage),
                started_at=stage.started_at,
                finished_at=_now(),
                exit=self._stored(ended) or ended,
                identity=identity(self.plan.algorithm.image_digest, model_sha256, hashes),
                model=stage.model,
                inputs=stage.inputs,
                outputs=outputs,
                logs=logs,
                report=report,
                undeclared_files=others.files,
                undeclared_bytes=others.bytes,
                timing=_timing(stage, ended, seconds),
            )
            data = manifest.model_dump_json(by_alias=True, exclude_none=True).encode()
            if len(data) > MAX_MANIFEST_BYTES:
                why = f"the manifest has {len(data)} bytes, more than {MAX_MANIFEST_BYTES}"
                raise StepError(COLLECT_FAILED, Reason.COLLECT_FAILED, why)
            kept = salvage.keep_manifest(self.folder, data)
        except BaseException:
            if self.folder is not None:
                self.folder.discard()
            raise
        salvage.print_frames(data)
        return CollectReport(
            ok=True,
            manifest_sha256=kept.sha256,
            manifest_bytes=kept.bytes,
            outputs=len(outputs),
            bytes=sum(each.file.bytes for each in outputs if each.file is not None),
            collected_seconds=seconds,
            exit=ended,
        )

    def _keep_output(self, each: Checked) -> ManifestOutput:
        socket = each.socket
        file: ManifestFile | None = None
        if self.folder is not None:
            name = socket.slug + each.suffix
            file = self.folder.keep(name, each.descriptor, each.size)
        return ManifestOutput(
            slug=socket.slug,
            kind=socket.kind,
            relative_path=socket.relative_path,
            file=file,
            value=each.value,
            has_value=each.has_value,
            image=each.image,
            overlay_segments=socket.overlay_segments,
            warnings=list(each.warnings),
        )

    def keep_logs(self) -> list[ManifestFile]:
        """The log files. The algorithm could write there: only plain files, and no more than the runner keeps."""
        if self.log_folder is None:
            return []
        kept = []
        apart = self.plan.log_store
        where = f"{apart.name}:{apart.folder}/" if apart is not None else ""
        root = walk.open_root(self.roots.logs)
        try:
            for name in LOG_NAMES:
                # What is no plain file by now was tampered with; the record still tells how much was written.
                with contextlib.suppress(walk.RefusedError, FileNotFoundError, PermissionError):
                    source = walk.open_file(root, name.encode())
                    try:
                        data = os.pread(source, self.settings.log_max_bytes, 0)
                    finally:
                        os.close(source)
                    file = self.log_folder.keep_bytes(f"logs/{name}", data)
                    kept.append(file.model_copy(update={"path": where + file.path}))
        finally:
            os.close(root)
        self.log_folder.settle()
        return kept

    def _stored(self, ended: ExitRecord | None) -> ExitRecord | None:
        """The record beside the outputs: who reads them may not read logs that are kept apart."""
        return ended if ended is None or self.plan.log_store is None else _silent(ended)

    def _stage_record(self) -> StageRecord:
        try:
            with open(os.path.join(self.roots.runner, names.STAGE_RECORD), "rb") as file:
                return StageRecord.model_validate_json(file.read())
        except ValueError as error:
            raise StepError(
                COLLECT_FAILED, Reason.COLLECT_FAILED, "the record of stage is not valid"
            ) from error

    def _isolation(self, stage: StageRecord) -> IsolationSeen:
        seen = stage.isolation or IsolationSeen(probes=[], seconds=0)
        return seen.model_copy(update={"seccomp": self.words.seccomp})

    def _limits(self, ended: ExitRecord) -> Limits:
        limits = self.plan.limits
        cpus, memory = float(quantity.parse(limits.cpu)), int(quantity.parse(limits.memory))
        told = enforced_by(limits, ended.limits_seen, cpus=cpus, memory_bytes=memory)
        return limits.model_copy(update={"enforced_by": told})

    def _pod(self) -> dict[str, str]:
        told = {"name": "POD_NAME", "uid": "POD_UID", "node": "NODE_NAME"}
        return {
            key: self.environment[variable] for key, variable in told.items() if variable in self.environment
        }


def _timing(stage: StageRecord, ended: ExitRecord, collected: float) -> dict[str, float]:
    timing = {"stagedSeconds": stage.staged_seconds, "collectedSeconds": collected}
    if stage.isolation is not None:
        timing["gateSeconds"] = stage.isolation.seconds
    if ended.ran_seconds is not None:
        timing["ranSeconds"] = ended.ran_seconds
    return timing


def safe(ended: ExitRecord | None, *, tell_error: bool) -> ExitRecord | None:
    """The record with the algorithm's own words escaped and cut, or left out."""
    if ended is None:
        return None
    ended = ended.model_copy(update={"bus_error": "bus error" in (ended.last_stderr_line or "").lower()})
    if ended.denied_sockets is not None:
        most = sorted(ended.denied_sockets.items(), key=lambda pair: -pair[1])[:MAX_FAMILIES]
        ended = ended.model_copy(update={"denied_sockets": {shown(name, 32): count for name, count in most}})
    if not tell_error:
        ended = _silent(ended)
    texts = ("signal", "start_error", "started_at", "finished_at", "last_stderr_line")
    return ended.model_copy(
        update={name: shown(text, MAX_LINE) for name in texts if (text := getattr(ended, name)) is not None}
    )


def _silent(ended: ExitRecord) -> ExitRecord:
    return ended.model_copy(update={"last_stderr_line": None})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
