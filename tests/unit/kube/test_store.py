"""The store: what counts as news, what is found how, and what a prune may drop."""

from typing import Any

import pytest

from algorithm_operator.kube.resources import NODES, PODS
from algorithm_operator.kube.store import Change, Store


def pod(
    name: str, version: int = 1, *, uid: str = "", namespace: str = "ns", **metadata: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "managedFields": [{"manager": "x"}],
            **metadata,
        },
        "status": {"version": version},
    }


def listened(store: Store) -> list[Change]:
    changes: list[Change] = []
    store.subscribe(changes.append)
    return changes


def names(bodies: list[dict[str, Any]]) -> list[str]:
    return [body["metadata"]["name"] for body in bodies]


def test_put_and_get() -> None:
    store = Store()
    changes = listened(store)
    given = pod("a")
    store.put(PODS, given)
    found = store.get(PODS, "ns", "a")
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert "managedFields" in given["metadata"]
    assert store.get(NODES, "ns", "a") is None
    assert changes == [Change(PODS, "ns", "a", None, found)]


def test_cluster_wide_objects_have_no_namespace() -> None:
    store = Store()
    store.put(NODES, {"metadata": {"name": "n", "uid": "u", "resourceVersion": "1"}})
    assert store.get(NODES, None, "n") is not None
    assert names(list(store.all(NODES))) == ["n"]


def test_only_news_is_news() -> None:
    store = Store()
    store.put(PODS, pod("a", 10))
    changes = listened(store)
    store.put(PODS, pod("a", 10))
    store.put(PODS, pod("a", 9))  # a late event after our own write; "9" > "10" as text
    assert changes == []
    store.put(PODS, pod("a", 11))
    assert [c.after["status"]["version"] for c in changes if c.after] == [11]


def test_a_successor_of_the_same_name_replaces() -> None:
    store = Store()
    store.put(PODS, pod("a", 10, uid="old"))
    store.put(PODS, pod("a", 3, uid="new"))
    found = store.get(PODS, "ns", "a")
    assert found is not None
    assert found["metadata"]["uid"] == "new"
    store.delete(PODS, pod("a", 12, uid="old"))
    assert store.get(PODS, "ns", "a") is not None


def test_the_deleted_do_not_come_back() -> None:
    store = Store()
    store.put(PODS, pod("a", 1))
    changes = listened(store)
    store.delete(PODS, pod("a", 2))
    store.put(PODS, pod("a", 1))
    assert store.get(PODS, "ns", "a") is None
    assert [(c.before is None, c.after) for c in changes] == [(False, None)]
    assert changes[0].body["metadata"]["name"] == "a"


@pytest.mark.parametrize("indexed", [[], ["role"]])
def test_finding(indexed: list[str]) -> None:
    store = Store(indexed)
    owner = [{"uid": "job-1"}]
    store.put(PODS, pod("b", labels={"role": "run"}, ownerReferences=owner))
    store.put(PODS, pod("a", labels={"role": "store"}, ownerReferences=owner))
    store.put(PODS, pod("c", namespace="other", labels={"role": "run"}))
    assert names(store.by_namespace(PODS, "ns")) == ["a", "b"]
    assert names(store.by_owner(PODS, "job-1")) == ["a", "b"]
    assert names(store.by_label(PODS, "ns", "role", "run")) == ["b"]
    store.put(PODS, pod("b", 2, labels={"role": "run"}))  # no longer owned
    store.put(PODS, pod("b", 3, labels={"role": "other"}))
    assert store.by_label(PODS, "ns", "role", "run") == []
    assert names(store.by_label(PODS, "ns", "role", "other")) == ["b"]
    store.delete(PODS, pod("a", 2))
    assert store.by_label(PODS, "ns", "role", "store") == []
    assert store.by_owner(PODS, "job-1") == []
    assert names(store.by_namespace(PODS, "ns")) == ["b"]
    assert store.by_namespace(PODS, "nowhere") == []


def test_prune_drops_what_no_list_has() -> None:
    store = Store()
    for name in ("a", "b", "c"):
        store.put(PODS, pod(name))
    store.put(PODS, pod("x", namespace="other"))
    changes = listened(store)
    mark = store.mark()
    store.put(PODS, pod("young"))  # after the mark: may be younger than the list
    store.put(PODS, pod("c"))  # nothing new, but seen after the mark
    assert store.prune(PODS, "ns", [("ns", "b")], mark) == 1
    assert names(store.by_namespace(PODS, "ns")) == ["b", "c", "young"]
    assert store.get(PODS, "other", "x") is not None
    assert [c.name for c in changes if c.after is None] == ["a"]
    assert store.prune(PODS, None, [("ns", "b")], store.mark()) == 3
    assert names(list(store.all(PODS))) == ["b"]


def test_what_was_pruned_by_mistake_may_come_back() -> None:
    store = Store()
    store.put(PODS, pod("a"))
    store.prune(PODS, None, [], store.mark())
    store.put(PODS, pod("a", 2))
    assert store.get(PODS, "ns", "a") is not None
