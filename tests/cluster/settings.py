"""Addresses, names and folders of the test cluster: the constants that the other modules share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parents[1]

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "algorithm-operator"
STATE: Final = Path(os.environ.get("ALGORITHM_OPERATOR_CLUSTER_DIR") or CACHE / "cluster").absolute()
# A UNIX socket's path holds 107 bytes, and the kubelet adds its own folders below ours.
LONGEST_STATE: Final = 60

BIN: Final = STATE / "bin"
PKI: Final = STATE / "pki"
RUN: Final = STATE / "run"
LOG: Final = STATE / "log"
DATA: Final = STATE / "data"
CONFIG: Final = STATE / "config"
REGISTRY_DATA: Final = STATE / "registry"
KUBECONFIG: Final = STATE / "kubeconfig"
CONTAINERD_SOCKET: Final = RUN / "containerd.sock"

BRIDGE: Final = "cni0"
# The bridge exists before any Pod does, so its address is a constant name for this machine: the node's
# address, the API server's and the registry's, for Pods and for processes of the host alike.
NODE_ADDRESS: Final = "10.244.0.1"
NODE_NAME: Final = "t4-node"
POD_RANGE: Final = "10.244.0.0/16"
NODE_POD_RANGE: Final = "10.244.0.0/24"
SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"
API_PORT: Final = 6443
API_URL: Final = f"https://127.0.0.1:{API_PORT}"
ETCD_URL: Final = "http://127.0.0.1:12379"
ETCD_PEER_URL: Final = "http://127.0.0.1:12380"
REGISTRY: Final = f"{NODE_ADDRESS}:5000"

GPUS: Final = 4
GPU_LABELS: Final = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "Tesla-T4",
    "nvidia.com/gpu.memory": "15360",
    "nvidia.com/gpu.count": str(GPUS),
    "node.kubernetes.io/instance-type": "simulated-t4",
}
GPU_TAINT: Final = "nvidia.com/gpu=present:NoSchedule"
