"""What the algorithm is, sees and reaches; and what the steps beside it see."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from tests.cluster.settings import API_SERVICE, DNS_SERVICE, NODE_ADDRESS, REGISTRY
from tests.e2e.harness import (
    OPERATOR_NAMESPACE,
    SCRIPT,
    Job,
    Namespace,
    Object,
    Store,
    bare_pod,
    eventually,
    operator_pod,
)

BUSYBOX = f"{REGISTRY}/busybox:1"
Targets = list[tuple[str, str, str, int]]
RUN_LABELS = {"algorithm-operator.dev/role": "run"}
NEIGHBOUR_PORT = 8080


def _listing(*roots: str) -> list[str]:
    """A command that prints everything below `roots` as JSON."""
    code = (
        "import json, os; print(json.dumps({r: sorted(os.path.relpath(os.path.join(d, n), r)"
        f" for d, ds, fs in os.walk(r) for n in ds + fs) for r in {list(roots)!r}}}))"
    )
    return ["/opt/venv/bin/python", "-I", "-c", code]


@pytest.fixture(scope="module")
def targets(module_namespace: Namespace) -> Targets:
    """Everything that a job could want to reach; a neighbour in its own namespace included."""
    namespace, kube = module_namespace, module_namespace.kube
    namespace.pod("neighbour", bare_pod(BUSYBOX, ["httpd", "-f", "-p", str(NEIGHBOUR_PORT)]))

    def address() -> str | None:
        status = (kube.get("pods", "neighbour", namespace.name) or {}).get("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
        return str(status["podIP"]) if ready else None

    neighbour = eventually(address, 60, "the neighbour listens")
    canary = kube.get("services", "algorithm-operator-canary", OPERATOR_NAMESPACE)
    assert canary is not None
    return [
        ("API server", "tcp", API_SERVICE, 443),
        ("API server on the node", "tcp", NODE_ADDRESS, 6443),
        ("DNS over UDP", "udp", DNS_SERVICE, 53),
        ("DNS over TCP", "tcp", DNS_SERVICE, 53),
        ("canary", "tcp", canary["spec"]["clusterIP"], 8081),
        ("operator Pod", "tcp", operator_pod(kube)["status"]["podIP"], 8081),
        ("neighbour", "tcp", neighbour, NEIGHBOUR_PORT),
        ("kubelet", "tcp", NODE_ADDRESS, 10250),
        ("registry", "tcp", NODE_ADDRESS, 5000),
    ]


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, targets: Targets) -> tuple[Store, dict[str, Job]]:
    """Jobs that look around and dial, behind all layers and behind the policy alone; and another case's result."""
    namespace = module_namespace
    store = namespace.store()
    store.put("case-1/note.json", b'"mine"')
    store.put("case-2/note.json", b'"not mine"')
    note = {"slug": "note", "kind": "String"}
    namespace.algorithm(inputs=[SCRIPT, note])
    namespace.algorithm("loopback", inputs=[SCRIPT, note], network="Loopback")

    def start(name: str, algorithm: str, case: str) -> Job:
        return namespace.job(
            name,
            algorithm=algorithm,
            do=[["connect", targets, 1.0], ["look_around"], ["write_report"]],
            inputs=[{"slug": "note", "store": {"name": store.name, "paths": [f"{case}/note.json"]}}],
        )

    return store, {
        "sealed": start("sealed", "probe", "case-1"),
        "loopback": start("loopback", "loopback", "case-2"),
    }


def report(jobs: tuple[Store, dict[str, Job]], name: str) -> dict[str, Any]:
    """What the probe saw in that job."""
    store, started = jobs
    started[name].wait("Succeeded")
    seen: dict[str, Any] = json.loads(store.files(started[name])["results.json"])
    return seen


def test_the_targets_are_open_to_a_pod_that_nothing_seals(
    module_namespace: Namespace, targets: Targets
) -> None:
    # What the tests below find closed is alive: the same code, image and namespace, but no label of ours.
    code = (
        "import json, runpy; probe = runpy.run_path('/opt/probe.py', run_name='probe'); "
        f"probe['connect']({targets!r}, 0.5); print(json.dumps(probe['report']))"
    )
    module_namespace.pod("open", bare_pod(module_namespace.image, ["python3", "-I", "-c", code]))
    module_namespace.pod_ended("open")

    seen = json.loads(module_namespace.kube.logs(module_namespace.name, "open", "main"))["connections"]

    assert {name: "REACHED" in outcomes for name, outcomes in seen.items()} == {
        name: True for name, *_ in targets
    }


@pytest.mark.parametrize("name", ["sealed", "loopback"])
def test_the_algorithm_reaches_nothing_from_its_first_instruction_on(
    jobs: tuple[Store, dict[str, Job]], targets: Targets, name: str
) -> None:
    # `loopback` has no seccomp layer: there the policy and the gate hold alone.
    seen = report(jobs, name)["connections"]

    assert set(seen) == {target[0] for target in targets}
    assert {target: outcomes for target, outcomes in seen.items() if "REACHED" in outcomes} == {}
    refused_by_filter = all(
        set(outcomes) == {"Address family not supported by protocol"} for outcomes in seen.values()
    )
    assert refused_by_filter == (name == "sealed")


def test_the_manifest_says_what_the_gate_saw(jobs: tuple[Store, dict[str, Job]]) -> None:
    store, started = jobs
    started["sealed"].wait("Succeeded")

    seen = json.loads(store.files(started["sealed"])["manifest.json"])["isolation"]

    assert [probe["name"] for probe in seen["probes"] if not probe["closed"]] == []
    addresses = {probe["address"]: probe["nodeLocal"] for probe in seen["probes"]}
    wanted = {
        f"{API_SERVICE}:443": False,
        f"{DNS_SERVICE}:53/udp": True,
        f"{NODE_ADDRESS}:10250": True,
        "169.254.20.10:53/udp": True,
    }
    assert wanted.items() <= addresses.items()
    assert seen["seconds"] < 2, "all targets are probed at once"


def test_a_bare_pod_with_the_label_reaches_another_one_in_its_first_moments(
    module_namespace: Namespace, targets: Targets
) -> None:
    """The tests above can fail: without gate and filter the policy comes too late for the first packets."""
    namespace = module_namespace
    host = next(target[2] for target in targets if target[0] == "neighbour")
    dial = f"echo | nc -w 1 {host} {NEIGHBOUR_PORT} >/dev/null 2>&1 && echo reached || echo closed"
    command = ["sh", "-c", f"i=0; while [ $i -lt 100 ]; do i=$((i+1)); {dial}; done"]
    for attempt in range(8):
        name = f"hasty-{attempt}"
        namespace.marked_pod(name, {"metadata": {"labels": RUN_LABELS}, "spec": bare_pod(BUSYBOX, command)})
        eventually(functools.partial(_has_dialled, namespace, name), 60, f"Pod {name} dials")
        reached = "reached" in _log(namespace, name)
        namespace.kube.delete("pods", name, namespace.name, grace=0)
        if reached:
            return
    pytest.fail("no bare Pod got a connection out: does the policy engine seal Pods before they start now?")


def _log(namespace: Namespace, pod: str) -> str:
    try:
        return namespace.kube.logs(namespace.name, pod, "main")
    except Exception:
        return ""


def _has_dialled(namespace: Namespace, pod: str) -> bool:
    found = namespace.kube.get("pods", pod, namespace.name) or {}
    ended = found.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return ended or "closed" in _log(namespace, pod)


def test_the_algorithm_has_no_privilege_and_finds_what_the_contract_promises(
    jobs: tuple[Store, dict[str, Job]],
) -> None:
    seen = report(jobs, "sealed")

    status = seen["status"]
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Gid"].split() == ["1000"] * 4
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert seen["exists"] == dict.fromkeys(seen["exists"], False)
    assert seen["processes"][0] == 1
    assert len(seen["processes"]) <= 3, "it sees processes besides the runner and itself"
    assert not [path for path in seen["mounts"] if "serviceaccount" in path]
    assert not [key for key in seen["environment"] if "KUBERNETES" in key or key.endswith("_SERVICE_HOST")]

    folders = seen["folders"]
    assert "ro" in seen["mounts"]["/input"]["options"]
    assert "ro" in seen["mounts"]["/.algorithm-operator/bin"]["options"]
    assert folders["/input"] == {"entries": ["inputs.json", "note.json", "script.json"], "writable": False}
    assert folders["/output"] == {"entries": [], "writable": True}
    assert folders["/tmp"] == {"entries": [], "writable": True}
    assert folders[seen["environment"]["HOME"]]["writable"]
    # The root filesystem is writable where the uid may.
    assert "rw" in seen["mounts"]["/"]["options"]
    assert folders["/var/tmp"]["writable"]
    assert not folders["/"]["writable"]


def _with_shell(pod: Object, step: str, command: list[str]) -> Object:
    """The run Pod of a job with one of its steps replaced by `command`, and the others left out."""
    container = next(c for c in pod["spec"]["initContainers"] if c["name"] == step)
    kept = {key: container[key] for key in ("image", "env", "resources", "securityContext", "volumeMounts")}
    spec = {
        key: value
        for key, value in pod["spec"].items()
        if key not in ("nodeName", "initContainers", "affinity", "activeDeadlineSeconds")
    }
    spec["containers"] = [{"name": step, "command": command, **kept}]
    return {
        "metadata": {"labels": RUN_LABELS, "annotations": pod["metadata"]["annotations"]},
        "spec": spec,
    }


def test_a_collect_step_replaced_by_a_shell_sees_its_own_jobs_folder_alone(
    module_namespace: Namespace, jobs: tuple[Store, dict[str, Job]]
) -> None:
    store, started = jobs
    for job in started.values():
        job.wait("Succeeded")
    (pod,) = started["sealed"].pods()

    module_namespace.marked_pod("collect-shell", _with_shell(pod, "collect", _listing("/store", "/stores")))
    ended = module_namespace.pod_ended("collect-shell")

    assert ended["status"]["phase"] == "Succeeded", ended["status"]
    seen = json.loads(module_namespace.kube.logs(module_namespace.name, "collect-shell", "collect"))
    own = {f for f in seen["/store"] if f != "logs"}
    assert own == set(store.files(started["sealed"]))
    assert seen["/stores"] == []
    # There was more to see: another case, another result.
    there = {path.name for path in store.root.iterdir()}
    assert there == {"case-1", "case-2", "sealed", "loopback"}


def test_a_stage_step_replaced_by_a_shell_sees_the_named_inputs_alone(
    module_namespace: Namespace, jobs: tuple[Store, dict[str, Job]]
) -> None:
    _, started = jobs
    started["sealed"].wait("Succeeded")
    (pod,) = started["sealed"].pods()

    module_namespace.marked_pod("stage-shell", _with_shell(pod, "stage", _listing("/stores", "/store")))
    module_namespace.pod_ended("stage-shell")

    seen = json.loads(module_namespace.kube.logs(module_namespace.name, "stage-shell", "stage"))
    assert seen == {"/stores": ["1", "1/0"], "/store": []}
