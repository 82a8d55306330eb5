"""The network, seen from inside: two short-lived Pods in a namespace of their own dial what a job must not reach.

The first is selected by no policy and must reach the canary: only then does the second, under a deny-all policy, say
something. Both run the steps image, whose only program for this is Python; they carry none of the operator's labels,
which admission would refuse from anyone else.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from algorithm_operator.cli.connection import Object, UnreachableError
from algorithm_operator.cli.preflight.checks import Unseen
from algorithm_operator.cli.preflight.facts import Installation, Probed, Tried
from algorithm_operator.cli.preflight.nodes import Node, is_ready, name_of
from algorithm_operator.cli.preflight.reader import Reader, RefusedError
from algorithm_operator.steps.gate import KUBELET_PORT, ON_EVERY_NODE

PREFIX = "algorithm-operator-preflight-"
LABELS = {"app.kubernetes.io/name": "algorithm-operator-preflight"}
CONTROL, SEALED = "control", "sealed"
POD_SECONDS = 180
"""For a Pod to end: with the pull of the steps image, which jobs need on the node anyway."""
POLL_SECONDS = 0.5

SCRIPT = """\
import json, os, socket, threading, time
def dial(target):
    began, tries, opened, until, last = time.monotonic(), 0, 0, None, False
    while True:
        now = time.monotonic() - began
        quiet = now - (until or 0)
        if now > LONGEST or quiet > SETTLED or (opened and ONCE):
            break
        tries += 1
        try:
            socket.create_connection((target["host"], target["port"]), TRY).close()
            opened, until, last = opened + 1, time.monotonic() - began, True
        except OSError:
            last = False
        time.sleep(PAUSE)
    target.update(attempts=tries, opened=opened, openUntil=until, isOpen=last)
LONGEST, SETTLED, TRY, PAUSE = 12.0, 3.0, 0.5, 0.1
ONCE = os.environ["PROBE_ONCE"] == "true"
targets = json.loads(os.environ["PROBE_TARGETS"])
for target in targets:
    target["host"] = os.environ.get(target["host"][1:], "") if target["host"][:1] == "$" else target["host"]
    target["port"] = int(os.environ.get(target["port"][1:], "0")) if str(target["port"])[:1] == "$" else target["port"]
threads = [threading.Thread(target=dial, args=(target,)) for target in targets]
for thread in threads: thread.start()
for thread in threads: thread.join()
open("/dev/termination-log", "w").write(json.dumps(targets))
"""


def targets(canary: tuple[str, int]) -> list[Object]:
    """What the sealed Pod dials; `$NAME` is a variable of its environment."""
    host, port = canary
    return [
        {"name": "canary", "host": host, "port": port},
        {"name": "API server", "host": "$KUBERNETES_SERVICE_HOST", "port": "$KUBERNETES_SERVICE_PORT"},
        {"name": "kubelet", "host": "$HOST_IP", "port": KUBELET_PORT},
        *({"name": each.name, "host": each.host, "port": each.port} for each in ON_EVERY_NODE),
    ]


def node_for(nodes: Sequence[Node], answered: Sequence[str]) -> Node | None:
    """Where to look: a ready GPU node, best one whose kubelet has answered."""
    ready = [node for node in nodes if is_ready(node)]
    real = [node for node in ready if name_of(node) in answered]
    return min(real or ready, key=name_of, default=None)


def pod(
    name: str, node: str | None, image: str, tolerations: Sequence[Object], dialled: Sequence[Object]
) -> Object:
    """A Pod of the probe; `node` pins it, by the scheduler's rules."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    host_ip = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIP"}}
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": POD_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": list(tolerations),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "probe",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-I", "-c", SCRIPT],
                "env": [
                    {"name": "PROBE_TARGETS", "value": json.dumps(list(dialled))},
                    {"name": "PROBE_ONCE", "value": str(name == CONTROL).lower()},
                    {"name": "HOST_IP", "valueFrom": host_ip},
                    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},
                ],
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"cpu": "200m", "memory": "64Mi"},
                },
                "securityContext": security,
            }
        ],
    }
    if node is not None:
        by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [by_name]}}
        spec["affinity"] = {"nodeAffinity": required}
    labels = {**LABELS, "algorithm-operator-preflight": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def namespace(name: str) -> Object:
    """The probe's own."""
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def policy() -> Object:
    """Closes the sealed Pod, and selects no other."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-all", "labels": LABELS},
        "spec": {
            "podSelector": {"matchLabels": {"algorithm-operator-preflight": SEALED}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }


def parse(message: str) -> list[Tried] | Unseen:
    """The termination message of a Pod of the probe."""
    try:
        return [
            Tried(
                name=str(each["name"]),
                address=_address(str(each["host"]), each["port"]),
                attempts=int(each["attempts"]),
                opened=int(each["opened"]),
                open_until=None if each["openUntil"] is None else float(each["openUntil"]),
                is_open=bool(each["isOpen"]),
            )
            for each in json.loads(message)
        ]
    except (ValueError, KeyError, TypeError):
        return Unseen(f"the probe's Pod left no result but {message[:200]!r}")


def _address(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def probe(
    reader: Reader, found: Installation, node: Node | None, say: Callable[[str], None]
) -> Probed | Unseen:
    """Make the namespace, run both Pods, take it all away again, whatever happens."""
    canary = _canary(reader, found)
    if isinstance(canary, Unseen):
        return canary
    name = PREFIX + secrets.token_hex(4)
    tolerations = [
        *found.pods.extra_tolerations,
        *(t for k in found.pods.gpu_types.values() for t in k.tolerations),
    ]
    where = "any node" if node is None else name_of(node)
    pinned = None if node is None else name_of(node)
    image, path = found.pods.steps_image, f"/api/v1/namespaces/{name}"
    leftover: str | None = name
    with _terminated_is_interrupted():
        try:
            try:
                reader.request("POST", "/api/v1/namespaces", namespace(name))
            except RefusedError as refused:
                leftover = None
                return Unseen(str(refused))
            say(f"probing the network on {where} with two Pods in namespace {name}; it is removed afterwards")
            control, sealed = _both(reader, name, pinned, image, tolerations, targets(canary))
        finally:
            if leftover is not None:
                leftover = _remove(reader, path, name)
    return Probed(where, control, sealed, leftover)


def _both(
    reader: Reader,
    name: str,
    node: str | None,
    image: str,
    tolerations: Sequence[Object],
    dialled: Sequence[Object],
) -> tuple[Sequence[Tried] | Unseen, Sequence[Tried] | Unseen]:
    """What the two Pods saw, one after the other."""
    path = f"/api/v1/namespaces/{name}"
    control: Sequence[Tried] | Unseen = Unseen("it was not tried")
    try:
        reader.request("POST", f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies", policy())
        control = _run(reader, path, pod(CONTROL, node, image, tolerations, dialled[:1]))
        if isinstance(control, Unseen):
            return control, control
        return control, _run(reader, path, pod(SEALED, node, image, tolerations, dialled))
    except RefusedError as refused:
        why = Unseen(str(refused))
        return (why if isinstance(control, Unseen) else control), why


def _canary(reader: Reader, found: Installation) -> tuple[str, int] | Unseen:
    service = reader.get(f"/api/v1/namespaces/{found.namespace}/services/{found.pods.canary_service}")
    if isinstance(service, Unseen):
        return service
    spec = (service or {}).get("spec") or {}
    address, ports = str(spec.get("clusterIP") or "None"), spec.get("ports") or []
    if address == "None" or not ports:
        return Unseen(
            f"there is no Service {found.namespace}/{found.pods.canary_service} with an address of its own"
        )
    return address, int(ports[0]["port"])


def _run(reader: Reader, path: str, body: Object) -> list[Tried] | Unseen:
    """Create the Pod and wait for its words."""
    deadline = time.monotonic() + POD_SECONDS
    name = str(body["metadata"]["name"])
    while True:
        try:
            reader.request("POST", f"{path}/pods", body)
            break
        except RefusedError as refused:
            # A fresh namespace has no ServiceAccount yet.
            if "serviceaccount" not in str(refused).lower() or time.monotonic() > deadline - POD_SECONDS + 10:
                return Unseen(str(refused))
            time.sleep(POLL_SECONDS)
    why = "it was never seen"
    while time.monotonic() < deadline:
        status: dict[str, Any] = reader.request("GET", f"{path}/pods/{name}").get("status") or {}
        for container in status.get("containerStatuses") or []:
            ended = (container.get("state") or {}).get("terminated")
            if ended:
                return parse(
                    str(ended.get("message") or f"{ended.get('reason')}, exit code {ended.get('exitCode')}")
                )
        if status.get("phase") == "Failed":
            return Unseen(f"its Pod {name} failed: {status.get('reason')}: {status.get('message')}")
        why = _waits(status) or why
        time.sleep(POLL_SECONDS)
    return Unseen(f"its Pod {name} did not end within {POD_SECONDS} s: {why}")


def _waits(status: dict[str, Any]) -> str:
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting:
            return f"{waiting.get('reason')}: {waiting.get('message') or 'no details'}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason"))
    return str(status.get("phase") or "")


def _remove(reader: Reader, path: str, name: str) -> str | None:
    """The namespace's name if it stays behind."""
    for _ in range(3):
        try:
            reader.request("DELETE", path)
            return None
        except RefusedError as refused:
            if refused.status in (404, 409):  # never made, or leaving already
                return None
        except UnreachableError:
            pass
        time.sleep(POLL_SECONDS)
    return name


@contextlib.contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """A SIGTERM cleans up, too, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
