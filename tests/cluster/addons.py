"""What runs in the cluster itself (DNS, volumes), and the paper nodes of kwok."""

from __future__ import annotations

from typing import Final

from tests.cluster import build, images, processes
from tests.cluster.pki import kubeconfig
from tests.cluster.settings import BIN, DATA, DNS_SERVICE, HERE, REGISTRY
from tests.cluster.shell import run, wait_for

_DEPLOYMENTS: Final = {"coredns": "kube-system", "local-path-provisioner": "local-path-storage"}
_KWOK_NODES: Final = HERE / "kwok.yaml"


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """What `kubectl` prints, as the cluster's admin."""
    return run(
        BIN / "kubectl", "--kubeconfig", kubeconfig("admin"), *arguments, stdin=stdin, check=check
    ).stdout


def apply() -> None:
    """Apply DNS and storage."""
    volumes = DATA / "volumes"
    volumes.mkdir(parents=True, exist_ok=True)
    values = {
        "@DNS_SERVICE@": DNS_SERVICE,
        "@COREDNS@": images.system("coredns"),
        "@LOCAL_PATH_PROVISIONER@": images.system("local-path-provisioner"),
        "@BUSYBOX@": f"{REGISTRY}/busybox:1",
        "@VOLUMES@": str(volumes),
    }
    documents = []
    for path in sorted((HERE / "addons").glob("*.yaml")):
        text = path.read_text()
        for name, value in values.items():
            text = text.replace(name, value)
        documents.append(text)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin="\n---\n".join(documents))


def ready() -> bool:
    """Whether all of them are available."""
    return all(
        kubectl(
            "-n",
            namespace,
            "get",
            "deployment",
            name,
            "-o",
            "jsonpath={.status.availableReplicas}",
            check=False,
        )
        == "1"
        for name, namespace in _DEPLOYMENTS.items()
    )


def kwok_up() -> None:
    """Start kwok (for annotated nodes alone) and make its nodes; returns when they are Ready."""
    build.build(build.TOOLS)
    processes.start(
        "kwok",
        [
            BIN / "kwok",
            f"--kubeconfig={kubeconfig('kwok')}",
            f"--config={HERE / 'kwok-stages.yaml'}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--cidr=10.245.0.0/24",
            "--node-lease-duration-seconds=40",
        ],
    )
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(_KWOK_NODES))
    wait_for("kwok nodes", _kwok_ready, 60, processes.last_words("kwok"))


def kwok_down() -> None:
    """Remove the paper nodes and what is left on them, then stop kwok."""
    for name in kubectl(
        "get", "nodes", "-l", "type=kwok", "-o", "jsonpath={.items[*].metadata.name}"
    ).split():
        kubectl("delete", "pods", "-A", f"--field-selector=spec.nodeName={name}", "--wait=false")
    kubectl("delete", "--ignore-not-found", "--timeout=30s", "-f", str(_KWOK_NODES))
    processes.stop(("kwok",))


def _kwok_ready() -> bool:
    processes.require_alive("kwok")
    said = kubectl(
        *("get", "nodes", "-l", "type=kwok", "-o"),
        'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
    )
    return said.split() == ["True", "True"]
