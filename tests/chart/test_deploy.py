"""deploy/: current, complete, and readable by kustomize, Argo CD and Flux."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lupa.lua51
import pytest
import yaml

from algorithm_operator import __version__
from deploy.render import CHART, CRDS, GROUP, KINDS, ROOT, argocd_configmap, crd_copies, plain
from tests.chart.tools import JOBS, Object, keys, only, render, run

DEPLOY = ROOT / "deploy"
HEALTH = (DEPLOY / "argocd" / "health.lua").read_text()


def documents(path: Path) -> list[Object]:
    return [o for o in yaml.safe_load_all(path.read_text()) if o]


def built(folder: Path) -> list[Object]:
    return [o for o in yaml.safe_load_all(run("kubectl", "kustomize", str(folder))) if o]


def test_what_is_rendered_is_current() -> None:
    assert {path.name for path in crd_copies()} == {path.name for path in CRDS.glob("*.yaml")} != set()
    run(sys.executable, str(DEPLOY / "render.py"), "--check")


def test_a_stale_copy_is_named(tmp_path: Path) -> None:
    """The check itself can fail: on a copy of the tree, with a changed CRD and one that is gone from crds/."""
    for folder in ("charts", "crds", "deploy"):
        run("cp", "-r", str(ROOT / folder), str(tmp_path / folder))
    crd = tmp_path / "crds" / "datastores.yaml"
    crd.write_text(crd.read_text() + "# changed\n")
    (tmp_path / "crds" / "algorithms.yaml").unlink()
    (tmp_path / "deploy" / "namespace.yaml").unlink()
    message = run(sys.executable, str(tmp_path / "deploy" / "render.py"), "--check", code=1)
    for name in ("files/crds/datastores.yaml", "files/crds/algorithms.yaml", "deploy/namespace.yaml"):
        assert f"{name} is stale" in message
    assert "run `python deploy/render.py`" in message


def test_kustomization_holds_all_that_the_chart_renders() -> None:
    found = built(DEPLOY)
    rendered = [*render(), *(o for o in render(JOBS) if o["kind"] in ("Namespace", "NetworkPolicy"))]
    ours = {("Namespace", None, "algorithm-operator-system")}
    moved = {
        (kind, where and where.replace("ao", "algorithm-operator-system"), name)
        for kind, where, name in keys(rendered)
    }
    assert keys(found) == moved | ours


def test_manifests_carry_no_trace_of_helm() -> None:
    for o in [*documents(DEPLOY / "install.yaml"), *documents(DEPLOY / "namespace.yaml")]:
        texts = json.dumps(o["metadata"])
        assert "helm" not in texts.lower(), o["metadata"]["name"]


def test_plain_takes_only_helms_own_away() -> None:
    before = {
        "kind": "X",
        "metadata": {
            "name": "x",
            "labels": {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "c", "a": "b"},
            "annotations": {"helm.sh/resource-policy": "keep", "c": "d"},
        },
        "spec": {"helm.sh/chart": "stays"},
    }
    after = plain(before)
    assert after["metadata"] == {"name": "x", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    assert after["spec"] == before["spec"]


def test_an_overlay_changes_both_images(tmp_path: Path) -> None:
    overlay = ROOT / "build" / tmp_path.name  # kustomize wants relative paths
    overlay.mkdir(parents=True, exist_ok=True)
    images = [
        {"name": f"ghcr.io/algorithm-operator/{name}", "newName": f"mirror/{name}", "newTag": "1"}
        for name in ("operator", "steps")
    ]
    text = {"resources": ["../../deploy"], "configurations": ["image-fields.yaml"], "images": images}
    (overlay / "kustomization.yaml").write_text(json.dumps(text))
    (overlay / "image-fields.yaml").write_text((DEPLOY / "image-fields.yaml").read_text())
    try:
        (container,) = only(built(overlay), "Deployment")["spec"]["template"]["spec"]["containers"]
    finally:
        run("rm", "-r", str(overlay))
    values = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert container["image"] == "mirror/operator:1"
    assert values["AO_STEPS_IMAGE"] == "mirror/steps:1"
    assert json.loads(values["AO_GPU_TYPES"])["T4"]["resource"] == "nvidia.com/gpu"


# --- Argo CD -------------------------------------------------------------------------------------------------


def condition(kind: str, status: str = "True", message: str = "", reason: str = "Because") -> Object:
    return {"type": kind, "status": status, "message": message, "reason": reason}


def status(*conditions: Object, generation: int = 2, **more: Any) -> Object:
    return {"observedGeneration": generation, "conditions": list(conditions), **more}


def health(obj: Object) -> tuple[str, str]:
    """What Argo CD would show: it runs the script in Lua 5.1 with the object as `obj`."""
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    found = lua.execute(HEALTH)
    return found["status"], found["message"]


NEW = "The operator has not seen this generation yet"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, ("Progressing", NEW)),
        ({}, ("Progressing", NEW)),
        (status(condition("Ready"), generation=1), ("Progressing", NEW)),
        (status(), ("Progressing", "")),
        (status(state="Running"), ("Progressing", "Running")),
        (
            status(condition("Accepted"), condition("Scheduled", "False", "All T4 nodes are busy")),
            ("Progressing", "All T4 nodes are busy"),
        ),
        (
            status(condition("Accepted", "False", reason="AlgorithmNotFound")),
            ("Progressing", "AlgorithmNotFound"),
        ),
        (status(condition("Accepted"), condition("Complete", message="Done")), ("Healthy", "Done")),
        (
            status(condition("Complete", "False"), condition("Failed", message="Exit 3")),
            ("Degraded", "Exit 3"),
        ),
        (status(condition("Failed"), message="Exit 3"), ("Degraded", "Exit 3")),
        (status(condition("Complete"), generation=1), ("Healthy", "Because")),
        (status(condition("Suspended", message="Held")), ("Suspended", "Held")),
        (status(condition("Suspended", "False"), condition("Complete")), ("Healthy", "Because")),
        (status(condition("Ready", message="")), ("Healthy", "Because")),
        (
            status(condition("Ready", "False", "Runs as root"), condition("Stalled", message="Root")),
            ("Degraded", "Root"),
        ),
        (status(condition("Ready", "False", "Looking up")), ("Progressing", "Looking up")),
        (status(condition("Ready", "Unknown", "Looking up")), ("Progressing", "Looking up")),
    ],
)
def test_argocd_health(found: Object | None, expected: tuple[str, str]) -> None:
    obj: Object = {"metadata": {"generation": 2}}
    if found is not None:
        obj["status"] = found
    assert health(obj) == expected


def test_argocd_configmap_has_the_script_for_each_kind() -> None:
    (configmap,) = documents(DEPLOY / "argocd" / "argocd-cm.yaml")
    assert configmap["data"] == {f"resource.customizations.health.{GROUP}_{kind}": HEALTH for kind in KINDS}
    assert yaml.safe_load(argocd_configmap(HEALTH)) == configmap


# --- the chart, as Argo CD and Flux name it ------------------------------------------------------------------


def test_gitops_examples_name_this_chart_and_values_that_it_takes() -> None:
    (application,) = documents(DEPLOY / "argocd" / "application.yaml")
    source = application["spec"]["source"]
    flux = documents(DEPLOY / "flux" / "helmrelease.yaml")
    release, repository = only(flux, "HelmRelease"), only(flux, "OCIRepository")
    assert source["chart"] == CHART.name
    assert not source["repoURL"].startswith("oci://")
    assert repository["spec"]["url"] == f"oci://{source['repoURL']}/{source['chart']}"
    assert release["spec"]["chartRef"] == {"kind": "OCIRepository", "name": repository["metadata"]["name"]}
    assert source["targetRevision"] == repository["spec"]["ref"]["tag"] == __version__
    for values in (source["helm"]["valuesObject"], release["spec"]["values"]):
        assert keys(render(values), "Namespace") == {("Namespace", None, "imaging")}
