"""What a job has left, on this machine: outputs, logs and manifest, each checked against the announced hash."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from algorithm_operator.api.job import State
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.cli.transfer import DifferenceError, Progress, Wanted, download
from algorithm_operator.contract.failure import FAILURE
from algorithm_operator.contract.manifest import MANIFEST, Manifest, ManifestFile
from algorithm_operator.contract.paths import check_store_path

LOG_FILES = ("logs/stdout.log", "logs/stderr.log", "logs/combined.jsonl")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here now. `checked_by`: whose word its hash is."""

    path: Path
    bytes: int
    sha256: str
    checked_by: str


def fetch(
    store: StoreClient,
    job: Job,
    target: Path,
    progress: Callable[[str, int | None], Progress],
) -> list[Fetched]:
    """Fetch what a finished job has in its output store into the folder `target`.

    The manifest is checked against the job's status, everything else against the manifest. A job that did not succeed
    has no manifest: its logs and findings are checked against the store's own hash of them.
    """
    if job.status.state is State.SUCCEEDED:
        return _succeeded(store, job, target, progress)
    return fetch_failed(store, job, target, progress)


def fetch_failed(
    store: StoreClient, job: Job, target: Path, progress: Callable[[str, int | None], Progress]
) -> list[Fetched]:
    """The logs and findings of a job that did not succeed: nobody announced them, the store's own hash is checked."""
    if job.folder is None:
        return []
    there = set(store.files(f"{job.folder}/"))
    names = [name for name in (*LOG_FILES, FAILURE) if f"{job.folder}/{name}" in there]
    return [
        _one(store, Wanted(f"{job.folder}/{name}", target / name), progress, "the store itself")
        for name in names
    ]


def _succeeded(
    store: StoreClient, job: Job, target: Path, progress: Callable[[str, int | None], Progress]
) -> list[Fetched]:
    first, manifest = fetch_manifest(store, job, target, progress)
    kept = [first]
    files = [output.file for output in manifest.outputs if output.file is not None]
    if job.logs_apart is None:
        files += manifest.logs
    if manifest.report is not None:
        files.append(manifest.report)
    return kept + [fetch_file(store, job, file, target, progress) for file in files]


def fetch_manifest(
    store: StoreClient, job: Job, target: Path, progress: Callable[[str, int | None], Progress]
) -> tuple[Fetched, Manifest]:
    """The manifest of a job that succeeded, checked against the job's status.

    :raises DifferenceError: it is not the announced one.
    """
    announced = job.status.manifest
    if announced is None or announced.path is None:
        raise CliError(f"The status of job {quoted(job.name)} names no manifest.")
    wanted = Wanted(announced.path, target / MANIFEST, None, announced.sha256)
    fetched = _one(store, wanted, progress, "the job's status")
    return fetched, read_manifest(fetched.path.read_bytes(), job)


def fetch_file(
    store: StoreClient,
    job: Job,
    file: ManifestFile,
    target: Path,
    progress: Callable[[str, int | None], Progress],
) -> Fetched:
    """A file of the attempt's folder, checked against the manifest that names it.

    :raises DifferenceError: it is not the announced one, or has no path below that folder.
    """
    if why := check_store_path(file.path):
        raise DifferenceError(f"The manifest names the path {quoted(file.path)}: {why}")
    announced = job.status.manifest
    folder = (announced.path or "").rpartition("/")[0] if announced is not None else ""
    one = Wanted(f"{folder}/{file.path}", target / file.path, file.bytes, file.sha256)
    return _one(store, one, progress, "the manifest")


def read_manifest(data: bytes, job: Job) -> Manifest:
    """The manifest, if it is this job's.

    :raises DifferenceError: it is unreadable or another job's.
    """
    try:
        # Not pydantic's own JSON: it takes 200 levels in all, and a value alone may have as many.
        manifest = Manifest.model_validate(json.loads(data))
    except ValidationError as error:
        raise DifferenceError(
            f"The manifest of job {quoted(job.name)} cannot be read ({error.error_count()} errors)."
        ) from None
    except (ValueError, RecursionError):
        raise DifferenceError(f"The manifest of job {quoted(job.name)} is not valid JSON.") from None
    if manifest.job.uid != job.uid:
        raise DifferenceError(f"The manifest is that of another job (uid {quoted(manifest.job.uid)}).")
    return manifest


def write_values(job: Job, target: Path) -> list[Path]:
    """The values that the job's status holds, as files: all there is of a job without an output store."""
    written: list[Path] = []
    for output in job.status.outputs:
        path = target / f"{output.slug}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(output.value, ensure_ascii=False, indent=2) + "\n", "utf-8")
        written.append(path)
    return written


def _one(
    store: StoreClient, wanted: Wanted, progress: Callable[[str, int | None], Progress], checked_by: str
) -> Fetched:
    sha256 = download(store, wanted, progress(wanted.path, wanted.size))
    return Fetched(wanted.target, wanted.target.stat().st_size, sha256, checked_by)
