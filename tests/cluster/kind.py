"""The test cluster on kind, for machines with a Docker engine. The README says whether this was ever run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.cluster import build, registry
from tests.cluster.settings import BIN, GPUS, HERE, KUBECONFIG, STATE
from tests.cluster.shell import ClusterError, run, say

_NAME: Final = "algorithm-operator"
_NODE: Final = f"{_NAME}-control-plane"
_NETWORK_RANGE: Final = "10.246.0.0/24"
_REGISTRY_NAME: Final = f"{_NAME}-registry"
_REGISTRY_ADDRESS: Final = "10.246.0.2"
# Nodes, Pods and (on Linux) the host reach it here …
REGISTRY: Final = f"{_REGISTRY_ADDRESS}:5000"
# … and the Docker engine pushes here, because it takes plain HTTP from loopback addresses alone.
PUSH: Final = "127.0.0.1:5000"
_TOOLS: Final = (build.KIND, build.KUBECTL, build.HELM)


def chosen() -> bool:
    """Whether a Docker engine answers; ALGORITHM_OPERATOR_CLUSTER=embedded declines it."""
    if os.environ.get("ALGORITHM_OPERATOR_CLUSTER") == "embedded" or shutil.which("docker") is None:
        return False
    return run("docker", "info", check=False).returncode == 0


def up() -> None:
    """Create cluster and registry where they are not there, and have the node advertise its GPUs."""
    build.build(_TOOLS)
    STATE.mkdir(parents=True, exist_ok=True)
    if run("docker", "network", "inspect", _NAME, check=False).returncode != 0:
        run("docker", "network", "create", "--subnet", _NETWORK_RANGE, _NAME)
    if run("docker", "container", "inspect", _REGISTRY_NAME, check=False).returncode != 0:
        run(
            *("docker", "run", "--detach", "--restart=unless-stopped", "--name", _REGISTRY_NAME),
            *("--network", _NAME, "--ip", _REGISTRY_ADDRESS, "--publish", f"{PUSH}:5000", "registry:3"),
        )
    if _NAME not in _kind("get", "clusters").split():
        say("kind: creating the cluster")
        _kind("create", "cluster", "--config", str(HERE / "kind.yaml"), "--wait", "180s")
        folder = f"/etc/containerd/certs.d/{REGISTRY}"
        run("docker", "exec", _NODE, "mkdir", "-p", folder)
        hosts = f'[host."http://{REGISTRY}"]\n'
        run("docker", "exec", "--interactive", _NODE, "tee", f"{folder}/hosts.toml", stdin=hosts)
        _publish_busybox()
    _kind("export", "kubeconfig")
    # A restarted kubelet forgets it; `up` says it again.
    gpus = {"nvidia.com/gpu": str(GPUS)}
    patch = json.dumps({"status": {"capacity": gpus, "allocatable": gpus}})
    kubectl = (BIN / "kubectl", "--kubeconfig", KUBECONFIG)
    run(*kubectl, "patch", "node", _NODE, "--subresource=status", "--type=merge", "-p", patch)
    say("the cluster is up (kind)")


def status() -> list[tuple[str, bool]]:
    """Each part and whether it is well."""
    ready = run(BIN / "kubectl", "--kubeconfig", KUBECONFIG, "get", "--raw", "/readyz", check=False)
    found = run("docker", "container", "inspect", "--format={{.State.Running}}", _REGISTRY_NAME, check=False)
    return [("kind's API server", ready.returncode == 0), ("registry", found.stdout.strip() == "true")]


def down() -> None:
    """Delete cluster, registry and network."""
    if (BIN / "kind").exists():
        _kind("delete", "cluster", "--name", _NAME)
    run("docker", "rm", "--force", "--volumes", _REGISTRY_NAME, check=False)
    run("docker", "network", "rm", _NAME, check=False)
    KUBECONFIG.unlink(missing_ok=True)


def build_folder(name: str, folder: Path, arguments: Mapping[str, str], target: str = "") -> str:
    """Build a folder's Dockerfile with Docker and push it; returns `registry/name@sha256:…`."""
    pairs = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
    local = f"{PUSH}/{name}:latest"
    say(f"image {name}")
    chosen_target = ["--target", target] if target else []
    run("docker", "build", "--quiet", "--tag", local, *pairs, *chosen_target, folder)
    return _push(local, name)


def push_archive(archive: Path, name: str) -> str:
    """Push an image archive of `docker save`; returns `registry/name@sha256:…`."""
    said = run("docker", "load", "--quiet", "--input", archive).stdout
    local = f"{PUSH}/{name}:latest"
    run("docker", "tag", said.rpartition(": ")[2].strip(), local)
    return _push(local, name)


def save_archive(reference: str, archive: Path) -> None:
    """Write an image of the registry to a file."""
    local = reference.replace(REGISTRY, PUSH)
    run("docker", "pull", "--quiet", local)
    run("docker", "save", "--output", archive, local)


def _publish_busybox() -> None:
    run("docker", "pull", "--quiet", "busybox:stable")
    run("docker", "tag", "busybox:stable", f"{PUSH}/busybox:1")
    run("docker", "push", "--quiet", f"{PUSH}/busybox:1")


def _push(local: str, name: str) -> str:
    run("docker", "push", "--quiet", local)
    digest = registry.digest(name, "latest", at=PUSH)
    if digest is None:
        raise ClusterError(f"{local} was pushed and is not in the registry")
    return f"{REGISTRY}/{name}@{digest}"


def _kind(*arguments: str) -> str:
    environment = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": _NAME, "KIND_CLUSTER_NAME": _NAME}
    return run(BIN / "kind", *arguments, env={**environment, "KUBECONFIG": str(KUBECONFIG)}).stdout
