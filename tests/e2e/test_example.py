"""The example by `kubectl apply -k`, a real MRI, and nothing that GitOps would see as a difference afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from scripts.install_operator import images
from tests.cluster.settings import NODE_NAME, PROJECT
from tests.e2e.harness import Job, Namespace, eventually

EXAMPLE = PROJECT / "examples" / "brain-tissue"


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)


def _overlay(folder: Path, namespace: str, resources: list[str]) -> Path:
    """A kustomization as people write it: the example as its base, their registry, their namespace."""
    repository, _, digest = images()["brain-tissue"].partition("@")
    folder.mkdir()
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": resources,
        "images": [{"name": "registry.example.org/brain-tissue", "newName": repository, "digest": digest}],
        "configurations": ["image-fields.yaml"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    shutil.copy(EXAMPLE / "image-fields.yaml", folder)
    return folder


def test_the_example_by_kustomize_and_no_difference_after_its_job(
    namespace: Namespace, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    base = _overlay(tmp_path / "base", namespace.name, ["../example"])
    applied = _kubectl("apply", "-k", str(base))
    assert applied.returncode == 0, applied.stderr

    # Where `kubectl algorithm upload` would put it; here the volume is made before any Pod asks for it.
    kube = namespace.kube
    selected = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": NODE_NAME}}}
    kube.patch("persistentvolumeclaims", "imaging", selected, namespace.name)
    root = Path(eventually(lambda: namespace.volume_folder("imaging"), 60, "the volume is there"))
    scan = root / "cases/mni152/t1.mha"
    scan.parent.mkdir(parents=True)
    subprocess.run([sys.executable, EXAMPLE / "make_input.py", scan], check=True)

    whole = _overlay(tmp_path / "whole", namespace.name, ["../example", "job.yaml"])
    shutil.copy(EXAMPLE / "job.yaml", whole)
    applied = _kubectl("apply", "-k", str(whole))
    assert applied.returncode == 0, applied.stderr
    body = kube.get("algorithmjobs", "mni152", namespace.name)
    assert body is not None
    status = Job(kube, namespace.name, "mni152", body["metadata"]["uid"]).wait("Succeeded", timeout=150)

    assert {output["slug"] for output in status["outputs"]} == {"tissues", "results"}
    difference = _kubectl("diff", "-k", str(whole))
    assert (difference.returncode, difference.stdout) == (0, "")
    assert _kubectl("apply", "-k", str(whole)).returncode == 0
    # kubectl says "configured" wherever a list has defaults of the server in it; what counts is what the server did.
    for resource, name in (
        ("algorithms", "brain-tissue"),
        ("algorithmjobs", "mni152"),
        ("datastores", "imaging"),
    ):
        found = kube.get(resource, name, namespace.name)
        assert found is not None
        assert found["metadata"]["generation"] == 1
