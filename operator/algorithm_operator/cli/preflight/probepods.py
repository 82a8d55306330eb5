"""The Pods of the probe, and what they say. Pure.

They run the steps image, whose only program for this is Python, and carry none of the operator's labels, which
admission would refuse from anyone else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from algorithm_operator.cli.connection import Object
from algorithm_operator.cli.preflight.checks import Unseen
from algorithm_operator.cli.preflight.facts import Tried
from algorithm_operator.cli.preflight.nodes import Node, is_ready, name_of
from algorithm_operator.steps.gate import KUBELET_PORT, ON_EVERY_NODE

PREFIX = "algorithm-operator-preflight-"
LABELS = {"app.kubernetes.io/name": "algorithm-operator-preflight"}
CONTROL, SEALED = "control", "sealed"
POD_SECONDS = 180
"""For a Pod to end: with the pull of the steps image, which jobs need on the node anyway."""

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
