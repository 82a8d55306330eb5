"""Why a Pod does not run yet, in words that name what was asked, what exists and the fix. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.api.text import shown
from algorithm_operator.core import quantity
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
) -> Waiting | None:
    """What the attempt waits for, or None if it moves. `nodes` is None where the operator may not list them;
    `events` are those of the Pod, where they were asked for."""
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
            return _stuck(name, image, why, facts, settings, is_pull=container.reason in PULL_ERRORS)
    told = last_warning(events or ())
    if told is None:
        return None
    name = told.container or ("stage" if facts.stage.finished_at is None else "algorithm")
    image = next((image for known, image, _ in containers if known == name), run.image)
    return _stuck(name, image, told.message, facts, settings, is_pull=told.is_pull)


def _stuck(name: str, image: str, why: str, facts: Facts, settings: PodSettings, *, is_pull: bool) -> Waiting:
    # Counted from the moment the container could have started: a GPU is held since the Pod was scheduled.
    times = [t for t in (facts.scheduled_at, facts.stage.finished_at) if t is not None]
    seconds = settings.pull_failure_seconds
    ends_at = datetime.fromtimestamp(max(times).timestamp() + seconds, max(times).tzinfo) if times else None
    why = shown(why, 500)
    if is_pull:
        message = sentence(Reason.IMAGE_PULL_FAILING, image=shown(image), why=why, seconds=seconds)
        return Waiting(Reason.IMAGE_PULL_FAILING, message, ends_at, Reason.IMAGE_PULL_FAILED)
    message = sentence(Reason.CONTAINER_CREATE_FAILING, container=name, why=why, seconds=seconds)
    return Waiting(Reason.CONTAINER_CREATE_FAILING, message, ends_at, Reason.CONTAINER_CREATE_FAILED)


def _unscheduled(
    facts: Facts,
    run: RunSnapshot,
    nodes: Iterable[Node] | None,
    stores: Mapping[str, DataStoreSpec],
    settings: PodSettings,
) -> Waiting:
    why = shown(facts.unschedulable, 600)
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
        exists = (
            f"{len(typed)} nodes have the labels of a {gpu.type}, none of them offers {kind.resource}"
            if typed
            else f"{len(nodes)} nodes in all, none with the labels of a {gpu.type}"
        )
        message = sentence(Reason.NO_GPU_NODE, asked=asked_gpu, exists=exists, type=gpu.type)
        return Waiting(Reason.NO_GPU_NODE, message)
    memory, cpu = _asked(run, settings, "memory"), _asked(run, settings, "cpu")
    fits = [node for node in having if _amount(node, "memory") >= memory and _amount(node, "cpu") >= cpu]
    if not fits:
        largest = max(having, key=lambda node: (_amount(node, "memory"), _amount(node, "cpu")))
        own = run.resources.memory
        asked = (
            f"{quantity.gib(memory)} of memory ({own} = {quantity.gib(own)} for the algorithm, the rest for the "
            f"collect step) and {cpu.normalize():f} CPU"
        )
        exists = (
            f"{quantity.gib(_amount(largest, 'memory'))} allocatable and {_amount(largest, 'cpu').normalize():f} CPU "
            f"({shown(str(largest['metadata']['name']), 63)})"
        )
        return Waiting(
            Reason.NODE_TOO_SMALL, sentence(Reason.NODE_TOO_SMALL, type=gpu.type, asked=asked, exists=exists)
        )
    total = sum((_amount(node, kind.resource) for node in fits), Decimal(0))
    exists = f"{len(fits)} of them, {total.normalize():f} GPUs in all"
    return Waiting(Reason.GPUS_BUSY, sentence(Reason.GPUS_BUSY, type=gpu.type, exists=exists))


def _asked(run: RunSnapshot, settings: PodSettings, resource: str) -> Decimal:
    """What the scheduler counts: the sidecar runs beside the algorithm; the stage step is over by then."""
    algorithm = quantity.parse(run.resources.memory if resource == "memory" else run.resources.cpu)
    collect = quantity.parse(settings.collect_resources[resource])
    return max(algorithm + collect, quantity.parse(settings.stage_resources[resource]))


def _amount(node: Node, resource: str) -> Decimal:
    return quantity.parse(((node.get("status") or {}).get("allocatable") or {}).get(resource, "0"))


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
