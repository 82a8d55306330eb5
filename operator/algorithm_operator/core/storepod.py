"""The store Pod of a DataStore: how people's files get in and out. Sealed like every Pod of ours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from algorithm_operator.api.algorithm import User
from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.core import names
from algorithm_operator.core.containers import Body, step_container
from algorithm_operator.core.facts import moment
from algorithm_operator.core.pods import owner_reference, sealed_pod_spec
from algorithm_operator.core.quantity import parse
from algorithm_operator.core.settings import PodSettings

OUR_UID = 65532
"""The uid and gid of our images."""


MAX_LEASE_SECONDS = 3600
BURST_CPU = "2"
"""What it may take while files pass: hashing them at its request alone is slower than any network, and reserving more
would keep jobs from the node all the time that it waits."""


def store_pod(*, namespace: str, name: str, uid: str, spec: DataStoreSpec, settings: PodSettings) -> Body:
    """The Pod that serves the whole volume over loopback. `fsGroup` gives a fresh volume its group and mode."""
    pod_spec = sealed_pod_spec(user=User(uid=OUR_UID, gid=spec.gid or OUR_UID), groups=[], grace_seconds=5)
    if spec.gid is not None:
        pod_spec["securityContext"] |= {"fsGroup": spec.gid, "fsGroupChangePolicy": "OnRootMismatch"}
    mounts = [
        {"name": "store", "mountPath": names.STORE_MOUNT},
        {"name": "scratch", "mountPath": names.SCRATCH_MOUNT},
    ]
    container = step_container("store", settings, settings.store_resources, mounts)
    burst = max(settings.store_resources["cpu"], BURST_CPU, key=parse)
    container["resources"]["limits"]["cpu"] = burst
    claim = spec.persistent_volume_claim.claim_name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.store_pod(name),
            "namespace": namespace,
            "labels": {
                names.MANAGED_BY: names.OPERATOR,
                names.LABEL_ROLE: names.ROLE_STORE,
                names.LABEL_STORE: name[:63],
            },
            "ownerReferences": [
                owner_reference(api_version=API_VERSION, kind="DataStore", name=name, uid=uid)
            ],
        },
        "spec": {
            **pod_spec,
            **near_gpus(settings),
            "containers": [container],
            "volumes": [
                {"name": "store", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "scratch", "emptyDir": {}},
            ],
        },
    }


def near_gpus(settings: PodSettings) -> Body:
    """Where jobs will run, if possible: the first Pod that uses a node-local volume decides where it lives."""
    tolerations: list[dict[str, Any]] = []
    preferred: list[dict[str, Any]] = []
    for kind in settings.gpu_types.values():
        tolerations += [t for t in kind.tolerations if t not in tolerations]
        preferred += [{"weight": 100, "preference": term} for term in kind.node_selector_terms]
    tolerations += [t for t in settings.extra_tolerations if t not in tolerations]
    affinity = (
        {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
        if preferred
        else None
    )
    return {"tolerations": tolerations, **({"affinity": affinity} if affinity else {})}


def wanted_until(leases: Iterable[Mapping[str, Any]], now: datetime) -> datetime | None:
    """Until when the store Pod is wanted: the latest end of the leases that ask for it.

    Leases are written by users' machines: one of more than an hour counts as an hour, and one that was renewed more
    than an hour from now is no wish but a wrong clock, and counts for nothing.
    """
    most = timedelta(seconds=MAX_LEASE_SECONDS)
    ends = []
    for lease in leases:
        spec = lease.get("spec") or {}
        renewed = moment(spec.get("renewTime")) or moment(spec.get("acquireTime"))
        seconds = max(0, min(int(spec.get("leaseDurationSeconds") or 0), MAX_LEASE_SECONDS))
        if renewed is not None and renewed - now <= most:
            ends.append(renewed + timedelta(seconds=seconds))
    return max(ends, default=None)
