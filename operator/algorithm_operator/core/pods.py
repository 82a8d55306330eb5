"""The Pods of a job as the operator wants them. Pure: the same arguments give the same body, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.algorithm import User
from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import attempt, inputs, names, seal
from algorithm_operator.core.containers import (
    algorithm_container,
    collect_mounts,
    collect_resources,
    mount,
    plan_volume,
    stage_mounts,
    stage_resources,
    step_container,
)
from algorithm_operator.core.scratch import volumes as scratch_volumes
from algorithm_operator.core.settings import PodSettings

Body = dict[str, Any]
GRACE_AFTER_COLLECT_SECONDS = 30

_UNDISTURBED = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
}


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


def sealed_pod_spec(*, user: User | None, groups: list[int], grace_seconds: int) -> Body:
    """What every Pod of ours has in common: no token, no DNS, no service links, restricted, run once.

    Without a `user` the cluster's admission chooses the ids.
    """
    security: Body = {
        "runAsNonRoot": True,
        **({"runAsUser": user.uid, "runAsGroup": user.gid} if user is not None else {}),
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


def _user_annotation(run: RunSnapshot) -> dict[str, str]:
    return {names.ANNOTATION_USER: names.USER_OF_NAMESPACE} if run.user is None else {}


def _pull_secrets(run: RunSnapshot) -> Body:
    return (
        {"imagePullSecrets": [{"name": each.name} for each in run.pull_secrets]} if run.pull_secrets else {}
    )


def _model_volumes(run: RunSnapshot) -> list[Body]:
    if run.model is None:
        return []
    volumes: list[Body] = [{"name": "model", "emptyDir": {}}]
    if run.model.image is not None:
        source = {"reference": run.model.image, "pullPolicy": "IfNotPresent"}
        volumes.append({"name": "model-image", "image": source})
    return volumes


def _placement(run: RunSnapshot, settings: PodSettings) -> Body:
    gpu = settings.gpu_types.get(run.resources.gpu.type) if run.resources.gpu.count else None
    if gpu is None:
        return {"tolerations": list(settings.extra_tolerations)} if settings.extra_tolerations else {}
    terms = {"nodeSelectorTerms": gpu.node_selector_terms}
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        "tolerations": [*gpu.tolerations, *settings.extra_tolerations],
    }


def _store_volumes(
    plan: Plan, stores: Mapping[str, DataStoreSpec]
) -> tuple[list[Body], dict[str, str], list[int]]:
    """The claims that the plan names, once each; the volume of each store; the groups they need."""
    wanted = [file.store for planned in plan.inputs for file in planned.files or [] if file.store is not None]
    if plan.model is not None and plan.model.store is not None:
        wanted.append(plan.model.store)
    wanted += [place.name for place in (plan.output_store, plan.log_store) if place is not None]
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
    plan_text = attempt.text(plan)
    stage = step_container(
        names.STAGE, settings, stage_resources(run, settings), stage_mounts(plan, volume_of)
    )
    collect = step_container(
        names.COLLECT, settings, collect_resources(settings), collect_mounts(plan, volume_of)
    )
    collect["restartPolicy"] = "Always"
    spec: Body = {
        **sealed_pod_spec(
            user=run.user,
            groups=groups,
            grace_seconds=run.collect_seconds + GRACE_AFTER_COLLECT_SECONDS,
        ),
        "hostname": names.HOSTNAME,
        **_pull_secrets(run),
        "activeDeadlineSeconds": run.time_limit_seconds,
        **_placement(run, settings),
        "initContainers": [stage, collect],
        "containers": [algorithm_container(run, settings)],
        "volumes": [
            plan_volume(),
            *({"name": name, "emptyDir": {}} for name in ("runner", "input", "scratch")),
            *scratch_volumes(run.resources),
            *_model_volumes(run),
            *inputs.volumes(plan),
            *store_volumes,
        ],
    }
    annotations = {**_UNDISTURBED, **_user_annotation(run), names.ANNOTATION_PLAN: plan_text}
    job = plan.job
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.run_pod(job.name, job.attempt),
            "namespace": job.namespace,
            "labels": names.labels(names.ROLE_RUN, job.name, job.attempt),
            "annotations": {
                **annotations,
                names.ANNOTATION_SPEC_HASH: seal.digest(
                    {"metadata": {"annotations": annotations}, "spec": spec}
                ),
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
    alone = plan.model_copy(update={"inputs": [], "model": None, "log_store": None})
    volumes, volume_of, groups = _store_volumes(alone, stores)
    mounts = [
        mount(
            volume_of[plan.output_store.name],
            names.STORE_MOUNT,
            read_only=True,
            sub_path=plan.output_store.folder,
        ),
        mount("scratch", names.SCRATCH_MOUNT),
    ]
    job = plan.job
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.salvage_pod(job.name, job.attempt),
            "namespace": job.namespace,
            "labels": names.labels(names.ROLE_SALVAGE, job.name, job.attempt),
            "annotations": {**_UNDISTURBED, **_user_annotation(run)},
            "ownerReferences": [
                owner_reference(api_version=API_VERSION, kind="AlgorithmJob", name=job.name, uid=job.uid)
            ],
        },
        "spec": {
            **sealed_pod_spec(user=run.user, groups=groups, grace_seconds=5),
            "activeDeadlineSeconds": 600,
            **_placement(run, settings),
            "containers": [step_container("salvage", settings, settings.collect_resources, mounts)],
            "volumes": [{"name": "scratch", "emptyDir": {}}, *volumes],
        },
    }
