"""The network, seen from inside: two short-lived Pods in a namespace of their own dial what a job must not reach.

The first is selected by no policy and must reach the canary: only then does the second, under a deny-all policy, say
something.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from algorithm_operator.cli.connection import Object, UnreachableError
from algorithm_operator.cli.preflight import probepods
from algorithm_operator.cli.preflight.checks import Unseen
from algorithm_operator.cli.preflight.facts import Installation, Probed, Tried
from algorithm_operator.cli.preflight.nodes import Node, name_of
from algorithm_operator.cli.preflight.reader import Reader, RefusedError

POLL_SECONDS = 0.5
ACCOUNT_SECONDS = 10
"""A fresh namespace has no ServiceAccount yet; its Pods are refused until then."""


def probe(
    reader: Reader, found: Installation, node: Node | None, say: Callable[[str], None]
) -> Probed | Unseen:
    """Make the namespace, run both Pods, take it all away again, whatever happens."""
    canary = _canary(reader, found)
    if isinstance(canary, Unseen):
        return canary
    name = probepods.PREFIX + secrets.token_hex(4)
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
                reader.request("POST", "/api/v1/namespaces", probepods.namespace(name))
            except RefusedError as refused:
                leftover = None
                return Unseen(str(refused))
            say(f"probing the network on {where} with two Pods in namespace {name}; it is removed afterwards")
            control, sealed = _both(reader, name, pinned, image, tolerations, probepods.targets(canary))
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
        reader.request(
            "POST", f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies", probepods.policy()
        )
        control = _run(reader, path, probepods.pod(probepods.CONTROL, node, image, tolerations, dialled[:1]))
        if isinstance(control, Unseen):
            return control, control
        return control, _run(reader, path, probepods.pod(probepods.SEALED, node, image, tolerations, dialled))
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
    began = time.monotonic()
    name = str(body["metadata"]["name"])
    while True:
        try:
            reader.request("POST", f"{path}/pods", body)
            break
        except RefusedError as refused:
            is_fresh = "error looking up service account" in str(refused)
            if not is_fresh or time.monotonic() - began > ACCOUNT_SECONDS:
                return Unseen(str(refused))
            time.sleep(POLL_SECONDS)
    why = "it was never seen"
    while time.monotonic() - began < probepods.POD_SECONDS:
        status: dict[str, Any] = reader.request("GET", f"{path}/pods/{name}").get("status") or {}
        for container in status.get("containerStatuses") or []:
            ended = (container.get("state") or {}).get("terminated")
            if ended:
                return probepods.parse(
                    str(ended.get("message") or f"{ended.get('reason')}, exit code {ended.get('exitCode')}")
                )
        if status.get("phase") == "Failed":
            return Unseen(f"its Pod {name} failed: {status.get('reason')}: {status.get('message')}")
        why = _waits(status) or why
        time.sleep(POLL_SECONDS)
    return Unseen(f"its Pod {name} did not end within {probepods.POD_SECONDS} s: {why}")


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
