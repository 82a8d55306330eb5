"""An Algorithm that says nothing about resources: exactly the seed's machine, and where it fits.

On T4 nodes that exist on paper only (kwok): 32 GB and 16 GB. The real node takes nothing meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithm_operator.core import quantity
from tests.cluster.settings import NODE_NAME, PROJECT
from tests.e2e.conftest import cluster_command
from tests.e2e.harness import Namespace, eventually
from tests.e2e.kube import Kube

PAPER_NODES = ("kwok-t4-32gb", "kwok-t4-16gb")
GOLDEN: Path = PROJECT / "tests/unit/core/golden/run-pod.yaml"


@pytest.fixture(scope="module")
def paper_nodes(operator: Kube) -> Iterator[None]:
    """The nodes of kwok, and no other."""
    operator.patch("nodes", NODE_NAME, {"spec": {"unschedulable": True}})
    try:
        cluster_command("kwok-nodes", "up")
        yield
    finally:
        for node in PAPER_NODES:
            _clear(operator, node)
        cluster_command("kwok-nodes", "down")
        operator.patch("nodes", NODE_NAME, {"spec": {"unschedulable": None}})


def _clear(kube: Kube, node: str) -> None:
    """Remove the node's Pods: no kubelet ever ends them, and they would hold the GPU of the next node of that name."""
    for pod in kube.list("pods", fields=f"spec.nodeName={node}"):
        meta = pod["metadata"]
        kube.delete("pods", meta["name"], meta["namespace"], grace=0)
        if meta.get("finalizers") and kube.get("pods", meta["name"], meta["namespace"]):
            kube.patch("pods", meta["name"], {"metadata": {"finalizers": None}}, meta["namespace"])


def _differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where `found` lacks or contradicts `expected`; what the server added is fine."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            d
            for key, value in expected.items()
            for d in _differences(value, found.get(key), f"{where}.{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            d
            for i, pair in enumerate(zip(expected, found, strict=True))
            for d in _differences(*pair, f"{where}[{i}]")
        ]
    return [] if expected == found else [f"{where}: {expected!r} != {found!r}"]


@pytest.mark.usefixtures("paper_nodes")
def test_the_default_shape_is_the_golden_one_and_fits_a_machine_of_32_gb(namespace: Namespace) -> None:
    for store in ("cases", "results"):
        namespace.store(store, default=False, gid=2000)
    namespace.algorithm(
        "brain-tissue",
        inputs=[{"slug": "t1-mri", "kind": "Image"}, {"slug": "smoothing", "kind": "Float"}],
        outputs=[
            {
                "slug": "tissues",
                "kind": "Segmentation",
                "overlaySegments": [{"name": "CSF", "voxelValue": 1}],
            },
            {"slug": "results", "kind": "Anything", "storeInStatus": True},
        ],
        resources=None,
        timeLimitSeconds=None,
        collectSeconds=None,
    )
    job = namespace.job(
        "case-001",
        algorithm="brain-tissue",
        inputs=[
            {"slug": "t1-mri", "store": {"name": "cases", "paths": ["case-001/t1.mha"]}},
            {"slug": "smoothing", "value": 1.5},
        ],
        outputStore={"name": "results"},
    )
    pod = eventually(lambda: (p := job.pod()) and p["spec"].get("nodeName") and p, 20, "the Pod has a node")

    assert pod["spec"]["nodeName"] == "kwok-t4-32gb"
    golden = yaml.safe_load(GOLDEN.read_text().replace("job-uid", job.uid))
    expected = golden["spec"]
    # What the installation decides: its images, its small steps, the labels and taints of its nodes.
    for container in [*expected["initContainers"], *expected["containers"]]:
        del container["image"]
    for container in expected["initContainers"]:
        del container["resources"]
    for tolerated in expected.pop("tolerations"):
        assert tolerated in pod["spec"]["tolerations"]
    (term,) = expected.pop("affinity")["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["matchExpressions"][0] == terms["nodeSelectorTerms"][0]["matchExpressions"][0]
    assert _differences(expected, pod["spec"]) == []
    plan, golden_plan = (
        json.loads(body["metadata"]["annotations"]["algorithm-operator.dev/plan"]) for body in (pod, golden)
    )
    assert plan["limits"] == golden_plan["limits"]
    # The seed's figures, in case the golden file is ever wrong.
    (algorithm,) = pod["spec"]["containers"]
    machine = {"cpu": "2", "memory": "24G", "nvidia.com/gpu": "1"}
    for kind in ("limits", "requests"):
        disk = algorithm["resources"][kind].pop("ephemeral-storage")
        assert quantity.parse(disk) >= quantity.parse("30G")
        assert algorithm["resources"][kind] == machine
    assert pod["spec"]["activeDeadlineSeconds"] == 7200
    assert plan["limits"]["threads"] == 512


@pytest.mark.usefixtures("paper_nodes")
def test_a_machine_of_16_gb_is_too_small_and_the_arithmetic_is_told(namespace: Namespace) -> None:
    namespace.algorithm(
        outputs=[{"slug": "results", "kind": "Anything", "storeInStatus": True}],
        resources={"gpu": {"type": "T4-16GB"}},
    )
    job = namespace.job("large", do=[])

    waiting = job.wait_condition("Scheduled", "False", "NodeTooSmall")

    for part in (
        "22.9 GiB of memory (24G = 22.4 GiB for the algorithm",
        "14.0 GiB allocatable",
        "kwok-t4-16gb",
        "T4-16GB",
        "Lower spec.resources",
    ):
        assert part in waiting["message"]
    assert job.state == "Queued"
    pod = job.pod()
    assert pod is not None
    assert "nodeName" not in pod["spec"]
