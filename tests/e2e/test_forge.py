"""What Grand Challenge gives to algorithm developers runs here as it is: the project that grand-challenge-forge
generates for a pack of ours, with nothing but its FROM line changed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from grand_challenge_forge.forge import generate_algorithm_template

from tests.cluster import kind
from tests.cluster.settings import PROJECT
from tests.e2e.conftest import HERE, cluster_command
from tests.e2e.harness import Job, Namespace, Object, Store

_DOCS = (PROJECT / "docs" / "grand-challenge.md").read_text()
ALGORITHM, JOB = yaml.safe_load_all(_DOCS.partition("```yaml\n")[2].partition("```")[0])
"""The manifests that the docs show: our pack."""
INTERFACES: list[Object] = ALGORITHM["spec"]["interfaces"]
MODEL = ALGORITHM["spec"]["model"]["store"]["path"]


def _socket(socket: Object) -> Object:
    """A socket of ours in Grand Challenge's words, as its API gives them to forge."""
    return {
        "slug": socket["slug"],
        "kind": socket["kind"],
        "relative_path": socket["relativePath"],
        "super_kind": "Image" if socket["kind"] == "Image" else "Value",
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is generated."""
    interfaces = [
        {side: [_socket(socket) for socket in interface[side]] for side in ("inputs", "outputs")}
        for interface in INTERFACES
    ]
    pack = {"title": "Lesions", "slug": "lesions", "url": "", "algorithm_interfaces": interfaces}
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    generate_algorithm_template(
        context={"algorithm": pack}, output_zip_file=archive, target_zpath=PurePosixPath("lesions")
    )
    folder = tmp_path_factory.mktemp("forge")
    archive.extractall(folder)
    return folder / "lesions"


@pytest.fixture(scope="module")
def image(project: Path, operator: object) -> str:
    """Its image, from another FROM: a small one that has what pytorch/pytorch is there for, python and torch."""
    base = cluster_command("build", "algorithm-operator/forge-base", str(HERE / "images" / "forge"))
    if kind.chosen():  # the address that the builder's own machine knows
        base = base.replace(kind.REGISTRY, kind.PUSH)
    dockerfile = project / "Dockerfile"
    first, *others = dockerfile.read_text().splitlines(keepends=True)
    changed = first.replace(" pytorch/pytorch ", f" {base} ")
    assert changed != first, first
    assert not [line for line in others if line.startswith("FROM")]
    dockerfile.write_text("".join([changed, *others]))
    return cluster_command("build", "algorithm-operator/forge-lesions", str(project))


def _model(project: Path) -> bytes:
    """The model's tarball, as do_save.sh makes it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(project / "model", ".")
    return content.getvalue()


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, project: Path, image: str) -> tuple[Store, dict[str, Job]]:
    """One job for each interface, in a restricted namespace, with the inputs that forge made."""
    namespace = module_namespace
    store = namespace.store("imaging")
    store.put(MODEL, _model(project))
    (scan,) = (project / "test/input/interf0/images/t1-mri").glob("*.mha")
    store.put("cases/1/t1.mha", scan.read_bytes())
    spec = {**ALGORITHM["spec"], "image": image, "resources": {"cpu": "500m", "memory": "1Gi"}}
    namespace.algorithm("lesions", **spec)
    inputs = JOB["spec"]["inputs"]
    threshold = [each for each in inputs if each["slug"] == "threshold"]
    return store, {
        "both": namespace.job("both", algorithm="lesions", inputs=inputs),
        "alone": namespace.job("alone", algorithm="lesions", inputs=threshold),
    }


def _ended(jobs: tuple[Store, dict[str, Job]], name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Status and files of a job that succeeded."""
    store, started = jobs
    return started[name].wait("Succeeded", timeout=150), store.files(started[name])


def test_the_generated_project_runs_with_its_named_user_and_packages_in_its_home(
    module_namespace: Namespace, jobs: tuple[Store, dict[str, Job]]
) -> None:
    _ended(jobs, "both")

    algorithm = module_namespace.kube.get("algorithms", "lesions", module_namespace.name)
    assert algorithm is not None
    found = algorithm["status"]["image"]
    assert (found["user"], found["home"], found["workingDir"]) == ("user", "/home/user", "/opt/app")
    assert 0 < found["uid"] < 1000, "useradd --system"
    (pod,) = jobs[1]["both"].pods()
    contexts = [pod["spec"]["securityContext"], pod["spec"]["containers"][0].get("securityContext", {})]
    assert {"runAsUser": found["uid"], "runAsGroup": found["gid"]}.items() <= {
        **contexts[0],
        **contexts[1],
    }.items()


def test_it_reads_both_kinds_of_resources_and_its_outputs_are_kept(
    project: Path, jobs: tuple[Store, dict[str, Job]]
) -> None:
    status, kept = _ended(jobs, "both")

    said = kept["logs/stdout.log"].decode()
    # It prints what it reads: from the image, and from the model's tarball.
    for resource in ("resources/some_resource.txt", "model/a_tarball_subdirectory/some_tarball_resource.txt"):
        assert (project / resource).read_text().strip() in said
    assert "Using device: cpu" in said
    outputs = {output["slug"]: output for output in status["outputs"]}
    assert set(outputs) == {"lesions", "report"}
    assert outputs["report"]["value"] == {"content": "should match the required format"}
    assert outputs["lesions"]["image"]["size"] == [2, 4], "numpy.eye(4, 2)"
    model = (jobs[0].root / MODEL).read_bytes()
    assert json.loads(kept["manifest.json"])["model"]["sha256"] == hashlib.sha256(model).hexdigest()


def test_it_picks_its_handler_by_inputs_json(jobs: tuple[Store, dict[str, Job]]) -> None:
    status, kept = _ended(jobs, "alone")

    assert [output["slug"] for output in status["outputs"]] == ["report"]
    assert "lesions.mha" not in kept
