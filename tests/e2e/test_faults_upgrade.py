"""The release is upgraded, with a new operator and a CRD that has one field more, while a job runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scripts.install_operator import CHART, NAMESPACE, RELEASE, install
from tests.e2e import audit
from tests.e2e.conftest import operator_values
from tests.e2e.faults import operator_ready, pods_created
from tests.e2e.harness import RESULTS, Namespace, operator_pod
from tests.e2e.kube import ApiError

pytestmark = pytest.mark.faults


@pytest.fixture
def newer_chart(tmp_path: Path, namespace: Namespace) -> Iterator[Path]:
    """The chart with a field `spec.addedLater` of jobs; the release is as it was at the end."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    path = chart / "files" / "crds" / "algorithmjobs.yaml"
    crd = yaml.safe_load(path.read_text())
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["addedLater"] = {"type": "string"}
    path.write_text(yaml.safe_dump(crd))
    yield chart
    install([], operator_values())
    operator_ready(namespace.kube)


def test_an_upgrade_while_a_job_runs(namespace: Namespace, newer_chart: Path) -> None:
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    offset = audit.mark()
    job = namespace.job("case", do=[["sleep", 20], ["write_json", "results.json", {"answer": 42}]])
    job.running()
    before = operator_pod(namespace.kube)["metadata"]["uid"]
    with pytest.raises(ApiError, match="addedLater"):
        _job_with_the_new_field(namespace, "too-early")

    command = ["helm", "upgrade", RELEASE, str(newer_chart), "--namespace", NAMESPACE, "--reuse-values"]
    command += ["--set", "podAnnotations.upgraded=yes", "--wait", "--timeout", "60s"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    assert job.state == "Running", "the upgrade took longer than the job: this shows nothing"
    assert operator_ready(namespace.kube)["metadata"]["uid"] != before
    status = job.wait("Succeeded", timeout=90)
    assert [(a["number"], a["reason"]) for a in status["attempts"]] == [(1, "Completed")]
    assert status["outputs"][0]["value"] == {"answer": 42}
    assert pods_created(offset, namespace.name) == {"case-1-run": 1}
    assert _job_with_the_new_field(namespace, "later")["spec"]["addedLater"] == "yes"


def _job_with_the_new_field(namespace: Namespace, name: str) -> dict[str, dict[str, str]]:
    script = {"slug": "script", "value": {"do": [["write_json", "results.json", 1]]}}
    spec = {"algorithmRef": {"name": "probe"}, "inputs": [script], "addedLater": "yes"}
    kube = namespace.kube
    body = {
        "apiVersion": "algorithm-operator.dev/v1alpha1",
        "kind": "AlgorithmJob",
        "metadata": {"name": name},
        "spec": spec,
    }
    path = kube.path("algorithmjobs", namespace.name)
    created: dict[str, dict[str, str]] = kube.request("POST", path, body, fieldValidation="Strict")
    return created
