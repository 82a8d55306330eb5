"""The built Pods: golden files, and the promises that a golden file alone would let slip by."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import attempt, names, pods, seal
from algorithm_operator.core.storepod import store_pod
from algorithm_operator.core.world import Job
from tests.unit.core.builders import JOB, SETTINGS, STORES, TARGETS, run

GOLDEN = Path(__file__).parent / "golden"


def plan() -> Plan:
    job = Job.of(JOB)
    return attempt.plan(
        namespace=job.namespace,
        job=job.name,
        job_uid=job.uid,
        attempt=1,
        spec=job.spec,
        run=run(),
        targets=TARGETS,
        settings=SETTINGS,
    )


def built() -> dict[str, Any]:
    return pods.run_pod(plan(), run(), STORES, SETTINGS)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("run-pod", built()),
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
    assert main["resources"]["limits"] == {"cpu": "2", "memory": "24G", "nvidia.com/gpu": "1"}
    assert main["resources"]["requests"] == main["resources"]["limits"]
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
        assert container["resources"]["requests"] == container["resources"]["limits"]
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
