"""The Lease that asks the operator for the store Pod of a DataStore, and whether the Pod is there. Pure.

The Lease is left to expire rather than deleted: somebody else may hold it too, and whoever comes next finds the Pod
still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from algorithm_operator.api.conditions import ConditionType, find
from algorithm_operator.api.datastore import DataStoreStatus
from algorithm_operator.api.text import shown
from algorithm_operator.core import names
from algorithm_operator.core.containers import Body

LEASE_SECONDS = 60
RENEW_SECONDS = 20
READY_SECONDS, ANSWER_SECONDS = 60, 20
"""How long the store Pod may take to come, and its server to answer then: the kubelet calls the Pod ready when its
process is there."""


def lease(store: str, holder: str, now: datetime) -> Body:
    """A new Lease."""
    labels = {names.MANAGED_BY: names.OPERATOR, names.LABEL_STORE: store}
    renewed = renewal(holder, now)["spec"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": names.store_lease(store), "labels": labels},
        "spec": {**renewed, "acquireTime": renewed["renewTime"]},
    }


def renewal(holder: str, now: datetime) -> Body:
    """The merge patch that says that the store Pod is still needed."""
    renewed = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed}
    return {"spec": spec}


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the Pod takes connections and is not leaving."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def why_not_ready(store: Mapping[str, Any] | None, pod: Mapping[str, Any] | None) -> str:
    """What keeps a store Pod from serving, from the DataStore's condition and the Pod's status."""
    status = DataStoreStatus.model_validate((store or {}).get("status") or {})
    ready = find(status.conditions, ConditionType.READY)
    if ready is not None and ready.status != "True" and ready.message:
        return shown(ready.message, 1000)
    if pod is None:
        if ready is None:
            return "nobody has looked at the DataStore. Is the operator running, and does it watch this namespace?"
        return "the operator has not made it. Is the operator running?"
    if pod["metadata"].get("deletionTimestamp"):
        return "the one before is still leaving; try again in a minute."
    return _why_pod_waits(pod.get("status") or {})


def _why_pod_waits(status: Mapping[str, Any]) -> str:
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return shown(f"{waiting['reason']}: {waiting.get('message') or 'no details'}", 1000)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return "no node for it: " + shown(condition.get("message") or condition.get("reason") or "", 1000)
    return f"it is {shown(status.get('phase') or 'Pending')}; kubectl describe pod tells more."
