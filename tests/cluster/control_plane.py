"""etcd, API server, controller manager and scheduler, as processes of the host."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import Final

from tests.cluster import processes
from tests.cluster.pki import kubeconfig
from tests.cluster.settings import (
    API_PORT,
    API_URL,
    BIN,
    CONFIG,
    DATA,
    ETCD_PEER_URL,
    ETCD_URL,
    LOG,
    NODE_ADDRESS,
    PKI,
    POD_RANGE,
    SERVICE_RANGE,
)
from tests.cluster.shell import wait_for

AUDIT_LOG: Final = LOG / "audit.jsonl"
PROCESSES: Final = ("scheduler", "controller-manager", "apiserver", "etcd")
_AUDIT_POLICY: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


def start() -> None:
    """Start what is not running, in order, each when the one before it answers."""
    CONFIG.mkdir(parents=True, exist_ok=True)
    (CONFIG / "audit-policy.yaml").write_text(_AUDIT_POLICY)
    processes.start(
        "etcd",
        [
            BIN / "etcd",
            f"--data-dir={DATA / 'etcd'}",
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
            f"--listen-client-urls={ETCD_URL}",
            f"--advertise-client-urls={ETCD_URL}",
            f"--listen-peer-urls={ETCD_PEER_URL}",
            f"--initial-advertise-peer-urls={ETCD_PEER_URL}",
            f"--initial-cluster=default={ETCD_PEER_URL}",
        ],
    )
    processes.start(
        "apiserver",
        [
            BIN / "kube-apiserver",
            f"--etcd-servers={ETCD_URL}",
            f"--secure-port={API_PORT}",
            "--bind-address=0.0.0.0",
            f"--advertise-address={NODE_ADDRESS}",
            f"--tls-cert-file={PKI / 'apiserver.crt'}",
            f"--tls-private-key-file={PKI / 'apiserver.key'}",
            f"--client-ca-file={PKI / 'ca.crt'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            # stdout and stderr of a container apart: alpha still, so that both ways of `logs` can be tried.
            "--feature-gates=PodLogsQuerySplitStreams=true",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI / 'sa.pub'}",
            f"--service-account-signing-key-file={PKI / 'sa.key'}",
            f"--kubelet-client-certificate={PKI / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={PKI / 'apiserver-kubelet.key'}",
            f"--kubelet-certificate-authority={PKI / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={CONFIG / 'audit-policy.yaml'}",
            f"--audit-log-path={AUDIT_LOG}",
            "--audit-log-format=json",
            "--audit-log-maxsize=1000",
            "--audit-log-maxbackup=1",
        ],
    )
    wait_for("API server ready", _ready_or_dead, 60, f"See the logs in {LOG}")
    controllers = kubeconfig("controller-manager")
    processes.start(
        "controller-manager",
        [
            BIN / "kube-controller-manager",
            f"--kubeconfig={controllers}",
            f"--authentication-kubeconfig={controllers}",
            f"--authorization-kubeconfig={controllers}",
            f"--service-account-private-key-file={PKI / 'sa.key'}",
            f"--root-ca-file={PKI / 'ca.crt'}",
            f"--cluster-signing-cert-file={PKI / 'ca.crt'}",
            f"--cluster-signing-key-file={PKI / 'ca.key'}",
            "--use-service-account-credentials=true",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={POD_RANGE}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )
    scheduler = kubeconfig("scheduler")
    processes.start(
        "scheduler",
        [
            BIN / "kube-scheduler",
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )


def ready() -> bool:
    """Whether the API server is ready and its bootstrap (RBAC, priority classes) has run: clients rely on both."""
    return answers("/readyz") and answers("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin")


def answers(path: str) -> bool:
    """Whether a GET of the API server as admin yields 200."""
    try:
        context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
        context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        with urllib.request.urlopen(API_URL + path, timeout=5, context=context) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _ready_or_dead() -> bool:
    for name in ("etcd", "apiserver"):
        processes.require_alive(name)
    return ready()
