"""Pods that find one thing out for an Algorithm: how one is made, and what became of it. Pure.

Their names are fixed, their question is in their spec, and their answer stays in the Pod until it is in the
Algorithm's status: whoever looks at the Pods knows how far it has come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.algorithm import User
from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.core import names, seal
from algorithm_operator.core.pods import owner_reference, sealed_pod_spec
from algorithm_operator.core.waiting import CREATE_ERRORS, PULL_ERRORS
from algorithm_operator.core.world import Algorithm

Body = dict[str, Any]
Pod = Mapping[str, Any]

OUR_USER = User(uid=65532, gid=65532)
"""As our images have it."""
_KUBELET_WORDS = 1200
"""It names the image up to four times before it comes to the cause; a condition takes 2048 characters."""
_NO_SIDECARS = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}


@dataclass(frozen=True, slots=True)
class Ended:
    """The container that was asked has ended by itself."""

    exit_code: int
    message: str
    """Its termination message."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps the Pod from answering. `over`: this Pod never will."""

    reason: Reason
    message: str
    over: bool = False


def pod(of: Algorithm, name: str, labels: Mapping[str, str], spec: Body, *, seconds: int) -> Body:
    """The body of a Pod that belongs to the Algorithm; `spec`: its containers, volumes and places."""
    left_open = of.spec.security.user is not None and of.spec.security.user.from_ is not None
    common = sealed_pod_spec(user=None if left_open else OUR_USER, groups=[], grace_seconds=1)
    spec = {**common, "hostname": names.HOSTNAME, "activeDeadlineSeconds": seconds, **spec}
    annotations = dict(_NO_SIDECARS)
    if left_open:
        annotations[names.ANNOTATION_USER] = names.USER_OF_NAMESPACE
    annotations[names.ANNOTATION_SPEC_HASH] = hashlib.sha256(seal.canonical(spec).encode()).hexdigest()
    owner = owner_reference(api_version=API_VERSION, kind="Algorithm", name=of.name, uid=of.uid)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": of.namespace,
            "labels": {names.MANAGED_BY: names.OPERATOR, **labels},
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def same_question(wanted: Pod, live: Pod) -> bool:
    """Whether the Pod that is there was made for the very question."""
    hashes = [
        (each["metadata"].get("annotations") or {}).get(names.ANNOTATION_SPEC_HASH) for each in (wanted, live)
    ]
    return hashes[0] == hashes[1]


def tampered(wanted: Pod, live: Pod) -> Trouble | None:
    """What is not as it was asked for, if anything: such a Pod's answer counts for nothing."""
    found = seal.mutations(wanted, live)
    if _labels(wanted) - _labels(live):
        found.append("labels were changed")
    for name, variables in _environment(wanted).items():
        if variables.items() - _environment(live).get(name, {}).items():
            found.append(f"the environment of container {name} was changed")
    if not found:
        return None
    why = shown(", ".join(found), 300)
    return Trouble(Reason.POD_MUTATED, sentence(Reason.POD_MUTATED, why=why), over=True)


def outcome(live: Pod, container: str) -> Ended | Trouble | None:
    """What became of the Pod; None while it is on its way."""
    status = live.get("status") or {}
    name = shown(str(live["metadata"]["name"]))
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    ended = next((_terminated(each) for each in statuses if each.get("name") == container), None)
    if ended is not None and _ran(ended) and not status.get("reason"):
        return Ended(int(ended.get("exitCode") or 0), str(ended.get("message") or ""))
    if status.get("phase") == "Failed" and status.get("reason"):
        return _lost(name, str(status.get("message") or status["reason"]))
    for each in statuses:
        final = _terminated(each)
        if final is not None and (final.get("exitCode") or not _ran(final)):
            why = str(final.get("message") or final.get("reason") or f"exit code {final.get('exitCode')}")
            return _create_trouble(each, why, over=True)
    if status.get("phase") in ("Failed", "Succeeded"):
        return _lost(name, "its end is not known")
    for each in statuses:
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason, why = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
        if reason in PULL_ERRORS:
            image = shown(str(each.get("image") or ""))
            told = sentence(Reason.IMAGE_PULL_FAILED, image=image, why=shown(why or reason, _KUBELET_WORDS))
            return Trouble(Reason.IMAGE_PULL_FAILED, told)
        if reason in CREATE_ERRORS:
            return _create_trouble(each, why or reason)
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            why = shown(str(condition.get("message") or ""), 500)
            return Trouble(Reason.UNSCHEDULABLE, sentence(Reason.UNSCHEDULABLE, why=why))
    return None


def _lost(pod: str, why: str) -> Trouble:
    told = sentence(Reason.LOOK_UP_FAILED, pod=pod, why=shown(why, 300))
    return Trouble(Reason.LOOK_UP_FAILED, told, over=True)


def _create_trouble(status: Mapping[str, Any], why: str, *, over: bool = False) -> Trouble:
    name = shown(str(status.get("name") or ""))
    told = sentence(Reason.CONTAINER_CREATE_FAILED, container=name, why=shown(why, 500))
    return Trouble(Reason.CONTAINER_CREATE_FAILED, told, over)


def _terminated(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (status.get("state") or {}).get("terminated")
    return found


def _ran(terminated: Mapping[str, Any]) -> bool:
    """Whether its process ever ran: the kubelet writes the epoch for a container that it could not start."""
    started = str(terminated.get("startedAt") or "")
    return bool(started) and not started.startswith("1970-") and terminated.get("reason") != "StartError"


def _labels(body: Pod) -> set[tuple[str, str]]:
    return set((body["metadata"].get("labels") or {}).items())


def _environment(body: Pod) -> dict[str, dict[str, str]]:
    """The plain variables of each container."""
    return {str(c["name"]): dict(_variables(c)) for c in body["spec"]["containers"]}


def _variables(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in container.get("env") or []:
        if "value" in each:
            yield each["name"], each["value"]
