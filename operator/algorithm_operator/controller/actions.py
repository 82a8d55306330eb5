"""What a decision about a job asks of the cluster, one action at a time. All requests about its Pods are here."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract import frames
from algorithm_operator.contract.manifest import MAX_MANIFEST_BYTES, Manifest
from algorithm_operator.controller.context import Context
from algorithm_operator.controller.denials import denial
from algorithm_operator.controller.turns import take_turn
from algorithm_operator.core import names
from algorithm_operator.core.ending import succeeded
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.following import lost, not_salvaged, unread
from algorithm_operator.core.starting import denied
from algorithm_operator.core.world import (
    Action,
    ConfirmGone,
    CreatePod,
    Decision,
    DeleteJob,
    DeletePod,
    EndPod,
    ReadManifest,
    ReleasePod,
    TakeTurn,
    World,
)
from algorithm_operator.kube.client import decode
from algorithm_operator.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from algorithm_operator.kube.resources import ALGORITHM_JOBS, PODS

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")
MANIFEST_LOG_LIMIT = 3 * MAX_MANIFEST_BYTES
LOG_PATIENCE_SECONDS = 60
"""So long after the collector's end a node that does not answer may still give its log."""
Outcome = Decision | bool
"""A decision that follows from the action; True: decide anew, the store knows more; False: go on."""


async def act(world: World, action: Action, context: Context) -> Outcome:
    """Carry one action out."""
    namespace, client = world.job.namespace, context.client
    match action:
        case CreatePod(body):
            return await _create(world, body, context)
        case TakeTurn():
            return await take_turn(world, context)
        case DeletePod(name, uid, grace):
            await ignore_gone(client.delete(PODS, namespace, name, uid=uid, grace_seconds=grace))
        case EndPod(name, uid):
            await _end(namespace, name, uid, context)
        case ReleasePod(name, uid):
            await release(context, namespace, name, uid)
        case ReadManifest():
            return await _settle(world, action, context)
        case ConfirmGone(pod, number):
            return await _confirm_gone(world, pod, number, context)
        case DeleteJob():
            await ignore_gone(client.delete(ALGORITHM_JOBS, namespace, world.job.name, uid=world.job.uid))
    return False


async def _create(world: World, body: Object, context: Context) -> Outcome:
    """Create the Pod; its name is the lock. Whatever the cluster has against it becomes what the job waits for."""
    job, name = world.job, str(body["metadata"]["name"])
    # What the cluster says may differ each time (ports, counts), and each word that we write is a reason to look again.
    if (left := context.cluster.held_off(job.uid)) > 0:
        return Decision(job.status, requeue=max(left, 0.1))
    try:
        context.store.put(PODS, await context.client.create(PODS, job.namespace, body))
    except AlreadyExists:
        live = await context.client.get(PODS, job.namespace, name)
        if live is None:
            return _denied(
                world, Reason.PREDECESSOR_LEAVING, sentence(Reason.PREDECESSOR_LEAVING, pod=name), context
            )
        context.store.put(PODS, live)
        if names.controller(live).get("uid") == job.uid:
            return True  # made by a request whose answer was lost: it is followed from now on
        reason = Reason.PREDECESSOR_LEAVING if names.is_of_a_job(live) else Reason.NAME_TAKEN
        return _denied(world, reason, sentence(reason, pod=name), context)
    except ApiError as error:
        reason, message = denial(error, job.namespace, context)
        if body["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_SALVAGE:
            return not_salvaged(world, int(body["metadata"]["labels"][names.LABEL_ATTEMPT]), message)
        return _denied(world, reason, message, context)
    return True


def _denied(world: World, reason: Reason, message: str, context: Context) -> Decision:
    decision = denied(world, reason, message)
    context.cluster.hold_off(world.job.uid, decision.requeue or 0.0)
    return decision


async def _end(namespace: str, name: str, uid: str, context: Context) -> None:
    """Lower the Pod's deadline to the least that is allowed, once."""
    pod = context.store.get(PODS, namespace, name)
    if pod is None or (pod["spec"].get("activeDeadlineSeconds") or 0) <= 1:
        return
    patch = {"metadata": {"uid": uid}, "spec": {"activeDeadlineSeconds": 1}}
    after = await ignore_gone(context.client.patch(PODS, namespace, name, patch))
    if after is not None:
        context.store.put(PODS, after)


async def _confirm_gone(world: World, pod: str, number: int, context: Context) -> Outcome:
    namespace = world.job.namespace
    live = await context.client.get(PODS, namespace, pod)
    if live is not None and names.controller(live).get("uid") == world.job.uid:
        context.store.put(PODS, live)
        labels = live["metadata"].get("labels") or {}
        if (
            context.store.get(PODS, namespace, pod) is not None
            and labels.get(names.LABEL_JOB) == world.job.name
        ):
            return True
        # Somebody took its labels away, and with them the seal: nothing that it says counts any more.
        uid = str(live["metadata"]["uid"])
        await ignore_gone(context.client.delete(PODS, namespace, pod, uid=uid, grace_seconds=0))
        await _strip(context, live)
    return lost(world, number)


async def _settle(world: World, read: ReadManifest, context: Context) -> Outcome:
    """Read the announced manifest; succeed with it, or have it salvaged, or give the attempt up."""
    job = world.job
    facts = facts_of(world.pods[read.number])
    try:
        raw = await context.client.pod_log(
            job.namespace, read.pod, read.container, limit_bytes=MANIFEST_LOG_LIMIT
        )
    except ApiError as error:
        # 5xx: the API server does not reach the node. It may be back in a moment, or never.
        ended = facts.collect.finished_at
        if error.status < 500 or ended is None or (world.now - ended).total_seconds() < LOG_PATIENCE_SECONDS:
            raise
        raw = None
    try:
        manifest = Manifest.model_validate(decode(_announced(raw, read.verdict.manifest_sha256)))
    except ValueError as error:
        why = shown(str(error).splitlines()[0], 200)
        key = f"{job.namespace}/{job.name}"
        log.warning("the manifest of attempt %d is not in the log: %s", read.number, why, extra={"key": key})
        return unread(world, read.number, why)
    return succeeded(world, job.status, read.number, facts, read.verdict, manifest)


def _announced(log_: bytes | None, sha256: str | None) -> bytes:
    """The manifest in a container's log, if it is the one that the collector announced."""
    if log_ is None:
        raise frames.FramesError("its log is gone")
    data = frames.decode(log_, MAX_MANIFEST_BYTES)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise frames.FramesError("its sha256 is not the announced one")
    return data


async def release(context: Context, namespace: str, name: str, uid: str) -> None:
    """Take our finalizer, and no other, off that very Pod."""
    pod = context.store.get(PODS, namespace, name)
    for _ in range(3):
        if pod is None or pod["metadata"]["uid"] != uid:
            return
        if await _strip(context, pod):
            return
        pod = await context.client.get(PODS, namespace, name)  # its finalizers are not as we knew them
        if pod is None or pod["metadata"]["uid"] != uid:
            context.store.delete(PODS, {"metadata": {"namespace": namespace, "name": name, "uid": uid}})


async def _strip(context: Context, pod: Object) -> bool:
    """Remove our finalizer from the Pod as it was read; False if it has changed meanwhile."""
    meta = pod["metadata"]
    finalizers = meta.get("finalizers") or []
    if names.POD_FINALIZER not in finalizers:
        return True
    at = f"/metadata/finalizers/{finalizers.index(names.POD_FINALIZER)}"
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
        {"op": "test", "path": at, "value": names.POD_FINALIZER},
        {"op": "remove", "path": at},
    ]
    try:
        after = await context.client.patch(PODS, meta["namespace"], meta["name"], patch, content_type="json")
    except NotFound:
        context.store.delete(PODS, pod)
        return True
    except (Conflict, Invalid):
        return False
    left = after["metadata"]
    if (
        not left.get("finalizers")
        and left.get("deletionTimestamp")
        and not left.get("deletionGracePeriodSeconds")
    ):
        context.store.delete(PODS, after)  # with its last finalizer it is gone
    else:
        context.store.put(PODS, after)
    return True


async def ignore_gone(request: Awaitable[T]) -> T | None:
    """The answer, or None where the very object we meant is no longer there."""
    try:
        return await request
    except (NotFound, Conflict):
        return None
