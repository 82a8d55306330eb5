"""What runs on the GPU nodes: versions, container runtimes, and what the kubelets are set to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from algorithm_operator.api.algorithm import Resources
from algorithm_operator.cli.preflight.checks import Check, Group, Level, Unseen, by_value, listed, worst
from algorithm_operator.cli.preflight.nodes import Node, name_of
from algorithm_operator.core import quantity, runtimes

Config = Mapping[str, Any]
Verdict = tuple[Level, str]

GROUP = Group("kubelets")
BESIDE_THE_ALGORITHM = 24
"""Processes and threads of a job's Pod that are not the algorithm's: the pause process, runner and collect."""
FRAMES_BYTES = 1024**2
"""A manifest travels through collect's log; what a rotation cuts has to be fetched by a Pod of its own."""
GATES = ("ImageVolume", "PodLogsQuerySplitStreams")
IMAGE_VOLUMES = {"containerd": (2, 1), "cri-o": (1, 31)}


def judge(
    nodes: Sequence[Node], kubelets: Mapping[str, Config | Unseen], toolkits: Sequence[str] | Unseen
) -> Iterator[Check]:
    """All checks of GPU nodes' kubelets and runtimes; none without nodes."""
    if not nodes:
        return
    yield _runtimes(nodes)
    yield _image_volumes(nodes)
    yield _groups(nodes)
    kernels = {name_of(node): _info(node, "kernelVersion") for node in nodes}
    yield GROUP.passed("kernel", by_value(kernels))
    yield GROUP.unknown(
        "runc",
        f"Nodes do not tell its version. Without known escapes is {runtimes.mended('runc')}.",
        "On the node: runc --version",
    )
    yield _toolkit(toolkits)
    yield from _configured(kubelets)


def runtime_of(node: Node) -> tuple[str, str]:
    """Name and version: ("containerd", "2.3.7")."""
    name, _, version = _info(node, "containerRuntimeVersion").partition("://")
    return name, version


def _info(node: Node, field: str) -> str:
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get(field) or "")


def runtime(name: str, version: str) -> Verdict:
    """What is known of a container runtime."""
    found = runtimes.known(name, version)
    if found is None:
        return Level.UNKNOWN, f"{name} {version} is not in this command's list"
    if not found.escapes:
        return Level.PASS, f"{name} {version} has no known escape"
    holes = "; ".join(f"{escape.cve}: {escape.what}" for escape in found.escapes)
    if found.patched:
        return Level.WARN, f"{name} {version} has {holes}; a distribution's package may carry the correction"
    return Level.FAIL, f"{name} {version} has {holes}"


def _runtimes(nodes: Sequence[Node]) -> Check:
    verdicts = {name_of(node): runtime(*runtime_of(node)) for node in nodes}
    level = worst(level for level, _ in verdicts.values())
    fixes = {
        Level.UNKNOWN: "Look at the runtime's security advisories for that version.",
        Level.WARN: "Look the CVE up in the distribution's tracker, or update the runtime to "
        f"containerd {runtimes.mended('containerd')}.",
        Level.FAIL: "Until then run only images that you trust. Update the nodes' runtime to "
        f"containerd {runtimes.mended('containerd')}.",
    }
    seen = by_value({node: said for node, (_, said) in verdicts.items()})
    return GROUP.check("container-runtime", level, seen, fixes.get(level, ""))


def _toolkit(images: Sequence[str] | Unseen) -> Check:
    """NVIDIA's container toolkit, which runs as root for every container with a GPU."""
    name, good = "nvidia-toolkit", runtimes.mended(runtimes.TOOLKIT)
    if isinstance(images, Unseen):
        return GROUP.unseen(name, images)
    known = {image: found for image in images if (found := runtimes.toolkit(image)) is not None}
    holes = [
        f"{image} has {escape.cve}: {escape.what}"
        for image, found in known.items()
        for escape in found.escapes
    ]
    if holes:
        fix = f"Update the GPU Operator (25.3.2 or newer brings {good})."
        return GROUP.failed(name, f"{listed(holes)}.", fix)
    if not images or len(known) < len(images):
        where = (
            f"{listed(set(images) - set(known))} does" if images else "No DaemonSet installs it, and nodes do"
        )
        return GROUP.unknown(
            name,
            f"{where} not tell its version. Without known escapes is {good}.",
            "On the node: nvidia-ctk --version",
        )
    return GROUP.passed(name, f"{listed(known)} has no known escape.")


def _image_volumes(nodes: Sequence[Node]) -> Check:
    old, strange = {}, {}
    for node in nodes:
        name, version = runtime_of(node)
        needed, parsed = IMAGE_VOLUMES.get(name), runtimes.parse(version)
        if needed is None or parsed is None:
            strange[name_of(node)] = f"{name} {version}"
        elif parsed[0][:2] < needed:
            old[name_of(node)] = f"{name} {version}"
    fix = "Update to containerd 2.1 or CRI-O 1.31, or keep models in a DataStore (model.store)."
    if old:
        return GROUP.warned("runtime-image-volumes", f"model.image does not work with {by_value(old)}.", fix)
    if strange:
        return GROUP.unknown(
            "runtime-image-volumes", f"Whether model.image works with {by_value(strange)}.", fix
        )
    return GROUP.passed("runtime-image-volumes", "The runtimes can mount images (model.image).")


def _groups(nodes: Sequence[Node]) -> Check:
    without = [
        name_of(node)
        for node in nodes
        if not ((node.get("status") or {}).get("features") or {}).get("supplementalGroupsPolicy")
    ]
    if not without:
        return GROUP.passed(
            "supplemental-groups",
            "The runtimes hold supplementalGroupsPolicy Strict: an image adds no groups.",
        )
    return GROUP.failed(
        "supplemental-groups",
        f"The kubelet refuses a job's Pods (supplementalGroupsPolicy Strict) on {listed(without)}.",
        "Update their runtime to containerd 2.0 or CRI-O 1.31.",
    )


def _configured(kubelets: Mapping[str, Config | Unseen]) -> Iterator[Check]:
    judges: dict[str, tuple[Callable[[Config], Verdict], str]] = {
        "pod-pids-limit": (
            pids,
            f"Set podPidsLimit: {Resources().threads + BESIDE_THE_ALGORITHM} in the KubeletConfiguration of the GPU "
            "nodes, or as near to it as the provider allows (GKE: 1024).",
        ),
        "swap": (
            swap,
            "Set memorySwap.swapBehavior: NoSwap in the KubeletConfiguration, or failSwapOn: true.",
        ),
        "container-logs": (
            logs,
            "Set containerLogMaxSize: 10Mi and containerLogMaxFiles: 5 in the KubeletConfiguration.",
        ),
        "eviction": (eviction, "Set evictionHard in the KubeletConfiguration; its defaults will do."),
        "max-pods": (max_pods, "Raise maxPods in the KubeletConfiguration."),
        "feature-gates": (gates, "Leave ImageVolume on, or keep models in a DataStore (model.store)."),
    }
    seen = {node: config for node, config in kubelets.items() if not isinstance(config, Unseen)}
    unseen = {node: config.why for node, config in kubelets.items() if isinstance(config, Unseen)}
    if not seen:
        why = by_value(unseen) or "no GPU node was asked"
        for name in judges:
            yield GROUP.unknown(
                name,
                f"not looked at: {why}",
                "Run preflight as a cluster admin (get on nodes/proxy), or read the KubeletConfiguration on the node.",
            )
        return
    for name, (judged, fix) in judges.items():
        verdicts = {node: judged(config) for node, config in seen.items()}
        level = worst(level for level, _ in verdicts.values())
        text = by_value({node: said for node, (_, said) in verdicts.items()})
        if unseen:
            text += f"; not seen: {listed(unseen)}"
            level = worst([level, Level.UNKNOWN])
        yield GROUP.check(name, level, text, fix)


def pids(config: Config) -> Verdict:
    """podPidsLimit: processes and threads of a Pod, held by the kernel."""
    limit, threads = int(config.get("podPidsLimit") or -1), Resources().threads
    if limit < 0:
        return (
            Level.WARN,
            f"no limit: the runner's watchdog alone ends an algorithm with more than {threads} threads",
        )
    if limit < threads + BESIDE_THE_ALGORITHM:
        return (
            Level.WARN,
            f"{limit}: an algorithm cannot start the {threads} threads that it is allowed by default",
        )
    if limit <= 2 * threads:
        return (
            Level.PASS,
            f"{limit}: the kernel stops a fork bomb there; the runner's watchdog ends it at {threads}",
        )
    return (
        Level.WARN,
        f"{limit}: the kernel stops a fork bomb late; the runner's watchdog ends it at {threads}",
    )


def swap(config: Config) -> Verdict:
    """Whether memory that a job has used up goes to disk."""
    behavior = (config.get("memorySwap") or {}).get("swapBehavior") or "NoSwap"
    if config.get("failSwapOn", True):
        return Level.PASS, "the kubelet does not start on a node with swap"
    if behavior == "NoSwap":
        return Level.PASS, "Pods do not swap (NoSwap)"
    if behavior == "LimitedSwap":
        return Level.PASS, "jobs do not swap (LimitedSwap spares Pods whose requests are their limits)"
    return Level.WARN, f"Pods may swap ({behavior}): a job can take more memory than its limit"


def logs(config: Config) -> Verdict:
    """Rotation of containers' logs: how much of a job's words stays, and whether the manifest passes whole."""
    size, files = (
        str(config.get("containerLogMaxSize") or "10Mi"),
        int(config.get("containerLogMaxFiles") or 5),
    )
    text = f"rotated at {size}, {files} files"
    if quantity.parse(size) < FRAMES_BYTES:
        return Level.WARN, f"{text}: less than a large manifest takes on its way through collect's log"
    return Level.PASS, text


def eviction(config: Config) -> Verdict:
    """When the kubelet ends Pods to save the node."""
    hard = {str(key): str(value) for key, value in (config.get("evictionHard") or {}).items()}
    text = ", ".join(f"{key} < {value}" for key, value in sorted(hard.items()))
    missing = [key for key in ("memory.available", "nodefs.available") if hard.get(key, "0") in ("0", "0%")]
    if missing:
        return (
            Level.WARN,
            f"{text or 'nothing'}; not guarded: {', '.join(missing)}: one job can take the node down",
        )
    return Level.PASS, text


def max_pods(config: Config) -> Verdict:
    """How many Pods the node holds."""
    count = int(config.get("maxPods") or 110)
    if count < 16:
        return Level.WARN, f"{count} Pods, with those of the system"
    return Level.PASS, f"{count} Pods"


def gates(config: Config) -> Verdict:
    """Switches of the kubelet that jobs can feel."""
    given = config.get("featureGates") or {}
    text = ", ".join(
        f"{gate}={str(given[gate]).lower()}" if gate in given else f"{gate} default" for gate in GATES
    )
    if given.get("ImageVolume") is False:
        return Level.WARN, f"{text}: model.image does not work"
    return Level.PASS, text
