"""GPU nodes and their kubelets, judged."""

from typing import Any

import pytest

from algorithm_operator.cli.preflight import kubelets, nodes
from algorithm_operator.cli.preflight.checks import Level, Unseen
from algorithm_operator.cli.preflight.facts import installation
from algorithm_operator.core import runtimes
from algorithm_operator.core.settings import GpuType, PodSettings
from tests.unit.cli.preflight_facts import KUBELET, deployment, node, one, told

PODS = installation(deployment()).pods
SHARED = {"nvidia.com/gpu.sharing-strategy": "time-slicing"}


def judged(*found: dict[str, Any], pods: PodSettings = PODS) -> list[Any]:
    return list(nodes.judge(list(found), pods))


def test_a_good_node_passes_everything() -> None:
    found = judged(node())
    assert {check.level for check in found} == {Level.PASS}
    assert {check.name for check in found} == {
        "nodes-of-T4",
        "room-for-a-T4-job",
        "taints-of-T4",
        "gpu-sharing",
        "gpu-driver",
    }


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        pytest.param([], Level.FAIL, ["None of 0 nodes", "gpuTypes.T4.nodeSelectorTerms"], id="no node"),
        pytest.param(
            [node(labels={"nvidia.com/gpu.product": "Tesla-P4"})], Level.FAIL, ["None of 1"], id="another GPU"
        ),
        pytest.param([node(ready=False)], Level.FAIL, ["none is ready"], id="not ready"),
        pytest.param([node(spec={"unschedulable": True})], Level.FAIL, ["none is ready"], id="cordoned"),
        pytest.param(
            [node(allocatable={"nvidia.com/gpu": "0"})], Level.FAIL, ["device plugin"], id="no device plugin"
        ),
        pytest.param(
            [node(), node("b", ready=False)], Level.WARN, ["Not usable", "b"], id="one is not ready"
        ),
        pytest.param([node(), node("b")], Level.PASS, ["2 with 2 nvidia.com/gpu"], id="two"),
    ],
)
def test_number(found: list[dict[str, Any]], level: Level, words: list[str]) -> None:
    told(one(judged(*found), "nodes-of-T4"), level, *words)


def test_a_type_that_no_node_has_is_a_warning_beside_one_that_has() -> None:
    types = {
        **PODS.gpu_types,
        "A100": GpuType([{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]),
    }
    found = judged(node(), pods=PodSettings(PODS.steps_image, types))
    told(one(found, "nodes-of-A100"), Level.WARN, "gpuTypes.A100")
    told(one(found, "nodes-of-T4"), Level.PASS)


def test_no_type_at_all() -> None:
    told(one(judged(node(), pods=PodSettings("image", {})), "gpu-nodes"), Level.FAIL, "gpuTypes")


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        pytest.param(
            [node()],
            Level.PASS,
            [
                "22.9 GiB of memory (24G = 22.4 GiB for the algorithm, 0.5 GiB for collect)",
                "2.5 CPU",
                "29.0 GiB",
            ],
            id="fits, with the arithmetic",
        ),
        pytest.param(
            [node(allocatable={"memory": "14Gi"})],
            Level.FAIL,
            ["14.0 GiB of memory"],
            id="memory (g4dn.xlarge)",
        ),
        pytest.param([node(allocatable={"cpu": "2"})], Level.FAIL, ["2 of cpu"], id="processors"),
        pytest.param(
            [node(allocatable={"ephemeral-storage": "20Gi"})],
            Level.FAIL,
            ["20.0 GiB of ephemeral-storage"],
            id="disk",
        ),
        pytest.param(
            [node(), node("small", allocatable={"memory": "14Gi"})], Level.WARN, ["(small)"], id="one of two"
        ),
    ],
)
def test_room(found: list[dict[str, Any]], level: Level, words: list[str]) -> None:
    told(one(judged(*found), "room-for-a-T4-job"), level, *words)


@pytest.mark.parametrize(
    ("taint", "level"),
    [
        ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, Level.PASS),
        ({"key": "nvidia.com/gpu", "effect": "NoExecute"}, Level.FAIL),
        ({"key": "team", "value": "radiology", "effect": "NoSchedule"}, Level.FAIL),
        ({"key": "team", "value": "radiology", "effect": "PreferNoSchedule"}, Level.PASS),
        ({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}, Level.PASS),
    ],
)
def test_taints(taint: dict[str, str], level: Level) -> None:
    check = one(judged(node(spec={"taints": [taint]})), "taints-of-T4")
    told(check, level, *(["gpuTypes.T4.tolerations"] if level is Level.FAIL else []))


@pytest.mark.parametrize(
    ("toleration", "taint", "expected"),
    [
        ({"operator": "Exists"}, {"key": "a", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "1"}, {"key": "a", "value": "1", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "2"}, {"key": "a", "value": "1", "effect": "NoSchedule"}, False),
        ({"key": "b", "operator": "Exists"}, {"key": "a", "effect": "NoSchedule"}, False),
        (
            {"key": "a", "operator": "Exists", "effect": "NoExecute"},
            {"key": "a", "effect": "NoSchedule"},
            False,
        ),
        ({"key": "a"}, {"key": "a", "effect": "NoSchedule"}, True),
    ],
)
def test_tolerations(toleration: dict[str, str], taint: dict[str, str], expected: bool) -> None:
    assert nodes.tolerates(toleration, taint) is expected


@pytest.mark.parametrize(
    "labels",
    [
        SHARED,
        {"nvidia.com/gpu.sharing-strategy": "mps"},
        {"cloud.google.com/gke-gpu-sharing-strategy": "TIME_SHARING"},
        {"nvidia.com/gpu.product": "Tesla-T4-SHARED"},
    ],
    ids=lambda labels: next(iter(labels.values())),
)
def test_a_shared_gpu_that_jobs_would_get_fails(labels: dict[str, str]) -> None:
    kind = GpuType([{"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "Exists"}]}])
    found = judged(node(labels=labels), pods=PodSettings(PODS.steps_image, {"T4": kind}))
    told(one(found, "gpu-sharing"), Level.FAIL, "NotIn, values: [time-slicing, mps]", *labels.values())


def test_a_shared_gpu_that_is_left_out_is_told() -> None:
    found = judged(node(), node("shared", labels=SHARED))
    told(one(found, "gpu-sharing"), Level.WARN, "no job runs there", "(shared)")


def test_a_shared_gpu_that_leaves_no_other_fails() -> None:
    found = judged(node(labels=SHARED))
    told(one(found, "nodes-of-T4"), Level.FAIL)


@pytest.mark.parametrize(
    ("labels", "level", "words"),
    [
        pytest.param({}, Level.PASS, "580.65.06, CUDA up to 13.0", id="labels of today"),
        pytest.param(
            {
                "nvidia.com/cuda.driver-version.full": "",
                "nvidia.com/cuda.driver.major": "550",
                "nvidia.com/cuda.driver.minor": "90",
                "nvidia.com/cuda.driver.rev": "07",
            },
            Level.PASS,
            "550.90.07",
            id="labels of old",
        ),
        pytest.param({"nvidia.com/cuda.driver-version.full": ""}, Level.WARN, "feature discovery", id="none"),
    ],
)
def test_driver(labels: dict[str, str], level: Level, words: str) -> None:
    told(one(judged(node(labels=labels)), "gpu-driver"), level, words)


def test_nodes_that_may_not_be_seen() -> None:
    (check,) = nodes.judge(Unseen("you may not list nodes"), PODS)
    told(check, Level.UNKNOWN, "you may not list nodes")


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ("containerd://2.3.7", Level.PASS, "no known escape"),
        ("containerd://2.2.4", Level.FAIL, "CVE-2026-53488"),
        ("containerd://1.7.28-0ubuntu1", Level.WARN, "may carry the correction"),
        ("cri-o://1.35.0", Level.UNKNOWN, "advisories"),
        ("", Level.UNKNOWN, "advisories"),
    ],
)
def test_runtime(version: str, level: Level, words: str) -> None:
    found = list(kubelets.judge([node(info={"containerRuntimeVersion": version})], {}, []))
    told(one(found, "container-runtime"), level, words)


def test_the_worst_runtime_counts() -> None:
    pool = [node(), node("old", info={"containerRuntimeVersion": "containerd://1.7.20"})]
    told(one(list(kubelets.judge(pool, {}, [])), "container-runtime"), Level.FAIL, "(old)", "(gpu-1)")


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("containerd://2.1.0", Level.PASS),
        ("containerd://2.0.10", Level.WARN),
        ("cri-o://1.31.0", Level.PASS),
        ("docker://28.1.0", Level.UNKNOWN),
    ],
)
def test_runtimes_that_mount_images(version: str, level: Level) -> None:
    found = list(kubelets.judge([node(info={"containerRuntimeVersion": version})], {}, []))
    told(one(found, "runtime-image-volumes"), level)


def test_a_runtime_without_strict_groups_fails() -> None:
    found = list(kubelets.judge([node(features={})], {}, []))
    told(one(found, "supplemental-groups"), Level.FAIL, "containerd 2.0")


@pytest.mark.parametrize(
    ("name", "change", "level", "words"),
    [
        ("pod-pids-limit", {}, Level.PASS, "536"),
        ("pod-pids-limit", {"podPidsLimit": 1024}, Level.PASS, "1024"),
        ("pod-pids-limit", {"podPidsLimit": 4096}, Level.WARN, "late"),
        ("pod-pids-limit", {"podPidsLimit": -1}, Level.WARN, "watchdog alone"),
        ("pod-pids-limit", {"podPidsLimit": 100}, Level.WARN, "cannot start the 512 threads"),
        ("swap", {}, Level.PASS, "does not start"),
        ("swap", {"failSwapOn": False}, Level.PASS, "NoSwap"),
        ("swap", {"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}}, Level.PASS, "spares"),
        ("swap", {"failSwapOn": False, "memorySwap": {"swapBehavior": "UnlimitedSwap"}}, Level.WARN, "swap"),
        ("container-logs", {}, Level.PASS, "10Mi, 5 files"),
        ("container-logs", {"containerLogMaxSize": "64Ki"}, Level.WARN, "manifest"),
        ("eviction", {}, Level.PASS, "memory.available < 100Mi"),
        ("eviction", {"evictionHard": {"memory.available": "100Mi"}}, Level.WARN, "nodefs.available"),
        ("eviction", {"evictionHard": None}, Level.WARN, "memory.available, nodefs.available"),
        ("max-pods", {}, Level.PASS, "110"),
        ("max-pods", {"maxPods": 8}, Level.WARN, "8"),
        ("feature-gates", {}, Level.PASS, "ImageVolume default"),
        ("feature-gates", {"featureGates": {"ImageVolume": False}}, Level.WARN, "model.image"),
    ],
)
def test_kubelet(name: str, change: dict[str, Any], level: Level, words: str) -> None:
    found = list(kubelets.judge([node()], {"gpu-1": {**KUBELET, **change}}, []))
    told(one(found, name), level, words)


def test_a_kubelet_that_may_not_be_asked_is_unknown_and_says_which_right_is_missing() -> None:
    why = 'nodes "gpu-1" is forbidden: User "eve" cannot get resource "nodes/proxy"'
    found = list(kubelets.judge([node()], {"gpu-1": Unseen(why)}, []))
    told(one(found, "pod-pids-limit"), Level.UNKNOWN, why, "nodes/proxy")


def test_one_unseen_kubelet_among_others_is_no_pass() -> None:
    pool: dict[str, Any] = {"gpu-1": KUBELET, "gpu-2": Unseen("it hangs")}
    found = list(kubelets.judge([node(), node("gpu-2")], pool, []))
    told(one(found, "pod-pids-limit"), Level.UNKNOWN, "536", "not seen: gpu-2")


def test_without_nodes_there_is_nothing_to_say() -> None:
    assert list(kubelets.judge([], {}, [])) == []


@pytest.mark.parametrize(
    ("images", "level", "words"),
    [
        pytest.param(
            ["nvcr.io/nvidia/k8s/container-toolkit:v1.17.8-ubuntu20.04"], Level.PASS, "1.17.8", id="mended"
        ),
        pytest.param(
            ["mirror:5000/container-toolkit:v1.17.4-ubi8"], Level.FAIL, "CVE-2025-23266", id="NVIDIAScape"
        ),
        pytest.param(["a/container-toolkit@sha256:" + "a" * 64], Level.UNKNOWN, "nvidia-ctk", id="by digest"),
        pytest.param([], Level.UNKNOWN, "No DaemonSet", id="on the node itself"),
        pytest.param(Unseen("forbidden"), Level.UNKNOWN, "forbidden", id="not allowed"),
    ],
)
def test_toolkit(images: Any, level: Level, words: str) -> None:
    told(one(list(kubelets.judge([node()], {}, images)), "nvidia-toolkit"), level, words)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nvcr.io/nvidia/k8s/container-toolkit:v1.17.8", True),
        ("localhost:5000/container-toolkit", True),
        ("container-toolkit:v1", True),
        ("nvcr.io/nvidia/k8s-device-plugin:v0.17.3", False),
        ("example.org/container-toolkit/other:1", False),
        ("", False),
    ],
)
def test_toolkits_are_recognised(image: str, expected: bool) -> None:
    assert runtimes.is_toolkit(image) is expected
