"""Outputs of other jobs as inputs: waited for, refused, or fixed as the other job's status says."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.api.imageimport import ImageImportStatus
from algorithm_operator.api.job import AlgorithmJobStatus
from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.run import RunInput
from algorithm_operator.contract.accept import Accepted
from algorithm_operator.contract.outcome import Refused, Waiting
from tests.unit.contract.test_accept import (
    IN_STATUS,
    MRI_GIVEN,
    RESULTS,
    SMOOTHING_GIVEN,
    TISSUES,
    TO_RESULTS,
    algorithm,
    job,
    settle,
    store,
)
from tests.unit.core.builders import run

SHA = "c" * 64
PATH = "first/uid/1/output/images/tissues/x.mha"
TAKES_TISSUES = {"slug": "t1-mri", "job": {"name": "first", "output": "tissues"}}
TAKES_VALUE = {"slug": "smoothing", "job": {"name": "first", "output": "results"}}


def status(state: str | None = "Succeeded", *, value: Any = 2.5, **output: Any) -> AlgorithmJobStatus:
    """Of job `first`, whose algorithm writes an image and a value."""
    wire: dict[str, Any] = {"state": state, "algorithm": run().wire()}
    if state == "Succeeded":
        tissues = {"slug": "tissues", "kind": "Segmentation", "path": PATH, "sha256": SHA, **output}
        wire["outputs"] = [tissues, {"slug": "results", "kind": "Anything", "value": value}]
    return AlgorithmJobStatus.model_validate(wire)


def test_a_file_and_a_value_are_fixed_as_the_status_says() -> None:
    accepted = settle(job(TAKES_TISSUES, TAKES_VALUE, **TO_RESULTS), jobs={"first": status()})
    assert isinstance(accepted, Accepted)
    assert accepted.inputs == (
        RunInput(slug="t1-mri", job="first", output="tissues", store="results", path=PATH, sha256=SHA),
        RunInput(slug="smoothing", job="first", output="results", value=2.5),
    )


WAITS = {
    "no such job": (
        {},
        'Input "t1-mri" waits for job "first": there is no such AlgorithmJob in namespace imaging',
    ),
    "not looked at": ({"first": AlgorithmJobStatus()}, "it is Pending."),
    "running": ({"first": status("Running")}, "it is Running."),
}


@pytest.mark.parametrize(("jobs", "says"), WAITS.values(), ids=WAITS)
def test_it_is_waited_for(jobs: dict[str, AlgorithmJobStatus], says: str) -> None:
    waiting = settle(job(TAKES_TISSUES, SMOOTHING_GIVEN, **TO_RESULTS), jobs=jobs)
    assert isinstance(waiting, Waiting)
    assert waiting.reason is Reason.INPUT_PENDING
    assert says in waiting.message


TAKES_IMPORT = {"slug": "t1-mri", "imageImport": {"name": "series"}}
IMPORTED: dict[str, Any] = {
    "store": "results",
    "path": "imports/series/uid/uid.mha",
    "bytes": 9,
    "sha256": SHA,
    "name": "series",
    "format": "MHD",
    "geometry": {
        "size": [1, 1],
        "spacing": [1, 1],
        "origin": [0, 0],
        "direction": [1, 0, 0, 1],
        "pixelType": "uint8",
    },
}


def importing(state: str | None, **more: Any) -> ImageImportStatus:
    """Of import `series`."""
    return ImageImportStatus.model_validate({"state": state, **more})


def test_an_image_is_fixed_as_the_status_of_its_import_says() -> None:
    done = importing("Succeeded", image=IMPORTED)
    accepted = settle(job(TAKES_IMPORT, SMOOTHING_GIVEN, **TO_RESULTS), imports={"series": done})
    assert isinstance(accepted, Accepted)
    assert accepted.inputs == (
        RunInput(slug="t1-mri", image_import="series", store="results", path=IMPORTED["path"], sha256=SHA),
    )


@pytest.mark.parametrize(
    ("imports", "says"),
    [
        ({}, 'Input "t1-mri" waits for import "series": there is no such ImageImport in namespace imaging'),
        ({"series": importing(None)}, "it is Pending."),
        ({"series": importing("Importing")}, "it is Importing."),
    ],
    ids=["no such import", "not looked at", "under way"],
)
def test_an_import_is_waited_for(imports: dict[str, ImageImportStatus], says: str) -> None:
    waiting = settle(job(TAKES_IMPORT, SMOOTHING_GIVEN, **TO_RESULTS), imports=imports)
    assert isinstance(waiting, Waiting)
    assert waiting.reason is Reason.INPUT_PENDING
    assert says in waiting.message


def test_an_import_that_failed_refuses_the_job_in_its_own_words() -> None:
    failed = importing("Failed", message="The files are not one image.")
    refused = settle(job(TAKES_IMPORT, SMOOTHING_GIVEN, **TO_RESULTS), imports={"series": failed})
    assert isinstance(refused, Refused)
    assert refused.message.endswith('import "series" failed: The files are not one image.')


def test_an_image_is_no_number() -> None:
    given = {"slug": "smoothing", "imageImport": {"name": "series"}}
    refused = settle(job(MRI_GIVEN, given, **TO_RESULTS), imports={"series": importing("Importing")})
    assert isinstance(refused, Refused)
    assert 'makes an image, which is no input of kind "Float"' in refused.message


def test_what_its_owner_must_change_comes_first() -> None:
    bad = {"slug": "smoothing", "value": "much"}
    assert isinstance(settle(job(TAKES_TISSUES, bad, **TO_RESULTS), jobs={}), Refused)


REFUSED = {
    "failed": (status("Failed"), TAKES_TISSUES, SMOOTHING_GIVEN, "ended without outputs (Failed)"),
    "cancelled": (status("Cancelled"), TAKES_TISSUES, SMOOTHING_GIVEN, "ended without outputs (Cancelled)"),
    "no such output, and it still runs": (
        status("Running"),
        {"slug": "t1-mri", "job": {"name": "first", "output": "tisues"}},
        SMOOTHING_GIVEN,
        'job "first" has no output "tisues"; it has "tissues", "results".',
    ),
    "another form": (
        status("Running"),
        {"slug": "t1-mri", "job": {"name": "first", "output": "results"}},
        SMOOTHING_GIVEN,
        'writes "results" as "Anything", which is no input of kind "Image"',
    ),
    "a value that does not fit": (status(value="much"), MRI_GIVEN, TAKES_VALUE, "instance is not a number"),
    "a path that leaves the store": (
        status(path="../../x.mha"),
        TAKES_TISSUES,
        SMOOTHING_GIVEN,
        'the path "../../x.mha" is not allowed',
    ),
}


@pytest.mark.parametrize(("of", "image", "value", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(of: AlgorithmJobStatus, image: dict[str, Any], value: dict[str, Any], says: str) -> None:
    refused = settle(job(image, value, **TO_RESULTS), jobs={"first": of})
    assert isinstance(refused, Refused)
    assert says in refused.message


def test_files_of_kinds_are_the_same_kind_or_none() -> None:
    made = run().model_copy(
        update={"interface": algorithm(([TISSUES], [{"slug": "report", "kind": "PDF file"}])).interfaces[0]}
    )
    ended = AlgorithmJobStatus.model_validate(
        {
            "state": "Succeeded",
            "algorithm": made.wire(),
            "outputs": [{"slug": "report", "kind": "PDF file", "path": "a/report.pdf", "sha256": SHA}],
        }
    )
    taken = {"slug": "x", "job": {"name": "first", "output": "report"}}
    for kind, outcome in {"PDF file": Accepted, "CSV file": Refused}.items():
        takes = algorithm(([{"slug": "x", "kind": kind}], [RESULTS]))
        assert isinstance(settle(job(taken), takes, jobs={"first": ended}), outcome)


def test_a_null_value_is_a_value() -> None:
    anything = algorithm(([{"slug": "x", "kind": "Anything"}], [RESULTS]))
    given = {"slug": "x", "job": {"name": "first", "output": "results"}}
    accepted = settle(job(given), anything, jobs={"first": status(value=None)})
    assert isinstance(accepted, Accepted)
    assert accepted.inputs[0].value is None


def test_the_store_of_the_other_job_is_waited_for() -> None:
    spec = job(TAKES_TISSUES, SMOOTHING_GIVEN, outputStore={"name": "own"})
    waiting = settle(spec, stores={"own": store()}, jobs={"first": status()})
    assert isinstance(waiting, Waiting)
    assert '"results" in namespace imaging' in waiting.message


def test_values_of_other_jobs_are_counted_too() -> None:
    assert isinstance(settle(job(TAKES_VALUE), IN_STATUS, {}, {"first": status()}), Accepted)
    text = algorithm(([{"slug": "smoothing", "kind": "String"}], [RESULTS]))
    refused = settle(job(TAKES_VALUE), text, {}, {"first": status(value="a" * 200_000)})
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INPUT_TOO_LARGE
