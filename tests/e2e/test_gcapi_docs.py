"""docs/gcapi.md, snippet by snippet, by the clients as they are on PyPI, against the cluster over TLS."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from scripts.gateway import Address
from tests.cluster.settings import PROJECT
from tests.e2e.gateway import Person, jobs_of, lungs, person
from tests.e2e.harness import Namespace
from tests.e2e.kube import eventually
from tests.gcapi.environments import NEWEST, OLDEST
from tests.unit.steps import dicom

PAGE = PROJECT / "docs" / "gcapi.md"
SNIPPET = re.compile(
    r"^<!-- gcapi(?P<minor> [0-9.]+)?(?P<new>; new process)? -->\n```python\n(?P<code>.*?)^```$", re.M | re.S
)
FIRST = 'client = gcapi.Client(base_url="https://gateway.example.org/imaging/api/v1/", token="eyJhbGciOi…")'


def processes(minor: str) -> list[str]:
    """The scripts that the page makes for a client, one a process."""
    found = [""]
    for match in SNIPPET.finditer(PAGE.read_text()):
        if match["minor"] in (None, f" {minor}"):
            if match["new"]:
                found.append("")
            found[-1] += match["code"]
    return found


def test_every_python_on_the_page_is_run() -> None:
    text = PAGE.read_text()
    assert text.count("```python") == len(SNIPPET.findall(text)) > 10
    assert text.count(FIRST) == 1


@pytest.fixture(scope="module")
def page_namespace(module_namespace: Namespace, lungs_image: str) -> Namespace:
    module_namespace.store()
    # As the loop of the page is to meet its limit.
    lungs(module_namespace, lungs_image, limits={"activeJobsPerUser": 3})
    return module_namespace


def cases(folder: Path) -> Path:
    """What somebody has on their disk: two slices, a value, three images."""
    folder.mkdir()
    for number in range(2):
        dicom.write(
            folder / f"{number}.dcm",
            dicom.dataset(
                np.full((4, 5), 100 * number, "<i2"),
                SOPInstanceUID=f"1.2.3.{number + 1}",
                ImagePositionPatient=[0.0, 0.0, 2.0 * number],
            ),
        )
    (folder / "lung-volume.json").write_text("4711")
    for number in range(3):
        (folder / f"ct-{number}.mha").write_bytes(
            b"ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
            b"ElementSpacing = 1 2 3\nElementDataFile = LOCAL\n" + bytes([number] * 8)
        )
    return folder


@pytest.mark.parametrize("minor", [OLDEST, NEWEST])
def test_page(minor: str, page_namespace: Namespace, gateway: Address, tmp_path: Path) -> None:
    somebody = person(page_namespace, gateway, f"user-{minor.replace('.', '-')}")
    folder = cases(tmp_path / "work")
    first, later = processes(minor)
    # The archive's slug is taken once both versions have read the same page.
    slug = f"lung-cts-{minor.replace('.', '-')}"
    begin = first.replace(FIRST, f"client = gcapi.Client(base_url={somebody.base_url!r})").replace(
        "lung-cts", slug
    )
    said = somebody.run(minor, begin + "\nprint(json.dumps([job_1.pk, job_2.pk, job_3.pk]))", folder)
    somebody.run(minor, later, folder)

    pks = json.loads((folder / "running_jobs.json").read_text())
    assert len(pks) == 3
    assert somebody.username == jobs_of(page_namespace, pks)[0]["spec"]["requestedBy"]
    for pk, body in zip(pks, jobs_of(page_namespace, pks), strict=True):
        assert_downloaded(folder / "results" / pk, body["status"])
    singles = json.loads(said.splitlines()[-1])
    assert_values(somebody, singles, [42, 4711, 43])


def assert_downloaded(folder: Path, status: dict[str, object]) -> None:
    """What is on the disk is what the job's status, and so its manifest, says."""
    assert status["state"] == "Succeeded", status
    outputs = {output["slug"]: output for output in status["outputs"]}  # type: ignore[attr-defined]
    (image,) = (folder / "images" / "lungs").iterdir()
    assert image.suffix == ".mha"
    assert hashlib.sha256(image.read_bytes()).hexdigest() == outputs["lungs"]["sha256"]
    assert hashlib.sha256((folder / "lungs.csv").read_bytes()).hexdigest() == outputs["lungs-csv"]["sha256"]
    assert json.loads((folder / "lungs.json").read_text())["volume"] == 1


def assert_values(somebody: Person, pks: list[str], volumes: list[int]) -> None:
    """The single jobs have run on what the page gave them."""
    for pk, volume in zip(pks, volumes, strict=True):

        def ended(pk: str = pk) -> dict[str, object] | None:
            job: dict[str, object] = somebody.json("GET", f"algorithms/jobs/{pk}/")
            assert job["status"] not in ("Failed", "Cancelled"), job
            return job if job["status"] == "Succeeded" else None

        job = eventually(ended, 90, f"job {pk} has succeeded")
        values = {value["interface"]["slug"]: value for value in job["outputs"]}  # type: ignore[attr-defined]
        assert values["lungs-json"]["value"]["volume"] == volume
