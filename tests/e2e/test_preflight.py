"""preflight on the real cluster: what is right passes; what is wrong fails with the fix, and the fix works."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.settings import KUBECONFIG, NODE_NAME
from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import Namespace, Object, eventually
from tests.e2e.kube import Kube
from tests.e2e.preflight import COMMAND, Result, preflight

OPENING: Object = {
    "kind": "NetworkPolicy",
    "metadata": {"name": "allow-dns"},
    "spec": {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
    },
}
PREFIX = "algorithm-operator-preflight-"


@pytest.fixture(scope="module")
def healthy(make_namespace: MakeNamespace) -> Result:
    """What it says of a namespace that is as the chart makes it, with a DataStore; and of the network."""
    namespace = make_namespace("preflight-good")
    namespace.store()
    return preflight("-n", namespace.name)


@pytest.fixture
def paper_node(operator: Kube) -> Iterator[str]:
    """A node on paper with what is wrong with nodes: a GPU that is shared, an old runtime and kubelet, a taint."""
    name = f"preflight-{uuid.uuid4().hex[:6]}"
    node: Object = {
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "node.kubernetes.io/instance-type": "simulated-t4-16gb",
                "nvidia.com/gpu.sharing-strategy": "time-slicing",
            },
        },
        "spec": {"taints": [{"key": "preflight", "value": "paper", "effect": "NoSchedule"}]},
    }
    operator.create("nodes", node)
    status = {
        "allocatable": {"cpu": "4", "memory": "14Gi", "ephemeral-storage": "100Gi", "nvidia.com/gpu": "4"},
        "capacity": {"cpu": "4", "memory": "16Gi", "ephemeral-storage": "120Gi", "nvidia.com/gpu": "4"},
        "nodeInfo": {
            **dict.fromkeys(
                ("architecture", "bootID", "machineID", "operatingSystem", "osImage", "systemUUID"), ""
            ),
            "kernelVersion": "5.15.0",
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.32.9",
            "containerRuntimeVersion": "containerd://2.2.4",
        },
    }
    operator.patch("nodes", name, {"status": status}, sub="status")
    yield name
    operator.delete("nodes", name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "kubernetes-version",
            "image-volumes",
            "operator",
            "versions",
            "custom-resources",
            "lease",
            "canary",
        ),
        *("admission-policies", "nodes-of-T4", "taints-of-T4", "gpu-sharing", "container-runtime"),
        *("supplemental-groups", "pod-pids-limit", "swap", "container-logs", "eviction", "storage-class"),
        *(
            "node-addresses",
            "pod-security",
            "deny-all-policy",
            "opening-policies",
            "guarded",
            "default-store",
        ),
        *("store results", "quota-for-T4", "limits-for-T4"),
    ],
)
def test_what_is_right_passes(healthy: Result, name: str) -> None:
    check = healthy.check(name)
    assert check["level"] == "pass", check


def test_enforcement_was_seen_from_inside(healthy: Result, operator: Kube) -> None:
    check = healthy.check("policy-enforcement")
    # kube-router closes a Pod 0.1 to 0.3 s after its start, Python is there after about as long.
    assert check["level"] in ("pass", "warn"), check
    assert f"On {NODE_NAME}" in check["seen"]
    assert "canary" in check["seen"]
    assert "API server" in check["seen"]
    left = [
        namespace["metadata"]["name"]
        for namespace in operator.list("namespaces")
        if namespace["metadata"]["name"].startswith(PREFIX)
        and "deletionTimestamp" not in namespace["metadata"]
    ]
    assert left == []


def test_the_arithmetic_of_the_nodes_room(healthy: Result, operator: Kube) -> None:
    check = healthy.check("room-for-a-T4-job")
    assert "24G = 22.4 GiB for the algorithm" in check["seen"]
    cpu = (operator.get("nodes", NODE_NAME) or {})["status"]["allocatable"]["cpu"]
    if cpu == "2":  # the algorithm's 2, and those of collect
        assert check["level"] == "fail"
        assert f"2 of cpu ({NODE_NAME})" in check["seen"]
        assert "Larger nodes" in check["fix"]


def test_what_is_wrong_fails_with_a_fix_that_works(
    operator: Kube, make_namespace: MakeNamespace, paper_node: str
) -> None:
    namespace = make_namespace("preflight-bad", restricted=False)
    name = namespace.name
    operator.create("networkpolicies", OPENING, name)
    namespace.datastore("results", claim="nowhere")
    quota = {
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"requests.memory": "8Gi"}},
    }
    operator.create("resourcequotas", quota, name)
    bounds = {"limits": [{"type": "Container", "max": {"memory": "4Gi"}}]}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "low"}, "spec": bounds}
    operator.request("POST", f"/api/v1/namespaces/{name}/limitranges", body)

    bad = preflight("-n", name, "--no-probe")

    assert bad.code == 1
    words = {
        "pod-security": ("fail", "pod-security.kubernetes.io/enforce=restricted"),
        "guarded": ("warn", "algorithm-operator.dev/jobs=true"),
        "opening-policies": ("fail", "delete networkpolicy allow-dns"),
        "store results": ("fail", "nowhere"),
        "default-store": ("warn", "default"),
        "quota-for-T4": ("fail", "Raise the ResourceQuota"),
        "limits-for-T4": ("fail", "container algorithm may use 22.4 GiB of memory, allowed are 4Gi"),
        "gpu-sharing": ("fail", f"time-slicing ({paper_node})"),
        "container-runtime": ("fail", "CVE-2026-53488"),
        "kubernetes-version": ("fail", f"v1.32.9 (kubelet of {paper_node})"),
        "supplemental-groups": ("fail", "containerd 2.0"),
        "room-for-a-T4-16GB-job": ("fail", f"14.0 GiB of memory ({paper_node})"),
        "taints-of-T4-16GB": ("fail", "preflight=paper:NoSchedule"),
        "nodes-of-Nowhere": ("warn", "gpuTypes.Nowhere"),
        "policy-enforcement": ("unknown", "--no-probe"),
    }
    for check, (level, said) in words.items():
        found = bad.check(check)
        assert (found["level"], said in f"{found['seen']} {found['fix']}") == (level, True), found

    for check in ("pod-security", "guarded"):
        subprocess.run(shlex.split(bad.check(check)["fix"]), check=True, stdout=subprocess.DEVNULL)
    operator.delete("networkpolicies", "allow-dns", name)
    operator.delete("nodes", paper_node)
    good = preflight("-n", name, "--no-probe")
    mended = (
        "pod-security",
        "guarded",
        "opening-policies",
        "gpu-sharing",
        "container-runtime",
        "kubernetes-version",
    )
    assert {check: good.level(check) for check in mended} == dict.fromkeys(mended, "pass")


def test_a_viewer_learns_which_rights_are_missing(
    operator: Kube, make_namespace: MakeNamespace, tmp_path: Path
) -> None:
    namespace = make_namespace("preflight-viewer")
    file = _kubeconfig_of_viewer(operator, namespace, tmp_path)

    found = preflight("-n", namespace.name, "--kubeconfig", str(file))

    assert found.code == 0, "what cannot be seen does not fail"
    assert found.level("pod-security") == "pass"
    assert found.level("deny-all-policy") == "pass"
    assert found.level("custom-resources") == "pass"
    assert 'cannot list resource "storageclasses"' in found.check("storage-class")["seen"]
    operator_check = found.check("operator")
    assert operator_check["level"] == "unknown"
    assert 'cannot list resource "deployments"' in operator_check["seen"]
    assert "--operator-namespace" in operator_check["fix"]


def _kubeconfig_of_viewer(operator: Kube, namespace: Namespace, folder: Path) -> Path:
    """A kubeconfig of a ServiceAccount that holds `view` in its namespace."""
    account = operator.service_account(namespace.name, "viewer", "view")
    config = yaml.safe_load(KUBECONFIG.read_text())
    token = account._headers["Authorization"].removeprefix("Bearer ")
    for user in config["users"]:
        user["user"] = {"token": token}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def test_interrupted_it_leaves_nothing_behind(operator: Kube) -> None:
    def ours() -> dict[str, Object]:
        found = operator.list("namespaces", labels="app.kubernetes.io/name=algorithm-operator-preflight")
        return {each["metadata"]["name"]: each for each in found}

    before = set(ours())
    running = subprocess.Popen(
        [COMMAND, "preflight", "-n", "default"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        (name,) = eventually(lambda: set(ours()) - before, 30, "the probe's namespace is there", every=0.1)
        assert name.startswith(PREFIX)
        running.send_signal(signal.SIGINT)
        _, words = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130, words
    body = ours().get(name)
    assert body is None or "deletionTimestamp" in body["metadata"], json.dumps(body)


def test_a_table_for_people(operator: Kube) -> None:
    done = subprocess.run(
        [COMMAND, "preflight", "-n", "no-such-namespace", "--no-probe"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    lines = done.stdout.rstrip().splitlines()
    assert lines[-1].startswith("fail  ")
    assert any("There is no such namespace." in line for line in lines)
    assert any("jobNamespaces=[{name: no-such-namespace, create: true}]" in line for line in lines)
