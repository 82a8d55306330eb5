"""The Pods of a job as the operator wants them. Pure: the same arguments give the same body, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.job import RunSnapshot
from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import names, quantity
from algorithm_operator.core.settings import PodSettings

Body = dict[str, Any]
GRACE_AFTER_COLLECT_SECONDS = 30

_RESTRICTED: Body = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_UNDISTURBED = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
}
_DOWNWARD = {
    "HOST_IP": "status.hostIP",
    "POD_IP": "status.podIP",
    "POD_NAME": "metadata.name",
    "POD_UID": "metadata.uid",
    "NODE_NAME": "spec.nodeName",
}


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: the form that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def owner_reference(*, api_version: str, kind: str, name: str, uid: str) -> Body:
    """The ownerReference that makes the garbage collector remove a child with its owner."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def sealed_pod_spec(*, uid: int, gid: int, groups: list[int], grace_seconds: int) -> Body:
    """What every Pod of ours has in common: no token, no DNS, no service links, restricted, run once."""
    security: Body = {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "supplementalGroupsPolicy": "Strict",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if groups:
        security["supplementalGroups"] = groups
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "securityContext": security,
    }


def step_container(
    name: str, settings: PodSettings, resources: Mapping[str, str], mounts: list[Body]
) -> Body:
    """One of our own containers: `python -m algorithm_operator.steps <name>` in the steps image."""
    env: list[Body] = [
        {"name": key, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for key, path in _DOWNWARD.items()
    ]
    # Where NVIDIA's runtime is the default, an unset variable would hand every GPU to our own containers.
    env.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    return {
        "name": name,
        "image": settings.steps_image,
        "imagePullPolicy": "IfNotPresent",
        "args": [name],
        "env": env,
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": dict(_RESTRICTED),
        "volumeMounts": mounts,
    }


def _mount(volume: str, path: str, *, read_only: bool = False, sub_path: str | None = None) -> Body:
    body: Body = {"name": volume, "mountPath": path}
    if read_only:
        body["readOnly"] = True
    if sub_path is not None:
        body["subPath"] = sub_path
    return body


def _stage_mounts(plan: Plan, volume_of: Mapping[str, str]) -> list[Body]:
    mounts = [
        _mount("plan", names.PLAN_MOUNT, read_only=True),
        _mount("input", names.INPUT_MOUNT),
        _mount("runner", names.RUNNER_MOUNT),
        _mount("scratch", names.SCRATCH_MOUNT),
    ]
    for planned in plan.inputs:
        for file in planned.files or []:
            path = file.path.rstrip("/")
            mounts.append(_mount(volume_of[file.store], file.mount, read_only=True, sub_path=path))
    return mounts


def _collect_mounts(plan: Plan, volume_of: Mapping[str, str]) -> list[Body]:
    mounts = [
        _mount("plan", names.PLAN_MOUNT, read_only=True),
        _mount("runner", names.RUNNER_MOUNT, read_only=True),
        _mount("logs", names.LOGS_MOUNT, read_only=True),
        _mount("input", names.INPUT_MOUNT, read_only=True),
        _mount("output", names.OUTPUT_MOUNT, read_only=True),
        _mount("scratch", names.SCRATCH_MOUNT),
    ]
    if plan.output_store is not None:
        store = plan.output_store
        mounts.append(_mount(volume_of[store.name], names.STORE_MOUNT, sub_path=store.folder))
    return mounts


def _algorithm_container(run: RunSnapshot, settings: PodSettings) -> Body:
    resources: Body = {"cpu": run.resources.cpu, "memory": run.resources.memory}
    env: list[Body] = []
    if run.resources.gpu.count:
        gpu = settings.gpu_types[run.resources.gpu.type]
        resources[gpu.resource] = str(run.resources.gpu.count)
    else:
        env.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    body: Body = {
        "name": names.ALGORITHM,
        "image": run.image,
        "imagePullPolicy": "IfNotPresent",
        # No args, ever: the kubelet expands $(VAR) there; ENTRYPOINT and CMD travel in run.json.
        "command": [f"{names.RUNNER_MOUNT}/{names.RUNNER_BINARY}"],
        "resources": {"requests": resources, "limits": dict(resources)},
        "securityContext": {**_RESTRICTED, "readOnlyRootFilesystem": False},
        "volumeMounts": [
            _mount("runner", names.RUNNER_MOUNT, read_only=True),
            _mount("logs", names.LOGS_MOUNT),
            _mount("input", names.INPUT_MOUNT, read_only=True),
            _mount("output", names.OUTPUT_MOUNT),
            _mount("tmp", names.TMP_MOUNT),
        ],
    }
    if env:
        body["env"] = env
    return body


def _placement(run: RunSnapshot, settings: PodSettings) -> Body:
    if not run.resources.gpu.count:
        return {"tolerations": list(settings.extra_tolerations)} if settings.extra_tolerations else {}
    gpu = settings.gpu_types[run.resources.gpu.type]
    terms = {"nodeSelectorTerms": gpu.node_selector_terms}
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        "tolerations": [*gpu.tolerations, *settings.extra_tolerations],
    }


def _store_volumes(
    plan: Plan, stores: Mapping[str, DataStoreSpec]
) -> tuple[list[Body], dict[str, str], list[int]]:
    """The claims that the plan names, once each; the volume of each store; the groups they need."""
    wanted = [file.store for planned in plan.inputs for file in planned.files or []]
    if plan.output_store is not None:
        wanted.append(plan.output_store.name)
    volumes: list[Body] = []
    volume_of: dict[str, str] = {}
    by_claim: dict[str, str] = {}
    for store in dict.fromkeys(wanted):
        claim = stores[store].persistent_volume_claim.claim_name
        if claim not in by_claim:
            by_claim[claim] = f"store-{len(by_claim)}"
            volumes.append({"name": by_claim[claim], "persistentVolumeClaim": {"claimName": claim}})
        volume_of[store] = by_claim[claim]
    groups = sorted({gid for store in volume_of if (gid := stores[store].gid) is not None})
    return volumes, volume_of, groups


def run_pod(plan: Plan, run: RunSnapshot, stores: Mapping[str, DataStoreSpec], settings: PodSettings) -> Body:
    """The sealed run Pod of one attempt (design: one Pod, one GPU, stage + collect + algorithm)."""
    store_volumes, volume_of, groups = _store_volumes(plan, stores)
    plan_text = canonical(plan.wire())
    stage = step_container(names.STAGE, settings, settings.stage_resources, _stage_mounts(plan, volume_of))
    collect = step_container(
        names.COLLECT, settings, settings.collect_resources, _collect_mounts(plan, volume_of)
    )
    collect["restartPolicy"] = "Always"
    spec: Body = {
        **sealed_pod_spec(
            uid=run.user.uid,
            gid=run.user.gid,
            groups=groups,
            grace_seconds=run.collect_seconds + GRACE_AFTER_COLLECT_SECONDS,
        ),
        "activeDeadlineSeconds": run.time_limit_seconds,
        **_placement(run, settings),
        "initContainers": [stage, collect],
        "containers": [_algorithm_container(run, settings)],
        "volumes": [
            {
                "name": "plan",
                "downwardAPI": {
                    "items": [
                        {
                            "path": "plan.json",
                            "fieldRef": {
                                "apiVersion": "v1",
                                "fieldPath": f"metadata.annotations['{names.ANNOTATION_PLAN}']",
                            },
                        }
                    ]
                },
            },
            *(
                {"name": name, "emptyDir": {}}
                for name in ("runner", "input", "output", "tmp", "logs", "scratch")
            ),
            *store_volumes,
        ],
    }
    digest = hashlib.sha256(canonical([spec, plan_text]).encode()).hexdigest()
    job = plan.job
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.run_pod(job.name, job.attempt),
            "namespace": job.namespace,
            "labels": _labels(names.ROLE_RUN, job.name, job.attempt),
            "annotations": {
                **_UNDISTURBED,
                names.ANNOTATION_PLAN: plan_text,
                names.ANNOTATION_SPEC_HASH: digest,
            },
            "finalizers": [names.POD_FINALIZER],
            "ownerReferences": [
                owner_reference(api_version=API_VERSION, kind="AlgorithmJob", name=job.name, uid=job.uid)
            ],
        },
        "spec": spec,
    }


def salvage_pod(
    plan: Plan, run: RunSnapshot, stores: Mapping[str, DataStoreSpec], settings: PodSettings
) -> Body:
    """A sealed Pod that prints the stored manifest of an attempt whose log is gone. Needs an output store."""
    if plan.output_store is None:
        raise ValueError("a job without an output store has nothing to salvage from")
    alone = plan.model_copy(update={"inputs": []})
    volumes, volume_of, groups = _store_volumes(alone, stores)
    mounts = [
        _mount(
            volume_of[plan.output_store.name],
            names.STORE_MOUNT,
            read_only=True,
            sub_path=plan.output_store.folder,
        ),
        _mount("scratch", names.SCRATCH_MOUNT),
    ]
    job = plan.job
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.salvage_pod(job.name, job.attempt),
            "namespace": job.namespace,
            "labels": _labels(names.ROLE_SALVAGE, job.name, job.attempt),
            "annotations": dict(_UNDISTURBED),
            "ownerReferences": [
                owner_reference(api_version=API_VERSION, kind="AlgorithmJob", name=job.name, uid=job.uid)
            ],
        },
        "spec": {
            **sealed_pod_spec(uid=run.user.uid, gid=run.user.gid, groups=groups, grace_seconds=5),
            "activeDeadlineSeconds": 600,
            **_placement(run, settings),
            "containers": [step_container("salvage", settings, settings.collect_resources, mounts)],
            "volumes": [{"name": "scratch", "emptyDir": {}}, *volumes],
        },
    }


def _labels(role: str, job: str, attempt: int) -> dict[str, str]:
    return {
        names.MANAGED_BY: names.OPERATOR,
        names.LABEL_ROLE: role,
        names.LABEL_JOB: job,
        names.LABEL_ATTEMPT: str(attempt),
    }


def mutations(intended: Body, created: Body) -> list[str]:
    """What the cluster's admission changed in the created Pod that breaks the seal, in words; empty if nothing.

    Only what matters: which containers there are, their image, command, resources and security context.
    """
    found: list[str] = []
    for group in ("initContainers", "containers"):
        wanted = {c["name"]: c for c in intended["spec"].get(group, [])}
        present = {c["name"]: c for c in created["spec"].get(group, [])}
        found += [f"container {name} was added" for name in sorted(present.keys() - wanted.keys())]
        found += [f"container {name} was removed" for name in sorted(wanted.keys() - present.keys())]
        for name in sorted(wanted.keys() & present.keys()):
            found += [
                f"{field} of container {name} was changed"
                for field in ("image", "command", "args", "resources", "securityContext")
                if not _same(field, wanted[name].get(field), present[name].get(field))
            ]
    for field in ("activeDeadlineSeconds", "hostNetwork", "hostPID", "serviceAccountName"):
        if field in intended["spec"] and intended["spec"][field] != created["spec"].get(field):
            found.append(f"{field} was changed")
    return found


def _same(field: str, wanted: object, present: object) -> bool:
    # The server writes quantities in its own way ("0.5" comes back as "500m").
    return quantity.same(wanted, present) if field == "resources" else wanted == present
