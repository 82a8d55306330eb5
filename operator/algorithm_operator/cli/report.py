"""What `report` shows of a job: its record, its report and its logs, each checked where there is a hash to check."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from algorithm_operator.api.job import State
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli import results, show
from algorithm_operator.cli.connection import Cluster
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.lease import open_store
from algorithm_operator.cli.page import MAX_LOG_BYTES, Facts, Log
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.cli.transfer import DifferenceError, Progress
from algorithm_operator.contract.failure import FAILURE, Failure
from algorithm_operator.contract.report import MAX_REPORT_BYTES, Report
from algorithm_operator.core.names import ALGORITHM

_LOGS = ("stdout", "stderr")


def gather(cluster: Cluster, job: Job) -> Facts:
    """All there is of a job besides its status. What cannot be had is a remark; wrong bytes are an error.

    :raises DifferenceError: a file is not the announced one.
    """
    facts = Facts()
    if job.logs_apart is not None:
        facts.remarks.append(
            f"The logs are kept apart, in DataStore {job.logs_apart}: kubectl algorithm logs {job.name}"
        )
    try:
        if job.finished and job.output_store is not None and job.folder is not None:
            with open_store(cluster, job.output_store, show.note) as store:
                stored(store, job, facts)
        elif job.last_attempt is not None and job.logs_apart is None:
            pieces = cluster.pod_log(job.last_attempt.pod, ALGORITHM)
            if pieces is not None:
                facts.logs.append(tail("stdout and stderr together", pieces))
    except DifferenceError:
        raise
    except CliError as error:
        facts.remarks.append(f"Not all of it could be had. {error}")
    return facts


def stored(store: StoreClient, job: Job, facts: Facts) -> None:
    """Add what the store has of a finished job."""
    with tempfile.TemporaryDirectory(prefix="algorithm-report-") as name:
        folder = Path(name)
        if job.status.state is State.SUCCEEDED:
            _, manifest = results.fetch_manifest(store, job, folder, _quiet)
            facts.manifest = manifest
            if manifest.report is not None and manifest.report.bytes > MAX_REPORT_BYTES:
                facts.remarks.append(f"Its report has {manifest.report.bytes} bytes; that is too much.")
            elif manifest.report is not None:
                fetched = results.fetch_file(store, job, manifest.report, folder, _quiet)
                facts.report = read_report(fetched.path.read_bytes(), facts)
            if job.logs_apart is None:
                for file in manifest.logs:
                    results.fetch_file(store, job, file, folder, _quiet)
        else:
            results.fetch_failed(store, job, folder, _quiet)
            _read_failure(folder / FAILURE, facts)
        for stream in _LOGS:
            path = folder / "logs" / f"{stream}.log"
            if path.is_file():
                with path.open("rb") as file_:
                    facts.logs.append(
                        tail(stream, iter(lambda: file_.read(65536), b""), stderr=stream == "stderr")
                    )


def read_report(data: bytes, facts: Facts) -> Report | None:
    """The report of the attempt; one that cannot be read is a remark."""
    try:
        return Report.model_validate_json(data)
    except ValidationError as error:
        facts.remarks.append(f"Its report cannot be read ({error.error_count()} errors).")
        return None


def _read_failure(path: Path, facts: Facts) -> None:
    if not path.is_file():
        return
    try:
        facts.findings = Failure.model_validate_json(path.read_bytes()).findings
    except ValidationError as error:
        facts.remarks.append(f"Its failure.json cannot be read ({error.error_count()} errors).")


def tail(title: str, pieces: Iterable[bytes], *, stderr: bool = False) -> Log:
    """The last MAX_LOG_BYTES of a stream."""
    kept: deque[bytes] = deque()
    size = total = 0
    for piece in pieces:
        kept.append(piece)
        size, total = size + len(piece), total + len(piece)
        while size - len(kept[0]) >= MAX_LOG_BYTES:
            size -= len(kept.popleft())
    return Log(title, b"".join(kept)[-MAX_LOG_BYTES:], cut=total > MAX_LOG_BYTES, stderr=stderr)


def write(path: Path, text: str) -> None:
    """:raises CliError: there is something else at `path`, or it cannot be written."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise CliError(f"{quoted(str(path))} is {what}; name the file to write, such as report.html.")
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise CliError(f"{quoted(str(path))} cannot be written: {shown(error.strerror or '')}") from None


def _quiet(name: str, total: int | None) -> Progress:
    return lambda done: None
