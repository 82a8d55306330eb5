"""One job by its pk, whoever has made it: from the cluster, or from its run record."""

from __future__ import annotations

import logging

from algorithm_operator.gateway import joblimits, records
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.errors import not_found
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobids import job_name, pk_of
from algorithm_operator.gateway.jobviews import SeenJob
from algorithm_operator.kube.resources import ALGORITHM_JOBS, Body

log = logging.getLogger(__name__)


async def find(caller: Caller, pk: str) -> SeenJob:
    """The job; 404 if there is none that the caller may get, and that this version can read."""
    body = await _by_name(caller, pk) or await _by_uid(caller, pk)
    name = body["metadata"]["name"] if body is not None else job_name(pk)
    # Asked before the store is: whoever may not see jobs learns nothing from how long the answer takes.
    await caller.rights.see(Resource.JOBS, name)
    if body is None:
        body = await records.recorded(caller, pk)
    job = seen(body) if body is not None else None
    if job is None:
        raise not_found()
    return job


def seen(body: Body) -> SeenJob | None:
    """None for one that this version cannot read: a later one wrote it."""
    try:
        return SeenJob.of(body)
    except ValueError as error:
        log.warning("AlgorithmJob %s cannot be read: %s", body["metadata"]["name"], type(error).__name__)
        return None


async def _by_name(caller: Caller, pk: str) -> Body | None:
    """One that the gateway made."""
    body = await caller.gateway.cluster.get(ALGORITHM_JOBS, caller.namespace, job_name(pk))
    return body if body is not None and pk_of(body) == pk else None


async def _by_uid(caller: Caller, pk: str) -> Body | None:
    """One that somebody else made: no selector finds a uid, so it takes a look at all names, once. Not for strangers:
    they could have that done again and again."""
    gateway, namespace, rights = caller.gateway, caller.namespace, caller.rights
    if not (await rights.may(Verb.GET, Resource.JOBS) or await rights.may(Verb.LIST, Resource.JOBS)):
        return None
    names, key = gateway.memory.names, (namespace, pk)
    if names.get(key, gateway.now()) is None:
        if await joblimits.noted(gateway, pk) is not None:
            return None  # it was the gateway's
        metadata, _ = await gateway.cluster.list(ALGORITHM_JOBS, namespace, metadata_only=True)
        for each in metadata:
            meta = each["metadata"]
            names.put((namespace, meta["uid"]), meta["name"], gateway.now())
    name = names.get(key, gateway.now())
    body = await gateway.cluster.get(ALGORITHM_JOBS, namespace, name) if name is not None else None
    return body if body is not None and pk_of(body) == pk else None
