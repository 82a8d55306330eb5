"""AlgorithmJobs: read the store, let core decide, write the status, act, and decide anew while there is more to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from algorithm_operator.api.conditions import ConditionType
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.imageimport import ImageImportStatus
from algorithm_operator.api.job import TERMINAL, AlgorithmJobStatus, State
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.contract.plan import Target
from algorithm_operator.controller.actions import act, ignore_gone, release
from algorithm_operator.controller.cluster import NamespaceFacts
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.sealing import seal
from algorithm_operator.controller.statuses import Overtaken, write_status
from algorithm_operator.controller.unreadable import problem
from algorithm_operator.core import names
from algorithm_operator.core.decide import decide, teardown
from algorithm_operator.core.ending import set_condition
from algorithm_operator.core.world import Algorithm, Decision, DeletePod, Import, Job, ReleasePod, World
from algorithm_operator.kube.errors import ApiError
from algorithm_operator.kube.resources import (
    ALGORITHM_JOBS,
    ALGORITHMS,
    DATASTORES,
    EVENTS,
    IMAGE_IMPORTS,
    NETWORK_POLICIES,
    PODS,
)

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")
MAX_STEPS = 6
"""How many decisions one reconcile carries out before it lets others run."""


async def reconcile_job(key: Key, context: Context) -> float | None:
    """Bring one job on, as far as it goes without waiting."""
    for _ in range(MAX_STEPS):
        body = context.store.get(ALGORITHM_JOBS, key.namespace, key.name)
        if body is None:
            return await _abandoned(key, context)
        try:
            job = Job.of(body)
        except ValidationError as error:
            return await _unreadable(body, error, context)
        world = await _world(job, context)
        decision = decide(world)
        if decision.needs_nodes:
            world = replace(world, nodes=await context.cluster.nodes())
            decision = decide(world)
        if decision.needs_events is not None:
            world = replace(world, events=await _events(job.namespace, decision.needs_events, context))
            decision = decide(world)
        try:
            requeue = await _carry_out(world, decision, context)
        except Overtaken:
            continue
        if requeue != 0.0:
            return requeue
    return 1.0


async def _carry_out(world: World, decision: Decision, context: Context) -> float | None:
    """Write the status, then act; an action may end in a decision of its own. Returns the requeue, 0.0: at once."""
    while True:
        await write_status(world.job, decision.status, context)
        world = replace(world, job=replace(world.job, status=decision.status))
        following: Decision | None = None
        for action in decision.actions:
            outcome = await act(world, action, context)
            if outcome is True:
                return 0.0
            if isinstance(outcome, Decision):
                following = outcome
                break
        if following is None:
            return decision.requeue
        decision = following


async def _world(job: Job, context: Context) -> World:
    store, namespace = context.store, job.namespace
    unreadable: dict[str, str] = {}
    runs: dict[int, Object] = {}
    salvaging: dict[int, Object] = {}
    foreign: list[Object] = []
    for pod in store.by_label(PODS, namespace, names.LABEL_JOB, job.name):
        labels = pod["metadata"].get("labels") or {}
        attempt = labels.get(names.LABEL_ATTEMPT, "")
        if names.controller(pod).get("uid") != job.uid:
            if names.is_of_a_job(pod):
                foreign.append(pod)
        elif attempt.isdecimal():
            (salvaging if labels.get(names.LABEL_ROLE) == names.ROLE_SALVAGE else runs)[int(attempt)] = pod
    wanted = store.get(ALGORITHMS, namespace, job.spec.algorithm_ref.name)
    stores = {
        str(body["metadata"]["name"]): _read("DataStore", _store_spec, body, unreadable)
        for body in store.by_namespace(DATASTORES, namespace)
    }
    live = job.status.state not in TERMINAL
    there = await context.cluster.namespace(namespace) if live else NamespaceFacts()
    if live and not there.terminating:
        await seal(namespace, names.labels(names.ROLE_RUN, job.name, 1), context)
    return World(
        job=job,
        now=context.clock.now(),
        settings=context.settings.pods,
        algorithm=_read("Algorithm", Algorithm.of, wanted, unreadable) if wanted is not None else None,
        stores={name: spec for name, spec in stores.items() if spec is not None},
        jobs=_jobs_waited_for(job, context, unreadable),
        imports=_imports_waited_for(job, context, unreadable),
        unreadable=unreadable,
        pods=runs,
        salvage=salvaging,
        foreign=foreign,
        restricted=there.restricted,
        terminating=there.terminating,
        policies=list(store.by_namespace(NETWORK_POLICIES, namespace)),
        targets=_targets(context),
    )


def _jobs_waited_for(job: Job, context: Context, unreadable: dict[str, str]) -> dict[str, AlgorithmJobStatus]:
    """The status of the jobs whose outputs are inputs, until what they are is fixed in the job's own status."""
    if job.status.algorithm is not None:
        return {}
    wanted = dict.fromkeys(given.job.name for given in job.spec.inputs if given.job is not None)
    bodies = (context.store.get(ALGORITHM_JOBS, job.namespace, name) for name in wanted)
    found = [_read("AlgorithmJob", Job.of, body, unreadable) for body in bodies if body is not None]
    return {other.name: other.status for other in found if other is not None}


def _imports_waited_for(
    job: Job, context: Context, unreadable: dict[str, str]
) -> dict[str, ImageImportStatus]:
    """The same of the ImageImports whose images are inputs."""
    if job.status.algorithm is not None:
        return {}
    wanted = dict.fromkeys(
        given.image_import.name for given in job.spec.inputs if given.image_import is not None
    )
    bodies = (context.store.get(IMAGE_IMPORTS, job.namespace, name) for name in wanted)
    found = [_read("ImageImport", Import.of, body, unreadable) for body in bodies if body is not None]
    return {made.name: made.status for made in found if made is not None}


async def _events(namespace: str, pod_uid: str, context: Context) -> list[Object]:
    """The events about one Pod; none where they cannot be read: they explain, and nothing else rests on them."""
    try:
        found, _ = await context.client.list(
            EVENTS, namespace, field_selector=f"involvedObject.uid={pod_uid}"
        )
    except ApiError as error:
        log.info("the events of a Pod were not read: %s", error)
        return []
    return found


def _store_spec(body: Object) -> DataStoreSpec:
    return DataStoreSpec.model_validate(body["spec"])


def _read(kind: str, parse: Callable[[Object], T], body: Object, unreadable: dict[str, str]) -> T | None:
    """The object; None, with the reason noted, if this version cannot read it."""
    try:
        return parse(body)
    except ValidationError as error:
        unreadable[f"{kind}/{body['metadata']['name']}"] = problem(error)
        return None


def _targets(context: Context) -> list[Target] | None:
    """What the gate must find closed; None while the canary is not proven alive."""
    canary = context.canary.targets()
    if not canary or not context.canary.alive:
        return None
    api_server = context.settings.api_server
    return [*canary, *([api_server] if api_server is not None else [])]


async def _unreadable(body: Object, error: ValidationError, context: Context) -> float | None:
    """This version cannot read the job (another version's CRD let it in): say so, and leave all else as it is."""
    meta = body["metadata"]
    try:
        job = Job.of({**body, "spec": {"algorithmRef": {"name": "unknown"}, "inputs": [{"slug": "unknown"}]}})
    except ValidationError:
        log.warning("the status of the job cannot be read: %s", problem(error), extra={"key": meta["name"]})
        return None
    if job.status.state in TERMINAL:
        return None
    message = sentence(Reason.SPEC_INVALID, why=problem(error))
    update: dict[str, object] = {"reason": str(Reason.SPEC_INVALID), "message": message}
    if job.status.state is None:
        update["state"] = State.PENDING
    status = set_condition(
        job.status.model_copy(update=update),
        job,
        context.clock.now(),
        ConditionType.ACCEPTED,
        False,
        Reason.SPEC_INVALID,
        message,
    )
    await write_status(job, status, context)
    return None


async def _abandoned(key: Key, context: Context) -> float | None:
    """The job is gone: what is left of its Pods is ended and released."""
    left = [
        pod
        for pod in context.store.by_label(PODS, key.namespace, names.LABEL_JOB, key.name)
        if names.is_of_a_job(pod)
    ]
    if not left:
        return None
    live = await context.client.get(ALGORITHM_JOBS, key.namespace, key.name)
    if live is not None:
        context.store.put(ALGORITHM_JOBS, live)
        return 1.0
    for action in teardown(left, context.clock.now()):
        if isinstance(action, DeletePod):
            name, uid, grace = action.name, action.uid, action.grace_seconds
            await ignore_gone(context.client.delete(PODS, key.namespace, name, uid=uid, grace_seconds=grace))
        elif isinstance(action, ReleasePod):
            await release(context, key.namespace, action.name, action.uid)
    return 5.0
