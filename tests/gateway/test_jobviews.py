"""AlgorithmJob → Job: status labels, durations."""

from typing import Any

import pytest

from algorithm_operator.api.job import AlgorithmJobStatus
from algorithm_operator.core.world import Algorithm
from algorithm_operator.gateway.jobids import output_image_pk, value_pk
from algorithm_operator.gateway.jobviews import Known, Place, SeenJob, duration, job_shape, label
from algorithm_operator.gateway.urls import Urls
from tests.gateway.fakes import NAMESPACE, ORIGIN
from tests.gateway.running import ALGORITHM_UID, URL, algorithm, job, pk, snapshot, succeeded

URLS = Urls(ORIGIN, NAMESPACE)
RUN = {"algorithm": snapshot()}
FIRST = {"number": 1, "pod": "p-1"}
OVER = {**FIRST, "reason": "NodeLost", "finishedAt": "2026-11-28T12:00:00Z"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, "Validating inputs", id="not seen yet"),
        pytest.param(
            {"state": "Pending", "reason": "InputPending"}, "Validating inputs", id="waits for an import"
        ),
        pytest.param({"state": "Suspended"}, "Queued", id="suspended before it was accepted"),
        pytest.param({"state": "Suspended", **RUN}, "Queued", id="suspended"),
        pytest.param({"state": "Queued", **RUN}, "Queued", id="queued"),
        pytest.param(
            {"state": "Queued", **RUN, "attempts": [FIRST]}, "Queued", id="first Pod waits for a node"
        ),
        pytest.param(
            {"state": "Queued", **RUN, "attempts": [OVER]}, "Re-Queued", id="waits for its second Pod"
        ),
        pytest.param(
            {"state": "Queued", **RUN, "attempts": [OVER, {"number": 2, "pod": "p-2"}]},
            "Re-Queued",
            id="second Pod waits for a node",
        ),
        pytest.param({"state": "Staging", **RUN}, "Provisioning", id="staging"),
        pytest.param({"state": "Running", **RUN}, "Executing", id="running"),
        pytest.param({"state": "Collecting", **RUN}, "Parsing Outputs", id="collecting"),
        pytest.param({"state": "Succeeded", **RUN}, "Succeeded", id="succeeded"),
        pytest.param({"state": "Failed", **RUN, "blame": "algorithm", "exitCode": 1}, "Failed", id="failed"),
        pytest.param({"state": "Failed", **RUN, "blame": "infrastructure"}, "Failed", id="infrastructure"),
        pytest.param({"state": "Failed", "blame": "input"}, "Cancelled", id="refused inputs"),
        pytest.param(
            {"state": "Failed", **RUN, "blame": "input"}, "Cancelled", id="inputs failed in staging"
        ),
        pytest.param({"state": "Cancelled"}, "Cancelled", id="cancelled"),
    ],
)
def test_label(status: dict[str, Any], expected: str) -> None:
    assert label(AlgorithmJobStatus.model_validate(status)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "P0DT00H00M00S"),
        (0, "P0DT00H00M00S"),
        (61.5, "P0DT00H01M01.500000S"),
        (5.0000004, "P0DT00H00M05S"),
        (90061, "P1DT01H01M01S"),
    ],
)
def test_duration(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def shape(body: dict[str, Any], known: Known | None = None) -> dict[str, Any]:
    return job_shape(SeenJob.of(body), known or Known(), URLS).model_dump()


def test_a_job_that_has_succeeded() -> None:
    body = job(status=succeeded())
    uid = body["metadata"]["uid"]
    known = Known(
        images={Place("data", "case-001/t1.mha"): pk(7)}, values={succeeded()["outputs"][3]["sha256"]: 0.25}
    )
    told = shape(body, known)
    assert told["pk"] == uid
    assert told["api_url"] == f"{URL}algorithms/jobs/{uid}/"
    assert told["algorithm"] == f"{URL}algorithms/{ALGORITHM_UID}/"
    assert told["status"] == "Succeeded"
    assert told["exec_duration"] == told["invoke_duration"] == "P0DT00H01M01.500000S"
    assert (told["started_at"], told["completed_at"]) == ("2026-11-28T12:00:00Z", "2026-11-28T12:01:02Z")
    values = [
        (each["socket"]["slug"], each["value"], each["file"], each["image"])
        for each in [*told["inputs"], *told["outputs"]]
    ]
    assert values == [
        ("smoothing", 1.5, None, None),
        ("t1-mri", None, None, f"{URL}cases/images/{pk(7)}/"),
        ("results", {"ml": 883.3}, None, None),
        ("score", 0.25, None, None),
        ("findings", None, f"{ORIGIN}/{NAMESPACE}/files/jobs/{uid}/outputs/findings/findings.json", None),
        ("tissues", None, None, f"{URL}cases/images/{output_image_pk(uid, 'tissues')}/"),
    ]
    assert [each["pk"] for each in told["inputs"]] == [
        value_pk(uid, "inputs", s) for s in ("smoothing", "t1-mri")
    ]
    assert all(each["socket"] == each["interface"] for each in told["outputs"])


@pytest.mark.parametrize(
    ("inputs", "run", "known", "expected"),
    [
        pytest.param(
            {"store": {"name": "data", "paths": ["a.mha"]}}, [], {}, None, id="a path that no row knows"
        ),
        pytest.param(
            {"store": {"name": "data", "paths": ["a/"]}},
            [],
            {"images": {Place("data", "a/"): pk(1)}},
            None,
            id="folder",
        ),
        pytest.param({"imageImport": {"name": "i"}}, [], {}, None, id="an import that goes on"),
        pytest.param(
            {"imageImport": {"name": "i"}}, [], {"imports": {"i": pk(1)}}, pk(1), id="an import that is over"
        ),
        pytest.param(
            {"job": {"name": "other", "output": "x"}},
            [{"slug": "t1-mri", "job": "other", "output": "x", "store": "data", "path": "o/1/x.mha"}],
            {"images": {Place("data", "o/1/x.mha"): pk(2)}},
            pk(2),
            id="another job's output",
        ),
    ],
)
def test_image_inputs(
    inputs: dict[str, Any], run: list[Any], known: dict[str, Any], expected: str | None
) -> None:
    given = [{"slug": "t1-mri", **inputs}, {"slug": "smoothing", "value": None}]
    body = job(inputs=given, status={"state": "Running", "algorithm": snapshot(inputs=run)})
    (smoothing, image) = shape(body, Known(**known))["inputs"]
    assert image["image"] == (None if expected is None else f"{URL}cases/images/{expected}/")
    assert smoothing["value"] is None


def test_files_and_values_of_other_jobs() -> None:
    given = [
        {"slug": "letter", "store": {"name": "data", "paths": ["gateway/uploads/x/a b.pdf"]}},
        {"slug": "marks", "job": {"name": "other", "output": "y"}},
    ]
    made = [{"slug": "marks", "job": "other", "output": "y", "value": {"points": []}}]
    body = job(inputs=given, status={"state": "Running", "algorithm": snapshot(1, inputs=made)})
    letter, marks = shape(body)["inputs"]
    assert letter["file"].endswith("/inputs/letter/a%20b.pdf")
    assert marks["value"] == {"points": []}


def test_a_job_that_is_not_accepted_has_the_sockets_of_its_algorithm() -> None:
    known = Known(algorithms={"brain": Algorithm.of(algorithm())})
    told = shape(job(), known)
    assert [each["socket"]["slug"] for each in told["inputs"]] == ["smoothing", "t1-mri"]
    assert told["outputs"] == []
    assert told["algorithm"] == f"{URL}algorithms/{ALGORITHM_UID}/"


@pytest.mark.parametrize("inputs", [[{"slug": "nonsense", "value": 1}], [{"slug": "smoothing", "value": 1}]])
def test_inputs_that_fit_no_interface_are_not_shown(inputs: list[Any]) -> None:
    known = Known(algorithms={"brain": Algorithm.of(algorithm())})
    assert shape(job(inputs=inputs), known)["inputs"] == []


def test_an_algorithm_that_is_gone_still_has_a_url() -> None:
    told = [shape(job(name=name))["algorithm"] for name in ("a", "b")]
    assert told[0] == told[1]
    assert told[0].startswith(f"{URL}algorithms/")


def test_a_kind_of_a_later_version_is_not_readable() -> None:
    interface = {"inputs": [{"slug": "a", "kind": "Hologram"}], "outputs": [{"slug": "b", "kind": "Float"}]}
    with pytest.raises(ValueError, match="not known"):
        SeenJob.of(job(status={"algorithm": {**snapshot(), "interface": interface}}))
