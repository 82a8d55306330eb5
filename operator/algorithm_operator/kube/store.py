"""The last known objects by key, fed by watch events and by our own writes; whoever is interested hears of changes.

The framework that feeds it never reports objects that were deleted while a watch was down, so the store is pruned
against a list now and then. What it holds is a cache: "the object is gone" is believed only after a live 404.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from algorithm_operator.kube.resources import Body, Resource

E = TypeVar("E", bound=Hashable)

ObjectKey = tuple[str, str]
"""(namespace, name); the namespace of cluster-wide objects is ""."""

_TOMBSTONES = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """An object came (`before` None), changed, or went (`after` None)."""

    resource: Resource
    namespace: str
    name: str
    before: Body | None
    after: Body | None

    @property
    def body(self) -> Body:
        """The newest body that there is."""
        body = self.after if self.after is not None else self.before
        assert body is not None  # noqa: S101
        return body


class Store:
    """Objects by resource, namespace and name. Bodies are shared: readers must not change them.

    Labels named in `indexed` are found at once, others by looking through the namespace.
    """

    def __init__(self, indexed: Collection[str] = ()) -> None:
        self._objects: dict[Resource, dict[ObjectKey, Body]] = defaultdict(dict)
        self._namespaces: dict[tuple[Resource, str], set[ObjectKey]] = defaultdict(set)
        self._owners: dict[tuple[Resource, str], set[ObjectKey]] = defaultdict(set)
        self._indexed = frozenset(indexed)
        self._labels: dict[tuple[Resource, str, str, str], set[ObjectKey]] = defaultdict(set)
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._written: dict[tuple[Resource, ObjectKey], int] = {}
        self._puts = 0
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` after every change. It must not block, and must not change the store."""
        self._listeners.append(listener)

    # --- reading

    def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        """The last known object."""
        return self._objects[resource].get((namespace or "", name))

    def by_namespace(self, resource: Resource, namespace: str) -> list[Body]:
        """All objects of a namespace, by name."""
        objects = self._objects[resource]
        return [objects[key] for key in sorted(self._namespaces.get((resource, namespace), ()))]

    def by_owner(self, resource: Resource, owner_uid: str) -> list[Body]:
        """All objects with an ownerReference to that uid, by name."""
        objects = self._objects[resource]
        return [objects[key] for key in sorted(self._owners.get((resource, owner_uid), ()))]

    def by_label(self, resource: Resource, namespace: str, label: str, value: str) -> list[Body]:
        """All objects of a namespace with that label, by name."""
        if label not in self._indexed:
            return [b for b in self.by_namespace(resource, namespace) if labels(b).get(label) == value]
        objects = self._objects[resource]
        return [objects[key] for key in sorted(self._labels.get((resource, namespace, label, value), ()))]

    def all(self, resource: Resource) -> Iterator[Body]:
        """All objects of a kind, in no order."""
        return iter(list(self._objects[resource].values()))

    # --- writing

    def put(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take `body` in, less managedFields, unless what is known is newer or its deletion has been seen."""
        metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        if metadata.get("uid") in self._deleted:
            return
        key = (metadata.get("namespace") or "", metadata["name"])
        before = self._objects[resource].get(key)
        self._puts += 1
        self._written[resource, key] = self._puts
        if before is not None and not _newer(metadata, before["metadata"]):
            return
        self._set(resource, key, before, {**body, "metadata": metadata})

    def delete(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Forget the object that `body` describes (its last state), if it is the one that is known."""
        metadata = body["metadata"]
        key = (metadata.get("namespace") or "", metadata["name"])
        if uid := metadata.get("uid"):
            self._deleted[uid] = None
            while len(self._deleted) > _TOMBSTONES:
                self._deleted.popitem(last=False)
        before = self._objects[resource].get(key)
        if before is not None and before["metadata"].get("uid") == uid:
            self._set(resource, key, before, None)

    def mark(self) -> int:
        """A point in time for `prune`: take it before listing."""
        return self._puts

    def prune(
        self, resource: Resource, namespace: str | None, listed: Iterable[ObjectKey], since: int
    ) -> int:
        """Forget the objects (of that namespace, None: all) that a list does not hold; returns how many.

        Objects put after `since` are kept: they may be younger than the list.
        """
        present = set(listed)
        missing = [
            (key, body)
            for key, body in self._objects[resource].items()
            if key not in present and namespace in (None, key[0]) and self._written[resource, key] <= since
        ]
        for key, body in missing:
            self._set(resource, key, body, None)
        return len(missing)

    def _set(self, resource: Resource, key: ObjectKey, before: Body | None, after: Body | None) -> None:
        if before is not None:
            del self._objects[resource][key]
            _drop(self._namespaces, (resource, key[0]), key)
            for owner in _owner_uids(before):
                _drop(self._owners, (resource, owner), key)
            for label, value in self._indexed_labels(before):
                _drop(self._labels, (resource, key[0], label, value), key)
        if after is not None:
            self._objects[resource][key] = after
            self._namespaces[resource, key[0]].add(key)
            for owner in _owner_uids(after):
                self._owners[resource, owner].add(key)
            for label, value in self._indexed_labels(after):
                self._labels[resource, key[0], label, value].add(key)
        else:
            del self._written[resource, key]
        change = Change(resource, *key, before, after)
        for listener in self._listeners:
            listener(change)

    def _indexed_labels(self, body: Body) -> Iterator[tuple[str, str]]:
        return ((label, value) for label, value in labels(body).items() if label in self._indexed)


def _drop(index: dict[E, set[ObjectKey]], entry: E, key: ObjectKey) -> None:
    index[entry].discard(key)
    if not index[entry]:
        del index[entry]


def _owner_uids(body: Body) -> list[str]:
    return [str(reference.get("uid")) for reference in body["metadata"].get("ownerReferences") or []]


def _newer(metadata: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether `metadata` is news. Versions of one object are ordered numbers."""
    if metadata.get("uid") != known.get("uid"):
        return True
    fresh, old = str(metadata.get("resourceVersion")), str(known.get("resourceVersion"))
    return int(fresh) > int(old) if fresh.isdecimal() and old.isdecimal() else fresh != old


def labels(body: Mapping[str, Any]) -> Mapping[str, str]:
    """metadata.labels, if there are any."""
    metadata = body.get("metadata")
    found = metadata.get("labels") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, Mapping) else {}
