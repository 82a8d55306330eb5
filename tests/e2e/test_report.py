"""The report of a job, from the sealed Pod to the page: results, a segmentation, a chart; and that of a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.contract.report import Report
from tests.e2e.cli import call
from tests.e2e.harness import RESULTS, SCRIPT, Job, Namespace, Store, eventually
from tests.unit.cli.test_page import Elements
from tests.unit.steps.mha import mha
from tests.unit.steps.test_reporting import CHART

HOSTILE = "</script><script>document.title = 'canary'</script>[x](javascript:alert(1)) {{ 7 * 7 }}"
OUTPUTS = [
    RESULTS,
    {
        "slug": "tissues",
        "kind": "Segmentation",
        "overlayOf": "scan",
        "overlaySegments": [{"name": "CSF", "voxelValue": 1}, {"name": "Grey matter", "voxelValue": 2}],
    },
    {"slug": "volumes", "kind": "Chart"},
]
TEMPLATE = "## Volumes\n\n|Tissue|mL|\n|---|--:|\n|{{ results.tissue }}|{{ results.ml | round(1) }}|\n"


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace) -> tuple[Store, dict[str, Job]]:
    """One that goes well and one that does not, started together."""
    namespace = module_namespace
    store = namespace.store()
    scan = {"slug": "scan", "kind": "Image"}
    namespace.algorithm(inputs=[SCRIPT, scan], outputs=OUTPUTS, resultTemplate=TEMPLATE)
    store.put("scan.mha", _scan())
    inputs = [{"slug": "scan", "store": {"name": store.name, "paths": ["scan.mha"]}}]
    results: list[list[Any]] = [
        ["write_json", "results.json", {"tissue": HOSTILE, "ml": 883.25}],
        ["write_json", "volumes.json", CHART],
        ["stderr", f"careful {HOSTILE}"],
    ]
    segmentation = ["write_mha", "images/tissues/out.mha", [4, 3, 2], [0, 1, 2]]
    return store, {
        "well": namespace.job("well", inputs=inputs, do=[*results, segmentation]),
        "badly": namespace.job("badly", inputs=inputs, do=results),
    }


def _scan() -> bytes:
    """As the probe writes its images: axes of 1 mm, at the origin."""
    return mha(bytes(range(24)))


def page_of(job: Job, folder: Path) -> Elements:
    file = folder / "page.html"
    done = call("report", "-n", job.namespace, job.name, "-o", str(file))
    assert done.returncode == 0, done.stderr
    return Elements(file.read_text("utf-8"))


def test_a_succeeded_job(jobs: tuple[Store, dict[str, Job]], tmp_path: Path) -> None:
    store, started = jobs
    job = started["well"]
    job.wait("Succeeded")
    kept = store.files(job)
    report = Report.model_validate_json(kept["_report.json"])
    assert report.notes == []
    assert json.loads(kept["manifest.json"])["report"]["bytes"] == len(kept["_report.json"])

    page = page_of(job, tmp_path)
    assert not [tag for tag, _ in page.found if tag in ("script", "svg")]
    assert [a.get("href") for tag, a in page.found if tag == "a"] == []
    pictures = [attributes["alt"] for tag, attributes in page.found if tag == "img"]
    assert pictures == ["Volumes", "Tissues, Axial", "Tissues, Coronal", "Tissues, Sagittal"]
    for words in (HOSTILE, "883.2", "Grey matter", "Shown on scan.", f"careful {HOSTILE}", job.uid):
        assert words in page.text


def test_a_failed_job(jobs: tuple[Store, dict[str, Job]], tmp_path: Path) -> None:
    job = jobs[1]["badly"]
    job.wait("Failed")
    page = page_of(job, tmp_path)
    assert not [tag for tag, _ in page.found if tag in ("script", "img")]
    for words in (
        "It failed: OutputInvalid",
        "images/tissues",
        "Write every declared output",
        "careful </script>",
    ):
        assert words in page.text


def test_a_broken_template_is_told_before_any_job(module_namespace: Namespace) -> None:
    namespace = module_namespace
    namespace.algorithm("broken", resultTemplate="{% for x in results %}", ready=False)

    def look() -> str | None:
        body = namespace.kube.get("algorithms", "broken", namespace.name) or {}
        told = (body.get("status") or {}).get("conditions") or []
        return next((c["message"] for c in told if c["type"] == "Ready" and c["status"] == "False"), None)

    message = eventually(look, 30, "the Algorithm says what is wrong with its template")
    assert message.startswith("spec.resultTemplate: it is no Jinja template: line 1: ")
