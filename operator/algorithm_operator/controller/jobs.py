"""AlgorithmJobs: read the store, let core decide, carry the decision out. All I/O of a job's life is here."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from algorithm_operator.api.conditions import ConditionType
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.job import TERMINAL, AlgorithmJobStatus
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract import frames
from algorithm_operator.contract.manifest import MAX_MANIFEST_BYTES, Manifest
from algorithm_operator.contract.plan import Target
from algorithm_operator.controller.cluster import NamespaceFacts
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.core import names, pods
from algorithm_operator.core.decide import decide, lost, salvage, teardown
from algorithm_operator.core.ending import end_attempt, failed, set_condition, succeeded
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.verdict import Verdict
from algorithm_operator.core.world import (
    Action,
    Algorithm,
    ConfirmGone,
    CreatePod,
    Decision,
    DeleteJob,
    DeletePod,
    EndPod,
    Job,
    ReadManifest,
    ReleasePod,
    World,
)
from algorithm_operator.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from algorithm_operator.kube.resources import ALGORITHM_JOBS, ALGORITHMS, DATASTORES, NETWORK_POLICIES, PODS

log = logging.getLogger(__name__)

Object = dict[str, Any]
MANIFEST_LOG_LIMIT = 3 * MAX_MANIFEST_BYTES
MAX_STEPS = 4
"""How many decisions one reconcile carries out before it lets others run."""


async def reconcile_job(key: Key, context: Context) -> float | None:
    """Bring one job on, as far as it goes without waiting."""
    requeue: float | None = None
    for _ in range(MAX_STEPS):
        body = context.store.get(ALGORITHM_JOBS, key.namespace, key.name)
        if body is None:
            return await _abandoned(key, context)
        world = await _world(Job.of(body), context)
        decision = decide(world)
        if decision.needs_nodes:
            world = replace(world, nodes=await context.cluster.nodes())
            decision = decide(world)
        again, requeue = await _carry_out(world, decision, context)
        if not again:
            break
    return requeue


async def _world(job: Job, context: Context) -> World:
    store, namespace = context.store, job.namespace
    algorithm = store.get(ALGORITHMS, namespace, job.spec.algorithm_ref.name)
    mine = store.by_label(PODS, namespace, names.LABEL_JOB, job.name)
    owned = {p["metadata"]["uid"] for p in store.by_owner(PODS, job.uid)}
    runs, salvaging, foreign = {}, None, []
    for pod in mine:
        labels = pod["metadata"].get("labels") or {}
        if pod["metadata"]["uid"] not in owned:
            foreign.append(pod)
        elif labels.get(names.LABEL_ROLE) == names.ROLE_SALVAGE:
            salvaging = pod
        elif labels.get(names.LABEL_ATTEMPT, "").isdecimal():
            runs[int(labels[names.LABEL_ATTEMPT])] = pod
    live = job.status.state not in TERMINAL
    seal = await context.cluster.namespace(namespace) if live else NamespaceFacts()
    return World(
        job=job,
        now=context.clock.now(),
        settings=context.settings.pods,
        algorithm=_algorithm(algorithm),
        stores=_stores(store.by_namespace(DATASTORES, namespace)),
        pods=runs,
        salvage=salvaging,
        foreign=list(foreign),
        restricted=seal.restricted,
        terminating=seal.terminating,
        policies=list(store.by_namespace(NETWORK_POLICIES, namespace)),
        targets=_targets(context),
    )


def _algorithm(body: Object | None) -> Algorithm | None:
    return Algorithm.of(body) if body is not None else None


def _stores(bodies: list[Object]) -> dict[str, DataStoreSpec]:
    return {b["metadata"]["name"]: DataStoreSpec.model_validate(b["spec"]) for b in bodies}


def _targets(context: Context) -> list[Target] | None:
    """What the gate must find closed; None while the canary is not proven alive."""
    canary = context.canary.target()
    if canary is None or not context.canary.alive:
        return None
    api_server = context.settings.api_server
    return [canary, *([api_server] if api_server is not None else [])]


async def _carry_out(world: World, decision: Decision, context: Context) -> tuple[bool, float | None]:
    """Write the status, then act. Returns whether to decide anew at once, and the requeue."""
    again = await _write(world.job, decision.status, context)
    world = replace(world, job=replace(world.job, status=decision.status))
    for action in decision.actions:
        if await _act(world, action, context):
            return True, decision.requeue
    return again and decision.requeue == 0.0, decision.requeue


async def _write(job: Job, status: AlgorithmJobStatus, context: Context) -> bool:
    """Apply the whole status if it differs from the one that was read; our own write is taken into the store."""
    wire = status.wire()
    if wire == job.status.wire():
        return False
    body = {"metadata": {"uid": job.uid}, "status": wire}
    written = await context.client.apply(
        ALGORITHM_JOBS, job.namespace, job.name, body, subresource="status", field_manager=names.FIELD_MANAGER
    )
    context.store.put(ALGORITHM_JOBS, written)
    if status.state != job.status.state:
        log.info(
            "job is %s",
            status.state,
            extra={"key": f"{job.namespace}/{job.name}", "uid": job.uid, "reason": status.reason},
        )
        if status.state in TERMINAL:
            context.metrics.job_finished(str(status.state), str(status.reason))
        elif status.reason == Reason.RETRYING:
            context.metrics.attempt_retried(str(status.attempts[-1].reason))
    return True


async def _act(world: World, action: Action, context: Context) -> bool:
    """Carry one action out; True: decide anew, the world has changed."""
    job, client = world.job, context.client
    match action:
        case CreatePod(body):
            return await _create(world, body, context)
        case DeletePod(name, uid, grace):
            await _ignore_gone(client.delete(PODS, job.namespace, name, uid=uid, grace_seconds=grace))
        case EndPod(name, uid):
            pod = context.store.get(PODS, job.namespace, name)
            if pod is not None and (pod["spec"].get("activeDeadlineSeconds") or 0) > 1:
                patch = {"metadata": {"uid": uid}, "spec": {"activeDeadlineSeconds": 1}}
                await _ignore_gone(client.patch(PODS, job.namespace, name, patch))
        case ReleasePod(name, uid):
            await release(context, job.namespace, name, uid)
        case ReadManifest(pod, container, verdict):
            return await _settle(world, pod, container, verdict, context)
        case ConfirmGone(pod):
            live = await client.get(PODS, job.namespace, pod)
            if live is not None:
                context.store.put(PODS, live)
                return True
            return (await _carry_out(world, lost(world), context))[0]
        case DeleteJob():
            await _ignore_gone(client.delete(ALGORITHM_JOBS, job.namespace, job.name, uid=job.uid))
    return False


async def _create(world: World, body: Object, context: Context) -> bool:
    job, name = world.job, body["metadata"]["name"]
    try:
        created = await context.client.create(PODS, job.namespace, body)
    except AlreadyExists:
        live = await context.client.get(PODS, job.namespace, name)
        if live is not None:
            context.store.put(PODS, live)  # ours: adopted from now on; another owner's: seen as foreign
        return live is not None and _owner_uid(live) == job.uid
    except Forbidden as error:
        context.cluster.forget(job.namespace)
        reason = Reason.QUOTA_EXCEEDED if error.is_quota else Reason.ADMISSION_DENIED
        return await _denied(world, reason, error.message, context)
    except Invalid as error:
        return await _denied(world, Reason.ADMISSION_DENIED, error.message, context)
    changed = pods.mutations(body, created)
    context.store.put(PODS, created)
    if changed:
        meta = created["metadata"]
        status = failed(
            world,
            job.status,
            Verdict(Reason.POD_MUTATED, sentence(Reason.POD_MUTATED, why=shown("; ".join(changed)))),
        )
        await _write(job, status, context)
        await _ignore_gone(context.client.delete(PODS, job.namespace, name, uid=meta["uid"], grace_seconds=0))
        await release(context, job.namespace, name, meta["uid"])
    return False


async def _denied(world: World, reason: Reason, why: str, context: Context) -> bool:
    """The cluster refused the Pod: the job waits, and says why. No attempt is consumed."""
    job = world.job
    message = sentence(reason, why=shown(why, 700))
    status = job.status.model_copy(update={"reason": str(reason), "message": message})
    status = set_condition(status, job, world.now, ConditionType.SCHEDULED, False, reason, message)
    await _write(job, status, context)
    return False


async def _settle(world: World, pod: str, container: str, verdict: Verdict, context: Context) -> bool:
    """Read the announced manifest; succeed with it, or salvage it, or give the attempt up."""
    job = world.job
    number = next(
        (a.number for a in job.status.attempts if a.finished_at is None), len(job.status.attempts) + 1
    )
    facts = facts_of(world.pods[number])
    raw = await context.client.pod_log(job.namespace, pod, container, limit_bytes=MANIFEST_LOG_LIMIT)
    try:
        manifest = Manifest.model_validate_json(_announced(raw, verdict))
    except (frames.FramesError, ValidationError) as error:
        why = shown(str(error).splitlines()[0], 200)
        plan = salvage(world, number)
        if plan is not None:
            log.warning(
                "the manifest is read from the store: %s", why, extra={"key": f"{job.namespace}/{job.name}"}
            )
            return (await _carry_out(world, plan, context))[0]
        gone = Verdict(Reason.MANIFEST_LOST, sentence(Reason.MANIFEST_LOST, why=why))
        return (await _carry_out(world, end_attempt(world, job.status, number, gone), context))[0]
    await _carry_out(world, succeeded(world, job.status, number, facts, verdict, manifest), context)
    return True


def _announced(log_: bytes | None, verdict: Verdict) -> bytes:
    """The manifest in a container's log, if it is the one that the collector announced."""
    if log_ is None:
        raise frames.FramesError("its log is gone")
    data = frames.decode(log_, MAX_MANIFEST_BYTES)
    if hashlib.sha256(data).hexdigest() != verdict.manifest_sha256:
        raise frames.FramesError("its sha256 is not the announced one")
    return data


async def release(context: Context, namespace: str, name: str, uid: str) -> None:
    """Take our finalizer, and no other, off that very Pod."""
    pod = context.store.get(PODS, namespace, name) or await context.client.get(PODS, namespace, name)
    finalizers = (pod or {}).get("metadata", {}).get("finalizers") or []
    if pod is None or pod["metadata"]["uid"] != uid or names.POD_FINALIZER not in finalizers:
        return
    left = [f for f in finalizers if f != names.POD_FINALIZER]
    patch = {"metadata": {"uid": uid, "finalizers": left or None}}
    after = await _ignore_gone(context.client.patch(PODS, namespace, name, patch))
    if after is None:
        context.store.delete(PODS, pod)
    elif not left and after["metadata"].get("deletionTimestamp"):
        context.store.delete(PODS, after)
    else:
        context.store.put(PODS, after)


async def _abandoned(key: Key, context: Context) -> float | None:
    """The job is gone: what is left of its Pods is ended and released."""
    left = context.store.by_label(PODS, key.namespace, names.LABEL_JOB, key.name)
    if not left:
        return None
    live = await context.client.get(ALGORITHM_JOBS, key.namespace, key.name)
    if live is not None:
        context.store.put(ALGORITHM_JOBS, live)
        return 0.0
    now = context.clock.now()
    for action in teardown(list(left), now):
        if isinstance(action, DeletePod):
            await _ignore_gone(
                context.client.delete(
                    PODS, key.namespace, action.name, uid=action.uid, grace_seconds=action.grace_seconds
                )
            )
        elif isinstance(action, ReleasePod):
            await release(context, key.namespace, action.name, action.uid)
    return 5.0


def _owner_uid(pod: Object) -> str | None:
    return next(
        (o.get("uid") for o in pod["metadata"].get("ownerReferences") or [] if o.get("controller")), None
    )


async def _ignore_gone(request: Any) -> Any:
    """The answer, or None where the very object we meant is no longer there."""
    try:
        return await request
    except (NotFound, Conflict):
        return None
