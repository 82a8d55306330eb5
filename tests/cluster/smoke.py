"""Does the running cluster do what tests rely on? Each check runs Pods in a namespace of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

from tests.cluster.addons import kubectl
from tests.cluster.node import ready
from tests.cluster.settings import DNS_SERVICE, GPUS, REGISTRY
from tests.cluster.shell import ClusterError, wait_for

_IMAGE: Final = f"{REGISTRY}/busybox:1"
_TOLERATIONS: Final = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def run() -> int:
    """Run every check; one line each, then `N passed, N failed`. Returns the exit code."""
    if not ready():
        raise ClusterError("the cluster is not up: python3 tests/cluster up")
    passed = failed = 0
    checks = (pod_succeeds, dns_resolves, policy_is_enforced, claim_is_bound_and_written, gpus_are_counted)
    for check in checks:
        started = time.monotonic()
        try:
            with _namespace() as namespace:
                check(namespace)
            passed += 1
            sys.stdout.write(f"ok    {check.__name__} ({time.monotonic() - started:.1f} s)\n")
        except ClusterError as error:
            failed += 1
            sys.stdout.write(f"FAIL  {check.__name__}: {error}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return 1 if failed else 0


def pod_succeeds(namespace: str) -> None:
    """A Pod whose image comes from our registry runs to its end, and its log can be read."""
    _create(namespace, _pod("hello", "echo hello"))
    _wait_for_phase(namespace, "hello", "Succeeded")
    _expect("log", kubectl("-n", namespace, "logs", "hello").strip(), "hello")


def dns_resolves(namespace: str) -> None:
    """A Pod gets the API server's service address from the cluster's DNS, by its short name."""
    _create(namespace, _pod("dns", "nslookup kubernetes.default.svc.cluster.local && cat /etc/resolv.conf"))
    _wait_for_phase(namespace, "dns", "Succeeded")
    said = kubectl("-n", namespace, "logs", "dns")
    for expected in ("10.96.0.1", f"nameserver {DNS_SERVICE}", f"{namespace}.svc.cluster.local"):
        if expected not in said:
            raise ClusterError(f"no {expected} in {said!r}")


def policy_is_enforced(namespace: str) -> None:
    """A Pod under a deny-all policy reaches neither another Pod nor the API server; one beside it reaches both."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-all"},
        "spec": {"podSelector": {"matchLabels": {"sealed": "yes"}}, "policyTypes": ["Ingress", "Egress"]},
    }
    server = _pod("server", "while true; do echo hello | nc -l -p 8080; done")
    _create(namespace, policy, server)
    _wait_for_phase(namespace, "server", "Running")
    address = kubectl("-n", namespace, "get", "pod", "server", "-o", "jsonpath={.status.podIP}")
    # A new Pod is open until the policy engine has seen it (0.1-0.3 s): only then is there something to check.
    tries = "; ".join(
        f"timeout 3 nc {host} {port} </dev/null >/dev/null 2>&1; echo {name} $?"
        for name, host, port in (("pod", address, 8080), ("api", "10.96.0.1", 443))
    )
    sealed = _pod("sealed", f"sleep 3; {tries}")
    sealed["metadata"]["labels"] = {"sealed": "yes"}
    _create(namespace, sealed, _pod("open", tries))
    for name, expected in (("open", True), ("sealed", False)):
        _wait_for_phase(namespace, name, "Succeeded")
        said = dict(line.split() for line in kubectl("-n", namespace, "logs", name).splitlines())
        reached = {target: code == "0" for target, code in said.items()}
        _expect(f"what {name} reached", reached, {"pod": expected, "api": expected})


def claim_is_bound_and_written(namespace: str) -> None:
    """A claim of the default StorageClass is bound when a Pod wants it, and holds what an unprivileged user wrote."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    pods = []
    for name, script in (("writer", "id -u > /data/file"), ("reader", "cat /data/file")):
        pod = _pod(name, script)
        pod["spec"]["securityContext"] = {"runAsUser": 1234, "runAsGroup": 1234}
        pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        pods.append(pod)
    _create(namespace, claim, pods[0])
    _wait_for_phase(namespace, "writer", "Succeeded")
    _create(namespace, pods[1])
    _wait_for_phase(namespace, "reader", "Succeeded")
    _expect("file", kubectl("-n", namespace, "logs", "reader").strip(), "1234")


def gpus_are_counted(namespace: str) -> None:
    """As many Pods as there are GPUs run, one more waits, and one without the toleration is not let in."""
    pods = []
    for number in range(GPUS + 1):
        pod = _pod(f"gpu-{number}", "sleep 300")
        pod["spec"]["containers"][0]["resources"]["limits"] = {"nvidia.com/gpu": "1"}
        pods.append(pod)
    tainted = _pod("intolerant", "true")
    del tainted["spec"]["tolerations"]
    _create(namespace, *pods, tainted)

    def phases() -> dict[str, str]:
        listed = json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
        return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in listed}

    wait_for(f"{GPUS} Pods to run", lambda: list(phases().values()).count("Running") == GPUS, 60)
    time.sleep(1)
    waiting = sorted(name for name, phase in phases().items() if phase == "Pending")
    if len(waiting) != 2 or "intolerant" not in waiting:
        raise ClusterError(f"waiting: {waiting}; one GPU Pod and the intolerant one should")
    kubectl("-n", namespace, "delete", "pods", "--all", "--grace-period=0", "--force")


def _pod(name: str, script: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": _IMAGE,
        "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": _TOLERATIONS,
            "containers": [container],
        },
    }


def _create(namespace: str, *objects: dict[str, Any]) -> None:
    bundle = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(bundle))


def _wait_for_phase(namespace: str, name: str, phase: str) -> None:
    def reached() -> bool:
        now = kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}")
        if now == "Failed" != phase:
            raise ClusterError(f"Pod {name} failed: {kubectl('-n', namespace, 'logs', name, check=False)}")
        return now == phase

    wait_for(f"Pod {name} {phase}", reached, 60, f"kubectl -n {namespace} describe pod {name}")


def _expect(what: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise ClusterError(f"{what}: {seen!r}, expected {expected!r}")


@contextlib.contextmanager
def _namespace() -> Iterator[str]:
    name = f"smoke-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)

    def has_account() -> bool:
        return bool(
            kubectl("-n", name, "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name")
        )

    try:
        wait_for("the namespace's service account", has_account, 30)
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
