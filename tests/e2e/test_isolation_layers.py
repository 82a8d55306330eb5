"""Three layers keep an algorithm from the network: NetworkPolicy, gate, filter. Each holds alone, and each can fail.

The operator makes one run Pod; these tests run copies of it, as bare Pods that no job owns. A layer is switched off by
what only the operator may say, never by a setting of the product:

- the policy is not in the namespace;
- the gate is shown a dead port as its only target, in the Pod's plan;
- the filter is left out by `network: Loopback` in the plan.

All Pods but one lack all layers but one. The last lacks all three, and differs from each of the others by one layer.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from algorithm_operator.core import names
from tests.cluster.settings import API_SERVICE, DNS_SERVICE, NODE_ADDRESS
from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import OPERATOR_NAMESPACE, RESULTS, SCRIPT, Kube, Namespace, Object

DEAD_PORT = {"name": "nobody", "host": "127.0.0.1", "port": 1}
SETTLED_SECONDS = 3
"""After this a policy holds for a Pod that has just started."""
GATE_SECONDS = 5
"""How long the gate waits for the network to close."""
REFUSED = "Address family not supported by protocol"


def targets(kube: Kube) -> list[tuple[str, str, str, int]]:
    """What an algorithm could want to reach, as the probe takes it."""
    canary = kube.get("services", "algorithm-operator-canary", OPERATOR_NAMESPACE)
    assert canary is not None
    return [
        ("canary", "tcp", canary["spec"]["clusterIP"], 8081),
        ("API server", "tcp", API_SERVICE, 443),
        ("DNS over UDP", "udp", DNS_SERVICE, 53),
        ("kubelet", "tcp", NODE_ADDRESS, 10250),
    ]


def without(pod: Object, *, gate: bool, seccomp: bool) -> Object:
    """A bare copy of a run Pod; `gate`, `seccomp`: whether it has that layer."""
    meta = pod["metadata"]
    plan = json.loads(meta["annotations"][names.ANNOTATION_PLAN])
    plan["isolation"]["timeoutSeconds"] = GATE_SECONDS
    plan["network"] = "None" if seccomp else "Loopback"
    if not gate:
        plan["isolation"] |= {"targets": [DEAD_PORT], "nodeLocal": [], "probeNode": False}
    spec = {key: value for key, value in copy.deepcopy(pod["spec"]).items() if key != "nodeName"}
    # Neither finalizer nor owner: the operator leaves it alone, and the test reads what it wants.
    annotations = meta["annotations"] | {names.ANNOTATION_PLAN: json.dumps(plan)}
    return {"metadata": {"labels": meta["labels"], "annotations": annotations}, "spec": spec}


@pytest.fixture(scope="module")
def ended(make_namespace: MakeNamespace) -> dict[str, tuple[Namespace, Object]]:
    """The Pods by the layer that each has alone, when all have ended."""
    closed, open_ = make_namespace("layers"), make_namespace("no-policy", closed=False)
    kube = closed.kube
    closed.algorithm(inputs=[SCRIPT], outputs=[{**RESULTS, "storeInStatus": True}])
    steps: list[list[Any]] = [
        ["sleep", SETTLED_SECONDS],
        ["connect", targets(kube), 1.0],
        ["python", "print(json.dumps(report['connections']), flush=True)"],
        ["write_json", "results.json", 1],
    ]
    job = closed.job("model", do=steps)
    job.wait("Succeeded")
    (pod,) = job.pods()
    made = {
        "policy": (closed, without(pod, gate=False, seccomp=False)),
        "gate": (open_, without(pod, gate=True, seccomp=False)),
        "filter": (open_, without(pod, gate=False, seccomp=True)),
        "none": (open_, without(pod, gate=False, seccomp=False)),
    }
    for layer, (namespace, body) in made.items():
        namespace.marked_pod(f"only-{layer}", body)
    return {
        layer: (namespace, namespace.pod_ended(f"only-{layer}", 90)) for layer, (namespace, _) in made.items()
    }


def connections(ended: dict[str, tuple[Namespace, Object]], layer: str) -> dict[str, dict[str, int]]:
    """What the algorithm in that Pod saw of each target: outcomes, counted."""
    namespace, pod = ended[layer]
    assert _exit_codes(pod)["algorithm"] == 0, pod["status"]
    printed = namespace.kube.logs(namespace.name, pod["metadata"]["name"], names.ALGORITHM)
    seen: dict[str, dict[str, int]] = json.loads(printed)
    assert set(seen) == {name for name, *_ in targets(namespace.kube)}
    return seen


def _exit_codes(pod: Object) -> dict[str, int | None]:
    """Exit codes by container; None for one that was never started."""
    status = pod["status"]
    all_ = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return {each["name"]: (each["state"].get("terminated") or {}).get("exitCode") for each in all_}


def test_without_any_layer_everything_is_reached(ended: dict[str, tuple[Namespace, Object]]) -> None:
    """The control of all that follows: with its own layer off, each of them would fail."""
    seen = connections(ended, "none")
    assert {name: "REACHED" in outcomes for name, outcomes in seen.items()} == dict.fromkeys(seen, True)


def test_the_policy_alone(ended: dict[str, tuple[Namespace, Object]]) -> None:
    seen = connections(ended, "policy")
    assert {name for name, outcomes in seen.items() if "REACHED" in outcomes} == set()
    assert REFUSED not in {outcome for outcomes in seen.values() for outcome in outcomes}, (
        "the filter was off"
    )


def test_the_gate_alone(ended: dict[str, tuple[Namespace, Object]]) -> None:
    _, pod = ended["gate"]
    codes = _exit_codes(pod)
    assert codes["stage"] == 78
    assert codes["algorithm"] is None, "it was never started"
    stage = next(each for each in pod["status"]["initContainerStatuses"] if each["name"] == "stage")
    report = json.loads(stage["state"]["terminated"]["message"])
    assert report["reason"] == "NetworkNotIsolated"
    for name in ("canary", "API server", "kubelet", "cluster DNS"):
        assert f"{name} (" in report["message"]


def test_the_filter_alone(ended: dict[str, tuple[Namespace, Object]]) -> None:
    seen = connections(ended, "filter")
    assert {outcome for outcomes in seen.values() for outcome in outcomes} == {REFUSED}
