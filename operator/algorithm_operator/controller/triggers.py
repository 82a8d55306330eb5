"""Which objects to look at when something changes, and what is watched at all. Pure but for reading the store."""

from __future__ import annotations

from collections.abc import Iterator

from algorithm_operator.api.imageimport import ENDED
from algorithm_operator.api.job import TERMINAL
from algorithm_operator.controller.context import Key
from algorithm_operator.core import limits, names
from algorithm_operator.kube.resources import (
    ALGORITHM_JOBS,
    ALGORITHMS,
    DATASTORES,
    IMAGE_IMPORTS,
    LEASES,
    NETWORK_POLICIES,
    PODS,
    Body,
    Resource,
)
from algorithm_operator.kube.store import Change, Store, labels

_OURS = f"{names.MANAGED_BY}={names.OPERATOR}"

WATCHED: dict[Resource, str] = {
    DATASTORES: "",
    ALGORITHMS: "",
    NETWORK_POLICIES: "",
    PODS: _OURS,
    LEASES: _OURS,
    IMAGE_IMPORTS: "",
    ALGORITHM_JOBS: "",
}
"""What the operator watches, with the label selector for it. Jobs come last: what they depend on is known by then."""
_NEXT = 16
"""With thousands of jobs that wait, each that starts would have them all looked at and written again."""


def keys_of(change: Change, store: Store) -> Iterator[Key]:
    """The keys to reconcile after `change`."""
    namespace, name = change.namespace, change.name
    if change.resource == ALGORITHM_JOBS:
        yield Key("AlgorithmJob", namespace, name)
        if _has_ended(change):
            yield from _waiting_jobs(store, namespace, after=("job", name))
        if _leaves_its_place(change):
            yield from _next_in_turn(store, namespace, limits.algorithm_of(change.body))
    elif change.resource == IMAGE_IMPORTS:
        yield Key("ImageImport", namespace, name)
        if _has_ended(change):
            yield from _waiting_jobs(store, namespace, after=("imageImport", name))
    elif change.resource == ALGORITHMS and _only_remembers(change):
        return  # the job that started says more
    elif change.resource == ALGORITHMS:
        yield Key("Algorithm", namespace, name)
        yield from _waiting_jobs(store, namespace, algorithm=name)
        if _spec_changed(change):  # a slug has one definition in a namespace: the others are checked anew
            yield from (
                Key("Algorithm", namespace, other)
                for body in store.by_namespace(ALGORITHMS, namespace)
                if (other := _name(body)) != name
            )
    elif change.resource == DATASTORES:
        yield Key("DataStore", namespace, name)
        yield from _waiting_jobs(store, namespace)
        yield from _unfinished_imports(store, namespace)
    elif change.resource == NETWORK_POLICIES:
        yield from _waiting_jobs(store, namespace)
        yield from _unfinished_imports(store, namespace)
        yield from (Key("DataStore", namespace, _name(b)) for b in store.by_namespace(DATASTORES, namespace))
    elif change.resource in (PODS, LEASES):
        found = labels(change.body)
        if change.resource == PODS and (job := found.get(names.LABEL_JOB)):
            yield Key("AlgorithmJob", namespace, job)
        elif (owner := names.controller(change.body)).get("kind") == "Algorithm":
            yield Key("Algorithm", namespace, str(owner["name"]))
        elif owner.get("kind") == "ImageImport":
            yield Key("ImageImport", namespace, str(owner["name"]))
        elif datastore := found.get(names.LABEL_STORE):
            yield Key("DataStore", namespace, datastore)


def everything(store: Store) -> Iterator[Key]:
    """Every object that the operator looks after."""
    for body in store.all(ALGORITHMS):
        yield Key("Algorithm", body["metadata"]["namespace"], _name(body))
    for body in store.all(DATASTORES):
        yield Key("DataStore", body["metadata"]["namespace"], _name(body))
    for body in store.all(IMAGE_IMPORTS):
        yield Key("ImageImport", body["metadata"]["namespace"], _name(body))
    for body in store.all(ALGORITHM_JOBS):
        yield Key("AlgorithmJob", body["metadata"]["namespace"], _name(body))
    for body in store.all(PODS):  # of a job that is gone
        if job := labels(body).get(names.LABEL_JOB):
            yield Key("AlgorithmJob", body["metadata"]["namespace"], job)


def _waiting_jobs(
    store: Store, namespace: str, algorithm: str | None = None, after: tuple[str, str] | None = None
) -> Iterator[Key]:
    """The unfinished jobs: all of them, those of that Algorithm, or those with an input from `after` (a kind of source
    and its name)."""
    for body in store.by_namespace(ALGORITHM_JOBS, namespace):
        spec = body.get("spec") or {}
        wanted = (spec.get("algorithmRef") or {}).get("name")
        finished = (body.get("status") or {}).get("state") in TERMINAL
        if finished or algorithm not in (None, wanted):
            continue
        if after is None or any(
            (each.get(after[0]) or {}).get("name") == after[1] for each in spec.get("inputs") or []
        ):
            yield Key("AlgorithmJob", namespace, _name(body))


def _unfinished_imports(store: Store, namespace: str) -> Iterator[Key]:
    for body in store.by_namespace(IMAGE_IMPORTS, namespace):
        if (body.get("status") or {}).get("state") not in ENDED:
            yield Key("ImageImport", namespace, _name(body))


def _has_ended(change: Change) -> bool:
    before, after = (
        ((body or {}).get("status") or {}).get("state") for body in (change.before, change.after)
    )
    return after in TERMINAL and before not in TERMINAL


def _leaves_its_place(change: Change) -> bool:
    """Whether a job is no longer what it was to the limits of its Algorithm: others move up."""
    before, after = (
        limits.standing(body) if body is not None else None for body in (change.before, change.after)
    )
    return before is not None and before is not after


def _next_in_turn(store: Store, namespace: str, algorithm: str) -> Iterator[Key]:
    """The first of those that wait for their turn; the others' place is told by and by."""
    body = store.get(ALGORITHMS, namespace, algorithm)
    if body is None or (body.get("spec") or {}).get("limits") is None:
        return
    line = limits.queue(store.by_namespace(ALGORITHM_JOBS, namespace), algorithm)
    yield from (Key("AlgorithmJob", namespace, name) for name in line.waiting[:_NEXT])


def _only_remembers(change: Change) -> bool:
    """Whether nothing of an Algorithm changed but the starts of its jobs."""
    if change.before is None or change.after is None:
        return False
    before, after = (dict(body.get("status") or {}) for body in (change.before, change.after))
    changed = before.pop("recentStarts", None) != after.pop("recentStarts", None)
    return changed and before == after and not _spec_changed(change)


def _spec_changed(change: Change) -> bool:
    before, after = change.before, change.after
    return before is None or after is None or before.get("spec") != after.get("spec")


def _name(body: Body) -> str:
    return str(body["metadata"]["name"])
