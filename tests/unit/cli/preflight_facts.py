"""A healthy cluster as preflight sees it; tests change one thing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from algorithm_operator import __version__
from algorithm_operator.api import crd
from algorithm_operator.cli.preflight.checks import Check, Level
from algorithm_operator.cli.preflight.facts import Facts, NamespaceFacts, Probed, Tried, installation
from algorithm_operator.core.policies import deny_all

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
T4: dict[str, Any] = {
    "nodeSelectorTerms": [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["Tesla-T4"]},
                {
                    "key": "nvidia.com/gpu.sharing-strategy",
                    "operator": "NotIn",
                    "values": ["time-slicing", "mps"],
                },
            ]
        }
    ],
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}


def deployment(**env: str) -> dict[str, Any]:
    """The operator's, available; `env` adds to its environment."""
    variables = {
        "AO_STEPS_IMAGE": "registry.example.org/steps@sha256:" + "c" * 64,
        "AO_GPU_TYPES": json.dumps({"T4": T4}),
        "AO_CANARY_SERVICE": "algorithm-operator-canary",
        "AO_LEASE_NAME": "algorithm-operator",
        **env,
    }
    return {
        "metadata": {
            "namespace": "algorithm-operator-system",
            "name": "algorithm-operator",
            "labels": {"app.kubernetes.io/version": __version__, "app.kubernetes.io/instance": "ao"},
        },
        "spec": {
            "replicas": 1,
            "template": {
                "spec": {
                    "containers": [
                        {"name": "operator", "env": [{"name": k, "value": v} for k, v in variables.items()]}
                    ]
                }
            },
        },
        "status": {"availableReplicas": 1},
    }


def node(name: str = "gpu-1", **changes: Any) -> dict[str, Any]:
    """A T4 node of 8 CPUs and 32 GB; `labels`, `allocatable`, `info` are merged, `spec`, `ready` and `features` set."""
    return {
        "metadata": {
            "name": name,
            "labels": {
                "nvidia.com/gpu.product": "Tesla-T4",
                "nvidia.com/cuda.driver-version.full": "580.65.06",
                "nvidia.com/cuda.runtime-version.full": "13.0",
                **changes.get("labels", {}),
            },
        },
        "spec": changes.get(
            "spec", {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}
        ),
        "status": {
            "allocatable": {
                "cpu": "7910m",
                "memory": "29Gi",
                "ephemeral-storage": "180Gi",
                "nvidia.com/gpu": "1",
                **changes.get("allocatable", {}),
            },
            "conditions": [{"type": "Ready", "status": "True" if changes.get("ready", True) else "False"}],
            "features": changes.get("features", {"supplementalGroupsPolicy": True}),
            "nodeInfo": {
                "kubeletVersion": "v1.36.3",
                "containerRuntimeVersion": "containerd://2.3.7",
                "kernelVersion": "6.12.0",
                **changes.get("info", {}),
            },
        },
    }


PREPARED = {"pod-security.kubernetes.io/enforce": "restricted", "algorithm-operator.dev/jobs": "true"}
KUBELET: dict[str, Any] = {
    "podPidsLimit": 536,
    "failSwapOn": True,
    "containerLogMaxSize": "10Mi",
    "containerLogMaxFiles": 5,
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%"},
    "maxPods": 110,
}


def namespace(name: str = "imaging", **changes: Any) -> NamespaceFacts:
    """A namespace of jobs with everything; `changes` override fields."""
    fields: dict[str, Any] = {
        "name": name,
        "body": {"metadata": {"name": name, "labels": dict(PREPARED)}},
        "policies": [deny_all(name)],
        "stores": [store()],
        "claims": [claim()],
        "quotas": [],
        "limit_ranges": [],
    }
    return NamespaceFacts(**{**fields, **changes})


def store(name: str = "results", *, default: bool = True) -> dict[str, Any]:
    """A DataStore on the claim of its name."""
    return {
        "metadata": {"name": name},
        "spec": {"persistentVolumeClaim": {"claimName": name}, "default": default},
    }


def claim(
    name: str = "results", phase: str = "Bound", mode: str = "ReadWriteMany", of: str = ""
) -> dict[str, Any]:
    """A PersistentVolumeClaim."""
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "storageClassName": of},
        "status": {"phase": phase},
    }


def tried(name: str, opened: int = 0, until: float | None = None, *, is_open: bool = False) -> Tried:
    """What a probe Pod saw of an address."""
    return Tried(name, "10.96.0.20:8081", 30, opened, until, is_open)


def probed(**changes: Any) -> Probed:
    """A network that closes from the start."""
    local = [tried(name) for name in ("kubelet", "cloud metadata", "node DNS")]
    fields: dict[str, Any] = {
        "node": "gpu-1",
        "control": [tried("canary", 1, 0.01, is_open=True)],
        "sealed": [tried("canary"), tried("API server"), *local],
    }
    return Probed(**{**fields, **changes})


def facts(**changes: Any) -> Facts:
    """A cluster in which every check passes but the one that nobody can see."""
    body = changes.pop("deployment", deployment())
    renewed = (NOW - timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields: dict[str, Any] = {
        "now": NOW,
        "version": {"gitVersion": "v1.36.3"},
        "deployments": [body],
        "installation": installation(body),
        "lease": {"spec": {"holderIdentity": "pod-1", "renewTime": renewed, "leaseDurationSeconds": 15}},
        "canary_slices": [{"endpoints": [{"conditions": {"ready": True}}]}],
        "schemas": {
            kind.name: crd.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            for kind in crd.KINDS
        },
        "admission_policies": [{"metadata": {"name": "algorithm-operator-labels"}}],
        "admission_bindings": [
            {"spec": {"policyName": "algorithm-operator-labels", "validationActions": ["Deny"]}}
        ],
        "nodes": [node()],
        "kubelets": {"gpu-1": KUBELET},
        "toolkits": ["nvcr.io/nvidia/k8s/container-toolkit:v1.18.1"],
        "storage_classes": [
            {
                "metadata": {
                    "name": "fast",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "example.org/csi",
                "volumeBindingMode": "WaitForFirstConsumer",
            }
        ],
        "namespaces": [namespace()],
        "probed": probed(),
    }
    return Facts(**{**fields, **changes})


def one(found: list[Check], name: str) -> Check:
    """The check of that name; there is exactly one."""
    (check,) = [each for each in found if each.name == name]
    return check


def told(check: Check, level: Level, *words: str) -> None:
    """It has that level, says those words, and has a fix unless it passed."""
    assert check.level is level, check
    for word in words:
        assert word in f"{check.seen} {check.fix}", check
    assert bool(check.fix) == (level is not Level.PASS), check
