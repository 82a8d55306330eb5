"""Writes what is derived from the chart: its copies of the CRDs, the plain manifests, Argo CD's health ConfigMap.

`python deploy/render.py` writes, `--check` compares and fails, naming what is stale. Needs Helm on PATH
(`eval "$(python3 tests/cluster env)"` puts the test cluster's there) and PyYAML.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "algorithm-operator"
CRDS = ROOT / "crds"
RELEASE = "algorithm-operator"
NAMESPACE = "algorithm-operator-system"
JOB_NAMESPACE = "imaging"
GROUP = "algorithm-operator.dev"
KINDS = ("Algorithm", "AlgorithmJob", "DataStore", "ImageImport")
KUBE_VERSION = "1.33.0"
HEADER = "# Rendered from charts/algorithm-operator by deploy/render.py; edit there.\n"

Object = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: long texts as blocks, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _string)


def dump(objects: Iterable[Object]) -> str:
    """The objects as one YAML stream."""
    return HEADER + "---\n".join(yaml.dump(o, Dumper=_Dumper, sort_keys=False, width=110) for o in objects)


def template(
    chart: Path, *arguments: str, release: str = RELEASE, namespace: str = NAMESPACE
) -> list[Object]:
    """The objects that Helm renders, in the order in which Helm would install them."""
    helm = shutil.which("helm")
    if helm is None:
        raise SystemExit('helm is not on PATH; the test cluster has one: eval "$(python3 tests/cluster env)"')
    command = [
        helm,
        "template",
        release,
        str(chart),
        "--namespace",
        namespace,
        "--kube-version",
        KUBE_VERSION,
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"helm template failed:\n{done.stderr.strip()}")
    return [o for o in yaml.safe_load_all(done.stdout) if o]


def plain(rendered: Object) -> Object:
    """The object without what is Helm's own: no Helm release manages what kubectl applies."""
    metadata = rendered["metadata"]
    labels = {
        key: value
        for key, value in metadata.get("labels", {}).items()
        if not key.startswith("helm.sh/") and key != "app.kubernetes.io/managed-by"
    }
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if not k.startswith("helm.sh/")}
    metadata = {key: value for key, value in metadata.items() if key not in {"labels", "annotations"}}
    metadata |= {"labels": labels} | ({"annotations": annotations} if annotations else {})
    return {key: metadata if key == "metadata" else value for key, value in rendered.items()}


def _namespace() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def manifests(chart: Path) -> dict[str, str]:
    """Plain manifests by file name: the operator, and a namespace for jobs."""
    job_namespace = f"jobNamespaces[0].name={JOB_NAMESPACE},jobNamespaces[0].create=true"
    jobs = template(chart, "--set", job_namespace, "--show-only", "templates/job-namespaces.yaml")
    return {
        "install.yaml": dump([_namespace(), *map(plain, template(chart))]),
        "namespace.yaml": dump(map(plain, jobs)),
    }


def argocd_configmap(health: str) -> str:
    """Argo CD's ConfigMap with the health script for each of our kinds."""
    data = {f"resource.customizations.health.{GROUP}_{kind}": health for kind in KINDS}
    metadata = {"name": "argocd-cm", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}}
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    text = yaml.dump(configmap, Dumper=_Dumper, sort_keys=False, width=110)
    return (
        "# Rendered from health.lua by deploy/render.py: merge `data` into your Argo CD's ConfigMap.\n" + text
    )


def crd_copies() -> dict[Path, str]:
    """The chart's copies of the CRDs."""
    return {CHART / "files" / "crds" / crd.name: crd.read_text() for crd in sorted(CRDS.glob("*.yaml"))}


def derived() -> dict[Path, str]:
    """All derived files but the CRD copies, which Helm must find in place."""
    deploy = ROOT / "deploy"
    health = (deploy / "argocd" / "health.lua").read_text()
    return {
        **{deploy / name: text for name, text in manifests(CHART).items()},
        deploy / "argocd" / "argocd-cm.yaml": argocd_configmap(health),
    }


def stale(files: dict[Path, str]) -> list[Path]:
    """Which of the files are not as they should be on disk."""
    return [path for path, text in files.items() if not path.exists() or path.read_text() != text]


def main() -> int:
    """Write, or with --check compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check = parser.parse_args().check
    copies = crd_copies()
    if not copies:
        raise SystemExit("crds/ is empty: `make crds` generates it")
    surplus = sorted(set((CHART / "files" / "crds").glob("*.yaml")) - copies.keys())
    wrong = [*stale(copies), *surplus]
    if not check:
        for path in surplus:
            path.unlink()
        for path, text in copies.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    rest = derived()
    wrong += stale(rest)
    if not check:
        for path, text in rest.items():
            path.write_text(text)
        return 0
    for path in wrong:
        print(f"{path.relative_to(ROOT)} is stale", file=sys.stderr)
    if wrong:
        print("run `python deploy/render.py` and commit", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
