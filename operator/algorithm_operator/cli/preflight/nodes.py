"""The nodes that GPU jobs may go to: how many, whether a default job fits, who else uses the GPU. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from algorithm_operator.cli.preflight import demand
from algorithm_operator.cli.preflight.checks import Check, Group, Level, Unseen, by_value, listed
from algorithm_operator.core import quantity
from algorithm_operator.core.settings import GpuType, PodSettings
from algorithm_operator.core.waiting import matches

Node = Mapping[str, Any]

GROUP = Group("GPU nodes")
SHARING = ("nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy")
SHARED = ("time-slicing", "mps")
DRIVER = (
    ("nvidia.com/cuda.driver-version.full",),
    ("nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor", "nvidia.com/cuda.driver.rev"),
)
CUDA = (
    ("nvidia.com/cuda.runtime-version.full",),
    ("nvidia.com/cuda.runtime.major", "nvidia.com/cuda.runtime.minor"),
)
_BLOCKING = ("NoSchedule", "NoExecute")


def name_of(node: Node) -> str:
    """Its name."""
    return str(node["metadata"]["name"])


def labels_of(node: Node) -> Mapping[str, str]:
    """Its labels."""
    return node["metadata"].get("labels") or {}


def allocatable(node: Node, resource: str) -> Decimal:
    """What Pods may take of it."""
    return quantity.parse(((node.get("status") or {}).get("allocatable") or {}).get(resource, "0"))


def gpu_nodes(nodes: Iterable[Node], settings: PodSettings) -> list[Node]:
    """Those of any of the installation's types."""
    return [node for node in nodes if any(matches(node, kind) for kind in settings.gpu_types.values())]


def is_ready(node: Node) -> bool:
    """Whether its kubelet says that it is, and nobody has cordoned it."""
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable")


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """As the scheduler compares them."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint.get("key"):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (
        taint.get("value") or ""
    )


def in_the_way(node: Node, kind: GpuType, settings: PodSettings) -> list[str]:
    """Taints that keep jobs of that type away, as kubectl writes them. Those of a node that is not ready go by
    themselves."""
    given = [*kind.tolerations, *settings.extra_tolerations]
    return [
        f"{taint.get('key')}={taint.get('value') or ''}:{taint.get('effect')}"
        for taint in (node.get("spec") or {}).get("taints") or []
        if taint.get("effect") in _BLOCKING
        and not str(taint.get("key")).startswith("node.kubernetes.io/")
        and not any(tolerates(toleration, taint) for toleration in given)
    ]


def judge(nodes: Sequence[Node] | Unseen, settings: PodSettings) -> Iterator[Check]:
    """All checks of nodes but those of their kubelets."""
    if isinstance(nodes, Unseen):
        yield GROUP.unseen("gpu-nodes", nodes)
        return
    if not settings.gpu_types:
        yield GROUP.failed(
            "gpu-nodes",
            "The installation knows no type of GPU: no Algorithm that asks for one can be Ready.",
            "Set gpuTypes of the chart; its default knows the T4.",
        )
        return
    any_usable = any(_usable(nodes, kind, settings) for kind in settings.gpu_types.values())
    for type_, kind in settings.gpu_types.items():
        typed = [node for node in nodes if matches(node, kind)]
        yield _number(type_, kind, typed, len(nodes), settings, any_usable=any_usable)
        if typed:
            yield _room(type_, typed, settings)
            yield _taints(type_, kind, typed, settings)
    yield _sharing(nodes, settings)
    found = gpu_nodes(nodes, settings)
    if found:
        yield _driver(found)


def _usable(nodes: Iterable[Node], kind: GpuType, settings: PodSettings) -> list[Node]:
    return [
        node
        for node in nodes
        if matches(node, kind)
        and is_ready(node)
        and not in_the_way(node, kind, settings)
        and allocatable(node, kind.resource) >= 1
    ]


def _number(
    type_: str, kind: GpuType, typed: Sequence[Node], of: int, settings: PodSettings, *, any_usable: bool
) -> Check:
    name, usable = f"nodes-of-{type_}", _usable(typed, kind, settings)
    if usable:
        gpus = sum((allocatable(node, kind.resource) for node in usable), Decimal(0))
        seen = (
            f"{len(usable)} with {gpus.normalize():f} {kind.resource} in all: {listed(map(name_of, usable))}"
        )
        out = [node for node in typed if node not in usable]
        if not out:
            return GROUP.passed(name, seen)
        return GROUP.warned(
            name,
            f"{seen}. Not usable just now: {listed(map(name_of, out))}",
            "kubectl get nodes shows which are NotReady or cordoned; one that offers no GPU lacks the device plugin.",
        )
    level = Level.WARN if any_usable else Level.FAIL
    if not typed:
        return GROUP.check(
            name,
            level,
            f"None of {of} nodes has the labels of a {type_}; its jobs wait with NoGpuNode.",
            f"Label them as GPU feature discovery does, or say in gpuTypes.{type_}.nodeSelectorTerms how they are "
            "recognised. Nodes that an autoscaler adds on demand cannot be seen before.",
        )
    return GROUP.check(
        name,
        level,
        f"{len(typed)} nodes have the labels of a {type_}, but none is ready, open to jobs and offers {kind.resource}: "
        f"{listed(map(name_of, typed))}.",
        "Install the NVIDIA device plugin (or GPU Operator) and see kubectl describe node for conditions and taints.",
    )


def _room(type_: str, typed: Sequence[Node], settings: PodSettings) -> Check:
    asked = demand.of_pod(demand.containers(type_, settings), "requests")
    fits, short = [], {}
    for node in typed:
        lacking = [name for name, number in asked.items() if allocatable(node, name) < number]
        if lacking:
            short[name_of(node)] = ", ".join(
                f"{demand.amount(name, allocatable(node, name))} of {name}" for name in sorted(lacking)
            )
        else:
            fits.append(node)
    name, wants = f"room-for-a-{type_}-job", demand.arithmetic(type_, settings)
    if not short:
        largest = max(fits, key=lambda node: allocatable(node, "memory"))
        has = ", ".join(
            f"{demand.amount(name, allocatable(largest, name))} of {name}" for name in ("memory", "cpu")
        )
        return GROUP.passed(
            name, f"A job with the default resources asks for {wants}; {name_of(largest)} has {has}."
        )
    return GROUP.check(
        name,
        Level.WARN if fits else Level.FAIL,
        f"A job with the default resources asks for {wants}. Too little is allocatable: {by_value(short)}.",
        "Larger nodes (8 CPUs and 32 GB will do), or lower spec.resources of the Algorithms, or stepsResources.",
    )


def _taints(type_: str, kind: GpuType, typed: Sequence[Node], settings: PodSettings) -> Check:
    blocked = {
        name_of(node): ", ".join(found) for node in typed if (found := in_the_way(node, kind, settings))
    }
    name = f"taints-of-{type_}"
    if not blocked:
        return GROUP.passed(name, "Jobs tolerate the taints of all of them.")
    return GROUP.check(
        name,
        Level.WARN if len(blocked) < len(typed) else Level.FAIL,
        f"Jobs do not tolerate: {by_value(blocked)}.",
        f"Add them to gpuTypes.{type_}.tolerations or to extraTolerations, if jobs should run there.",
    )


def sharing(node: Node) -> str | None:
    """How its GPUs are shared between Pods, if they are."""
    labels = labels_of(node)
    for label in SHARING:
        value = labels.get(label)
        if value is not None and (value in SHARED or label.startswith("cloud.google.com/")):
            return f"{label}={value}"
    if labels.get("nvidia.com/gpu.product", "").endswith("-SHARED"):
        return f"nvidia.com/gpu.product={labels['nvidia.com/gpu.product']}"
    return None


def _sharing(nodes: Sequence[Node], settings: PodSettings) -> Check:
    used = {name_of(node): how for node in gpu_nodes(nodes, settings) if (how := sharing(node))}
    left_out = {name_of(node): how for node in nodes if (how := sharing(node)) and name_of(node) not in used}
    fix = (
        "Switch time-slicing or MPS off in the device plugin's configuration of these nodes (on GKE: a node pool "
        "without gpu-sharing-strategy)"
    )
    if used:
        return GROUP.failed(
            "gpu-sharing",
            f"Jobs would share their GPU, and its memory is not kept apart: {by_value(used)}.",
            f"{fix}, or leave them out: gpuTypes.<type>.nodeSelectorTerms with "
            "{key: nvidia.com/gpu.sharing-strategy, operator: NotIn, values: [time-slicing, mps]}.",
        )
    if left_out:
        return GROUP.warned(
            "gpu-sharing",
            f"These nodes share their GPUs between Pods, so no job runs there: {by_value(left_out)}.",
            f"{fix}, if jobs should run there.",
        )
    return GROUP.passed("gpu-sharing", "No node says that it shares a GPU between Pods.")


def _label_version(labels: Mapping[str, str], forms: Sequence[Sequence[str]]) -> str | None:
    for keys in forms:
        parts = [labels[key] for key in keys if labels.get(key)]
        if parts:
            return ".".join(parts)
    return None


def _driver(found: Sequence[Node]) -> Check:
    drivers: dict[str, str] = {}
    for node in found:
        driver, cuda = (_label_version(labels_of(node), forms) for forms in (DRIVER, CUDA))
        if driver is not None:
            drivers[name_of(node)] = driver + (f", CUDA up to {cuda}" if cuda else "")
    silent = [name_of(node) for node in found if name_of(node) not in drivers]
    if not silent:
        return GROUP.passed("gpu-driver", f"Driver {by_value(drivers)}.")
    some = f"Driver {by_value(drivers)}. " if drivers else ""
    return GROUP.warned(
        "gpu-driver",
        f"{some}No label tells the driver of {listed(silent)}: whether an image's CUDA fits shows only when it runs.",
        "Install GPU feature discovery (part of the GPU Operator); it labels nodes with their driver's version.",
    )
