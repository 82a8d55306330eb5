"""Outputs of every form: what is collected and kept, and what is refused with which words.

All jobs are started together; each test then waits for its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from algorithm_operator.api.kinds import FILE_SUFFIXES, SocketKind
from algorithm_operator.contract.kinds import KINDS, Form, SuperKind
from algorithm_operator.steps.tiff import Tag
from tests.e2e.harness import SCRIPT, Job, Namespace, Object, Store
from tests.unit.steps.files import FILES
from tests.unit.steps.mha import mha
from tests.unit.steps.tiffs import SHORT, Page, tiff

Started = tuple[Store, dict[str, Job]]
SCAN = {"slug": "scan", "kind": "Image"}
PLACE: dict[str, str | None] = {"DimSize": "4 3 1", "ElementSpacing": "0.5 0.25 5", "Offset": "0 0 40"}
"""Where the scan lies; a TIFF of 4 by 3 voxels of tests/unit lies there as well."""
IN_PLACE = mha(bytes(12), **PLACE)
FIELD = mha(
    bytes(36),
    NDims="4",
    DimSize="4 3 1 3",
    ElementSpacing="0.5 0.25 5 1",
    Offset="0 0 40 0",
    TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
)
SEGMENTS = [{"name": "Lesion", "voxelValue": 1}]
IMAGES: dict[str, tuple[Object, str, bytes]] = {
    "photo": ({"kind": "Image"}, ".tif", tiff(Page(samples=3, voxels=bytes(36)))),
    "lesion": ({"kind": "Segmentation", "overlaySegments": SEGMENTS}, ".mha", IN_PLACE),
    "lesion-flat": (
        {"kind": "Segmentation", "overlaySegments": SEGMENTS},
        ".tif",
        tiff(Page(changes={Tag.MINIMUM: (SHORT, [0]), Tag.MAXIMUM: (SHORT, [1])})),
    ),
    "heat": ({"kind": "Heat Map"}, ".mha", IN_PLACE),
    "shift": ({"kind": "Displacement field"}, ".mha", FIELD),
}
LARGE = [kind for kind in KINDS.values() if kind.form is Form.JSON and kind.super_kind is SuperKind.FILE]
SMALL = [kind for kind in KINDS.values() if kind.form is Form.JSON and kind.super_kind is SuperKind.VALUE]
JSON = [*LARGE, *SMALL][: 32 - len(IMAGES) - len(FILES)]
"""As many as an interface may have beside the others; the rest is held against its schemas in tests/unit."""


def slug_of(kind: str) -> str:
    return "out-" + kind.lower().replace(" ", "-")


def writes(files: dict[str, bytes]) -> list[Any]:
    """The step of the probe that writes these files."""
    coded = {path: base64.b64encode(data).decode() for path, data in files.items()}
    return [
        "python",
        f"import base64\nfor path, data in {coded!r}.items():\n    _place(path).write_bytes(base64.b64decode(data))",
    ]


def everything() -> dict[str, bytes]:
    """One output of each kind, by its path below /output."""
    return {
        **{f"images/{slug}/any{suffix}": data for slug, (_, suffix, data) in IMAGES.items()},
        **{f"{slug_of(kind)}{FILE_SUFFIXES[kind]}": data for kind, data in FILES.items()},
        **{f"{slug_of(kind.label)}.json": json.dumps(kind.example).encode() for kind in JSON},
    }


@pytest.fixture(scope="module")
def started(module_namespace: Namespace) -> Started:
    """A job that writes everything, one that writes nothing right, one whose mask lies elsewhere; all started."""
    namespace = module_namespace
    store = namespace.store()
    store.put("scan.mha", IN_PLACE)
    inputs = [SCRIPT, SCAN]
    namespace.algorithm(
        "everything",
        inputs=inputs,
        outputs=[
            *({"slug": slug, **socket} for slug, (socket, _, _) in IMAGES.items()),
            *({"slug": slug_of(kind), "kind": kind} for kind in FILES),
            *({"slug": slug_of(kind.label), "kind": kind.label} for kind in JSON),
        ],
    )
    namespace.algorithm(
        "wrong",
        inputs=inputs,
        outputs=[
            {"slug": "heat", "kind": "Heat Map"},
            {"slug": "photo", "kind": "Image"},
            {"slug": slug_of(SocketKind.PDF), "kind": SocketKind.PDF},
            {"slug": slug_of(SocketKind.CSV), "kind": SocketKind.CSV},
            {"slug": "age", "kind": "Integer", "schema": {"maximum": 150}},
        ],
    )
    namespace.algorithm(
        "warned", inputs=inputs, outputs=[{"slug": "heat", "kind": "Heat Map", "geometryCheck": "Warn"}]
    )
    elsewhere = mha(bytes(12), DimSize="4 3 1")
    wrong = {
        "images/heat/x.mha": elsewhere,
        "images/photo/x.nii.gz": b"\x1f\x8b",
        f"{slug_of(SocketKind.PDF)}.pdf": b"<html>",
        "age.json": b"151",
    }
    tasks = {"everything": everything(), "wrong": wrong, "warned": {"images/heat/x.mha": elsewhere}}
    image = {"slug": "scan", "store": {"name": store.name, "paths": ["scan.mha"]}}
    jobs = {
        name: namespace.job(name, algorithm=name, do=[writes(files)], inputs=[image])
        for name, files in tasks.items()
    }
    return store, jobs


def test_an_output_of_every_kind_is_kept_as_it_was_written(started: Started) -> None:
    store, jobs = started
    job = jobs["everything"]
    status = job.wait("Succeeded")
    written = everything()
    kept = store.files(job)
    outputs = {each["slug"]: each for each in status["outputs"]}
    assert len(outputs) == len(written) == 32
    for path, data in written.items():
        slug = path.split("/")[1] if path.startswith("images/") else path.partition(".")[0]
        name = f"{slug}.{path.rpartition('.')[2]}"
        output = outputs[slug]
        assert kept[name] == data, name
        assert output["path"] == f"{job.folder()}/{name}"
        assert (output["bytes"], output["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert "value" not in output
        assert ("image" in output) == path.startswith("images/")
    assert outputs["lesion-flat"]["image"]["spacing"] == [0.5, 0.25]
    assert job.condition("GeometryMismatch") is None


def test_all_that_is_wrong_is_told_at_once(started: Started) -> None:
    store, jobs = started
    status = jobs["wrong"].wait("Failed")
    assert (status["reason"], status["blame"]) == ("OutputInvalid", "algorithm")
    kept = store.files(jobs["wrong"])
    found = {each["slug"]: each["message"] for each in json.loads(kept["failure.json"])["findings"]}
    assert found["heat"] == (
        'The image produced in "images/heat" is not valid. It does not lie on input "scan": its spacing is '
        "(1, 1, 1) mm, not (0.5, 0.25, 5) mm; its origin is (0, 0, 0) mm, not (0, 0, 40) mm. With SimpleITK, before "
        "it is written: output.CopyInformation(input)."
    )
    assert found["photo"].startswith(
        'No output images could be imported from "images/photo". "x.nii.gz" is no .mha file'
    )
    assert found["out-pdf-file"] == (
        'The output file "out-pdf-file.pdf" is not valid. It is no PDF file: it does not begin with %PDF-.'
    )
    assert found["out-csv-file"] == 'Output file "out-csv-file.csv" was not produced'
    assert found["age"].startswith('The output file "age.json" is not valid. JSON does not fulfill schema')
    assert found["heat"] in status["message"]
    assert not [name for name in kept if "/" not in name and name != "failure.json"]


def test_where_geometry_only_warns_the_job_succeeds(started: Started) -> None:
    store, jobs = started
    jobs["warned"].wait("Succeeded")
    condition = jobs["warned"].condition("GeometryMismatch")
    assert condition is not None
    assert condition["status"] == "True"
    assert condition["message"].startswith(
        'heat: It does not lie on input "scan": its spacing is (1, 1, 1) mm, not (0.5, 0.25, 5) mm'
    )
    assert "heat.mha" in store.files(jobs["warned"])
