"""Which change makes which object be looked at."""

from typing import Any

import pytest

from algorithm_operator.controller.context import Key
from algorithm_operator.controller.triggers import everything, keys_of
from algorithm_operator.core import names
from algorithm_operator.kube.resources import (
    ALGORITHM_JOBS,
    ALGORITHMS,
    DATASTORES,
    IMAGE_IMPORTS,
    LEASES,
    NETWORK_POLICIES,
    PODS,
    Resource,
)
from algorithm_operator.kube.store import Change, Store


def thing(
    name: str, *, namespace: str = "ns", labels: dict[str, str] | None = None, **rest: Any
) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": f"{namespace}/{name}", "resourceVersion": "1"}
    return {"metadata": {**metadata, "labels": labels or {}}, **rest}


def job(name: str, algorithm: str, state: str | None = None, namespace: str = "ns") -> dict[str, Any]:
    status = {"state": state} if state else {}
    return thing(name, namespace=namespace, spec={"algorithmRef": {"name": algorithm}}, status=status)


@pytest.fixture
def store() -> Store:
    store = Store()
    for one in (job("a1", "a"), job("a2", "a", "Running"), job("b1", "b"), job("old", "a", "Succeeded")):
        store.put(ALGORITHM_JOBS, one)
    store.put(ALGORITHM_JOBS, job("a1", "a", namespace="other"))
    store.put(ALGORITHMS, thing("a", spec={}))
    store.put(ALGORITHMS, thing("b", spec={}))
    store.put(DATASTORES, thing("d"))
    return store


def keys(
    store: Store, resource: Resource, after: dict[str, Any], before: dict[str, Any] | None = None
) -> set[str]:
    change = Change(resource, "ns", after["metadata"]["name"], before, after)
    found = list(keys_of(change, store))
    assert all(key.namespace == "ns" for key in found)
    return {f"{key.kind}/{key.name}" for key in found}


WAITING = {"AlgorithmJob/a1", "AlgorithmJob/a2", "AlgorithmJob/b1"}


def test_a_pod_of_an_algorithm(store: Store) -> None:
    pod = thing("a-1-inspect")
    pod["metadata"]["ownerReferences"] = [
        {"kind": "Algorithm", "name": "a", "uid": "ns/a", "controller": True}
    ]
    assert keys(store, PODS, pod) == {"Algorithm/a"}


def test_a_job(store: Store) -> None:
    assert keys(store, ALGORITHM_JOBS, job("old", "a", "Succeeded")) == {"AlgorithmJob/old"}


def test_the_end_of_a_job_wakes_those_that_wait_for_its_outputs(store: Store) -> None:
    waits = job("next", "b")
    waits["spec"]["inputs"] = [{"slug": "x", "value": 1}, {"slug": "y", "job": {"name": "a2", "output": "z"}}]
    store.put(ALGORITHM_JOBS, waits)
    running, done = job("a2", "a", "Running"), job("a2", "a", "Succeeded")
    assert keys(store, ALGORITHM_JOBS, running, job("a2", "a")) == {"AlgorithmJob/a2"}
    assert keys(store, ALGORITHM_JOBS, done, running) == {"AlgorithmJob/a2", "AlgorithmJob/next"}
    assert keys(store, ALGORITHM_JOBS, done, done) == {"AlgorithmJob/a2"}


def test_the_end_of_an_import_wakes_the_jobs_that_wait_for_its_image(store: Store) -> None:
    waits = job("next", "b")
    waits["spec"]["inputs"] = [{"slug": "y", "imageImport": {"name": "i"}}]
    store.put(ALGORITHM_JOBS, waits)
    same_name = job("other", "b")
    same_name["spec"]["inputs"] = [{"slug": "y", "job": {"name": "i", "output": "z"}}]
    store.put(ALGORITHM_JOBS, same_name)
    going, done = (thing("i", status={"state": state}) for state in ("Importing", "Failed"))
    assert keys(store, IMAGE_IMPORTS, going) == {"ImageImport/i"}
    assert keys(store, IMAGE_IMPORTS, done, going) == {"ImageImport/i", "AlgorithmJob/next"}
    assert keys(store, IMAGE_IMPORTS, done, done) == {"ImageImport/i"}


def test_a_pod_of_an_import(store: Store) -> None:
    pod = thing("i-1-import")
    pod["metadata"]["ownerReferences"] = [
        {"kind": "ImageImport", "name": "i", "uid": "ns/i", "controller": True}
    ]
    assert keys(store, PODS, pod) == {"ImageImport/i"}


def test_what_imports_wait_for(store: Store) -> None:
    for name, state in (("i", "Pending"), ("done", "Succeeded")):
        store.put(IMAGE_IMPORTS, thing(name, status={"state": state}))
    for resource in (DATASTORES, NETWORK_POLICIES):
        assert keys(store, resource, thing("d")) == {"DataStore/d", "ImageImport/i", *WAITING}


def test_an_algorithm_wakes_its_unfinished_jobs_and_a_new_spec_the_other_algorithms(store: Store) -> None:
    mine = {"Algorithm/a", "AlgorithmJob/a1", "AlgorithmJob/a2"}
    before = thing("a", spec={"x": 1})
    assert keys(store, ALGORITHMS, thing("a", spec={"x": 1}, status={"y": 2}), before) == mine
    assert keys(store, ALGORITHMS, thing("a", spec={"x": 2}), before) == mine | {"Algorithm/b"}
    assert keys(store, ALGORITHMS, thing("a", spec={"x": 1})) == mine | {"Algorithm/b"}


def limited(name: str, created: int = 0, **status: Any) -> dict[str, Any]:
    body = job(name, "l")
    body["metadata"]["creationTimestamp"] = f"2026-11-22T12:00:{created:02}Z"
    return {**body, "status": {"state": "Queued", "algorithm": {"name": "l"}, **status}}


@pytest.fixture
def line(store: Store) -> Store:
    """An Algorithm with limits, one job that runs and twenty that wait."""
    store.put(ALGORITHMS, thing("l", spec={"limits": {"activeJobsPerUser": 1}}))
    store.put(ALGORITHM_JOBS, limited("runs", admittedAt="2026-11-22T12:00:00Z"))
    for number in range(20):
        store.put(ALGORITHM_JOBS, limited(f"w{number:02}", number, reason="ActiveJobsLimit"))
    return store


FIRST = {f"AlgorithmJob/w{number:02}" for number in range(16)}
RUNS = limited("runs", admittedAt="2026-11-22T12:00:00Z", state="Running")


@pytest.mark.parametrize(
    ("before", "after", "wakes"),
    [
        (RUNS, {**RUNS, "status": {**RUNS["status"], "state": "Failed"}}, True),
        (RUNS, None, True),
        (limited("w"), limited("w", admittedAt="2026-11-22T12:00:00Z"), True),
        (limited("w"), {**limited("w"), "spec": {"algorithmRef": {"name": "l"}, "suspend": True}}, True),
        (None, limited("w"), False),
        (RUNS, {**RUNS, "status": {**RUNS["status"], "state": "Collecting"}}, False),
        (
            limited("w", reason="ActiveJobsLimit"),
            limited("w", reason="ActiveJobsLimit", message="2nd"),
            False,
        ),
    ],
    ids=["ended", "deleted", "started", "suspended", "new", "goes on", "another place"],
)
def test_who_leaves_a_place_wakes_the_first_that_wait_for_it(
    line: Store, before: dict[str, Any] | None, after: dict[str, Any] | None, wakes: bool
) -> None:
    name = (after or before or {})["metadata"]["name"]
    change = Change(ALGORITHM_JOBS, "ns", name, before, after)
    found = {f"{key.kind}/{key.name}" for key in keys_of(change, line)}
    assert found == {f"AlgorithmJob/{name}", *(FIRST if wakes else ())}


def test_without_limits_nobody_looks(store: Store) -> None:
    done = job("a2", "a", "Succeeded")
    running = {**job("a2", "a", "Running"), "status": {"state": "Running", "attempts": [{"number": 1}]}}
    assert keys(store, ALGORITHM_JOBS, done, running) == {"AlgorithmJob/a2"}


def test_what_an_algorithm_remembers_wakes_nobody(line: Store) -> None:
    before = thing("l", spec={"x": 1}, status={"y": 1, "recentStarts": [{"at": "2026-11-22T12:00:00Z"}]})
    starts = thing("l", spec={"x": 1}, status={"y": 1, "recentStarts": []})
    assert keys(line, ALGORITHMS, starts, before) == set()
    for more in ({"spec": {"x": 2}}, {"status": {"y": 2}}):
        assert {"Algorithm/l", "AlgorithmJob/w19"} <= keys(line, ALGORITHMS, {**starts, **more}, before)


def test_what_jobs_wait_for(store: Store) -> None:
    assert keys(store, DATASTORES, thing("d")) == {"DataStore/d", *WAITING}
    assert keys(store, NETWORK_POLICIES, thing("p")) == {"DataStore/d", *WAITING}


@pytest.mark.parametrize(
    ("resource", "labels", "expected"),
    [
        (PODS, {names.LABEL_JOB: "gone"}, {"AlgorithmJob/gone"}),
        (PODS, {names.LABEL_STORE: "d"}, {"DataStore/d"}),
        (PODS, {}, set()),
        (LEASES, {names.LABEL_STORE: "d"}, {"DataStore/d"}),
        (LEASES, {names.LABEL_JOB: "j"}, set()),
    ],
)
def test_children(store: Store, resource: Resource, labels: dict[str, str], expected: set[str]) -> None:
    assert keys(store, resource, thing("child", labels=labels)) == expected


def test_a_deleted_child_still_has_its_owner(store: Store) -> None:
    gone = thing("child", labels={names.LABEL_JOB: "a1"})
    assert list(keys_of(Change(PODS, "ns", "child", gone, None), store)) == [Key("AlgorithmJob", "ns", "a1")]


def test_everything(store: Store) -> None:
    store.put(PODS, thing("p", labels={names.LABEL_JOB: "orphaned"}))
    found = {str(key) for key in everything(store)}
    assert found >= {"AlgorithmJob/ns/old", "AlgorithmJob/other/a1", "AlgorithmJob/ns/orphaned"}
    assert found >= {"Algorithm/ns/a", "Algorithm/ns/b", "DataStore/ns/d"}
