"""Why a Pod does not run yet, in words that name what was asked, what exists and the fix. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.api.text import shown
from algorithm_operator.core import names, quantity, scratch
from algorithm_operator.core.containers import (
    algorithm_container,
    collect_resources,
    stage_resources,
    step_container,
)
from algorithm_operator.core.facts import Facts, Phase
from algorithm_operator.core.settings import GpuType, PodSettings
from algorithm_operator.core.silence import Event, last_warning

Node = Mapping[str, Any]

PULL_ERRORS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "ImageInspectError",
        "ErrImageNeverPull",
        "SignatureValidationFailed",
    }
)
CREATE_ERRORS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
_SHARING = ("nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy")
_SHARED_PRODUCT = "-SHARED"
"""What NVIDIA's feature discovery adds to the name of a product that is shared."""
_MAX_NAMES = 3
_WORDS = {"memory": "memory", "cpu": "CPU", scratch.RESOURCE: "disk"}


_MAX_WHY = 500
_OUTAGE_WORDS = (
    "connection refused",
    "connection reset",
    "no route to host",
    "network is unreachable",
    "no such host",
    "server misbehaving",
    "timeout",
    "deadline exceeded",
    "unexpected eof",
    "429 too many requests",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway time",
)
"""What the runtime says where the registry did not answer. The digest is known, so the image is worth waiting for."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an attempt waits for. `ends_at`: when the wait ends the attempt, for errors that hold a GPU."""

    reason: Reason
    message: str
    ends_at: datetime | None = None
    ends_as: Reason | None = None


def explain(
    facts: Facts,
    run: RunSnapshot,
    nodes: Iterable[Node] | None,
    stores: Mapping[str, DataStoreSpec],
    settings: PodSettings,
    events: Iterable[Event] | None = None,
    mounted: Sequence[str] = (),
) -> Waiting | None:
    """What the attempt waits for, or None if it moves. `nodes` is None where the operator may not list them;
    `events` are those of the Pod, where they were asked for; `mounted`: the images that inputs come from."""
    if facts.node is None:
        return _unscheduled(facts, run, nodes, stores, settings) if facts.unschedulable else None
    containers = (
        ("stage", settings.steps_image, facts.stage),
        ("collect", settings.steps_image, facts.collect),
        ("algorithm", run.image, facts.algorithm),
    )
    for name, image, container in containers:
        if container.phase is Phase.WAITING and container.reason in PULL_ERRORS | CREATE_ERRORS:
            why = container.message or container.reason
            image = next((each for each in mounted if each in why), image)
            return _stuck(name, image, why, facts, settings, is_pull=container.reason in PULL_ERRORS)
    told = last_warning(events or ())
    if told is None:
        return None
    name = told.container or ("stage" if facts.stage.finished_at is None else "algorithm")
    image = next((image for known, image, _ in containers if known == name), run.image)
    image = next((each for each in mounted if each in told.message), image)
    return _stuck(name, image, told.message, facts, settings, is_pull=told.is_pull)


def _stuck(name: str, image: str, why: str, facts: Facts, settings: PodSettings, *, is_pull: bool) -> Waiting:
    # Counted from the moment the container could have started: a GPU is held since the Pod was scheduled.
    times = [t for t in (facts.scheduled_at, facts.stage.finished_at) if t is not None]
    seconds = settings.pull_failure_seconds
    ends_at = datetime.fromtimestamp(max(times).timestamp() + seconds, max(times).tzinfo) if times else None
    is_outage = any(word in why.lower() for word in _OUTAGE_WORDS)
    if len(why) > _MAX_WHY:  # the cause is at the end, behind names that are as long as one likes
        why = f"{why[: _MAX_WHY // 3]} … {why[-_MAX_WHY * 2 // 3 :]}"
    why = shown(why, _MAX_WHY + 10)
    if is_pull:
        message = sentence(Reason.IMAGE_PULL_FAILING, image=shown(image), why=why, seconds=seconds)
        ends_as = Reason.REGISTRY_UNREACHABLE if is_outage else Reason.IMAGE_PULL_FAILED
        return Waiting(Reason.IMAGE_PULL_FAILING, message, ends_at, ends_as)
    message = sentence(Reason.CONTAINER_CREATE_FAILING, container=name, why=why, seconds=seconds)
    return Waiting(Reason.CONTAINER_CREATE_FAILING, message, ends_at, Reason.CONTAINER_CREATE_FAILED)


def _unscheduled(
    facts: Facts,
    run: RunSnapshot,
    nodes: Iterable[Node] | None,
    stores: Mapping[str, DataStoreSpec],
    settings: PodSettings,
) -> Waiting:
    # What follows is about Pods that could be evicted for it, which says nothing to its owner.
    why = shown(facts.unschedulable.partition(" preemption: ")[0], 600)
    why = why.replace(" no new claims to deallocate,", "")
    if "untolerated taint" in why:
        why = f"{why.rstrip('.')}. An admin adds the taint to extraTolerations of the Helm release"
    if "persistentvolumeclaim" in why and ("not found" in why or "being deleted" in why):
        claims = {f'"{spec.persistent_volume_claim.claim_name}"': name for name, spec in stores.items()}
        store = next((name for claim, name in claims.items() if claim in why), "of the job")
        message = sentence(Reason.CLAIM_NOT_FOUND, store=shown(store), why=why.rstrip("."))
        return Waiting(Reason.CLAIM_NOT_FOUND, message)
    if "unbound immediate PersistentVolumeClaims" in why or "volume node affinity conflict" in why:
        return Waiting(Reason.CLAIM_NOT_BOUND, sentence(Reason.CLAIM_NOT_BOUND, why=why))
    gpu = run.resources.gpu
    if gpu.count and nodes is not None and gpu.type in settings.gpu_types:
        found = _by_nodes(run, list(nodes), settings)
        if found is not None:
            return found
    return Waiting(Reason.UNSCHEDULABLE, sentence(Reason.UNSCHEDULABLE, why=why))


def _by_nodes(run: RunSnapshot, nodes: list[Node], settings: PodSettings) -> Waiting | None:
    gpu, kind = run.resources.gpu, settings.gpu_types[run.resources.gpu.type]
    asked_gpu = f"{gpu.count} × {gpu.type} ({kind.resource})"
    typed = [node for node in nodes if matches(node, kind)]
    having = [node for node in typed if _amount(node, kind.resource) >= gpu.count]
    if not having:
        if shared := [
            node for node in nodes if not matches(node, kind) and matches(_as_if_alone(node), kind)
        ]:
            exists = ", ".join(_name(node) for node in shared[:_MAX_NAMES])
            exists += f" and {len(shared) - _MAX_NAMES} more" if len(shared) > _MAX_NAMES else ""
            message = sentence(Reason.GPU_SHARED, asked=asked_gpu, exists=exists)
            return Waiting(Reason.GPU_SHARED, message)
        exists = (
            f"{len(typed)} nodes have the labels of a {gpu.type}, none of them offers {kind.resource}"
            if typed
            else f"{len(nodes)} nodes in all, none with the labels of a {gpu.type}"
        )
        message = sentence(Reason.NO_GPU_NODE, asked=asked_gpu, exists=exists, type=gpu.type)
        return Waiting(Reason.NO_GPU_NODE, message)
    asked = _asked(run, settings)
    fits = [node for node in having if not _lacks(node, asked)]
    if not fits:
        # The one that lacks least, and of those the largest.
        closest = max(
            having, key=lambda node: (-len(_lacks(node, asked)), *(_amount(node, each) for each in asked))
        )
        message = sentence(
            Reason.NODE_TOO_SMALL, type=gpu.type, asked=_told(asked, run), exists=_offer(closest, asked)
        )
        return Waiting(Reason.NODE_TOO_SMALL, message)
    total = sum((_amount(node, kind.resource) for node in fits), Decimal(0))
    exists = f"{len(fits)} of them, {total.normalize():f} GPUs in all"
    return Waiting(Reason.GPUS_BUSY, sentence(Reason.GPUS_BUSY, type=gpu.type, exists=exists))


def _asked(run: RunSnapshot, settings: PodSettings) -> dict[str, Decimal]:
    """What the scheduler counts: the sidecar runs beside the algorithm; the stage step is over by then."""
    stage, collect, algorithm = (
        {name: quantity.parse(amount) for name, amount in container["resources"]["requests"].items()}
        for container in (
            step_container(names.STAGE, settings, stage_resources(run, settings), []),
            step_container(names.COLLECT, settings, collect_resources(settings), []),
            algorithm_container(run, settings),
        )
    )
    none = Decimal(0)
    return {
        name: max(algorithm.get(name, none) + collect.get(name, none), stage.get(name, none))
        for name in _WORDS
    }


def _lacks(node: Node, asked: Mapping[str, Decimal]) -> list[str]:
    """The resources of which the whole node has too little."""
    return [name for name, amount in asked.items() if _amount(node, name) < amount]


def _told(asked: Mapping[str, Decimal], run: RunSnapshot) -> str:
    own, size = run.resources.memory, run.resources.scratch.size
    on_disk = (
        "" if scratch.is_tmpfs(run.resources) else f" (resources.scratch.size {size} and the collect step)"
    )
    return (
        f"{quantity.gib(asked['memory'])} of memory ({own} = {quantity.gib(own)} for the algorithm, the rest for the "
        f"collect step), {asked['cpu'].normalize():f} CPU and {quantity.gib(asked[scratch.RESOURCE])} of disk{on_disk}"
    )


def _offer(node: Node, asked: Mapping[str, Decimal]) -> str:
    """What of it a node has, and what of that is too little."""
    lacks = [_WORDS[name] for name in _lacks(node, asked)]
    return (
        f"{quantity.gib(_amount(node, 'memory'))} allocatable, {_amount(node, 'cpu').normalize():f} CPU and "
        f"{quantity.gib(_amount(node, scratch.RESOURCE))} of disk ({_name(node)}: too little {' and '.join(lacks)})"
    )


def _amount(node: Node, resource: str) -> Decimal:
    return quantity.parse(((node.get("status") or {}).get("allocatable") or {}).get(resource, "0"))


def _name(node: Node) -> str:
    return shown(str((node.get("metadata") or {}).get("name")), 63)


def _as_if_alone(node: Node) -> Node:
    """The node with the labels that it would have if its GPUs were not shared by time-slicing or MPS."""
    labels = dict((node.get("metadata") or {}).get("labels") or {})
    for key in _SHARING:
        labels.pop(key, None)
    labels = {key: value.removesuffix(_SHARED_PRODUCT) for key, value in labels.items()}
    return {"metadata": {"labels": labels}}


def matches(node: Node, kind: GpuType) -> bool:
    """Whether a node satisfies one of the type's node selector terms."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    return any(
        all(_expression(labels, e) for e in term.get("matchExpressions") or [])
        for term in kind.node_selector_terms
        if term.get("matchExpressions")
    )


def _expression(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            try:
                number, bound = int(labels[key]), int(values[0])
            except (KeyError, ValueError, IndexError):
                return False
            return number > bound if operator == "Gt" else number < bound
        case _:
            return False
