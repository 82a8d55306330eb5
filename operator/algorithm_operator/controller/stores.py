"""DataStores: whether their claim is there, and their store Pod while somebody holds its Lease."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from algorithm_operator.api.conditions import ConditionType, with_condition
from algorithm_operator.api.datastore import DataStoreSpec, DataStoreStatus
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.controller.actions import ignore_gone
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.denials import denial
from algorithm_operator.controller.sealing import seal
from algorithm_operator.controller.unreadable import problem
from algorithm_operator.core import names, policies
from algorithm_operator.core.storepod import store_pod, wanted_until
from algorithm_operator.kube.errors import AlreadyExists, ApiError
from algorithm_operator.kube.resources import DATASTORES, LEASES, NETWORK_POLICIES, PODS, PVCS

LOOK_AGAIN_SECONDS = 300.0
MISSING_AGAIN_SECONDS = 10.0


async def reconcile_store(key: Key, context: Context) -> float | None:
    """Check the claim, keep the store Pod as the Leases ask for it, write the status."""
    body = context.store.get(DATASTORES, key.namespace, key.name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return None
    now = context.clock.now()
    try:
        spec = DataStoreSpec.model_validate(body["spec"])
    except ValidationError as error:
        return await _unreadable(body, error, now, context)
    status = _status(body)
    claim = spec.persistent_volume_claim.claim_name
    found = await context.client.get(PVCS, key.namespace, claim) is not None
    why = "" if found else sentence(Reason.CLAIM_NOT_FOUND, store=key.name, why=f"claim {shown(claim)}")
    requeue = LOOK_AGAIN_SECONDS if found else MISSING_AGAIN_SECONDS
    reason = Reason.READY if found else Reason.CLAIM_NOT_FOUND
    pod: str | None = None
    leases = context.store.by_label(LEASES, key.namespace, names.LABEL_STORE, key.name)
    until = wanted_until(leases, now)
    if found and until is not None and until > now:
        requeue = min(requeue, (until - now).total_seconds() + 0.5)
        pod, held = await _serve(body, spec, context)
        if held is not None:
            reason, why = held
            requeue = min(requeue, MISSING_AGAIN_SECONDS)
    else:
        await _stop(key, context)
    await _write(body, status, pod, found and not why, reason, why, now, context)
    return requeue


async def _serve(
    body: dict[str, Any], spec: DataStoreSpec, context: Context
) -> tuple[str | None, tuple[Reason, str] | None]:
    """Start the store Pod if it does not run; returns its name, or what keeps it from starting."""
    meta = body["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    pod_name = names.store_pod(name)
    labels = {
        names.LABEL_ROLE: names.ROLE_STORE,
        names.LABEL_STORE: name[:63],
        names.MANAGED_BY: names.OPERATOR,
    }
    await seal(namespace, labels, context)
    pod = context.store.get(PODS, namespace, pod_name)
    if pod is not None:
        leaving = bool(pod["metadata"].get("deletionTimestamp"))
        over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        stale = names.controller(pod).get("uid") != meta["uid"]
        if (over or stale) and not leaving:
            uid = pod["metadata"]["uid"]
            await ignore_gone(context.client.delete(PODS, namespace, pod_name, uid=uid, grace_seconds=0))
        return (None if over or stale or leaving else pod_name), None
    restricted = (await context.cluster.namespace(namespace)).restricted
    there = context.store.by_namespace(NETWORK_POLICIES, namespace)
    if (unsealed := policies.unsealed(namespace, restricted, there, labels)) is not None:
        return None, unsealed
    wanted = store_pod(
        namespace=namespace, name=name, uid=meta["uid"], spec=spec, settings=context.settings.pods
    )
    try:
        context.store.put(PODS, await context.client.create(PODS, namespace, wanted))
    except AlreadyExists:
        live = await context.client.get(PODS, namespace, pod_name)
        if live is not None:
            context.store.put(PODS, live)
        if live is not None and names.controller(live).get("kind") != "DataStore":
            return None, (Reason.NAME_TAKEN, sentence(Reason.NAME_TAKEN, pod=pod_name))
        return None, None  # the next look says whose it is
    except ApiError as error:
        return None, denial(error, namespace, context)
    return pod_name, None


async def _stop(key: Key, context: Context) -> None:
    pod = context.store.get(PODS, key.namespace, names.store_pod(key.name))
    if (
        pod is None
        or pod["metadata"].get("deletionTimestamp")
        or names.controller(pod).get("kind") != "DataStore"
    ):
        return
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    await ignore_gone(context.client.delete(PODS, key.namespace, name, uid=uid))


def _status(body: dict[str, Any]) -> DataStoreStatus:
    try:
        return DataStoreStatus.model_validate(body.get("status") or {})
    except ValidationError:
        return DataStoreStatus()  # all of it is found out anew


async def _unreadable(
    body: dict[str, Any], error: ValidationError, now: datetime, context: Context
) -> float | None:
    """This version cannot read the DataStore (another version's CRD let it in): no job can use it."""
    message = sentence(Reason.SPEC_INVALID, why=problem(error))
    await _write(body, _status(body), None, False, Reason.SPEC_INVALID, message, now, context)
    return None


async def _write(
    body: dict[str, Any],
    before: DataStoreStatus,
    pod: str | None,
    ready: bool,
    reason: Reason,
    message: str,
    now: datetime,
    context: Context,
) -> None:
    meta = body["metadata"]
    generation = meta.get("generation", 1)
    conditions = with_condition(
        before.conditions, ConditionType.READY, ready, reason, message, generation=generation, now=now
    )
    after = DataStoreStatus(observed_generation=generation, conditions=conditions, pod=pod)
    if after.wire() == before.wire():
        return
    written = await context.client.apply(
        DATASTORES,
        meta["namespace"],
        meta["name"],
        {"metadata": {"uid": meta["uid"]}, "status": after.wire()},
        subresource="status",
        field_manager=names.FIELD_MANAGER,
    )
    context.store.put(DATASTORES, written)
