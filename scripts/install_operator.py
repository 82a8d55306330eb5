"""Install the operator, built from this checkout, into the test cluster: what the demo and the tests share.

`python scripts/install_operator.py NAMESPACE…` makes the namespaces ready for jobs, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.cluster.settings import BIN, CACHE, KUBECONFIG, REGISTRY  # noqa: E402

RELEASE = "algorithm-operator"
NAMESPACE = "algorithm-operator-system"
CHART = ROOT / "charts" / "algorithm-operator"
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def images() -> dict[str, str]:
    """Our images by name (operator, steps, gateway, brain-tissue), built and pushed where they are not current."""
    command = [sys.executable, str(ROOT / "tests" / "cluster"), "build-images"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split(maxsplit=1) for line in built.splitlines())


def gateway_image() -> dict[str, str]:
    """The gateway's image, as the chart takes it."""
    return _image(images()["gateway"])


def _image(built: str) -> dict[str, str]:
    reference, _, digest = built.partition("@")
    registry, _, repository = reference.partition("/")
    return {"registry": registry, "repository": repository, "digest": digest}


def values(namespaces: list[str]) -> dict[str, Any]:
    """Helm values for the test cluster: its registry, its only node's taint, and job namespaces."""
    built = images()
    return {
        "image": _image(built["operator"]),
        "stepsImage": _image(built["steps"]),
        "insecureRegistries": [REGISTRY],
        "tolerations": [GPU_TOLERATION],
        "jobNamespaces": [{"name": name, "create": True} for name in namespaces],
    }


def install(namespaces: list[str], extra_values: dict[str, Any] | None = None) -> None:
    """Install or upgrade the Helm release and wait until it is ready; `extra_values` win over ours, key by key.

    Helm's own words go to stderr. Raises CalledProcessError when Helm fails.
    """
    with (CACHE / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Helm refuses a second one at a time
        _upgrade(values(namespaces) | (extra_values or {}))


def _upgrade(merged: dict[str, Any]) -> None:
    environment = {**os.environ, "KUBECONFIG": str(KUBECONFIG)}
    flags = ["--namespace", NAMESPACE, "--create-namespace", "--values", "-", "--wait", "--timeout", "120s"]
    subprocess.run(
        [str(BIN / "helm"), "upgrade", "--install", "--hide-notes", RELEASE, str(CHART), *flags],
        input=json.dumps(merged),
        text=True,
        stdout=sys.stderr,
        env=environment,
        check=True,
    )


if __name__ == "__main__":
    install(sys.argv[1:])
