"""Hostile files on the cluster: two dozen of the corpus (tests/hostile/corpus) as outputs of one job, some as inputs of
a job each, beside a neighbour whose file they point to. All others meet the same code in tests/hostile/test_corpus.py.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import uuid
from pathlib import Path
from typing import Final

import pytest

from algorithm_operator.contract.failure import Finding
from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import SCRIPT, Job, Namespace, Object, Store
from tests.hostile.corpus import INPUTS, OUTPUTS, Output
from tests.hostile.runs import by_entry, place_of, socket_of
from tests.hostile.words import unsafe

WRITTEN: Final = (
    "link-up", "link-to-environ", "link-to-root", "link-beside", "two-names", "pipe", "pipe-image", "file-for-folder",
    "deep", "name-ansi", "name-bytes", "name-image", "closed-file", "data-absolute", "data-list", "size-160-gb",
    "bomb", "segments-undeclared", "tiff-loop", "tiff-strip-outside", "json-deep-lists", "json-key-twice",
    "json-5000-digits", "pdf-behind-html", "png-is-svg", "jpeg-of-fill", "zip-cut", "newick-quotes",
)  # fmt: skip
GIVEN: Final = (
    "in-link-in-folder", "in-data-absolute", "nrrd-data-absolute", "nifti-gz-cut", "dicom-two-series", "dicomdir",
)  # fmt: skip
UNPACK: Final = """
import base64, io, tarfile
with tarfile.open(fileobj=io.BytesIO(base64.b64decode(DATA)), mode="r:xz") as archive:
    archive.extraction_filter = staticmethod(lambda member, path: member)  # also where there is none yet
    archive.extractall("/output")
"""


@pytest.fixture(scope="module")
def secret(make_namespace: MakeNamespace) -> tuple[Path, str]:
    """The volume of a neighbour on the same node, and what its file `secret` holds."""
    store, token = make_namespace("neighbour").store(), f"canary-{uuid.uuid4().hex}"
    store.put("secret", f'"{token}"'.encode())
    return store.root, token


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def staged(module_namespace: Namespace, store: Store, secret: tuple[Path, str]) -> dict[str, Job]:
    """A job for each hostile input, started together."""
    module_namespace.algorithm("reader", inputs=[{"slug": "given", "kind": "Image"}])
    jobs = {}
    for entry in (each for each in INPUTS if each.id in GIVEN):
        entry.write(store.root / entry.id, secret[0])
        given = {"slug": "given", "store": {"name": store.name, "paths": [f"{entry.id}/"]}}
        jobs[entry.id] = module_namespace.job(entry.id, algorithm="reader", inputs=[given])
    return jobs


def declared(entry: Output) -> Object:
    """Its socket, as an Algorithm has it."""
    wire = socket_of(entry).wire()
    return {
        key: wire[key] for key in ("slug", "title", "kind", "relativePath", "overlaySegments") if key in wire
    }


def packed(folder: Path, entries: list[Output], outside: Path) -> str:
    """What the algorithm unpacks into /output, in base64."""
    for entry in entries:
        where = folder / place_of(entry)
        where.parent.mkdir(parents=True, exist_ok=True)
        entry.write(where, outside)
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:xz") as archive:
        for each in sorted(folder.iterdir()):
            archive.add(each, each.name)
    return base64.b64encode(written.getvalue()).decode()


def test_outputs(
    module_namespace: Namespace,
    store: Store,
    secret: tuple[Path, str],
    tmp_path: Path,
    staged: dict[str, Job],
) -> None:
    outside, token = secret
    entries = [each for each in OUTPUTS if each.id in WRITTEN]
    assert len(entries) == len(WRITTEN)
    sockets = [declared(entry) for entry in entries if not entry.beside]
    module_namespace.algorithm("writer", inputs=[SCRIPT], outputs=sockets)
    code = f"DATA = {packed(tmp_path, entries, outside)!r}{UNPACK}"
    job = module_namespace.job("outputs", algorithm="writer", do=[["python", code]])
    status = job.wait("Failed")
    assert (status["reason"], status["blame"]) == ("OutputInvalid", "algorithm")
    assert not unsafe(status["message"])
    kept = store.files(job)
    assert {name for name in kept if not name.startswith("logs/")} == {"failure.json"}
    findings = [Finding.model_validate(each) for each in json.loads(kept["failure.json"])["findings"]]
    told = by_entry(entries, findings)
    assert set(told) == {entry.id for entry in entries}
    for entry in entries:
        assert any(entry.is_said(message) for message in told[entry.id]), (entry.id, told[entry.id])
    assert not any(unsafe(each.message) for each in findings)
    assert not any(token.encode() in data for data in kept.values())
    assert token not in json.dumps(job.body)


@pytest.mark.parametrize("name", GIVEN)
def test_input(staged: dict[str, Job], secret: tuple[Path, str], name: str) -> None:
    (entry,) = (each for each in INPUTS if each.id == name)
    job = staged[name]
    status = job.wait("Failed")
    assert (status["reason"], status["blame"]) == ("InputInvalid", "input")
    assert entry.is_said(status["message"]), status["message"]
    assert not unsafe(status["message"])
    assert secret[1] not in json.dumps(job.body)
