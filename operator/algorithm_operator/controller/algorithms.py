"""Algorithms: checked, their image resolved once to a digest, Ready or not with the reason."""

from __future__ import annotations

import logging

from algorithm_operator.api.algorithm import AlgorithmStatus, ResolvedImage
from algorithm_operator.api.conditions import ConditionType, with_condition, without_condition
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.core import names
from algorithm_operator.core.acceptable import refusal
from algorithm_operator.core.world import Algorithm
from algorithm_operator.kube.registry import ImageError, resolve, user_of
from algorithm_operator.kube.resources import ALGORITHMS

log = logging.getLogger(__name__)

REGISTRY_AGAIN_SECONDS = 15.0
MISSING_AGAIN_SECONDS = 60.0


async def reconcile_algorithm(key: Key, context: Context) -> float | None:
    """Check the Algorithm and write whether it is Ready; a tag that was resolved stays resolved."""
    body = context.store.get(ALGORITHMS, key.namespace, key.name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return None
    mine = Algorithm.of(body)
    created = body["metadata"].get("creationTimestamp", "")
    elders = [
        Algorithm.of(other)
        for other in context.store.by_namespace(ALGORITHMS, key.namespace)
        if (other["metadata"].get("creationTimestamp", ""), other["metadata"]["name"]) < (created, key.name)
    ]
    image, requeue = _known_image(mine), None
    found = refusal(mine.spec, elders, context.settings.pods)
    if found is None:
        try:
            if image is None:
                image = await resolve(mine.spec.image.reference, context.settings.insecure_registries)
            if not image.entrypoint and not image.cmd:
                raise ImageError(Reason.IMAGE_NO_COMMAND)
            user_of(image, mine.spec.security.user)
        except ImageError as error:
            found = (error.reason, error.message)
            if error.temporary:
                requeue = REGISTRY_AGAIN_SECONDS
            elif error.reason in (Reason.IMAGE_NOT_FOUND, Reason.IMAGE_UNAUTHORIZED):
                requeue = MISSING_AGAIN_SECONDS  # people push images after they wrote the manifest
    await _write(mine, image, found, context)
    return requeue


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
