"""Small real objects for the tests of core: an algorithm, a job, and Pods as the API server shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from algorithm_operator.api.algorithm import User
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.job import AlgorithmJobStatus
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.plan import Target
from algorithm_operator.core import pods
from algorithm_operator.core.settings import GpuType, PodSettings
from algorithm_operator.core.starting import planned
from algorithm_operator.core.world import Algorithm, Job, World

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
MANIFEST_SHA = "b" * 64
T4 = GpuType(
    node_selector_terms=[
        {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["Tesla-T4"]}]}
    ],
    tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
)
SETTINGS = PodSettings(steps_image="registry.example.org/steps@sha256:" + "c" * 64, gpu_types={"T4": T4})
TARGETS = [
    Target(name="canary", host="10.96.0.20", port=8081),
    Target(name="API server", host="10.96.0.1", port=443),
]

ALGORITHM: dict[str, Any] = {
    "metadata": {"namespace": "imaging", "name": "brain-tissue", "uid": "algo-uid", "generation": 3},
    "spec": {
        "image": {"reference": "registry.example.org/brain-tissue:1.2"},
        "interfaces": [
            {
                "inputs": [
                    {"slug": "t1-mri", "kind": "Image"},
                    {"slug": "smoothing", "kind": "Float"},
                ],
                "outputs": [
                    {
                        "slug": "tissues",
                        "kind": "Segmentation",
                        "overlaySegments": [{"name": "CSF", "voxelValue": 1}],
                    },
                    {"slug": "results", "kind": "Anything", "storeInStatus": True},
                ],
            }
        ],
    },
    "status": {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Ready",
                "lastTransitionTime": "2026-11-22T11:00:00Z",
            }
        ],
        "image": {
            "reference": "registry.example.org/brain-tissue:1.2",
            "digest": DIGEST,
            "entrypoint": ["python", "-m", "process"],
            "cmd": ["$(HOME)", "$$"],
            "user": "1000:1000",
            "uid": 1000,
            "gid": 1000,
        },
    },
}
JOB: dict[str, Any] = {
    "metadata": {
        "namespace": "imaging",
        "name": "case-001",
        "uid": "job-uid",
        "generation": 1,
        "creationTimestamp": "2026-11-22T11:59:00Z",
    },
    "spec": {
        "algorithmRef": {"name": "brain-tissue"},
        "inputs": [
            {"slug": "t1-mri", "store": {"name": "cases", "paths": ["case-001/t1.mha"]}},
            {"slug": "smoothing", "value": 1.5},
        ],
        "outputStore": {"name": "results"},
    },
}
STORES = {
    "cases": DataStoreSpec.model_validate({"persistentVolumeClaim": {"claimName": "cases"}}),
    "results": DataStoreSpec.model_validate({"persistentVolumeClaim": {"claimName": "results"}, "gid": 2000}),
}
IMPORT: dict[str, Any] = {
    "metadata": {"namespace": "imaging", "name": "series-1", "uid": "import-uid", "generation": 1},
    "spec": {
        "source": {"name": "cases", "paths": ["series/", "extra $(HOME)/one.dcm"]},
        "outputStore": {"name": "results"},
    },
}
POLICY: dict[str, Any] = {
    "metadata": {"name": "algorithm-operator-deny-all"},
    "spec": {
        "podSelector": {"matchExpressions": [{"key": "algorithm-operator.dev/role", "operator": "Exists"}]},
        "policyTypes": ["Ingress", "Egress"],
    },
}


def at(seconds: float) -> str:
    """A time `seconds` after NOW, as the API server writes it."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def algorithm() -> Algorithm:
    """The Algorithm, ready."""
    return Algorithm.of(ALGORITHM)


def world(job: dict[str, Any] = JOB, **changes: Any) -> World:
    """A world in which nothing keeps the job from running; `changes` override."""
    fields: dict[str, Any] = {
        "job": Job.of(job),
        "now": NOW,
        "settings": SETTINGS,
        "algorithm": algorithm(),
        "stores": STORES,
        "restricted": True,
        "policies": [POLICY],
        "targets": TARGETS,
    }
    return World(**{**fields, **changes})


def run() -> RunSnapshot:
    """The run of the job, as it is fixed when the job is accepted."""
    made = algorithm()
    return RunSnapshot(
        name=made.name,
        uid=made.uid,
        generation=made.generation,
        image=f"registry.example.org/brain-tissue@{DIGEST}",
        image_digest=DIGEST,
        entrypoint=["python", "-m", "process"],
        cmd=["$(HOME)", "$$"],
        user=User(uid=1000, gid=1000),
        interface=made.spec.interfaces[0],
        resources=made.spec.resources,
        time_limit_seconds=7200,
        collect_seconds=600,
        network="None",
        output_store="results",
    )


def terminated(
    code: int, *, start: float = 10, end: float = 60, reason: str = "", message: str = ""
) -> dict[str, Any]:
    """A container state: ended with `code`."""
    word = reason or ("Completed" if code == 0 else "Error")
    return {
        "terminated": {
            "exitCode": code,
            "reason": word,
            "message": message,
            "startedAt": at(start),
            "finishedAt": at(end),
        }
    }


def running(start: float = 10) -> dict[str, Any]:
    """A container state: running."""
    return {"running": {"startedAt": at(start)}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """A container state: waiting."""
    return {"waiting": {"reason": reason, "message": message}}


def pod(
    *,
    stage: dict[str, Any] | None = None,
    collect: dict[str, Any] | None = None,
    main: dict[str, Any] | None = None,
    attempt: int = 1,
    node: str | None = "gpu-7",
    phase: str = "Running",
    **status: Any,
) -> dict[str, Any]:
    """A run Pod with those container states; `status` adds to its status, `deletionTimestamp` to its metadata."""
    meta: dict[str, Any] = {
        "namespace": "imaging",
        "name": f"case-001-{attempt}-run",
        "uid": f"pod-uid-{attempt}",
        "creationTimestamp": at(-30),
        "finalizers": ["algorithm-operator.dev/accounting"],
        "labels": {"algorithm-operator.dev/attempt": str(attempt)},
        "ownerReferences": [{"kind": "AlgorithmJob", "uid": "job-uid", "controller": True}],
    }
    if "deletion" in status:
        meta["deletionTimestamp"] = at(status.pop("deletion"))
        meta["deletionGracePeriodSeconds"] = status.pop("grace", 30)
    conditions = list(status.pop("conditions", []))
    if node is not None:
        conditions.append({"type": "PodScheduled", "status": "True", "lastTransitionTime": at(-20)})
    accepted = world({**JOB, "status": AlgorithmJobStatus(algorithm=run()).wire()})
    made = pods.run_pod(planned(accepted, attempt), run(), STORES, SETTINGS)
    spec: dict[str, Any] = {**made["spec"], **({"nodeName": node} if node else {})}
    meta["annotations"] = made["metadata"]["annotations"]
    return {
        "metadata": meta,
        "spec": spec,
        "status": {
            "phase": phase,
            "startTime": at(-20),
            "conditions": conditions,
            "initContainerStatuses": [
                {"name": "stage", "state": stage or {}},
                {"name": "collect", "state": collect or {}},
            ],
            "containerStatuses": [{"name": "algorithm", "state": main or {}}],
            **status,
        },
    }
