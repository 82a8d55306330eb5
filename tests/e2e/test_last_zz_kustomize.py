"""Without Helm: what `kubectl apply -k deploy` and the example's kustomization bring up, and that both leave again.

Takes the operator and its CRDs from everybody on the cluster, so it is the very last; it puts nothing back.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from scripts.install_operator import NAMESPACE, RELEASE, images
from tests.cluster.settings import BIN, KUBECONFIG, PROJECT, REGISTRY
from tests.e2e.kube import Kube, Object, eventually

JOBS: Final = "imaging"  # as deploy/namespace.yaml has it
EXAMPLE: Final = PROJECT / "examples" / "brain-tissue"
CRDS: Final = tuple(
    f"{kind}.algorithm-operator.dev" for kind in ("algorithmjobs", "algorithms", "datastores")
)


def run(*command: str | Path, code: int = 0, timeout: float = 60) -> str:
    """stdout of a command on the test cluster; kubectl finds its plugin."""
    path = f"{Path(sys.executable).parent}:{BIN}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PATH": path, "KUBECONFIG": str(KUBECONFIG)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def nothing_left(kube: Kube, *namespaces: str) -> None:
    """Waits until the namespaces and our CRDs are gone: a finalizer that nobody takes off would keep them."""

    def gone() -> bool:
        crds = run("kubectl", "get", "crd", "-o", "name").split()
        return not any(name.partition("/")[2] in CRDS for name in crds) and not any(
            kube.get("namespaces", namespace) for namespace in namespaces
        )

    eventually(gone, 60, f"{', '.join((*namespaces, *CRDS))} are gone", every=1)


def overlay(folder: Path, base: Path, pictures: dict[str, str], **more: object) -> Path:
    """A kustomization on `base` with `pictures` (image name: reference by digest) for its images."""
    folder.mkdir(parents=True)
    shutil.copy(base / "image-fields.yaml", folder)
    replaced = [
        {"name": name, "newName": reference.partition("@")[0], "digest": reference.partition("@")[2]}
        for name, reference in pictures.items()
    ]
    text = {
        "resources": [os.path.relpath(base, folder)],
        "configurations": ["image-fields.yaml"],
        "images": replaced,
        **more,
    }
    (folder / "kustomization.yaml").write_text(json.dumps(text))
    return folder


@pytest.fixture(scope="module")
def overlays() -> Iterator[tuple[Path, Path]]:
    """Overlays of deploy/ and of the example with this checkout's images and what the test cluster needs."""
    root = PROJECT / "build" / f"kustomize-{uuid.uuid4().hex[:8]}"  # kustomize wants relative paths
    built = images()
    deployment: Object = {
        "env": [{"name": "AO_INSECURE_REGISTRIES", "value": REGISTRY}],
        "name": "operator",
        "resources": {"requests": {"cpu": "0"}},
    }
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": RELEASE, "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"tolerations": [toleration], "containers": [deployment]}}},
    }
    ours = {f"ghcr.io/algorithm-operator/{name}": built[name] for name in ("operator", "steps")}
    operator = overlay(root / "operator", PROJECT / "deploy", ours, patches=[{"patch": json.dumps(patch)}])
    theirs = {"registry.example.org/brain-tissue": built["brain-tissue"]}
    yield operator, overlay(root / "example", EXAMPLE, theirs, namespace=JOBS)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def bare(cluster: Kube) -> Kube:
    """No release, no CRDs, no job namespace."""

    # Namespaces of the tests before are on their way out, and the operator has to let go of the Pods in them.
    def settled() -> bool:
        return not any(n["metadata"].get("deletionTimestamp") for n in cluster.list("namespaces"))

    eventually(settled, 90, "the namespaces of other tests are gone", every=1)
    cluster.delete("namespaces", JOBS)
    eventually(lambda: cluster.get("namespaces", JOBS) is None, 60, f"namespace {JOBS} is gone", every=1)
    run("helm", "uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")
    run("kubectl", "delete", "crd", *CRDS, "--ignore-not-found")
    cluster.delete("namespaces", NAMESPACE)
    nothing_left(cluster, NAMESPACE, JOBS)
    return cluster


def test_operator_and_example_come_up_from_kustomizations_and_leave_again(
    bare: Kube, overlays: tuple[Path, Path], tmp_path: Path
) -> None:
    operator, example = overlays
    mri = tmp_path / "t1.mha"
    making = subprocess.Popen([sys.executable, str(EXAMPLE / "make_input.py"), str(mri)])

    run("kubectl", "apply", "-k", operator)
    run("kubectl", "rollout", "status", "-n", NAMESPACE, f"deployment/{RELEASE}", "--timeout=60s")
    run("kubectl", "apply", "-k", example)
    run("kubectl", "wait", "-n", JOBS, "algorithm/brain-tissue", "--for=condition=Ready", "--timeout=30s")
    assert making.wait(60) == 0
    run("kubectl", "algorithm", "upload", "-n", JOBS, mri, "imaging:cases/mni152/t1.mha")
    run("kubectl", "apply", "-n", JOBS, "-f", EXAMPLE / "job.yaml")
    run(
        "kubectl",
        "wait",
        "-n",
        JOBS,
        "algorithmjob/mni152",
        "--for=condition=Complete",
        "--timeout=90s",
        timeout=100,
    )
    job = bare.get("algorithmjobs", "mni152", JOBS)
    assert job is not None
    assert job["status"]["state"] == "Succeeded"

    # Nothing of what was applied was changed by the server, the operator or a default: GitOps tools stay quiet.
    for kustomization in overlays:
        assert run("kubectl", "diff", "-k", kustomization) == ""

    started = time.monotonic()
    # The job first: its Pod is kept with it, and Kubernetes keeps a claim as long as a Pod names it.
    run("kubectl", "delete", "-n", JOBS, "-f", EXAMPLE / "job.yaml")
    run("kubectl", "delete", "-k", example, timeout=90)
    run("kubectl", "delete", "-k", operator, timeout=90)
    nothing_left(bare, NAMESPACE, JOBS)
    assert time.monotonic() - started < 90
