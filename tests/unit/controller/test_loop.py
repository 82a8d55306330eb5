"""Workers, errors, and the prune that finds what no watch reported; against a small API server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from algorithm_operator.controller import loop as loop_module
from algorithm_operator.controller.canary import Canary
from algorithm_operator.controller.config import load
from algorithm_operator.controller.context import Context, Key, Reconcile
from algorithm_operator.controller.loop import Loop, NotLeading
from algorithm_operator.controller.metrics import Metrics
from algorithm_operator.core import names
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.errors import Conflict
from algorithm_operator.kube.resources import ALGORITHMS, PODS
from algorithm_operator.kube.store import Store
from tests.unit.kube.fake_api import FakeApi, fake_api, until

SETTINGS = {"AO_NAMESPACE": "ops", "AO_STEPS_IMAGE": "r/steps"}
OURS = {names.MANAGED_BY: names.OPERATOR, names.LABEL_JOB: "j"}


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with fake_api() as server:
        yield server


@pytest.fixture
async def context(api: FakeApi) -> AsyncIterator[Context]:
    async with Client(api.connection()) as client:
        settings = load(SETTINGS)
        canary = Canary(client, "ops", "canary", 0)
        yield Context(client=client, store=Store(), settings=settings, canary=canary, metrics=Metrics())


@asynccontextmanager
async def working(context: Context, reconcile: Reconcile) -> AsyncIterator[Loop]:
    loop = Loop(context, reconcile, lambda: True)
    running = asyncio.create_task(loop.run())
    await asyncio.sleep(0)
    yield loop
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def algorithm(name: str) -> dict[str, object]:
    return {
        "metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": "1"},
        "spec": {},
    }


async def test_one_bad_object_never_stops_another(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    looks: list[str] = []

    async def reconcile(key: Key, given: Context) -> float | None:
        assert given is context
        looks.append(key.name)
        if key.name == "bad":
            raise ValueError("no\ngood")
        return 0.01 if key.name == "timed" and looks.count("timed") < 3 else None

    async with working(context, reconcile):
        for name in ("bad", "good", "timed"):
            context.store.put(ALGORITHMS, algorithm(name))
        await until(lambda: looks.count("bad") >= 2 and looks.count("timed") >= 3)
    assert "good" in looks
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert records[0].__dict__["key"] == "Algorithm/ns/bad"
    assert records[0].__dict__["uid"] == "uid-bad"
    metrics = context.metrics.exposition().decode()
    assert 'algorithm_operator_reconcile_seconds_count{kind="Algorithm",result="error"}' in metrics
    assert 'algorithm_operator_queue_depth{kind="AlgorithmJob"} 0.0' in metrics


async def test_a_conflict_is_no_alarm(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    looks = 0

    async def reconcile(key: Key, given: Context) -> float | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise Conflict(409, "Conflict", "faster")
        return None

    caplog.set_level(logging.INFO)
    async with working(context, reconcile):
        context.store.put(ALGORITHMS, algorithm("a"))
        await until(lambda: looks == 2)
    assert [(r.levelno, bool(r.exc_info)) for r in caplog.records if "again in" in r.message] == [
        (logging.INFO, False)
    ]


async def test_a_look_that_hangs_ends(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "RECONCILE_SECONDS", 0.02)
    looks = 0

    async def reconcile(key: Key, given: Context) -> float | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            await asyncio.sleep(60)
        return None

    async with working(context, reconcile):
        context.store.put(ALGORITHMS, algorithm("a"))
        await until(lambda: looks == 2)


async def test_slow_algorithms_do_not_hold_jobs_up(context: Context) -> None:
    jobs: list[str] = []

    async def reconcile(key: Key, given: Context) -> float | None:
        if key.kind == "Algorithm":
            await asyncio.sleep(60)
        jobs.append(key.name)
        return None

    async with working(context, reconcile) as loop:
        for number in range(50):
            context.store.put(ALGORITHMS, algorithm(f"a{number}"))
        loop.queues["AlgorithmJob"].add(Key("AlgorithmJob", "ns", "j"))
        await until(lambda: "j" in jobs)


async def test_without_the_lease_nothing_is_done(context: Context) -> None:
    looks: list[Key] = []

    async def reconcile(key: Key, given: Context) -> float | None:
        looks.append(key)
        return None

    loop = Loop(context, reconcile, lambda: False)
    context.store.put(ALGORITHMS, algorithm("a"))
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(loop.run(), 5)
    assert caught.value.subgroup(NotLeading) is not None
    assert looks == []


async def test_fill_and_prune(api: FakeApi, context: Context) -> None:
    async def reconcile(key: Key, given: Context) -> float | None:
        return None

    for name, labels in (("ours", OURS), ("gone", OURS), ("foreign", {})):
        body = {"metadata": {"name": name, "namespace": "ns", "labels": labels}}
        await context.client.create(PODS, "ns", body)
    # The small server knows one path only: the cluster-wide list is served below it.
    api.objects = {path.replace("/namespaces/ns", ""): body for path, body in api.objects.items()}
    for plural in ("algorithms", "algorithmjobs", "datastores", "imageimports"):
        api.objects[f"/apis/algorithm-operator.dev/v1alpha1/{plural}/x"] = {
            "metadata": algorithm("x")["metadata"]
        }
    api.objects["/apis/networking.k8s.io/v1/networkpolicies/x"] = {"metadata": algorithm("x")["metadata"]}
    api.objects["/apis/coordination.k8s.io/v1/leases/x"] = {"metadata": algorithm("x")["metadata"]}
    loop = Loop(context, reconcile, lambda: True)
    await loop.fill()
    pods = context.store.by_namespace(PODS, "ns")
    assert [pod["metadata"]["name"] for pod in pods] == ["gone", "ours"]
    found = context.store.get(ALGORITHMS, "ns", "x")
    assert found is not None
    assert (found["kind"], found["apiVersion"]) == ("Algorithm", "algorithm-operator.dev/v1alpha1")
    for queue in loop.queues.values():
        while len(queue):
            queue.done(await queue.get())
    del api.objects["/api/v1/pods/gone"]
    await loop.prune()
    assert [pod["metadata"]["name"] for pod in context.store.by_namespace(PODS, "ns")] == ["ours"]
    assert await loop.queues["AlgorithmJob"].get() == Key("AlgorithmJob", "ns", "j")
    assert b'store_pruned_total{kind="Pod"} 1.0' in context.metrics.exposition()
