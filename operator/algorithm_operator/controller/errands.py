"""Sending a Pod to find something out, or do something, for an object, and reading its answer. One look at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.controller.actions import ignore_gone
from algorithm_operator.controller.context import Context
from algorithm_operator.controller.denials import denial
from algorithm_operator.controller.sealing import seal
from algorithm_operator.core import names, policies
from algorithm_operator.core.errand import Ended, Owner, Trouble, outcome, same_question, tampered
from algorithm_operator.kube.errors import AlreadyExists, ApiError
from algorithm_operator.kube.resources import NETWORK_POLICIES, PODS

Body = dict[str, Any]


async def send(wanted: Body, container: str, of: Owner, context: Context) -> Ended | Trouble | None:
    """Look after the Pod that `wanted` describes, making it if it is not there; None: it is on its way."""
    live = context.store.get(PODS, of.namespace, wanted["metadata"]["name"])
    if live is None:
        return await _create(wanted, of, context)
    if live["metadata"].get("deletionTimestamp"):
        return None
    if names.controller(live).get("uid") != of.uid:
        if names.controller(live).get("kind") != of.kind:
            return _name_taken(wanted)
        await remove(live, context)  # of an object of the same name that is gone
        return None
    if not same_question(wanted, live):
        await remove(live, context)
        return None
    found = tampered(wanted, live) or outcome(live, container)
    if isinstance(found, Trouble) and found.over:
        await remove(live, context)
    return found


async def _create(wanted: Body, of: Owner, context: Context) -> Trouble | None:
    labels = wanted["metadata"]["labels"]
    if names.LABEL_ROLE in labels:
        await seal(of.namespace, labels, context)
        restricted = (await context.cluster.namespace(of.namespace)).restricted
        there = context.store.by_namespace(NETWORK_POLICIES, of.namespace)
        unsealed = policies.unsealed(of.namespace, restricted, there, labels)
        if unsealed is not None:
            return Trouble(*unsealed, over=True)
    try:
        context.store.put(PODS, await context.client.create(PODS, of.namespace, wanted))
    except AlreadyExists:
        live = await context.client.get(PODS, of.namespace, wanted["metadata"]["name"])
        if live is None:
            return None
        context.store.put(PODS, live)
        return _name_taken(wanted) if names.controller(live).get("kind") != of.kind else None
    except ApiError as error:
        return Trouble(*denial(error, of.namespace, context), over=True)
    return None


def _name_taken(wanted: Body) -> Trouble:
    name = wanted["metadata"]["name"]
    return Trouble(Reason.NAME_TAKEN, sentence(Reason.NAME_TAKEN, pod=name), over=True)


async def remove(pod: Mapping[str, Any], context: Context) -> None:
    """Delete that very Pod at once."""
    meta = pod["metadata"]
    await ignore_gone(
        context.client.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"], grace_seconds=0)
    )


async def tidy(of: Owner, wanted: set[str], context: Context) -> None:
    """Delete the Pods of `of` but those."""
    for pod in context.store.by_owner(PODS, of.uid):
        meta = pod["metadata"]
        if meta["name"] not in wanted and not meta.get("deletionTimestamp"):
            await remove(pod, context)
