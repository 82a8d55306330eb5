"""ImageImports: one sealed Pod that reads the files, its answer in status, and the Pod gone afterwards."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.imageimport import ENDED, ImageImportStatus
from algorithm_operator.api.reasons import CATALOGUE, Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract.outcome import Refused, Waiting
from algorithm_operator.controller.actions import ignore_gone
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.errands import remove, send, tidy
from algorithm_operator.controller.unreadable import problem
from algorithm_operator.core import importing, names
from algorithm_operator.core.errand import Ended, Trouble
from algorithm_operator.core.facts import moment
from algorithm_operator.core.following import LOST_SECONDS
from algorithm_operator.core.importpod import import_pod
from algorithm_operator.core.world import Import
from algorithm_operator.kube.resources import DATASTORES, IMAGE_IMPORTS, PODS, PVCS

log = logging.getLogger(__name__)

Body = dict[str, Any]
POD_SECONDS = 30.0
"""A Pod's end wakes us; this is in case it does not."""
AGAIN_SECONDS = 10.0
"""Where the cluster lacks something that no watch tells of."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one look makes of the import, and after how many seconds the next one is due at the latest."""

    status: ImageImportStatus
    requeue: float | None = None


async def reconcile_import(key: Key, context: Context) -> float | None:
    """Bring one import on; once it has ended, see to it that its Pod goes, and it when its time is over."""
    body = context.store.get(IMAGE_IMPORTS, key.namespace, key.name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return None
    try:
        mine = Import.of(body)
    except ValidationError as error:
        return await _unreadable(body, error, context)
    if mine.status.state in ENDED:
        await tidy(mine, set(), context)
        return await _leave(mine, context)
    step = await _next(mine, context)
    await _write(mine, step.status, context)
    return step.requeue


async def _next(mine: Import, context: Context) -> Step:
    now = context.clock.now()
    stores, unreadable = _stores(mine.namespace, context)
    chosen = importing.output_store(mine, stores, unreadable)
    if isinstance(chosen, Refused):
        return Step(importing.refused(mine, chosen, now))
    if isinstance(chosen, Waiting):
        return Step(importing.waits(mine, chosen.reason, chosen.message, now), AGAIN_SECONDS)
    wanted = import_pod(mine, importing.attempt(mine), chosen, stores, context.settings.pods)
    live = await _live(mine, wanted, context)
    if live is None:
        if mine.status.pod == wanted["metadata"]["name"]:
            return _lost(mine, wanted, "it was deleted", context)
        if (left := context.cluster.held_off(mine.uid)) > 0:
            return Step(mine.status, max(left, 0.1))
        for store in dict.fromkeys((mine.spec.source.name, chosen)):
            claim = stores[store].persistent_volume_claim.claim_name
            if await context.client.get(PVCS, mine.namespace, claim) is None:
                facts = {"store": shown(store), "why": f"claim {shown(claim)}"}
                message = sentence(Reason.CLAIM_NOT_FOUND, **facts)
                return Step(importing.waits(mine, Reason.CLAIM_NOT_FOUND, message, now), AGAIN_SECONDS)
    elif _overdue(mine, live, context):
        await remove(live, context)
        return _lost(mine, wanted, "its node does not answer", context)
    return _of(await send(wanted, names.IMPORT, mine, context), mine, wanted, chosen, context)


def _of(found: Ended | Trouble | None, mine: Import, wanted: Body, store: str, context: Context) -> Step:
    """What the look at the Pod makes of the import."""
    now, pods, name = context.clock.now(), context.settings.pods, wanted["metadata"]["name"]
    match found:
        case Ended():
            return _after(mine, importing.ended(mine, found, store, now, pods), context)
        case Trouble(reason, message, over=False):
            return Step(importing.waits(mine, reason, message, now, pod=name), POD_SECONDS)
        case Trouble(reason, message) if CATALOGUE[reason].blame is None:
            # No Pod was made: the cluster has no room, or lacks something.
            context.cluster.hold_off(mine.uid, AGAIN_SECONDS)
            return Step(importing.waits(mine, reason, message, now), AGAIN_SECONDS)
        case Trouble(reason, message):
            return _after(mine, importing.failed_once(mine, reason, message, now, pods), context)
    live = context.store.get(PODS, mine.namespace, name)
    if live is None or names.controller(live).get("uid") != mine.uid:
        return Step(mine.status, 1.0)
    return Step(importing.starts(mine, live, now), POD_SECONDS)


def _lost(mine: Import, wanted: Body, why: str, context: Context) -> Step:
    message = sentence(Reason.LOOK_UP_FAILED, pod=wanted["metadata"]["name"], why=why)
    now, pods = context.clock.now(), context.settings.pods
    return _after(mine, importing.failed_once(mine, Reason.LOOK_UP_FAILED, message, now, pods), context)


def _after(mine: Import, status: ImageImportStatus, context: Context) -> Step:
    """The end of a Pod: of the import as well, or the next attempt is due after a while."""
    if status.state in ENDED:
        return Step(status)
    seconds = float(importing.retry_seconds(status.failures, context.settings.pods))
    context.cluster.hold_off(mine.uid, seconds)
    return Step(status, seconds)


async def _live(mine: Import, wanted: Body, context: Context) -> Body | None:
    """The Pod of that name; one that is to be there is believed gone only after a live look."""
    name = wanted["metadata"]["name"]
    live = context.store.get(PODS, mine.namespace, name)
    if live is None and mine.status.pod == name:
        live = await context.client.get(PODS, mine.namespace, name)
        if live is not None:
            context.store.put(PODS, live)
    return live


def _overdue(mine: Import, live: Body, context: Context) -> bool:
    """Whether the import's own Pod should have been gone for a while: its node does not answer."""
    end = moment(live["metadata"].get("deletionTimestamp"))
    if end is None or names.controller(live).get("uid") != mine.uid:
        return False
    return (context.clock.now() - end).total_seconds() > LOST_SECONDS


def _stores(namespace: str, context: Context) -> tuple[dict[str, DataStoreSpec], dict[str, str]]:
    """The DataStores of the namespace by name, and why some cannot be read."""
    stores, unreadable = {}, {}
    for body in context.store.by_namespace(DATASTORES, namespace):
        name = str(body["metadata"]["name"])
        try:
            stores[name] = DataStoreSpec.model_validate(body["spec"])
        except ValidationError as error:
            unreadable[name] = problem(error)
    return stores, unreadable


async def _leave(mine: Import, context: Context) -> float | None:
    """Delete the import if its time to live is over, else the seconds until then."""
    left = importing.leaves_in(mine, context.clock.now())
    if left is None or left > 0:
        return left
    await ignore_gone(context.client.delete(IMAGE_IMPORTS, mine.namespace, mine.name, uid=mine.uid))
    return None


async def _unreadable(body: Body, error: ValidationError, context: Context) -> float | None:
    """This version cannot read the import (another version's CRD let it in): say so, and leave all else as it is."""
    stub = {"source": {"name": "unknown", "paths": ["unknown"]}}
    try:
        mine = Import.of({**body, "spec": stub})
    except ValidationError:
        log.warning("the status cannot be read: %s", problem(error), extra={"key": body["metadata"]["name"]})
        return None
    if mine.status.state not in ENDED:
        message = sentence(Reason.SPEC_INVALID, why=problem(error))
        pod = mine.status.pod
        status = importing.waits(mine, Reason.SPEC_INVALID, message, context.clock.now(), pod=pod)
        await _write(mine, status, context)
    return None


async def _write(mine: Import, status: ImageImportStatus, context: Context) -> None:
    wire = status.wire()
    if wire == mine.status.wire():
        return
    written = await context.client.apply(
        IMAGE_IMPORTS,
        mine.namespace,
        mine.name,
        {"metadata": {"uid": mine.uid}, "status": wire},
        subresource="status",
        field_manager=names.FIELD_MANAGER,
    )
    context.store.put(IMAGE_IMPORTS, written)
    if status.state != mine.status.state:
        extra = {"key": f"{mine.namespace}/{mine.name}", "uid": mine.uid, "reason": status.reason}
        log.info("import is %s", status.state, extra=extra)
