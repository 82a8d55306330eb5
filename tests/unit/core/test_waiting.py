"""What a Pod that finds no node waits for: what was asked, what there is, and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.api.reasons import Reason
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.waiting import Waiting, explain
from tests.unit.core.builders import SETTINGS, STORES, T4, pod, run, waiting

SHARING = {"key": "nvidia.com/gpu.sharing-strategy", "operator": "NotIn", "values": ["time-slicing", "mps"]}
GKE = {"key": "cloud.google.com/gke-accelerator", "operator": "In", "values": ["nvidia-tesla-t4"]}
GKE_SHARING = {"key": "cloud.google.com/gke-gpu-sharing-strategy", "operator": "DoesNotExist"}


def node(name: str = "a", *, gpus: str = "1", **changes: Any) -> dict[str, Any]:
    """A T4 node that has room; `labels` and amounts (`memory=`, `disk=`) override."""
    labels = {"nvidia.com/gpu.product": "Tesla-T4", **changes.pop("labels", {})}
    disk = changes.pop("disk", "100Gi")
    amounts = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": disk, "nvidia.com/gpu": gpus, **changes}
    return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": amounts}}


def held(*nodes: dict[str, Any]) -> Waiting:
    """What the job of the builders waits for on these nodes."""
    terms = [
        {"matchExpressions": [*T4.node_selector_terms[0]["matchExpressions"], SHARING]},
        {"matchExpressions": [GKE, GKE_SHARING]},
    ]
    alone = type(T4)(node_selector_terms=terms)
    settings = type(SETTINGS)(steps_image=SETTINGS.steps_image, gpu_types={"T4": alone})
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    facts = facts_of(pod(node=None, phase="Pending", conditions=[condition]))
    found = explain(facts, run(), nodes, STORES, settings)
    assert found is not None
    return found


def test_busy() -> None:
    assert held(node()).reason is Reason.GPUS_BUSY


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            [node(memory="14Gi")],
            ["22.9 GiB of memory (24G = 22.4 GiB", "14.0 GiB allocatable", "(a: too little memory)"],
        ),
        (
            [node(disk="20Gi")],
            ["28.0 GiB of disk (resources.scratch.size 30G", "20.0 GiB of disk (a: too little disk)"],
        ),
        ([node(memory="14Gi", cpu="2")], ["2.5 CPU", "too little memory and CPU"]),
        # The one that lacks least is the one to enlarge.
        (
            [node("small", memory="14Gi", disk="20Gi"), node("near", memory="16Gi")],
            ["(near: too little memory)"],
        ),
        # A node that does not say how much disk it has cannot hold a Pod that asks for some.
        ([node(disk="0")], ["0.0 GiB of disk (a: too little disk)"]),
    ],
    ids=["memory", "disk", "memory and CPU", "the closest", "no disk told"],
)
def test_too_small(nodes: list[dict[str, Any]], words: list[str]) -> None:
    found = held(*nodes)
    assert found.reason is Reason.NODE_TOO_SMALL
    for part in words:
        assert part in found.message, found.message


@pytest.mark.parametrize(
    "labels",
    [
        {"nvidia.com/gpu.sharing-strategy": "time-slicing"},
        {"nvidia.com/gpu.sharing-strategy": "mps"},
        {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.product": "Tesla-T4-SHARED"},
        {
            "nvidia.com/gpu.product": "-",
            "cloud.google.com/gke-accelerator": "nvidia-tesla-t4",
            "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
        },
    ],
    ids=["time-slicing", "MPS", "renamed", "GKE"],
)
def test_shared_gpus_are_not_taken_and_told(labels: dict[str, str]) -> None:
    found = held(node("shared", gpus="4", labels=labels), {"metadata": {"name": "cpu"}})
    assert found.reason is Reason.GPU_SHARED
    for part in ("1 × T4", "of its own", "(shared)", "time-slicing or MPS off"):
        assert part in found.message
    # One that is alone is waited for, whatever the others do.
    assert held(node("shared", labels=labels), node()).reason is Reason.GPUS_BUSY


def test_many_shared_nodes_are_counted() -> None:
    shared = [node(f"n{i}", labels={"nvidia.com/gpu.sharing-strategy": "mps"}) for i in range(5)]
    assert "(n0, n1, n2 and 2 more)" in held(*shared).message


def test_other_nodes_are_none() -> None:
    found = held(node(labels={"nvidia.com/gpu.product": "A100"}))
    assert found.reason is Reason.NO_GPU_NODE
    assert "1 nodes in all, none with the labels of a T4" in found.message


def test_what_the_scheduler_says_is_told_without_its_thoughts_on_eviction_and_with_the_fix_for_a_taint() -> (
    None
):
    says = (
        "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: "
        "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    conditions = [{"type": "PodScheduled", "status": "False", "message": says}]
    found = explain(facts_of(pod(node=None, conditions=conditions)), run(), None, STORES, SETTINGS)
    assert found is not None
    assert "untolerated taint(s)" in found.message
    assert "extraTolerations" in found.message
    assert "Preemption is not helpful" not in found.message
    assert "deallocate" not in found.message


def test_the_image_of_an_input_that_cannot_be_pulled_is_named() -> None:
    cases = "registry.example.org/cases@sha256:" + "e" * 64
    why = f'failed to pull image volume: rpc error: failed to resolve reference "{cases}": not found'
    facts = facts_of(pod(phase="Pending", stage=waiting("ErrImagePull", why)))
    for mounted, image in (([cases], cases), ([], SETTINGS.steps_image)):
        found = explain(facts, run(), None, STORES, SETTINGS, mounted=mounted)
        assert found is not None
        assert found.reason is Reason.IMAGE_PULL_FAILING
        assert found.message.startswith(f"The node cannot pull image {image}: ")
