"""Algorithms: checked, their image resolved once to a digest, Ready or not with the reason."""

from __future__ import annotations

import contextlib
import logging

from pydantic import ValidationError

from algorithm_operator.api.algorithm import AlgorithmStatus, ResolvedImage
from algorithm_operator.api.conditions import ConditionType, with_condition, without_condition
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.unreadable import problem
from algorithm_operator.core import names
from algorithm_operator.core.acceptable import image_refusal, refusal
from algorithm_operator.core.world import Algorithm
from algorithm_operator.kube.registry import ImageError, resolve
from algorithm_operator.kube.resources import ALGORITHMS, Body

log = logging.getLogger(__name__)

_SOCKET = {"slug": "unknown", "kind": "Anything"}
_NO_INTERFACE = {"inputs": [_SOCKET], "outputs": [_SOCKET]}

REGISTRY_AGAIN_SECONDS = 15.0
MISSING_AGAIN_SECONDS = 60.0


async def reconcile_algorithm(key: Key, context: Context) -> float | None:
    """Check the Algorithm and write whether it is Ready; a tag that was resolved stays resolved."""
    body = context.store.get(ALGORITHMS, key.namespace, key.name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return None
    try:
        mine = Algorithm.of(body)
    except ValidationError as error:
        return await _unreadable(body, error, context)
    image, requeue = _known_image(mine), None
    found = refusal(mine.spec, _elders(body, context), context.settings.pods)
    if found is None and image is None:
        try:
            image = await resolve(mine.spec.image.reference, context.settings.insecure_registries)
        except ImageError as error:
            found = (error.reason, error.message)
            if error.temporary:
                requeue = REGISTRY_AGAIN_SECONDS
            elif error.reason in (Reason.IMAGE_NOT_FOUND, Reason.IMAGE_UNAUTHORIZED):
                requeue = MISSING_AGAIN_SECONDS  # people push images after they wrote the manifest
    if found is None and image is not None:
        found = image_refusal(mine.spec, image)
    await _write(mine, image, found, context)
    return requeue


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
    await _write(algorithm, algorithm.status.image, found, context)
    return None


def _known_image(algorithm: Algorithm) -> ResolvedImage | None:
    """The image as it was resolved, as long as the reference is the same: a moved tag changes nothing silently."""
    image = algorithm.status.image
    return image if image is not None and image.reference == algorithm.spec.image.reference else None


async def _write(
    algorithm: Algorithm, image: ResolvedImage | None, found: tuple[Reason, str] | None, context: Context
) -> None:
    now, generation, before = context.clock.now(), algorithm.generation, algorithm.status
    reason, message = found or (Reason.READY, sentence(Reason.READY))
    conditions = with_condition(
        before.conditions, ConditionType.READY, found is None, reason, message, generation=generation, now=now
    )
    if found is not None and reason is not Reason.REGISTRY_UNREACHABLE:
        conditions = with_condition(
            conditions, ConditionType.STALLED, True, reason, message, generation=generation, now=now
        )
    else:
        conditions = without_condition(conditions, ConditionType.STALLED)
    after = AlgorithmStatus(observed_generation=generation, conditions=conditions, image=image)
    if after.wire() == before.wire():
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
