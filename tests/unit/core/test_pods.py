"""The built Pods: golden files, and the promises that a golden file alone would let slip by."""

from __future__ import annotations

import copy
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithm_operator.api.algorithm import Resources, StorePath
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.run import RunModel, RunSnapshot
from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import attempt, names, pods, quantity, seal
from algorithm_operator.core.importpod import import_pod
from algorithm_operator.core.storepod import store_pod
from algorithm_operator.core.world import Import, Job
from tests.unit.core.builders import DIGEST, IMPORT, JOB, SETTINGS, STORES, TARGETS, run

GOLDEN = Path(__file__).parent / "golden"


def plan(body: dict[str, Any] = JOB, snapshot: RunSnapshot | None = None) -> Plan:
    """Of the first attempt of a job."""
    job = Job.of(body)
    return attempt.plan(
        namespace=job.namespace,
        job=job.name,
        job_uid=job.uid,
        attempt=1,
        spec=job.spec,
        run=snapshot or run(),
        targets=TARGETS,
        settings=SETTINGS,
    )


IMAGE = f"registry.example.org/cases@{DIGEST}"
PLACES = [
    {"slug": "value", "value": {"a": None}},
    {"slug": "stored", "store": {"name": "cases", "paths": ["series/", "one.dcm"]}},
    {"slug": "key", "configMap": {"name": "settings", "key": "one.json"}},
    {"slug": "other-key", "configMap": {"name": "settings", "key": "two.json"}},
    {"slug": "in-image", "image": {"reference": IMAGE, "path": "t1.mha", "pullSecrets": [{"name": "pull"}]}},
    {"slug": "folder", "image": {"reference": IMAGE, "path": "series/"}},
    {"slug": "made", "job": {"name": "first", "output": "tissues"}},
    {"slug": "told", "job": {"name": "first", "output": "results"}},
]
IMAGES = ("stored", "in-image", "folder", "made")


def built_of_places() -> dict[str, Any]:
    """A Pod whose inputs come from all places; both outputs of another job are fixed."""
    inputs = [
        {"slug": each["slug"], "kind": "Image" if each["slug"] in IMAGES else "Anything"} for each in PLACES
    ]
    interface = {"inputs": inputs, "outputs": [{"slug": "results", "kind": "Anything"}]}
    made = {
        "slug": "made",
        "job": "first",
        "output": "tissues",
        "store": "kept",
        "path": "x/t.mha",
        "sha256": "d" * 64,
    }
    told = {"slug": "told", "job": "first", "output": "results", "value": 2.5}
    snapshot = RunSnapshot.model_validate({**run().wire(), "interface": interface, "inputs": [made, told]})
    planned = plan({**JOB, "spec": {**JOB["spec"], "inputs": PLACES}}, snapshot)
    kept = DataStoreSpec.model_validate({"persistentVolumeClaim": {"claimName": "kept"}})
    return pods.run_pod(planned, snapshot, {**STORES, "kept": kept}, SETTINGS)


def built() -> dict[str, Any]:
    return pods.run_pod(plan(), run(), STORES, SETTINGS)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("run-pod", built()),
        ("run-pod-of-places", built_of_places()),
        ("salvage-pod", pods.salvage_pod(plan(), run(), STORES, SETTINGS)),
        (
            "store-pod",
            store_pod(
                namespace="imaging",
                name="results",
                uid="store-uid",
                spec=STORES["results"],
                settings=SETTINGS,
            ),
        ),
        ("import-pod", import_pod(Import.of(IMPORT), 2, "results", STORES, SETTINGS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_golden(name: str, body: dict[str, Any]) -> None:
    """Run with UPDATE_GOLDEN=1 to write the files anew, then read the difference."""
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(yaml.safe_dump(body, sort_keys=False, width=120, allow_unicode=True))
    assert yaml.safe_load(path.read_text()) == body


def test_the_shape_is_the_seeds() -> None:
    spec = built()["spec"]
    main = spec["containers"][0]
    seed = {"cpu": "2", "memory": "24G", "nvidia.com/gpu": "1"}
    assert main["resources"]["requests"] == {**seed, "ephemeral-storage": "30G"}
    assert main["resources"]["limits"].items() >= seed.items()
    assert spec["activeDeadlineSeconds"] == 7200
    assert spec["terminationGracePeriodSeconds"] == 630


def test_the_algorithm_sees_no_store_and_no_plan() -> None:
    spec = built()["spec"]
    mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"runner", "logs", "input", "output", "tmp"}
    assert mounts["input"]["readOnly"] is True
    assert mounts["runner"]["readOnly"] is True


def test_every_container_is_restricted() -> None:
    spec = built()["spec"]
    for container in [*spec["initContainers"], *spec["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        for kind in ("cpu", "memory"):  # quality of service: Guaranteed
            assert container["resources"]["requests"][kind] == container["resources"]["limits"][kind]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "fsGroup" not in spec["securityContext"]
    assert spec["automountServiceAccountToken"] is False


def test_stage_mounts_only_the_paths_that_the_job_names_and_collect_only_its_folder() -> None:
    stage, collect = built()["spec"]["initContainers"]
    stores = [m for m in stage["volumeMounts"] if m["name"].startswith("store-")]
    assert [(m["subPath"], m["readOnly"]) for m in stores] == [("case-001/t1.mha", True)]
    kept = [m for m in collect["volumeMounts"] if m["name"].startswith("store-")]
    assert [m["subPath"] for m in kept] == ["case-001/job-uid/1"]


def test_inputs_of_all_places_are_mounted_for_stage_alone() -> None:
    spec = built_of_places()["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["config-map-0"]["configMap"] == {
        "name": "settings",
        "optional": True,
        "items": [{"key": "one.json", "path": "one.json"}, {"key": "two.json", "path": "two.json"}],
    }
    assert volumes["image-0"]["image"] == {"reference": IMAGE, "pullPolicy": "Always"}
    (stage, collect), (algorithm,) = spec["initContainers"], spec["containers"]
    seen = {mount["mountPath"]: mount for mount in stage["volumeMounts"]}
    for path, name in (("/config-map/0", "config-map-0"), ("/image/0", "image-0")):
        assert seen[path] == {"name": name, "mountPath": path, "readOnly": True}
    assert [seen[f"/stores/{place}"]["subPath"] for place in ("1/0", "1/1", "6/0")] == [
        "series",
        "one.dcm",
        "x/t.mha",
    ]
    for other in (collect, algorithm):
        assert not {"config-map-0", "image-0"} & {mount["name"] for mount in other["volumeMounts"]}


def test_what_another_job_made_is_planned_as_it_was_fixed() -> None:
    planned = Plan.model_validate_json(built_of_places()["metadata"]["annotations"][names.ANNOTATION_PLAN])
    made, told = planned.inputs[-2:]
    assert made.files is not None
    assert [(file.store, file.path, file.sha256, file.job) for file in made.files] == [
        ("kept", "x/t.mha", "d" * 64, "first")
    ]
    assert (told.value_json, told.files) == ("2.5", None)


def test_the_kubelets_bounds_on_the_disk_are_behind_the_runners() -> None:
    """Above a bound it evicts, and what the job had to say is lost: the runner must come first."""
    spec = built()["spec"]
    size = quantity.parse(run().resources.scratch.size)
    volumes = {volume["name"]: volume.get("emptyDir") for volume in spec["volumes"]}
    bounds = [volumes[name]["sizeLimit"] for name in ("output", "tmp", "logs")]
    bounds.append(spec["containers"][0]["resources"]["limits"]["ephemeral-storage"])
    assert all(quantity.parse(bound) >= size * Decimal("1.25") for bound in bounds)


def test_memory_as_scratch_is_a_file_system_of_its_own() -> None:
    wanted = {"scratch": {"size": "1G", "medium": "Memory"}, "sharedMemory": "512Mi"}
    resources = Resources.model_validate({**run().resources.wire(), **wanted})
    spec = pods.run_pod(plan(), run().model_copy(update={"resources": resources}), STORES, SETTINGS)["spec"]
    volumes = {volume["name"]: volume.get("emptyDir") for volume in spec["volumes"]}
    assert volumes["output"] == volumes["tmp"] == {"medium": "Memory", "sizeLimit": "1G"}
    assert volumes["shm"] == {"medium": "Memory", "sizeLimit": "512Mi"}
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["shm"] == "/dev/shm"
    assert all("shm" not in {m["name"] for m in each["volumeMounts"]} for each in spec["initContainers"])


MODELS = {
    "image": RunModel(image=f"registry.example.org/weights@{DIGEST}", path="model"),
    "store": RunModel(store=StorePath(name="cases", path="weights/model.tar.gz")),
}


@pytest.mark.parametrize("source", MODELS)
def test_the_model_is_unpacked_by_stage_and_read_only_for_the_algorithm(source: str) -> None:
    snapshot = run().model_copy(update={"model": MODELS[source]})
    planned = plan(JOB, snapshot)
    spec = pods.run_pod(planned, snapshot, STORES, SETTINGS)["spec"]
    stage, algorithm = spec["initContainers"][0], spec["containers"][0]
    from_where = next(m for m in stage["volumeMounts"] if m["mountPath"] == names.MODEL_SOURCE_MOUNT)
    assert from_where["readOnly"] is True
    assert from_where.get("subPath") == ("weights/model.tar.gz" if source == "store" else None)
    assert {"name": "model", "mountPath": "/opt/ml/model", "readOnly": True} in algorithm["volumeMounts"]
    assert from_where["name"] not in {m["name"] for m in algorithm["volumeMounts"]}


def test_ids_that_are_left_to_the_namespace_may_be_filled_in_and_nothing_else() -> None:
    snapshot = run().model_copy(update={"user": None})
    wanted = pods.run_pod(plan(), snapshot, STORES, SETTINGS)
    assert "runAsUser" not in wanted["spec"]["securityContext"]
    filled = copy.deepcopy(wanted)
    filled["spec"]["securityContext"] |= {"fsGroup": 1000650000, "seLinuxOptions": {"level": "s0:c25,c20"}}
    for container in [*filled["spec"]["initContainers"], *filled["spec"]["containers"]]:
        container["securityContext"]["runAsUser"] = 1000650000
    assert seal.digest(filled) == wanted["metadata"]["annotations"][names.ANNOTATION_SPEC_HASH]
    filled["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert seal.mutations(wanted, filled) == ["securityContext of container algorithm was changed"]


def test_nothing_that_the_image_says_is_expanded_by_the_kubelet() -> None:
    main = built()["spec"]["containers"][0]
    assert "args" not in main
    assert main["command"] == ["/.algorithm-operator/bin/runner"]
    carried = Plan.model_validate(json.loads(built()["metadata"]["annotations"][names.ANNOTATION_PLAN]))
    assert carried.command.cmd == ["$(HOME)", "$$"]


def test_the_plan_survives_its_way() -> None:
    assert Plan.model_validate_json(built()["metadata"]["annotations"][names.ANNOTATION_PLAN]) == plan()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec: spec["containers"].append({"name": "istio-proxy"}), "container istio-proxy was added"),
        (
            lambda spec: spec["containers"][0].update(image="other"),
            "image of container algorithm was changed",
        ),
        (
            lambda spec: spec["containers"][0]["resources"]["limits"].update(memory="1G"),
            "resources of container algorithm was changed",
        ),
        (lambda spec: spec.update(activeDeadlineSeconds=10), "activeDeadlineSeconds was changed"),
        (
            lambda spec: spec["containers"][0].update(
                env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
            ),
            "secrets of container algorithm was changed",
        ),
    ],
    ids=["sidecar", "image", "resources", "deadline", "secret"],
)
def test_a_mutated_pod_is_noticed(change: Any, words: str) -> None:
    created = copy.deepcopy(built())
    change(created["spec"])
    assert words in seal.mutations(built(), created)


def test_what_the_server_writes_in_its_own_way_is_no_mutation() -> None:
    created = copy.deepcopy(built())
    created["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "2000m"
    created["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"] = "50Gi"
    created["spec"]["tolerations"].append({"key": "node.kubernetes.io/not-ready", "operator": "Exists"})
    assert seal.mutations(built(), created) == []


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        ("registry.example.org:5000/a/b:1.2", "registry.example.org:5000/a/b@sha256:1"),
        ("busybox", "busybox@sha256:1"),
        ("registry.example.org:5000/a", "registry.example.org:5000/a@sha256:1"),
        ("a/b@sha256:2", "a/b@sha256:1"),
    ],
)
def test_pinned(reference: str, pinned: str) -> None:
    assert attempt.pinned(reference, "sha256:1") == pinned
