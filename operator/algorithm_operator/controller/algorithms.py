"""Algorithms: checked, their images resolved once to a digest, Ready or not with the reason."""

from __future__ import annotations

import contextlib
import logging

from pydantic import ValidationError

from algorithm_operator.api.algorithm import AlgorithmStatus
from algorithm_operator.api.conditions import ConditionType, find, with_condition, without_condition
from algorithm_operator.api.reasons import CATALOGUE, Blame, Reason, sentence
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.errands import tidy
from algorithm_operator.controller.images import Found, Images, known_image, known_model, look_up
from algorithm_operator.controller.unreadable import problem
from algorithm_operator.core import names
from algorithm_operator.core.acceptable import refusal
from algorithm_operator.core.facts import moment
from algorithm_operator.core.world import Algorithm
from algorithm_operator.kube.resources import ALGORITHMS, Body

log = logging.getLogger(__name__)

_SOCKET = {"slug": "unknown", "kind": "Anything"}
_NO_INTERFACE = {"inputs": [_SOCKET], "outputs": [_SOCKET]}

POD_SECONDS = 30.0
"""A Pod's end wakes us; this is in case it does not."""
CLUSTER_AGAIN_SECONDS = 10.0
FIRST_AGAIN_SECONDS, REGISTRY_AGAIN_SECONDS, REFUSED_AGAIN_SECONDS = 5.0, 60.0, 300.0
"""Between two looks at a registry: half as long as it has not worked yet, within these."""


async def reconcile_algorithm(key: Key, context: Context) -> float | None:
    """Check the Algorithm and write whether it is Ready; a tag that was resolved stays resolved."""
    body = context.store.get(ALGORITHMS, key.namespace, key.name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return None
    try:
        mine = Algorithm.of(body)
    except ValidationError as error:
        return await _unreadable(body, error, context)
    images = Images(known_image(mine), known_model(mine))
    requeue: float | None = None
    images.found = refusal(mine.spec, _elders(body, context), context.settings.pods)
    if images.found is None:
        before, left = _verdict(mine), context.cluster.held_off(mine.uid)
        if before is not None and left > 0:
            images.found, requeue = before, max(left, 0.1)
        else:
            images = await look_up(mine, context)
            requeue = _again(mine, images, context)
            if images.quiet and before is not None:
                images.found = before
    await _write(mine, images, context)
    await tidy(mine, images.pods, context)
    return requeue


def _verdict(algorithm: Algorithm) -> Found | None:
    """What was found about the images of this very generation, if it was no good."""
    ready = find(algorithm.status.conditions, ConditionType.READY)
    if ready is None or ready.status == "True" or ready.observed_generation != algorithm.generation:
        return None
    with contextlib.suppress(ValueError):
        reason = Reason(ready.reason)
        if reason not in (Reason.SOCKET_CONFLICT, Reason.GPU_TYPE_UNKNOWN, Reason.RESOLVING):
            return reason, ready.message
    return None


def _again(algorithm: Algorithm, images: Images, context: Context) -> float | None:
    """When to look again; nobody is asked before that, whatever else happens."""
    if images.found is None:
        return None
    if not images.asked:
        return POD_SECONDS if images.pods else None
    reason = images.found[0]
    if CATALOGUE[reason].blame is None:  # the cluster has no room, or lacks something: no Pod was made
        seconds = CLUSTER_AGAIN_SECONDS
    else:
        most = REGISTRY_AGAIN_SECONDS if reason is Reason.REGISTRY_UNREACHABLE else REFUSED_AGAIN_SECONDS
        ready = find(algorithm.status.conditions, ConditionType.READY)
        since = moment(ready.last_transition_time) if ready is not None and ready.status != "True" else None
        age = (context.clock.now() - since).total_seconds() if since is not None else 0.0
        seconds = max(FIRST_AGAIN_SECONDS, min(age / 2, most))
    context.cluster.hold_off(algorithm.uid, seconds)
    return seconds


def _elders(body: Body, context: Context) -> list[Algorithm]:
    """The older Algorithms of the namespace, the eldest first; those that cannot be read define nothing."""
    elders = []
    for other in sorted(context.store.by_namespace(ALGORITHMS, body["metadata"]["namespace"]), key=_age):
        if _age(other) < _age(body):
            with contextlib.suppress(ValidationError):
                elders.append(Algorithm.of(other))
    return elders


def _age(body: Body) -> tuple[str, str]:
    return body["metadata"].get("creationTimestamp", ""), body["metadata"]["name"]


async def _unreadable(body: Body, error: ValidationError, context: Context) -> float | None:
    """This version cannot read the Algorithm (another version's CRD let it in): no job can run it."""
    stub = {"image": {"reference": "unknown"}, "interfaces": [_NO_INTERFACE]}
    try:
        algorithm = Algorithm.of({**body, "spec": stub})
    except ValidationError:
        algorithm = Algorithm.of({**body, "spec": stub, "status": {}})
    found = Reason.SPEC_INVALID, sentence(Reason.SPEC_INVALID, why=problem(error))
    await _write(algorithm, Images(algorithm.status.image, algorithm.status.model, found), context)
    return None


async def _write(algorithm: Algorithm, images: Images, context: Context) -> None:
    now, generation, before = context.clock.now(), algorithm.generation, algorithm.status
    reason, message = images.found or (Reason.READY, sentence(Reason.READY))
    ready = images.found is None
    conditions = with_condition(
        before.conditions, ConditionType.READY, ready, reason, message, generation=generation, now=now
    )
    if CATALOGUE[reason].blame is Blame.ALGORITHM:
        conditions = with_condition(
            conditions, ConditionType.STALLED, True, reason, message, generation=generation, now=now
        )
    else:
        conditions = without_condition(conditions, ConditionType.STALLED)
    after = AlgorithmStatus(
        observed_generation=generation, conditions=conditions, image=images.image, model=images.model
    )
    if (
        after.wire() == before.model_copy(update={"recent_starts": None}).wire()
    ):  # those are written by others
        return
    written = await context.client.apply(
        ALGORITHMS,
        algorithm.namespace,
        algorithm.name,
        {"metadata": {"uid": algorithm.uid}, "status": after.wire()},
        subresource="status",
        field_manager=names.FIELD_MANAGER,
    )
    context.store.put(ALGORITHMS, written)
    log.info("algorithm is %s", reason, extra={"key": f"{algorithm.namespace}/{algorithm.name}"})
