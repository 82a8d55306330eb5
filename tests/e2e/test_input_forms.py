"""Inputs of every form in one job: converted, kept or unpacked, and told of in inputs.json and the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from algorithm_operator.contract.manifest import Manifest
from tests.e2e.harness import SCRIPT, Job, Namespace, Store
from tests.unit.steps import dicom
from tests.unit.steps.files import PDF
from tests.unit.steps.test_zips import archive
from tests.unit.steps.tiffs import tiff

sitk: Any = SimpleITK
LOOK = """
import hashlib, pathlib
root = pathlib.Path("/input")
report["files"] = {
    str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(root.rglob("*")) if path.is_file()
}
report["told"] = {each["socket"]["slug"]: each for each in json.loads((root / "inputs.json").read_text())}
voxels = next((root / "images/head").iterdir()).read_bytes().partition(b"ElementDataFile = LOCAL\\n")[2]
report["voxels"] = hashlib.sha256(voxels).hexdigest()
"""
SOCKETS = {
    "head": "Image",
    "chest": "Image",
    "pair": "Image",
    "slide": "Image",
    "series": "DICOM Image Set",
    "letter": "PDF file",
    "bundle": "ZIP file",
}
PATHS = {
    "head": "t1.nii.gz",
    "chest": "chest/",
    "pair": "pair/",
    "slide": "slide.tif",
    "series": "chest/",
    "letter": "letter.pdf",
    "bundle": "bundle.zip",
}
VOXELS = np.arange(4 * 3 * 2, dtype="<i2").reshape(2, 3, 4)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def started(
    module_namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, dict[str, Job]]:
    """A job with an input of each form, and one whose DICOM lacks a slice and whose mask is none; both started."""
    store, folder = module_namespace.store(), tmp_path_factory.mktemp("inputs")
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing([0.5, 0.75, 2])
    sitk.WriteImage(image, folder / "t1.nii.gz")
    (folder / "pair").mkdir()
    sitk.WriteImage(image, folder / "pair/t1.mhd")
    dicom.series(folder / "chest", dicom.volume())
    dicom.series(folder / "gap", dicom.volume(slices=6))
    (folder / "gap/0003.dcm").unlink()
    (folder / "slide.tif").write_bytes(tiff())
    (folder / "letter.pdf").write_bytes(PDF)
    (folder / "bundle.zip").write_bytes(archive([("top/notes/a.txt", b"hello")]))
    for file in folder.rglob("*"):
        if file.is_file():
            store.put(str(file.relative_to(folder)), file.read_bytes())
    inputs = [SCRIPT, *({"slug": slug, "kind": kind} for slug, kind in SOCKETS.items())]
    module_namespace.algorithm("forms", inputs=inputs)
    segments = [{"name": "Lesion", "voxelValue": 1}]
    mask = {"slug": "mask", "kind": "Segmentation", "overlaySegments": segments}
    module_namespace.algorithm("two", inputs=[SCRIPT, {"slug": "chest", "kind": "Image"}, mask])

    def job(algorithm: str, paths: dict[str, str]) -> Job:
        given = [
            {"slug": slug, "store": {"name": store.name, "paths": [path]}} for slug, path in paths.items()
        ]
        return module_namespace.job(
            algorithm, algorithm=algorithm, do=[["python", LOOK], ["write_report"]], inputs=given
        )

    return store, {"forms": job("forms", PATHS), "two": job("two", {"chest": "gap/", "mask": "t1.nii.gz"})}


def test_each_form_is_laid_out_as_its_kind_says(
    started: tuple[Store, dict[str, Job]], tmp_path: Path
) -> None:
    store, jobs = started
    jobs["forms"].wait("Succeeded")
    kept = store.files(jobs["forms"])
    seen = json.loads(kept["results.json"])
    manifest = {each.slug: each for each in Manifest.model_validate_json(kept["manifest.json"]).inputs}
    images = {slug: seen["told"][slug]["image"]["pk"] for slug in ("head", "chest", "pair", "slide")}
    expected = {
        "script.json", "inputs.json", "letter.pdf", "a.txt",
        *(f"images/{slug}/{pk}{'.tif' if slug == 'slide' else '.mha'}" for slug, pk in images.items()),
        *(f"images/series/1.2.3.4.{number}.dcm" for number in range(1, 5)),
    }  # fmt: skip
    assert set(seen["files"]) == expected
    assert seen["files"]["letter.pdf"] == sha256(PDF)
    assert seen["files"]["a.txt"] == sha256(b"hello")
    assert seen["files"][f"images/slide/{images['slide']}.tif"] == sha256(tiff())
    assert seen["voxels"] == sha256(VOXELS.tobytes())
    for slug, form, files in (("head", "NIfTI", 1), ("chest", "DICOM", 4), ("pair", "MetaImage", 2)):
        record = manifest[slug]
        assert record.sha256 == seen["files"][f"images/{slug}/{images[slug]}.mha"]
        assert record.conversion is not None
        assert (record.conversion.format, record.conversion.files) == (form, files)
    head, chest = manifest["head"].image, manifest["chest"].image
    assert head is not None
    assert chest is not None
    assert (head.spacing, head.size) == ([0.5, 0.75, 2], [4, 3, 2])
    assert (chest.spacing, chest.size) == ([0.5, 0.75, 2.5], [5, 3, 4])


def test_inputs_that_are_not_valid_are_the_owners_to_mend_and_all_told(
    started: tuple[Store, dict[str, Job]],
) -> None:
    status = started[1]["two"].wait("Failed")
    assert status["reason"] == "InputInvalid"
    assert status["blame"] == "input"
    assert 'Input "chest" is not valid: 1 slice(s) are missing' in status["message"]
    assert "The valid voxel values for this segmentation are: {0, 1}." in status["message"]
