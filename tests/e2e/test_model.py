"""A model: from a store or an image, read-only in the box, and part of what the result is the result of."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest

from tests.e2e.conftest import HERE, cluster_command
from tests.e2e.harness import Job, Namespace, Object, Store

LOOK = """
import os, pathlib
root = pathlib.Path("/opt/ml/model")
found = sorted(path for path in root.rglob("*") if path.is_file())
report["files"] = {str(path.relative_to(root)): path.read_text() for path in found}
report["modes"] = sorted({oct(path.stat().st_mode & 0o7777) for path in found})
for what in (root / "new", found[0]):
    try:
        what.write_text("changed")
    except OSError as error:
        report.setdefault("refused", []).append(os.strerror(error.errno))
"""
DO = [["python", LOOK], ["write_report"]]
FILES = {"config.json": b"{}", "weights/a.bin": b"weights of v3"}


def archive(files: dict[str, bytes]) -> bytes:
    """A .tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def weights(module_namespace: Namespace) -> Store:
    """A store with models."""
    store = module_namespace.store("weights", default=False)
    store.put("unet/v3.tar.gz", archive(FILES))
    store.put("unet/evil.tar.gz", archive({"fine": b"x", "../../../../tmp/evil": b"x"}))
    for name, data in FILES.items():
        store.put(f"unet/v3/{name}", data)
    return store


@pytest.fixture(scope="module")
def results(module_namespace: Namespace) -> Store:
    """Where outputs go."""
    return module_namespace.store()


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, weights: Store, results: Store) -> dict[str, Job]:
    """One job a kind of model, all started."""
    namespace = module_namespace
    image = cluster_command("build", "algorithm-operator/weights", str(HERE / "images" / "weights"))
    models: dict[str, Object] = {
        "archive": {"store": {"name": "weights", "path": "unet/v3.tar.gz"}},
        "folder": {"store": {"name": "weights", "path": "unet/v3"}},
        "image": {"image": {"reference": image}, "path": "/weights"},
        "evil": {"store": {"name": "weights", "path": "unet/evil.tar.gz"}},
        "gone": {"store": {"name": "weights", "path": "unet/v9.tar.gz"}},
        "pinned": {"store": {"name": "weights", "path": "unet/v3.tar.gz"}, "sha256": "0" * 64},
    }
    for name, model in models.items():
        namespace.algorithm(name, model=model, ready=False)
    started = {name: namespace.job(name, algorithm=name, do=DO) for name in models}
    return {**started, "again": namespace.job("again", algorithm="archive", do=DO)}


def record(results: Store, job: Job) -> tuple[Object, Object]:
    """What the algorithm saw, and the manifest, of a job that succeeds."""
    status = job.wait("Succeeded", timeout=150)
    kept = results.files(job)
    manifest = kept["manifest.json"]
    assert hashlib.sha256(manifest).hexdigest() == status["manifest"]["sha256"]
    return json.loads(kept["results.json"]), json.loads(manifest)


def identity(manifest: Object) -> str:
    """As docs/internals.md says it, by somebody who has the manifest alone."""
    whole = {
        "image": manifest["algorithm"]["imageDigest"],
        "model": manifest["model"]["sha256"],
        "inputs": sorted(
            ({"slug": each["slug"], "sha256": each["sha256"]} for each in manifest["inputs"]),
            key=lambda each: str(each["slug"]),
        ),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def test_an_archive_of_a_store(results: Store, weights: Store, jobs: dict[str, Job]) -> None:
    seen, manifest = record(results, jobs["archive"])

    assert seen["files"] == {name: data.decode() for name, data in FILES.items()}
    assert seen["modes"] == ["0o444"]
    assert seen["refused"] == ["Read-only file system"] * 2
    sha256 = hashlib.sha256((weights.root / "unet/v3.tar.gz").read_bytes())
    assert manifest["model"] == {
        "source": "store:weights/unet/v3.tar.gz",
        "bytes": sum(map(len, FILES.values())),
        "files": 2,
        "sha256": sha256.hexdigest(),
    }
    assert manifest["identity"] == identity(manifest)


def test_the_same_again_has_the_same_identity_and_another_model_has_not(
    results: Store, jobs: dict[str, Job]
) -> None:
    first = record(results, jobs["archive"])[1]["identity"]
    assert record(results, jobs["again"])[1]["identity"] == first
    seen, manifest = record(results, jobs["folder"])
    assert seen["files"] == {name: data.decode() for name, data in FILES.items()}
    listed = "".join(f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}\n" for name in sorted(FILES))
    assert manifest["model"]["sha256"] == hashlib.sha256(listed.encode()).hexdigest()
    assert manifest["identity"] == identity(manifest) != first


def test_a_folder_of_an_image(results: Store, jobs: dict[str, Job]) -> None:
    seen, manifest = record(results, jobs["image"])

    assert seen["files"] == {"model.bin": "layers of an image\n"}
    assert seen["refused"] == ["Read-only file system"] * 2
    assert manifest["model"]["source"].startswith("image:")
    assert manifest["model"]["source"].endswith("/weights")
    assert "@sha256:" in manifest["model"]["source"]


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("evil", "ModelInvalid", 'Tarfile could not be extracted: the name "../../../../tmp/evil" is not'),
        ("gone", "ModelNotFound", 'there is no "unet/v9.tar.gz" in DataStore weights'),
        ("pinned", "ModelInvalid", f"but spec.model.sha256 asks for {'0' * 64}"),
    ],
)
def test_a_model_that_is_none(jobs: dict[str, Job], name: str, reason: str, words: str) -> None:
    status = jobs[name].wait("Failed", timeout=150)

    assert (status["reason"], status["blame"]) == (reason, "algorithm")
    assert status["message"].startswith("Could not set up model: ")
    assert words in status["message"]
    assert len(status["attempts"]) == 1, "it was tried again"
