"""Jobs whose object is gone: from the run record, from what was noted, or not at all."""

import json
from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.contract.failure import Failure
from algorithm_operator.contract.manifest import Manifest
from algorithm_operator.gateway import jobs, shapes
from algorithm_operator.gateway.database.models import JobStart
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobids import job_name, output_image_pk
from algorithm_operator.gateway.records import MAX_RECORD_BYTES
from tests.gateway.fakes import ALICE, NAMESPACE, ORIGIN, Service
from tests.gateway.running import (
    ALGORITHM_UID,
    DIGEST,
    GEOMETRY,
    INTERFACES,
    JOBS,
    NOW,
    URL,
    algorithm,
    pk,
    put,
    sha256,
)

PK, UID = pk(5), pk(6)
NAME = job_name(PK)
SCORE = b"0.25\n"


@pytest.fixture
def routers() -> list[APIRouter]:
    return [jobs.router]


def head(uid: str = UID, attempt: int = 1, **changes: Any) -> dict[str, Any]:
    """What manifest and failure have in common."""
    return {
        "job": {"namespace": NAMESPACE, "name": NAME, "uid": uid, "attempt": attempt, **changes},
        "algorithm": {
            "name": "brain",
            "generation": 3,
            "image": f"registry.example.org/brain:1.2@{DIGEST}",
            "imageDigest": DIGEST,
            "interface": "default",
        },
    }


def manifest(finished: str = "2026-11-28T12:01:02Z", **changes: Any) -> dict[str, Any]:
    """The run record of a job of the first interface."""
    outputs = [
        {
            "slug": "tissues",
            "kind": "Segmentation",
            "relativePath": "images/tissues",
            "file": {"path": "tissues.mha", "bytes": 100, "sha256": "1" * 64},
            "image": GEOMETRY,
            "overlaySegments": INTERFACES[0]["outputs"][0]["overlaySegments"],
        },
        {
            "slug": "score",
            "kind": "Float",
            "relativePath": "score.json",
            "file": {"path": "score.json", "bytes": len(SCORE), "sha256": sha256(SCORE)},
        },
    ]
    inputs = [
        {"slug": slug, "kind": kind, "relativePath": path, "source": "value", "bytes": 1, "sha256": "4" * 64}
        for slug, kind, path in (
            ("t1-mri", "Image", "images/t1-mri"),
            ("smoothing", "Float", "smoothing.json"),
        )
    ]
    whole = {
        **head(**changes),
        "schema": "algorithm-operator.dev/manifest/v1",
        "pod": {},
        "limits": {
            "cpu": "2",
            "memory": "24G",
            "gpuType": "T4",
            "gpuCount": 0,
            "threads": 512,
            "timeLimitSeconds": 7200,
            "collectSeconds": 600,
        },
        "isolation": {"probes": [], "seconds": 1},
        "startedAt": "2026-11-28T12:00:00Z",
        "finishedAt": finished,
        "exit": {"exitCode": 0, "ranSeconds": 61.5},
        "inputs": inputs,
        "outputs": outputs,
        "logs": [],
        "timing": {},
    }
    Manifest.model_validate(whole)
    return whole


def failure(
    finished: str = "2026-11-28T12:01:02Z", reason: str = "ExitCode", **changes: Any
) -> dict[str, Any]:
    """What is kept of a job without a result."""
    whole = {**head(**changes), "reason": reason, "message": "It failed.", "finishedAt": finished}
    Failure.model_validate(whole)
    return whole


def write(
    service: Service, record: Any, uid: str = UID, attempt: int = 1, name: str = "manifest.json"
) -> None:
    """A record, and the file of `score` beside it."""
    folder = f"{NAME}/{uid}/{attempt}"
    service.store.files[f"{folder}/{name}"] = (
        record if isinstance(record, bytes) else json.dumps(record).encode()
    )
    service.store.files[f"{folder}/score.json"] = SCORE


async def get(service: Service) -> dict[str, Any]:
    answer = await service.get(f"{JOBS}{PK}/")
    assert answer.status == 200, answer.body
    told: dict[str, Any] = answer.json()
    shapes.Job.model_validate(told)
    return told


async def note(service: Service, namespace: str = NAMESPACE) -> None:
    row = JobStart(id=PK, namespace=namespace, username=ALICE, algorithm="brain", created=NOW)
    await service.database.run(lambda session: session.add(row))


@pytest.mark.parametrize("there", [True, False], ids=["Algorithm there", "Algorithm gone"])
async def test_a_job_that_succeeded(service: Service, there: bool) -> None:
    if there:
        put(service, algorithm())
    write(service, manifest())
    told = await get(service)
    assert (told["pk"], told["status"]) == (PK, "Succeeded")
    assert told["exec_duration"] == "P0DT00H01M01.500000S"
    assert told["completed_at"] == "2026-11-28T12:01:02Z"
    assert [(each["socket"]["slug"], each["value"], each["image"]) for each in told["outputs"]] == [
        ("score", 0.25, None),
        ("tissues", None, f"{URL}cases/images/{output_image_pk(PK, 'tissues')}/"),
    ]
    assert [(each["socket"]["slug"], each["value"]) for each in told["inputs"]] == [
        ("smoothing", None),
        ("t1-mri", None),
    ]
    assert (told["algorithm"] == f"{URL}algorithms/{ALGORITHM_UID}/") is there
    assert told["inputs"][1]["socket"]["title"] == ("T1 MRI" if there else "T1 mri")


async def test_sockets_are_as_they_were(service: Service) -> None:
    """The Algorithm of today calls something else `t1-mri`."""
    other = {"slug": "t1-mri", "title": "New", "kind": "Image", "relativePath": "images/x"}
    put(service, algorithm(interfaces=[{**INTERFACES[0], "inputs": [other]}]))
    write(service, manifest())
    socket = (await get(service))["inputs"][1]["socket"]
    assert (socket["title"], socket["relative_path"]) == ("T1 mri", "images/t1-mri")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("ExitCode", "Failed"), ("InputInvalid", "Cancelled"), ("ReasonOfALaterVersion", "Failed")],
)
async def test_a_job_that_failed(service: Service, reason: str, expected: str) -> None:
    write(service, failure(reason=reason), name="failure.json")
    told = await get(service)
    assert (told["status"], told["inputs"], told["outputs"]) == (expected, [], [])


async def test_a_failure_has_the_inputs_of_its_interface(service: Service) -> None:
    put(service, algorithm())
    write(service, failure(), name="failure.json")
    assert [each["socket"]["slug"] for each in (await get(service))["inputs"]] == ["smoothing", "t1-mri"]


async def test_the_newest_attempt_of_the_newest_object_counts(service: Service) -> None:
    write(service, manifest("2026-11-28T12:00:00Z", uid=pk(1)), pk(1))
    write(service, failure("2026-11-28T13:00:00Z", uid=pk(2), attempt=2), pk(2), 2, "failure.json")
    write(service, manifest("2026-11-28T14:00:00Z", uid=pk(2), attempt=10), pk(2), 10)
    write(service, failure("2026-11-28T13:30:00Z", uid=pk(3)), pk(3), 1, "failure.json")
    assert (await get(service))["completed_at"] == "2026-11-28T14:00:00Z"


HOSTILE = {
    "no JSON": b"{",
    "another schema": b"[]",
    "huge": b" " * (MAX_RECORD_BYTES + 1),
    "of another job": json.dumps(manifest(name="case-001")).encode(),
    "of another uid": json.dumps(manifest(uid=pk(99))).encode(),
    "of another attempt": json.dumps(manifest(attempt=2)).encode(),
    "of another namespace": json.dumps(manifest(namespace="elsewhere")).encode(),
}


@pytest.mark.parametrize("record", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_record_of_it_counts_for_nothing(service: Service, record: bytes) -> None:
    write(service, record)
    assert (await service.get(f"{JOBS}{PK}/")).status == 404
    await note(service)
    assert (await get(service))["status"] == "Cancelled"


@pytest.mark.parametrize("uid", ["forged", "ABCDEF01-0000-4000-8000-000000000001", f"{UID}x", f"x{UID}"])
async def test_a_record_where_people_can_upload(service: Service, uid: str) -> None:
    """The store Pod keeps only the folders of UUIDs for jobs: into any other a run record can be put by hand."""
    write(service, manifest(uid=uid), uid)
    assert (await service.get(f"{JOBS}{PK}/")).status == 404


async def test_folders_of_people_hide_no_record(service: Service) -> None:
    for number in range(100):
        service.store.files[f"{NAME}/{number:03}/x"] = service.store.files[f"{NAME}/{UID}/{number:03}x/x"] = (
            b""
        )
    write(service, manifest())
    assert (await get(service))["status"] == "Succeeded"


async def test_folders_that_are_no_attempts(service: Service) -> None:
    for path in (f"{NAME}/x", f"{NAME}/{UID}/latest/manifest.json", f"{NAME}/{UID}/1/other"):
        service.store.files[path] = b""
    assert (await service.get(f"{JOBS}{PK}/")).status == 404


async def test_a_job_that_was_deleted_before_it_ended(service: Service) -> None:
    put(service, algorithm())
    await note(service)
    told = await get(service)
    assert told["status"] == "Cancelled"
    assert told["algorithm"] == f"{URL}algorithms/{ALGORITHM_UID}/"


async def test_a_job_of_another_namespace(service: Service) -> None:
    await note(service, "elsewhere")
    write(service, manifest())
    assert (await service.get(f"{JOBS}{PK}/")).status == 404


async def test_the_rights_are_those_of_any_job(service: Service) -> None:
    write(service, manifest())
    service.authorizer.denied = {(Verb.GET, Resource.JOBS)}
    assert (await service.get(f"{JOBS}{PK}/")).status == 404
    assert service.store.calls == []


async def test_a_store_that_is_down_is_asked_again(service: Service) -> None:
    await note(service)
    service.store.down = True
    assert (await service.get(f"{JOBS}{PK}/")).status == 503


async def test_files_of_it_have_urls(service: Service) -> None:
    record = manifest()
    file = {"path": "findings.json", "bytes": 5, "sha256": "2" * 64}
    record["outputs"].append(
        {"slug": "findings", "kind": "Multiple points", "relativePath": "findings.json", "file": file}
    )
    write(service, record)
    told = {each["socket"]["slug"]: each["file"] for each in (await get(service))["outputs"]}
    assert told["findings"] == f"{ORIGIN}/{NAMESPACE}/files/jobs/{PK}/outputs/findings/findings.json"
