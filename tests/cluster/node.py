"""The one real node: containerd, kubelet, kube-proxy and kube-router, as processes of the host."""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.cluster import control_plane, network, processes
from tests.cluster.pki import kubeconfig
from tests.cluster.settings import (
    API_URL,
    BIN,
    CONFIG,
    CONTAINERD_SOCKET,
    DATA,
    DNS_SERVICE,
    GPU_LABELS,
    GPU_TAINT,
    GPUS,
    HERE,
    LOG,
    NODE_ADDRESS,
    NODE_NAME,
    PKI,
    POD_RANGE,
    REGISTRY,
    RUN,
    SERVICE_RANGE,
    STATE,
)
from tests.cluster.shell import run, say, wait_for

# In the order in which they are to be stopped.
PROCESSES: Final = ("node-keeper", "kube-router", "kube-proxy", "kubelet", "containerd")
_CNI_PLUGINS: Final = Path("/usr/lib/cni")


def start() -> None:
    """Start what is not running; returns when containerd answers (the node's readiness takes some seconds more)."""
    _write_containerd_config()
    processes.start("containerd", [BIN / "containerd", "--config", CONFIG / "containerd.toml"])
    wait_for("containerd", _containerd_answers, 30, processes.last_words("containerd"))
    _write_kubelet_config()
    processes.start(
        "kubelet",
        [
            BIN / "kubelet",
            f"--config={CONFIG / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig('kubelet')}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={NODE_ADDRESS}",
            f"--root-dir={DATA / 'kubelet'}",
            f"--cert-dir={DATA / 'kubelet-pki'}",
            f"--register-with-taints={GPU_TAINT}",
            f"--node-labels={','.join(f'{name}={value}' for name, value in GPU_LABELS.items())}",
        ],
    )
    processes.start(
        "kube-proxy",
        [
            BIN / "kube-proxy",
            f"--kubeconfig={kubeconfig('kube-proxy')}",
            f"--cluster-cidr={POD_RANGE}",
            f"--hostname-override={NODE_NAME}",
            "--proxy-mode=iptables",
            "--conntrack-max-per-core=0",
            "--bind-address=0.0.0.0",
            "--healthz-bind-address=127.0.0.1:10256",
        ],
    )
    # kube-router ends at once where it finds no node of its name.
    wait_for("the kubelet to register the node", _registered, 60, f"See {LOG / 'kubelet.log'}")
    processes.start(
        "kube-router",
        [
            BIN / "kube-router",
            f"--kubeconfig={kubeconfig('kube-router')}",
            f"--hostname-override={NODE_NAME}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
            "--enable-ipv6=false",
        ],
    )
    processes.start("node-keeper", [sys.executable, HERE, "keep-node"])


def keep() -> None:
    """For ever: have the node advertise its simulated GPUs, which a restarted kubelet sets to 0."""
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "node-keeper.crt", PKI / "node-keeper.key")
    url = f"{API_URL}/api/v1/nodes/{NODE_NAME}"
    quantity = str(GPUS)

    def send(request: urllib.request.Request | str) -> Any:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)

    while True:
        try:
            status = send(url)["status"]
            kinds = ("capacity", "allocatable")
            if any(status.get(kind, {}).get("nvidia.com/gpu") != quantity for kind in kinds):
                patch = {"status": {kind: {"nvidia.com/gpu": quantity} for kind in kinds}}
                headers = {"Content-Type": "application/merge-patch+json"}
                body = json.dumps(patch).encode()
                send(urllib.request.Request(f"{url}/status", body, headers, method="PATCH"))
                say(f"the node advertises nvidia.com/gpu: {quantity}")
        except (OSError, ValueError, KeyError) as error:
            say(f"{error}")
        time.sleep(1)


def _registered() -> bool:
    processes.require_alive("kubelet")
    return control_plane.answers(f"/api/v1/nodes/{NODE_NAME}")


def ready() -> bool:
    """Whether the node is Ready and has its GPUs."""
    said = run(
        BIN / "kubectl",
        *("--kubeconfig", kubeconfig("admin"), "get", "node", NODE_NAME, "-o"),
        'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.allocatable.nvidia\\.com/gpu}',
        check=False,
    )
    return said.stdout.split() == ["True", str(GPUS)]


def _containerd_answers() -> bool:
    processes.require_alive("containerd")
    return run(BIN / "ctr", "--address", CONTAINERD_SOCKET, "version", check=False).returncode == 0


def _write_containerd_config() -> None:
    hosts = CONFIG / "registries" / REGISTRY
    hosts.mkdir(parents=True, exist_ok=True)
    (hosts / "hosts.toml").write_text(
        f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\ncapabilities = ["pull", "resolve"]\n'
    )
    cni = network.write_cni()
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE a container with a negative score does not start.
    # netns_mounts_under_state_dir: the Pods' network namespaces are then found, and removed, with our folder.
    (CONFIG / "containerd.toml").write_text(f"""\
version = 3
root = "{DATA / "containerd"}"
state = "{RUN / "containerd"}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{REGISTRY}/pause:1"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{CONFIG / "registries"}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{_CNI_PLUGINS}"]
    conf_dir = "{cni}"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{BIN / "runc"}"
        Root = "{RUN / "runc"}"
        SystemdCgroup = false
""")


def _write_kubelet_config() -> None:
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # cgroup v1 is refused by default since 1.35; machines that still have it are to run this.
        "failCgroupV1": False,
        "featureGates": {"PodLogsQuerySplitStreams": True},
        "cgroupDriver": "cgroupfs",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(PKI / "kubelet.crt"),
        "tlsPrivateKeyFile": str(PKI / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        "resolvConf": "",
        "failSwapOn": False,
        "maxPods": 110,
        "podPidsLimit": 1024,
        "podLogsDir": str(DATA / "pod-logs"),
        "seccompDefault": False,
        "serializeImagePulls": False,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": str(DATA / "kubelet-plugins"),
    }
    (CONFIG / "kubelet.yaml").write_text(json.dumps(config, indent=1))


def clean() -> None:
    """Take away the mounts and cgroups of a node whose processes have been stopped."""
    for mount in mounts(STATE):
        run("umount", "--lazy", mount, check=False)
    for group in cgroups():
        try:
            group.rmdir()
        except OSError as error:
            say(f"cgroup {group}: {error.strerror}")


def mounts(below: Path) -> list[str]:
    """Mounts below a folder, innermost first."""
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in table]
    return sorted((point for point in points if point.startswith(f"{below}{os.sep}")), reverse=True)


def cgroups() -> list[Path]:
    """Our kubelet's cgroups, innermost first."""
    roots = [root / "kubepods" for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*"))]
    found = {group for root in roots if root.is_dir() for group in (root, *root.rglob("*")) if group.is_dir()}
    return sorted(found, key=lambda group: len(group.parts), reverse=True)
