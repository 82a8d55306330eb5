"""Pods that find one thing out for an object, or do one thing for it: how one is made, what became of it. Pure.

Their names are fixed, their question is in their spec or plan, and their answer stays in the Pod until it is in the
object's status: whoever looks at the Pods knows how far it has come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from algorithm_operator.api.algorithm import AlgorithmSpec, User
from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.core import names, seal
from algorithm_operator.core.pods import owner_reference, sealed_pod_spec
from algorithm_operator.core.waiting import CREATE_ERRORS, PULL_ERRORS

Body = dict[str, Any]
Pod = Mapping[str, Any]

OUR_USER = User(uid=65532, gid=65532)
"""As our images have it."""
_KUBELET_WORDS = 1200
"""It names the image up to four times before it comes to the cause; a condition takes 2048 characters."""
_NO_SIDECARS = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}


class Owner(Protocol):
    """The object that the Pod is for: its kind, and what its metadata say."""

    kind: ClassVar[str]

    @property
    def namespace(self) -> str:
        """metadata.namespace."""

    @property
    def name(self) -> str:
        """metadata.name."""

    @property
    def uid(self) -> str:
        """metadata.uid."""


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


def pod(
    of: Owner,
    name: str,
    labels: Mapping[str, str],
    spec: Body,
    *,
    seconds: int,
    user: User | None = OUR_USER,
    groups: Sequence[int] = (),
    plan: str | None = None,
) -> Body:
    """The body of a Pod that belongs to `of`; `spec`: its containers, volumes and places.

    Without a `user` the cluster's admission chooses the ids. `plan`: what the annotation of that name says.
    """
    common = sealed_pod_spec(user=user, groups=list(groups), grace_seconds=1)
    spec = {**common, "hostname": names.HOSTNAME, "activeDeadlineSeconds": seconds, **spec}
    annotations = dict(_NO_SIDECARS)
    if user is None:
        annotations[names.ANNOTATION_USER] = names.USER_OF_NAMESPACE
    if plan is not None:
        annotations[names.ANNOTATION_PLAN] = plan
    question = seal.canonical(spec if plan is None else [spec, plan])
    annotations[names.ANNOTATION_SPEC_HASH] = hashlib.sha256(question.encode()).hexdigest()
    owner = owner_reference(api_version=API_VERSION, kind=of.kind, name=of.name, uid=of.uid)
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


def user_for(spec: AlgorithmSpec) -> User | None:
    """Who our Pods for an Algorithm run as; None where it leaves the ids to the namespace's admission."""
    wanted = spec.security.user
    return None if wanted is not None and wanted.from_ is not None else OUR_USER


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
    if _plan(wanted) != _plan(live):
        found.append("its plan was changed")
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
        seconds = (live.get("spec") or {}).get("activeDeadlineSeconds")
        if status["reason"] == "DeadlineExceeded" and seconds is not None:
            return _lost(
                name, f"it was not done within its time limit of {seconds} s, with image pull and volumes"
            )
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


def _plan(body: Pod) -> str | None:
    plan: str | None = (body["metadata"].get("annotations") or {}).get(names.ANNOTATION_PLAN)
    return plan


def _environment(body: Pod) -> dict[str, dict[str, str]]:
    """The plain variables of each container."""
    return {str(c["name"]): dict(_variables(c)) for c in body["spec"]["containers"]}


def _variables(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in container.get("env") or []:
        if "value" in each:
            yield each["name"], each["value"]
