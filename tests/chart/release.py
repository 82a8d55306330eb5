"""A release of a test's own on the real API server.

All that is in our API group (CRDs, rights, labels, admission policies) is moved into a group of the test's own, so that
it disturbs no other release on the cluster, and none disturbs it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.render import CHART, GROUP, KINDS
from tests.chart.tools import Values, helm, kubectl, run

IDLE: Values = {"replicas": 0}


@dataclass(frozen=True, slots=True)
class Release:
    """A copy of the chart whose API group is its own."""

    chart: Path
    name: str
    namespace: str
    group: str

    @property
    def operator(self) -> str:
        """The name of the operator's ServiceAccount, and what all names begin with."""
        return f"{self.name}-algorithm-operator"

    def crd_name(self, kind: str) -> str:
        """The name of a CRD on the cluster."""
        return f"{kind.lower()}s.{self.group}"

    def crd_file(self, kind: str) -> Path:
        """Where the copy keeps a CRD."""
        return self.chart / "files" / "crds" / f"{kind.lower()}s.yaml"

    def helm(self, command: str, values: Values, *arguments: str) -> str:
        """Install or upgrade it, without an operator that runs."""
        place = (self.name, str(self.chart), "--namespace", self.namespace)
        return helm(command, *place, *arguments, values=IDLE | values)

    def uninstall(self) -> str:
        """Uninstall it; gives Helm's words."""
        return run("helm", "uninstall", self.name, "--namespace", self.namespace)


@contextmanager
def copied(folder: Path, namespace: str) -> Iterator[Release]:
    """A copy of the chart, and the removal of all that was installed from it."""
    chart, name = folder / "chart", f"r{uuid.uuid4().hex[:8]}"
    group = f"t{uuid.uuid4().hex[:8]}.{GROUP}"
    shutil.copytree(CHART, chart)
    for path in [*chart.glob("templates/*"), *chart.glob("files/crds/*.yaml")]:
        # The second is the value of managed-by, which the admission policies know too.
        path.write_text(path.read_text().replace(GROUP, group).replace("'algorithm-operator'", f"'{name}'"))
    yield Release(chart, name, namespace, group)
    kinds = "clusterrole,clusterrolebinding,namespace"
    policies = ",".join(
        f"{kind}admissionpolicy{part}" for kind in ("validating", "mutating") for part in ("binding", "")
    )
    kubectl("delete", f"{policies},{kinds}", "--wait=false", "-l", f"app.kubernetes.io/instance={name}")
    crds = [f"{kind.lower()}s.{group}" for kind in KINDS]
    kubectl("delete", "crd", "--ignore-not-found", "--wait=false", *crds)
