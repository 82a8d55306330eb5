"""What of an object may change, and what the API server says when it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.crd.conftest import Object, Server

KIND = "AlgorithmJob"
ATTEMPT = {"number": 1, "pod": "case-1-run"}
RESULT: Object = {
    "state": "Succeeded",
    "reason": "Completed",
    "exitCode": 0,
    "outputs": [{"slug": "results", "kind": "Anything", "value": {"grey_matter_ml": 883.3}}],
    "manifest": {"path": "case/uid/1/manifest.json", "sha256": "ab" * 32},
    "attempts": [ATTEMPT],
}


@pytest.fixture
def name(server: Server, job: Object) -> str:
    """A stored job."""
    stored: str = server.apply(job)["metadata"]["name"]
    return stored


@pytest.fixture
def ended(server: Server, name: str) -> str:
    """A stored job that has succeeded."""
    server.patch(KIND, name, {"status": RESULT}, status=True)
    return name


def test_applying_twice_changes_nothing(
    server: Server, job: Object, algorithm: Object, datastore: Object, imageimport: Object
) -> None:
    for body in (job, algorithm, datastore, imageimport):
        for flags in (["--server-side"], []):
            versions = set()
            for _ in range(2):
                out = server.kubectl(
                    "apply", *flags, "-f", "-", "-o", "json", stdin=json.dumps(server.whole(body))
                )
                versions.add(json.loads(out)["metadata"]["resourceVersion"])
            assert len(versions) == 1
        server.kubectl("diff", "-f", "-", stdin=json.dumps(server.whole(body)))  # exits 1 on a difference


INPUTS: list[Object] = [
    {"slug": "t1-mri", "store": {"name": "cases", "paths": ["case-001/t1.mha"]}},
    {"slug": "smoothing", "value": 1.5},
]
EDITS: dict[str, tuple[str, Any]] = {
    "another algorithm": ("algorithmRef", {"name": "other"}),
    "another value": ("inputs", [INPUTS[0], {"slug": "smoothing", "value": 2.5}]),
    "a value of another type": ("inputs", [INPUTS[0], {"slug": "smoothing", "value": {"a": 1}}]),
    "a value that becomes null": ("inputs", [INPUTS[0], {"slug": "smoothing", "value": None}]),
    "another path": ("inputs", [{"slug": "t1-mri", "store": {"name": "cases", "paths": ["b"]}}, INPUTS[1]]),
    "an input less": ("inputs", INPUTS[:1]),
    "an input more": ("inputs", [*INPUTS, {"slug": "x", "value": 1}]),
    "an output store": ("outputStore", {"name": "results"}),
    "a time limit": ("timeLimitSeconds", 60),
    "attempts": ("attempts", 4),
    "a requester": ("requestedBy", "alice@example.org"),
}


@pytest.mark.parametrize(("field", "value"), EDITS.values(), ids=EDITS)
def test_a_spec_does_not_change(server: Server, name: str, field: str, value: object) -> None:
    edit = {"op": "add", "path": f"/spec/{field}", "value": value}  # a merge patch would lose nulls
    message = server.refuses_patch(KIND, name, [edit])
    assert f"spec.{field}" in message
    assert f"{field} cannot be changed" in message
    assert "Apply it under a new name to run it anew" in message


@pytest.mark.parametrize("field", ["outputStore", "timeLimitSeconds", "requestedBy"])
def test_what_was_given_is_not_taken_away(server: Server, job: Object, field: str) -> None:
    job["spec"] |= {"outputStore": {"name": "results"}, "timeLimitSeconds": 60, "requestedBy": "alice"}
    name = server.apply(job)["metadata"]["name"]
    assert f"{field} cannot be changed" in server.refuses_patch(KIND, name, {"spec": {field: None}})


def test_a_requester_does_not_change(server: Server, job: Object) -> None:
    job["spec"]["requestedBy"] = "alice"
    name = server.apply(job)["metadata"]["name"]
    assert "requestedBy cannot be changed" in server.refuses_patch(
        KIND, name, {"spec": {"requestedBy": "bob"}}
    )


def test_ttl_changes_at_any_time(server: Server, ended: str) -> None:
    for ttl in (60, 0, None):
        server.patch(KIND, ended, {"spec": {"ttlSecondsAfterFinished": ttl}})


def test_cancel_goes_one_way(server: Server, name: str) -> None:
    server.patch(KIND, name, {"spec": {"cancel": True}})
    for value in (False, None):
        message = server.refuses_patch(KIND, name, {"spec": {"cancel": value}})
        assert "cancel cannot be taken back; apply the job under a new name" in message


def test_suspend_comes_and_goes_before_the_start_and_only_goes_after_it(server: Server, name: str) -> None:
    for value in (True, False, True):
        server.patch(KIND, name, {"spec": {"suspend": value}})
    server.patch(KIND, name, {"status": {"state": "Staging", "attempts": [ATTEMPT]}}, status=True)
    server.patch(KIND, name, {"spec": {"suspend": False}})
    message = server.refuses_patch(KIND, name, {"spec": {"suspend": True}})
    assert "the job has started and cannot be suspended any more; set cancel to end it" in message


@pytest.mark.parametrize("state", ["Succeeded", "Failed", "Cancelled"])
@pytest.mark.parametrize(
    "status",
    [None, {"state": None}, {"state": "Running"}],
    ids=["no status", "no state", "another state"],
)
def test_an_end_is_final(server: Server, name: str, state: str, status: object) -> None:
    server.patch(KIND, name, {"status": {"state": state}}, status=True)
    message = server.refuses_patch(KIND, name, {"status": status}, status=True)
    assert "the job has ended, and its result does not change" in message
    assert "under a new name" in message
    assert server.get(KIND, name)["status"]["state"] == state


REWRITES: dict[str, Object] = {
    "reason": {"reason": "ExitCode"},
    "message": {"message": "somebody else's words"},
    "blame": {"blame": "input"},
    "exit code": {"exitCode": 1},
    "a value": {"outputs": [{"slug": "results", "kind": "Anything", "value": {"grey_matter_ml": 1}}]},
    "no outputs": {"outputs": None},
    "manifest": {"manifest": {"sha256": "cd" * 32}},
    "no manifest": {"manifest": None},
}


@pytest.mark.parametrize("status", REWRITES.values(), ids=REWRITES)
def test_a_result_is_not_rewritten(server: Server, ended: str, status: Object) -> None:
    message = server.refuses_patch(KIND, ended, {"status": status}, status=True)
    assert "its result does not change" in message


def test_a_result_of_as_many_outputs_as_there_can_be(server: Server, name: str) -> None:
    image = {
        "size": [512, 512, 300, 40],
        "spacing": [0.7, 0.7, 2.5, 1],
        "origin": [-179.65, -179.65, -700.25, 0],
        "direction": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
        "pixelType": "float32",
    }
    outputs = [
        {"slug": f"o-{number}", "kind": "Image", "path": "x" * 1024, "sha256": "cd" * 32, "image": image}
        for number in range(31)
    ]
    chart = {"mark": "bar", "values": [[number, "y" * 1000] for number in range(8)]}
    outputs.append({"slug": "chart", "kind": "Chart", "value": chart})
    status = {"state": "Succeeded", "message": "z" * 1024, "outputs": outputs}
    for _ in range(2):
        server.patch(KIND, name, {"status": status}, status=True)
    stored = server.get(KIND, name)["status"]["outputs"]
    assert [each["slug"] for each in stored] == [each["slug"] for each in outputs]
    assert stored[-1]["value"] == chart


def test_a_result_may_be_written_again_and_conditions_may_follow(server: Server, ended: str) -> None:
    condition = {
        "type": "Published",
        "status": "True",
        "reason": "Published",
        "lastTransitionTime": "2026-11-22T20:00:00Z",
    }
    server.patch(KIND, ended, {"status": {**RESULT, "conditions": [condition]}}, status=True)


def test_status_is_a_resource_of_its_own(server: Server, job: Object) -> None:
    job["status"] = {"state": "Succeeded"}
    stored = server._send(job, "create", "--validate=false")
    assert "status" not in stored


def test_a_state_that_does_not_exist(server: Server, name: str) -> None:
    message = server.refuses_patch(KIND, name, {"status": {"state": "Done"}}, status=True)
    assert 'status.state: Unsupported value: "Done"' in message


@pytest.fixture
def imported(server: Server, imageimport: Object) -> str:
    """A stored import that has succeeded."""
    name: str = server.apply(imageimport)["metadata"]["name"]
    server.patch("ImageImport", name, {"status": IMPORTED}, status=True)
    return name


IMPORTED: Object = {
    "state": "Succeeded",
    "reason": "Completed",
    "image": {
        "store": "results",
        "path": "imports/i/uid/uid.mha",
        "bytes": 9,
        "sha256": "ab" * 32,
        "name": "series",
        "format": "MHD",
        "geometry": {
            "size": [1, 1],
            "spacing": [0.5, 1],
            "origin": [0, 0],
            "direction": [1, 0, 0, 1],
            "pixelType": "uint8",
        },
    },
}
IMPORT_EDITS: dict[str, Any] = {
    "source": {"name": "cases", "paths": ["other/"]},
    "kind": "Heat Map",
    "outputStore": {"name": "results"},
    "timeLimitSeconds": 601,
}


@pytest.mark.parametrize(("field", "value"), IMPORT_EDITS.items(), ids=IMPORT_EDITS)
def test_an_import_does_not_change(server: Server, imported: str, field: str, value: object) -> None:
    message = server.refuses_patch("ImageImport", imported, {"spec": {field: value}})
    assert f"{field} cannot be changed: of an import only ttlSecondsAfterFinished can" in message


def test_the_ttl_of_an_import_changes_at_any_time(server: Server, imported: str) -> None:
    for ttl in (60, 0, None):
        server.patch("ImageImport", imported, {"spec": {"ttlSecondsAfterFinished": ttl}})


IMPORT_REWRITES: dict[str, Object | None] = {
    "no status": None,
    "another state": {"state": "Pending"},
    "message": {"message": "somebody else's words"},
    "hash": {"image": {"sha256": "cd" * 32}},
    "place": {"image": {"path": "other.mha"}},
    "no image": {"image": None},
    "files": {"files": [{"name": "a", "message": "no."}]},
}


@pytest.mark.parametrize("status", IMPORT_REWRITES.values(), ids=IMPORT_REWRITES)
def test_an_imported_image_is_not_rewritten(server: Server, imported: str, status: Object | None) -> None:
    message = server.refuses_patch("ImageImport", imported, {"status": status}, status=True)
    assert "the import has ended, and its result does not change" in message
    assert server.get("ImageImport", imported)["status"]["image"]["sha256"] == "ab" * 32


def test_a_failure_of_as_many_files_as_there_can_be(server: Server, imageimport: Object) -> None:
    name = server.apply(imageimport)["metadata"]["name"]
    files = [{"name": "x" * 256, "message": "y" * 512} for _ in range(64)]
    status = {"state": "Failed", "message": "z" * 1024, "files": files}
    for _ in range(2):
        server.patch("ImageImport", name, {"status": status}, status=True)
    assert len(server.get("ImageImport", name)["status"]["files"]) == 64
