"""ImageImports: files become one image that jobs use, or it is told why not; and the Pod that reads them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.e2e.harness import SCRIPT, ApiError, Namespace, Object, Store, eventually
from tests.unit.steps import dicom
from tests.unit.steps.mha import mha

LOOK = """
import hashlib, pathlib
(image,) = pathlib.Path("/input/images/head").iterdir()
report["sha256"] = hashlib.sha256(image.read_bytes()).hexdigest()
"""
DO = [["python", LOOK], ["write_report"]]
HEAD: Object = {"slug": "head", "kind": "Image"}
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Import:
    """One ImageImport."""

    namespace: Namespace
    name: str
    uid: str

    @property
    def status(self) -> Object:
        """Its status, {} before the operator wrote one."""
        body = self.namespace.kube.get("imageimports", self.name, self.namespace.name)
        assert body is not None
        found: Object = body.get("status") or {}
        return found

    def wait(self, *states: str, timeout: float = 90) -> Object:
        """The status once it is in one of these states."""

        def look() -> Object | None:
            status = self.status
            state = status.get("state")
            assert state in states or state not in ENDED, status
            return status if state in states else None

        return eventually(look, timeout, f"import {self.name} is {' or '.join(states)}")

    def pods(self) -> list[Object]:
        """Its Pods."""
        labels = f"algorithm-operator.dev/import={self.name}"
        return self.namespace.kube.list("pods", self.namespace.name, labels)


def start(namespace: Namespace, name: str, *paths: str, store: str = "results", **spec: Any) -> Import:
    body = {"source": {"name": store, "paths": list(paths)}, **spec}
    created = namespace.kube.create(
        "imageimports", {"kind": "ImageImport", "metadata": {"name": name}, "spec": body}, namespace.name
    )
    return Import(namespace, name, created["metadata"]["uid"])


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    """A series, an image, and what is neither; the Algorithm that takes an image."""
    store = module_namespace.store()
    dicom.series(store.root / "series", dicom.volume())
    for path in (store.root / "series", *(store.root / "series").iterdir()):
        path.chmod(0o755)
    for number in (1, 2):
        other = dicom.dataset(
            np.zeros((2, 2), "i2"), SeriesInstanceUID=f"1.2.3.{number}", SOPInstanceUID=f"1.2.{number}"
        )
        dicom.write(store.root / "both" / f"{number}.dcm", other)
    store.put("t1.mha", mha())
    store.put("notes.txt", b"no image")
    module_namespace.algorithm("look", inputs=[SCRIPT, HEAD])
    return store


@pytest.fixture(scope="module")
def imports(module_namespace: Namespace, store: Store) -> dict[str, Import]:
    """All imports, started at once."""
    wanted: dict[str, list[str]] = {
        "series": ["series/"],
        "kept": ["t1.mha"],
        "both": ["both/"],
        "notes": ["notes.txt"],
        "nothing": ["nothing/"],
    }
    return {name: start(module_namespace, name, *paths) for name, paths in wanted.items()}


@pytest.mark.parametrize("name", ["series", "kept"])
def test_files_become_one_image_and_a_job_reads_it(
    module_namespace: Namespace, store: Store, imports: dict[str, Import], name: str
) -> None:
    head = {"slug": "head", "imageImport": {"name": name}}
    job = module_namespace.job(f"of-{name}", algorithm="look", do=DO, inputs=[head])
    one = imports[name]
    image = one.wait("Succeeded")["image"]
    assert image["path"] == f"imports/{name}/{one.uid}/{one.uid}.mha"
    data = (store.root / image["path"]).read_bytes()
    assert (image["bytes"], image["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert [file.name for file in (store.root / image["path"]).parent.iterdir()] == [f"{one.uid}.mha"]
    if name == "kept":
        assert data == mha()
    job.wait("Succeeded")
    assert json.loads(store.files(job)["results.json"])["sha256"] == image["sha256"]
    eventually(lambda: not one.pods(), 30, "its Pod goes")


REFUSED = {
    "both": ("the files are of 2 series", ["both/1.dcm", "both/2.dcm"]),
    "notes": ("no image in a format that is read", ["notes.txt"]),
    "nothing": ('"nothing/" does not exist in DataStore results', ["nothing/"]),
}


@pytest.mark.parametrize(("name", "says", "files"), [(k, *v) for k, v in REFUSED.items()], ids=REFUSED)
def test_bad_files_are_told_by_file(
    imports: dict[str, Import], store: Store, name: str, says: str, files: list[str]
) -> None:
    status = imports[name].wait("Failed")
    assert (status["reason"], status["blame"]) == ("FilesInvalid", "input")
    assert says in status["message"]
    assert [each["name"] for each in status["files"]] == files
    assert list((store.root / "imports" / name).rglob("*.mha")) == []


def test_a_job_of_a_failed_import_is_refused_in_its_words(
    module_namespace: Namespace, imports: dict[str, Import]
) -> None:
    head = {"slug": "head", "imageImport": {"name": "notes"}}
    status = module_namespace.job("of-notes", algorithm="look", do=DO, inputs=[head]).wait("Failed")
    assert (status["reason"], status["blame"]) == ("InputInvalid", "input")
    assert 'import "notes" failed: The files are not one image that can be imported' in status["message"]


def test_what_is_not_there_is_waited_for(module_namespace: Namespace, store: Store) -> None:
    one = start(module_namespace, "early", "t1.mha", store="later")
    status = one.wait("Pending")
    assert (status["reason"], one.pods()) == ("StoreNotFound", [])
    module_namespace.datastore("later", claim="nowhere")
    eventually(lambda: one.status["reason"] == "ClaimNotFound", 20, "it waits for the claim")
    assert "claim nowhere" in one.status["message"]
    module_namespace.kube.delete("datastores", "later", module_namespace.name)
    module_namespace.datastore("later", claim=store.name)
    one.wait("Succeeded")


def test_a_pod_that_is_taken_away_is_made_anew(module_namespace: Namespace, store: Store) -> None:
    one = start(module_namespace, "taken", "series/")
    pod = eventually(lambda: next(iter(one.pods()), None), 30, "its Pod is there")
    module_namespace.kube.delete("pods", pod["metadata"]["name"], module_namespace.name)
    status = one.wait("Succeeded")
    assert status.get("failures", 0) <= 1  # it may have been faster
    assert (store.root / status["image"]["path"]).exists()


def test_its_pod_is_sealed_and_sees_only_what_is_named(module_namespace: Namespace, store: Store) -> None:
    one = start(module_namespace, "seen", "series/", "t1.mha")
    pod = eventually(lambda: next(iter(one.pods()), None), 30, "its Pod is there")
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert set(mounts) == {"/plan", "/scratch", "/store", "/stores/0/0", "/stores/0/1"}
    assert mounts["/store"]["subPath"] == f"imports/seen/{one.uid}"
    assert [mounts[f"/stores/0/{number}"]["subPath"] for number in (0, 1)] == ["series", "t1.mha"]
    assert all(mounts[f"/stores/0/{number}"]["readOnly"] for number in (0, 1))
    one.wait("Failed")


def test_an_import_does_not_change_and_its_end_is_final(imports: dict[str, Import]) -> None:
    one = imports["kept"]
    one.wait("Succeeded")
    kube, namespace = one.namespace.kube, one.namespace.name
    with pytest.raises(ApiError, match="kind cannot be changed"):
        kube.patch("imageimports", one.name, {"spec": {"kind": "Heat Map"}}, namespace)
    kube.patch("imageimports", one.name, {"spec": {"ttlSecondsAfterFinished": 0}}, namespace)
    eventually(lambda: kube.get("imageimports", one.name, namespace) is None, 30, "it is deleted")
