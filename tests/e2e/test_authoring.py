"""The way of an algorithm's author, as docs/authoring.md has it: init, lint, build, save, push, and a job succeeds."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import yaml

from tests.cluster import kind
from tests.cluster.settings import REGISTRY
from tests.e2e import cli
from tests.e2e.conftest import cluster_command
from tests.e2e.harness import Namespace

IMAGE = "algorithm-operator/authored"


def called(*arguments: str) -> str:
    done = cli.call(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def saved(reference: str, folder: Path) -> Path:
    """The image as save.sh writes it."""
    archive, packed = folder / "image.tar", folder / "image.tar.gz"
    cluster_command("save", reference, str(archive))
    with archive.open("rb") as whole, gzip.open(packed, "wb", compresslevel=1) as file:
        shutil.copyfileobj(whole, file)
    return packed


def test_a_starter_project_becomes_a_job_that_succeeds(namespace: Namespace, tmp_path: Path) -> None:
    project = tmp_path / "threshold"
    called("init", "threshold", str(project), "--no-gpu")
    assert called("lint", str(project)) == ""
    built = cluster_command("build", IMAGE, str(project))

    host = kind.PUSH if kind.chosen() else REGISTRY
    pushed = called("push", str(saved(built, tmp_path)), f"{host}/{IMAGE}:pushed", "--insecure").strip()
    reference = pushed.replace(kind.PUSH, kind.REGISTRY) if kind.chosen() else pushed

    algorithm = yaml.safe_load((project / "algorithm.yaml").read_text())
    job = yaml.safe_load((project / "job.yaml").read_text())
    store = namespace.store("imaging")
    (scan,) = (project / "test/input/default/images/scan").glob("*.mha")
    store.put("test/threshold/scan.mha", scan.read_bytes())
    # That it fits beside other tests. The cluster's only node is for jobs with a GPU.
    small = {"cpu": "500m", "memory": "512Mi", "gpu": {"type": "T4", "count": 1}}
    namespace.algorithm("threshold", **{**algorithm["spec"], "image": reference, "resources": small})
    running = namespace.job(job["metadata"]["name"], algorithm="threshold", inputs=job["spec"]["inputs"])
    status = running.wait("Succeeded", timeout=150)

    outputs = {output["slug"]: output for output in status["outputs"]}
    expected = project / "test/expected/default"
    assert outputs["results"]["value"] == json.loads((expected / "results.json").read_text())
    assert outputs["segmentation"]["image"]["size"] == [8, 6, 4]
    assert "segmentation.mha" in store.files(running)
