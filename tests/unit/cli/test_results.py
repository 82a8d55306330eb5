"""A job's results on this machine: every byte as the job's status announced it, or nothing."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.results import fetch, write_values
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.cli.transfer import DifferenceError
from algorithm_operator.contract.manifest import Manifest
from algorithm_operator.contract.values import MAX_DEPTH
from tests.unit.cli.test_explain import job

FOLDER = "case-1/u/1"


def silent(name: str, total: int | None) -> Callable[[int], None]:
    return lambda done: None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_of(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "bytes": len(data), "sha256": sha256(data)}


FILES = {"tissues.mha": b"labels", "results.json": b"{}", "logs/stdout.log": b"out", "logs/stderr.log": b""}


def manifest(uid: str = "u", rename: str | None = None) -> bytes:
    outputs = [
        {
            "slug": path.partition(".")[0],
            "kind": "Anything",
            "relativePath": path,
            "file": file_of(rename or path, FILES[path]),
        }
        for path in ("tissues.mha", "results.json")
    ]
    body = {
        "job": {"namespace": "imaging", "name": "case-1", "uid": uid, "attempt": 1},
        "algorithm": {"name": "brain", "generation": 1, "image": "i", "imageDigest": "d", "interface": "default"},
        "pod": {},
        "limits": {
            "cpu": "2", "memory": "24G", "gpuType": "T4", "gpuCount": 1, "threads": 512,
            "timeLimitSeconds": 7200, "collectSeconds": 600,
        },
        "isolation": {"probes": [], "seconds": 1},
        "startedAt": "", "finishedAt": "", "exit": {"exitCode": 0}, "inputs": [], "timing": {},
        "outputs": outputs,
        "logs": [file_of(path, FILES[path]) for path in ("logs/stdout.log", "logs/stderr.log")],
    }  # fmt: skip
    return Manifest.model_validate(body).model_dump_json(by_alias=True).encode()


def stored(volume: Path, body: bytes) -> Job:
    """A succeeded job whose results are in the volume."""
    for path, data in {**FILES, "manifest.json": body}.items():
        file = volume / FOLDER / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return job(state="Succeeded", manifest={"path": f"{FOLDER}/manifest.json", "sha256": sha256(body)})


def files_below(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_all_of_it(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    target = tmp_path / "case-1"
    fetched = fetch(store, stored(volume, manifest()), target, silent)
    assert files_below(target) == {*FILES, "manifest.json"}
    assert [each.checked_by for each in fetched] == ["the job's status"] + ["the manifest"] * 4
    for path, data in FILES.items():
        assert (target / path).read_bytes() == data


@pytest.mark.parametrize("path", [path for path in FILES if FILES[path]])
@pytest.mark.parametrize(
    "change", [lambda data: data[:-1] + b"~", lambda data: data + b"~", lambda data: data[:-1]]
)
def test_one_changed_byte_is_found(
    store: StoreClient, volume: Path, tmp_path: Path, path: str, change: Callable[[bytes], bytes]
) -> None:
    one = stored(volume, manifest())
    (volume / FOLDER / path).write_bytes(change(FILES[path]))
    target = tmp_path / "case-1"
    with pytest.raises(DifferenceError, match=path):
        fetch(store, one, target, silent)
    assert path not in files_below(target)
    assert not [name for name in files_below(target) if name.endswith(".part")]


def test_a_manifest_that_status_does_not_name(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    one = stored(volume, manifest())
    (volume / FOLDER / "manifest.json").write_bytes(manifest() + b" ")
    with pytest.raises(DifferenceError, match=r"manifest\.json"):
        fetch(store, one, tmp_path / "case-1", silent)
    assert files_below(tmp_path / "case-1") == set()


def test_another_jobs_manifest(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    with pytest.raises(DifferenceError, match="another job"):
        fetch(store, stored(volume, manifest(uid="other")), tmp_path / "case-1", silent)


def test_no_manifest_at_all(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    with pytest.raises(DifferenceError, match="cannot be read"):
        fetch(store, stored(volume, b"{}"), tmp_path / "case-1", silent)


@pytest.mark.parametrize("path", ["../escaped", "/escaped", "a/../../escaped"])
def test_paths_stay_in_the_folder(store: StoreClient, volume: Path, tmp_path: Path, path: str) -> None:
    with pytest.raises(DifferenceError, match="names the path"):
        fetch(store, stored(volume, manifest(rename=path)), tmp_path / "case-1", silent)
    assert not (tmp_path / "escaped").exists()


def test_a_failed_job_has_logs_and_findings(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    for path in ("logs/stdout.log", "logs/stderr.log", "failure.json", "tissues.mha"):
        file = volume / "case-1/u/2" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    attempts = [{"number": number, "pod": f"case-1-{number}-run"} for number in (1, 2)]
    fetched = fetch(store, job(state="Failed", attempts=attempts), tmp_path / "case-1", silent)
    assert files_below(tmp_path / "case-1") == {"logs/stdout.log", "logs/stderr.log", "failure.json"}
    assert {each.checked_by for each in fetched} == {"the store itself"}


def test_a_job_that_never_started_has_nothing(store: StoreClient, tmp_path: Path) -> None:
    assert fetch(store, job(state="Failed"), tmp_path, silent) == []


def test_a_manifest_with_a_value_of_as_many_levels_as_an_output_may_have(
    store: StoreClient, volume: Path, tmp_path: Path
) -> None:
    deep = b'"value":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    body = manifest().replace(b'"kind":"Anything"', b'"kind":"Anything",' + deep, 1)
    fetched = fetch(store, stored(volume, body), tmp_path / "case-1", silent)
    assert len(fetched) == 1 + len(FILES)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "no text", "deep"])
def test_a_manifest_that_is_no_json(store: StoreClient, volume: Path, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(DifferenceError, match="is not valid JSON"):
        fetch(store, stored(volume, body), tmp_path / "case-1", silent)


def test_a_success_without_manifest_is_an_error(store: StoreClient, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="names no manifest"):
        fetch(store, job(state="Succeeded"), tmp_path, silent)


def test_values_of_status(tmp_path: Path) -> None:
    one = job(state="Succeeded", outputs=[{"slug": "volume", "kind": "Float", "value": 1.5}])
    (path,) = write_values(one, tmp_path / "case-1")
    assert path.name == "volume.json"
    assert json.loads(path.read_text()) == 1.5
