"""Whole lives of jobs against a cluster in memory: what is written, what is created, and what is left in the end."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from algorithm_operator.api.job import AlgorithmJobStatus
from algorithm_operator.contract import frames
from algorithm_operator.contract.values import MAX_DEPTH
from algorithm_operator.controller.config import load
from algorithm_operator.core import names
from algorithm_operator.kube import client as client_module
from algorithm_operator.kube.client import JSON_LEVELS, Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import (
    ALGORITHM_JOBS,
    ALGORITHMS,
    DATASTORES,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    PVCS,
)
from tests.unit.controller.cluster import (
    ENVIRONMENT,
    NAMESPACE,
    Cluster,
    Killed,
    MortalClient,
    Operator,
    cluster_at,
)
from tests.unit.core.builders import ALGORITHM, JOB, NOW, POLICY, run, running, terminated, waiting
from tests.unit.core.builders import pod as pod_body
from tests.unit.kube.fake_api import status as answer

Body = dict[str, Any]
RUN = "case-001-1-run"
DONE = terminated(0, start=2, end=8, message='{"v": 1, "ok": true}')


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_FIRST", 0.0)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with cluster_at(NOW) as made:
        sealed = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        made.put(NAMESPACES, {"metadata": sealed}, None)
        made.put(NETWORK_POLICIES, POLICY)
        made.put(ALGORITHMS, {**ALGORITHM, "metadata": {"name": "brain-tissue"}})
        made.update(ALGORITHMS, "brain-tissue", lambda a: a["status"].update(observedGeneration=1))
        for name in ("cases", "results"):
            spec = {"persistentVolumeClaim": {"claimName": name}, "gid": 2000}
            made.put(PVCS, {"metadata": {"name": name}})
            made.put(DATASTORES, {"metadata": {"name": name}, "spec": spec})
        async with Client(connection(made)) as client:
            await Operator(made, client).run()  # they are all ready
        made.requests.clear()
        yield made


def connection(cluster: Cluster) -> Connection:
    return Connection(server=cluster.url)


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[Operator]:
    async with Client(connection(cluster)) as client:
        yield Operator(cluster, client)


def write_job(cluster: Cluster, **spec: Any) -> None:
    body = {"metadata": {"name": "case-001"}, "spec": {**copy.deepcopy(JOB["spec"]), **spec}}
    known = cluster.get(ALGORITHM_JOBS, "case-001")
    cluster.put(
        ALGORITHM_JOBS, {**body, **({"status": known["status"]} if known and "status" in known else {})}
    )


def job(cluster: Cluster) -> AlgorithmJobStatus:
    body = cluster.get(ALGORITHM_JOBS, "case-001")
    assert body is not None
    return AlgorithmJobStatus.model_validate(body.get("status") or {})


def told(status: AlgorithmJobStatus) -> dict[str, str]:
    """Conditions as type: status/reason."""
    return {c.type: f"{c.status}/{c.reason}" for c in status.conditions}


def manifest() -> bytes:
    record = {
        "schema": "algorithm-operator.dev/manifest/v1",
        "job": {"namespace": NAMESPACE, "name": "case-001", "uid": "u", "attempt": 1},
        "algorithm": {"name": "a", "generation": 1, "image": "i", "imageDigest": "d", "interface": "default"},
        "pod": {},
        "limits": {
            "cpu": "2",
            "memory": "24G",
            "gpuType": "T4",
            "gpuCount": 1,
            "threads": 512,
            "timeLimitSeconds": 7200,
            "collectSeconds": 600,
        },
        "isolation": {"probes": [], "seconds": 1.0},
        "startedAt": "x",
        "finishedAt": "y",
        "exit": {"exitCode": 0},
        "inputs": [],
        "outputs": [
            {
                "slug": "results",
                "kind": "Anything",
                "relativePath": "results.json",
                "value": 7,
                "hasValue": True,
            }
        ],
        "logs": [],
        "timing": {},
    }
    return json.dumps(record).encode()


MANIFEST = manifest()
SHA = hashlib.sha256(MANIFEST).hexdigest()
LOG = "\n".join(["loading", *frames.encode(MANIFEST)]).encode()
COLLECTED = terminated(
    0, end=65, message=json.dumps({"v": 1, "ok": True, "manifestSha256": SHA, "exit": {"exitCode": 0}})
)
FAILED = terminated(66, end=65, message=json.dumps({"v": 1, "ok": False, "exit": {"exitCode": 3}}))


def kubelet(cluster: Cluster, name: str = RUN, *, node: str | None = "gpu-7", **shape: Any) -> None:
    """The kubelet (or the scheduler) writes what it sees of a Pod."""
    seen = pod_body(node=node, **shape)

    def change(pod: Body) -> None:
        pod["status"] = seen["status"]
        if node is not None:
            pod["spec"]["nodeName"] = node

    cluster.update(PODS, name, change)


def succeeds(cluster: Cluster, name: str = RUN) -> None:
    cluster.logs[name, "collect"] = LOG
    kubelet(cluster, name, stage=DONE, main=terminated(0), collect=COLLECTED, phase="Succeeded")


LIFE: list[Callable[[Cluster], None]] = [
    lambda cluster: kubelet(cluster, stage=waiting("PodInitializing")),
    lambda cluster: kubelet(cluster, stage=DONE, collect=running(), main=running()),
    lambda cluster: kubelet(cluster, stage=DONE, collect=running(), main=terminated(0)),
    succeeds,
]


async def live(
    cluster: Cluster, events: list[Callable[[Cluster], None]], kill: MortalClient | None = None
) -> Operator:
    """The operator's process through `events`; if it is killed, a new one takes over at once."""
    client: Client = kill or Client(connection(cluster))
    operator = Operator(cluster, client)
    for event in [lambda cluster: None, *events]:
        event(cluster)
        try:
            await operator.after(0.5)
        except Killed:
            await client.close()
            client = Client(connection(cluster))
            operator = Operator(cluster, client)
            await operator.after(0.5)
    await operator.after(30)
    await client.close()
    return operator


def runs_created(cluster: Cluster) -> list[str]:
    return [
        p["metadata"]["name"]
        for p in cluster.created
        if p["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_RUN
    ]


def finalizers(cluster: Cluster) -> list[str]:
    return [p["metadata"]["name"] for p in cluster.pods() if p["metadata"].get("finalizers")]


def requests(cluster: Cluster) -> int:
    """How many requests there were for jobs, and not for DataStores or about a node that is slow (this one is)."""
    beside = ("/persistentvolumeclaims/", "/events")
    return sum(1 for _, path in cluster.requests if not any(word in path for word in beside))


def timeless(status: AlgorithmJobStatus) -> Any:
    """Without the times at which things were written."""
    wire = status.wire()
    for condition in wire["conditions"]:
        del condition["lastTransitionTime"]
    for attempt in wire["attempts"]:
        attempt.pop("finishedAt", None)
        attempt.pop("podUid", None)
    for name in ("finishedAt", "acceptedAt", "timing"):
        wire.pop(name, None)
    return wire


async def test_a_whole_life(cluster: Cluster) -> None:
    write_job(cluster)
    operator = await live(cluster, LIFE)
    status = job(cluster)
    assert (status.state, status.message, status.reason) == ("Succeeded", "", "Completed")
    assert status.manifest is not None
    assert status.manifest.sha256 == SHA
    assert [output.value for output in status.outputs] == [7]
    assert told(status) == {
        "Accepted": "True/Accepted",
        "Scheduled": "True/Scheduled",
        "Staged": "True/Staged",
        "Isolated": "True/Isolated",
        "Collected": "True/Collected",
        "Complete": "True/Completed",
    }
    assert runs_created(cluster) == [RUN]
    assert finalizers(cluster) == []
    assert operator.errors == []
    assert requests(cluster) <= 10, cluster.requests


async def test_an_output_of_another_job_is_waited_for_and_then_fixed(
    cluster: Cluster, operator: Operator
) -> None:
    spec = {**copy.deepcopy(JOB["spec"])}
    spec["inputs"][0] = {"slug": "t1-mri", "job": {"name": "first", "output": "tissues"}}
    write_job(cluster, **spec)
    await operator.run()
    assert (job(cluster).state, job(cluster).reason) == ("Pending", "InputPending")

    made = {"slug": "tissues", "kind": "Segmentation", "path": "first/t.mha", "sha256": "d" * 64}
    ended = {"state": "Succeeded", "algorithm": run().wire(), "outputs": [made]}
    cluster.put(ALGORITHM_JOBS, {"metadata": {"name": "first"}, "spec": JOB["spec"], "status": ended})
    await operator.run()
    fixed = job(cluster).algorithm
    assert fixed is not None
    assert [(each.job, each.store, each.path) for each in fixed.inputs] == [
        ("first", "results", "first/t.mha")
    ]
    assert runs_created(cluster) == [RUN]

    cluster.remove(ALGORITHM_JOBS, "first")
    await operator.run()
    assert job(cluster).algorithm == fixed
    stage = cluster.pods()[0]["spec"]["initContainers"][0]
    assert "first/t.mha" in [mount.get("subPath") for mount in stage["volumeMounts"]]


async def test_own_writes_are_seen_before_the_watch_tells_them(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    operator.watch()
    for event in [lambda cluster: None, *LIFE]:
        event(cluster)
        operator.watch()
        await operator.run(lag=True)
    assert job(cluster).state == "Succeeded"
    assert runs_created(cluster) == [RUN]
    assert requests(cluster) <= 10, cluster.requests


WRITES = 8


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, WRITES + 1))
async def test_killed_at_any_write_of_a_success(cluster: Cluster, at: int, after: bool) -> None:
    write_job(cluster)
    async with cluster_at(NOW) as calm:
        calm.objects, calm.numbers = copy.deepcopy(cluster.objects), itertools.count(1000)
        await live(calm, LIFE)
        assert len(calm.writes()) <= WRITES
        await live(cluster, LIFE, MortalClient(connection(cluster), at, after=after))
        assert timeless(job(cluster)) == timeless(job(calm))
    assert runs_created(cluster) == [RUN]
    assert finalizers(cluster) == []


SECOND = "case-001-2-run"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 13))
async def test_killed_at_any_write_around_a_retry(cluster: Cluster, at: int, after: bool) -> None:
    write_job(cluster)

    def cannot_pull(cluster: Cluster) -> None:
        kubelet(cluster, stage=DONE, main=waiting("ImagePullBackOff", "no route"))

    def two_minutes(cluster: Cluster) -> None:
        cluster.clock.time += timedelta(seconds=130)

    def deleted(cluster: Cluster) -> None:
        if (cluster.get(PODS, RUN) or {}).get("metadata", {}).get("deletionTimestamp"):
            kubelet(cluster, stage=DONE, main=terminated(137), collect=terminated(0), phase="Failed")
            cluster.kubelet_is_done(RUN)

    def a_while(cluster: Cluster) -> None:
        cluster.clock.time += timedelta(seconds=15)

    events = [cannot_pull, two_minutes, deleted, a_while, lambda c: succeeds(c, SECOND)]
    await live(cluster, events, MortalClient(connection(cluster), at, after=after))
    status = job(cluster)
    assert status.state == "Succeeded"
    assert [attempt.reason for attempt in status.attempts] == ["ImagePullFailed", "Completed"]
    assert runs_created(cluster) == [RUN, SECOND]
    assert finalizers(cluster) == []
    assert cluster.get(PODS, RUN) is None


async def test_a_creation_whose_answer_was_lost(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    operator.context.client.__class__ = _Deaf
    await operator.run()
    operator.context.client.__class__ = Client
    await operator.after(2)
    await live(cluster, LIFE)
    assert job(cluster).state == "Succeeded"
    assert runs_created(cluster) == [RUN]


class _Deaf(Client):
    """Creates, and hears nothing: the request is repeated and meets its own Pod."""

    async def create(self, resource: Any, namespace: str | None, body: Body) -> Body:
        await super().create(resource, namespace, body)
        return await super().create(resource, namespace, body)


def old_pod(**changes: Any) -> Body:
    body = pod_body(stage=DONE, main=running(), collect=running())
    meta = {**body["metadata"], "uid": "old-pod", "labels": names.labels("run", "case-001", 1), **changes}
    del meta["creationTimestamp"], meta["namespace"]
    meta.setdefault("ownerReferences", [])[:] = [
        {"kind": "AlgorithmJob", "uid": "old-job", "controller": True}
    ]
    return {**body, "metadata": meta}


async def test_a_pod_of_an_earlier_job_of_the_same_name_is_waited_for(
    cluster: Cluster, operator: Operator
) -> None:
    cluster.put(PODS, old_pod())
    write_job(cluster)
    await operator.run()
    status = job(cluster)
    assert (status.state, status.reason) == ("Queued", "PredecessorLeaving")
    assert RUN in (status.message or "")
    assert runs_created(cluster) == []
    kubelet(cluster, stage=DONE, main=terminated(143), collect=terminated(0), phase="Failed")
    await operator.run()
    cluster.kubelet_is_done(RUN)
    await operator.after(6)
    assert runs_created(cluster) == [RUN]
    kubelet(cluster, stage=running())
    await operator.run()
    assert (job(cluster).reason, job(cluster).message) == (None, "")


async def test_a_pod_of_an_earlier_job_is_let_go_even_if_the_new_job_never_runs(
    cluster: Cluster, operator: Operator
) -> None:
    cluster.put(PODS, old_pod())
    write_job(cluster, inputs=[{"slug": "unknown", "value": 1}])
    await operator.run()
    assert job(cluster).reason == "InputsMismatch"
    kubelet(cluster, stage=DONE, main=terminated(143), collect=terminated(0), phase="Failed")
    await operator.run()
    cluster.kubelet_is_done(RUN)
    assert cluster.pods() == []


async def test_a_pod_of_somebody_else_is_named_and_not_touched(cluster: Cluster, operator: Operator) -> None:
    cluster.put(PODS, {"metadata": {"name": RUN}, "spec": {}, "status": {}})
    write_job(cluster)
    await operator.run()
    assert job(cluster).reason == "NameTaken"
    assert cluster.get(PODS, RUN) is not None
    cluster.remove(PODS, RUN)
    await operator.after(61)
    assert runs_created(cluster) == [RUN]


@pytest.mark.parametrize(
    ("code", "word", "message", "reason"),
    [
        (403, "Forbidden", "exceeded quota: gpus, requested: 1, used: 4, limited: 4", "QuotaExceeded"),
        (403, "Forbidden", 'violates PodSecurity "restricted:latest": hostPath', "AdmissionDenied"),
        (422, "Invalid", "spec.containers[0].image: Required value", "AdmissionDenied"),
        (
            500,
            "InternalError",
            'failed calling webhook "mutate.example.org": connection refused',
            "AdmissionDenied",
        ),
    ],
    ids=["quota", "security", "invalid", "webhook"],
)
async def test_a_pod_that_the_cluster_refuses_is_explained_and_tried_again(
    cluster: Cluster, operator: Operator, code: int, word: str, message: str, reason: str
) -> None:
    cluster.admission = lambda body: answer(code, word, message)
    write_job(cluster)
    await operator.run()
    status = job(cluster)
    assert (status.state, status.reason, status.attempts) == ("Queued", reason, [])
    assert message[:40] in (status.message or "")
    assert told(status)["Scheduled"] == f"False/{reason}"
    before = len(cluster.writes())
    await operator.after(25)
    assert len(cluster.writes()) - before <= 2 * (5 if code == 500 else 1), "as often as every 10 s"
    assert operator.errors == []
    cluster.admission = None
    await operator.after(60)
    await live(cluster, LIFE)
    assert job(cluster).state == "Succeeded"
    assert len(job(cluster).attempts) == 1


async def test_a_refusal_in_other_words_each_time_is_no_hot_loop(
    cluster: Cluster, operator: Operator
) -> None:
    ports = itertools.count(40000)
    cluster.admission = lambda body: answer(403, "Forbidden", f"read tcp 10.0.0.1:{next(ports)}: reset")
    write_job(cluster)
    await operator.run()
    before = next(ports)
    await operator.after(600)
    assert next(ports) - before < 40
    assert operator.errors == []


async def test_a_pod_that_admission_changed_never_runs_a_result(cluster: Cluster, operator: Operator) -> None:
    cluster.admission = lambda body: body["spec"]["containers"].append({"name": "proxy", "image": "p"})
    write_job(cluster)
    await operator.run()
    status = job(cluster)
    assert (status.state, status.reason) == ("Failed", "PodMutated")
    assert "container proxy was added" in (status.message or "")
    assert cluster.pods() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(2, 6))
async def test_a_changed_pod_is_noticed_by_the_next_process_too(
    cluster: Cluster, at: int, after: bool
) -> None:
    cluster.admission = lambda body: body["spec"].update(hostNetwork=True)
    write_job(cluster)
    await live(cluster, [], MortalClient(connection(cluster), at, after=after))
    assert job(cluster).reason == "PodMutated"
    assert cluster.pods() == []


async def test_a_pod_counts_as_gone_when_the_server_says_so(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    await operator.run()
    del cluster.objects[PODS.path(NAMESPACE, RUN)]
    await operator.run()
    status = job(cluster)
    assert (status.state, status.reason) == ("Queued", "Retrying")
    assert status.attempts[0].reason == "PodDeleted"
    await operator.after(11)
    assert runs_created(cluster) == [RUN, SECOND]


async def test_a_cancelled_job_whose_pod_is_gone_is_cancelled(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    await operator.run()
    del cluster.objects[PODS.path(NAMESPACE, RUN)]
    write_job(cluster, cancel=True)
    await operator.run()
    assert (job(cluster).state, job(cluster).blame) == ("Cancelled", None)


async def test_a_pod_that_lost_its_labels_counts_for_nothing(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    await operator.run()
    cluster.update(PODS, RUN, lambda pod: pod["metadata"].update(labels={}))
    await operator.run()
    assert job(cluster).attempts[0].reason == "PodDeleted"
    assert finalizers(cluster) == []


async def test_a_lost_log_is_salvaged_from_the_store(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    await operator.run()
    succeeds(cluster)
    cluster.logs.clear()
    await operator.run()
    assert job(cluster).state == "Collecting"
    (salvage,) = cluster.pods(names.ROLE_SALVAGE)
    name = salvage["metadata"]["name"]
    cluster.logs[name, "salvage"] = LOG
    kubelet(cluster, name, phase="Succeeded")
    await operator.run()
    assert job(cluster).state == "Succeeded"
    assert cluster.pods(names.ROLE_SALVAGE) == []
    assert finalizers(cluster) == []


async def test_a_value_of_as_many_levels_as_an_output_may_have_is_read(
    cluster: Cluster, operator: Operator
) -> None:
    write_job(cluster)
    await operator.run()
    deep = MANIFEST.replace(b'"value": 7', b'"value": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    sha = hashlib.sha256(deep).hexdigest()
    report = {"v": 1, "ok": True, "manifestSha256": sha, "exit": {"exitCode": 0}}
    succeeds(cluster)
    collect = terminated(0, end=65, message=json.dumps(report))
    kubelet(cluster, stage=DONE, main=terminated(0), collect=collect, phase="Succeeded")
    cluster.logs[RUN, "collect"] = "\n".join(frames.encode(deep)).encode()
    await operator.run()
    assert operator.errors == []
    assert job(cluster).state == "Succeeded"


async def test_a_manifest_of_another_hash_does_not_count(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster, attempts=2)
    await operator.run()
    succeeds(cluster)
    other = MANIFEST.replace(b'"value": 7', b'"value": 8')
    cluster.logs[RUN, "collect"] = "\n".join(frames.encode(other)).encode()
    await operator.run()
    (salvage,) = cluster.pods(names.ROLE_SALVAGE)
    kubelet(cluster, salvage["metadata"]["name"], phase="Failed")
    cluster.update(
        PODS, salvage["metadata"]["name"], lambda pod: pod["metadata"].update(finalizers=["other"])
    )
    await operator.run()
    status = job(cluster)
    assert status.attempts[0].reason == "ManifestLost"
    await operator.after(11)
    kubelet(cluster, SECOND, stage=DONE, main=running(), collect=running())
    await operator.run()
    succeeds(cluster, SECOND)
    await operator.run()
    status = job(cluster)
    assert (status.state, len(status.attempts)) == ("Succeeded", 2), "the second attempt's own log is read"


async def test_a_salvage_pod_that_never_runs_is_given_up(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster, attempts=1)
    await operator.run()
    succeeds(cluster)
    cluster.logs.clear()
    await operator.run()
    await operator.after(1000)
    assert job(cluster).reason == "ManifestLost"
    assert cluster.pods(names.ROLE_SALVAGE) == []


async def test_without_a_store_a_lost_log_costs_the_attempt(cluster: Cluster, operator: Operator) -> None:
    def small(algorithm: Body) -> None:
        (interface,) = algorithm["spec"]["interfaces"]
        interface["outputs"] = [interface["outputs"][1]]
        interface["inputs"] = [interface["inputs"][1]]

    cluster.update(ALGORITHMS, "brain-tissue", small)
    write_job(cluster, inputs=[JOB["spec"]["inputs"][1]], outputStore=None, attempts=1)
    await operator.run()
    succeeds(cluster)
    cluster.logs.clear()
    await operator.run()
    assert job(cluster).reason == "ManifestLost"
    assert told(job(cluster))["Collected"] == "False/ManifestLost"
    assert cluster.pods(names.ROLE_SALVAGE) == []


async def test_a_node_that_never_answers_for_its_log_is_not_asked_forever(
    cluster: Cluster, operator: Operator
) -> None:
    write_job(cluster)
    await operator.run()
    cluster.log_fault = web.Response(status=502)
    succeeds(cluster)
    await operator.run()
    assert cluster.pods(names.ROLE_SALVAGE) == [], "it may be back in a moment"
    await operator.after(130)
    assert len(cluster.pods(names.ROLE_SALVAGE)) == 1


async def test_a_job_that_another_operator_ended_is_left_as_it_is(
    cluster: Cluster, operator: Operator
) -> None:
    write_job(cluster)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    operator.watch()
    ended = {**job(cluster).wire(), "state": "Failed", "reason": "Evicted"}
    cluster.update(ALGORITHM_JOBS, "case-001", lambda body: body.update(status=ended))
    await operator.run(lag=True)
    assert operator.errors == []
    assert (job(cluster).state, job(cluster).reason) == ("Failed", "Evicted")
    assert finalizers(cluster) == []


async def test_a_successor_of_the_same_name_never_gets_the_others_status(
    cluster: Cluster, operator: Operator
) -> None:
    write_job(cluster)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    operator.watch()
    cluster.remove(ALGORITHM_JOBS, "case-001")
    write_job(cluster)
    await operator.run(lag=True)
    status = job(cluster)
    assert (status.state, status.reason, status.attempts) == ("Queued", "PredecessorLeaving", [])
    assert operator.errors == []


PHASES: dict[str, list[Callable[[Cluster], None]]] = {
    "accepted": [],
    "unscheduled": [lambda cluster: kubelet(cluster, node=None)],
    "staging": LIFE[:1],
    "running": LIFE[:2],
    "collecting": LIFE[:3],
    "ended": LIFE,
}


async def test_nothing_is_left_of_a_job_that_is_deleted(cluster: Cluster) -> None:
    for phase, events in PHASES.items():
        write_job(cluster)
        async with Client(connection(cluster)) as client:
            operator = Operator(cluster, client)
            for event in events:
                await operator.run()
                event(cluster)
            await operator.run()
            cluster.remove(ALGORITHM_JOBS, "case-001")
            cluster.requests.clear()
            await operator.run()
            if (left := cluster.get(PODS, RUN)) is not None:
                assert left["metadata"]["deletionGracePeriodSeconds"] in (0, 10), phase
                assert left["metadata"].get("finalizers") or phase == "ended", phase
                kubelet(cluster, stage=DONE, main=terminated(137), collect=terminated(0), phase="Failed")
                cluster.collect_garbage()
                await operator.run()
                if cluster.get(PODS, RUN) is not None:
                    cluster.kubelet_is_done(RUN)
            await operator.after(10)
            assert cluster.pods() == [], phase
            assert operator.errors == [], phase


@pytest.mark.parametrize("phase", PHASES)
async def test_cancel_in_every_phase(cluster: Cluster, operator: Operator, phase: str) -> None:
    write_job(cluster)
    for event in PHASES[phase]:
        await operator.run()
        event(cluster)
    if phase != "accepted":
        await operator.run()
    write_job(cluster, cancel=True)
    await operator.run()
    if (pod := cluster.get(PODS, RUN)) is not None and phase != "ended":
        assert pod["spec"]["activeDeadlineSeconds"] == 1
        kubelet(
            cluster,
            stage=DONE,
            main=terminated(143),
            collect=FAILED,
            phase="Failed",
            reason="DeadlineExceeded",
        )
        await operator.run()
    await operator.after(5)
    status = job(cluster)
    assert status.state == ("Succeeded" if phase == "ended" else "Cancelled")
    assert status.blame is None
    assert finalizers(cluster) == []
    assert not {"False/", "Suspended"} & set(told(status))
    assert "Scheduled" not in told(status) or told(status)["Scheduled"] == "True/Scheduled"


async def test_a_suspended_job_starts_when_it_is_let(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster, suspend=True)
    await operator.run()
    status = job(cluster)
    assert (status.state, status.reason) == ("Suspended", "Suspended")
    assert told(status)["Suspended"] == "True/Suspended"
    assert cluster.pods() == []
    written = len(cluster.writes())
    await operator.after(120)
    assert len(cluster.writes()) == written
    write_job(cluster, suspend=False)
    await live(cluster, LIFE)
    assert job(cluster).state == "Succeeded"
    assert told(job(cluster))["Suspended"] == "False/Accepted"


async def test_a_suspended_job_can_be_cancelled(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster, suspend=True)
    await operator.run()
    write_job(cluster, suspend=True, cancel=True)
    await operator.run()
    assert told(job(cluster)) == {
        "Accepted": "True/Accepted",
        "Failed": "True/Cancelled",
        "Stalled": "True/Cancelled",
    }


async def test_a_namespace_that_goes_takes_its_pods_and_gets_no_new_ones(
    cluster: Cluster, operator: Operator
) -> None:
    write_job(cluster)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    await operator.run()
    path = NAMESPACES.path(None, NAMESPACE)
    cluster.objects[path]["metadata"]["deletionTimestamp"] = cluster.clock.stamp()
    cluster.admission = lambda body: answer(403, "Forbidden", "because it is being terminated")
    cluster.remove(PODS, RUN)
    kubelet(cluster, stage=DONE, main=terminated(143), collect=FAILED, phase="Failed")
    await operator.after(90)
    assert runs_created(cluster) == [RUN]
    assert finalizers(cluster) == []


async def test_a_finished_job_leaves_after_its_time(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster, ttlSecondsAfterFinished=60)
    await operator.run()
    succeeds(cluster)
    await operator.run()
    assert job(cluster).state == "Succeeded"
    await operator.after(61)
    assert cluster.get(ALGORITHM_JOBS, "case-001") is None


async def test_the_algorithm_may_change_while_a_job_runs(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    await operator.run()
    fixed = job(cluster).algorithm
    edited = copy.deepcopy(cluster.objects[ALGORITHMS.path(NAMESPACE, "brain-tissue")])
    edited["spec"]["timeLimitSeconds"] = 60
    cluster.put(ALGORITHMS, edited)
    await operator.run()
    kubelet(cluster, stage=DONE, main=running(), collect=running())
    await operator.run()
    succeeds(cluster)
    await operator.run()
    assert job(cluster).algorithm == fixed
    assert job(cluster).state == "Succeeded"


async def test_a_value_that_is_nested_too_deeply_is_refused(cluster: Cluster, operator: Operator) -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    write_job(cluster)
    # Past `put`, which copies and would recurse. The process has JSON_LEVELS, and must get by with them.
    path = ALGORITHM_JOBS.path(NAMESPACE, "case-001")
    cluster.objects[path]["spec"]["inputs"][1]["value"] = deep
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(JSON_LEVELS)
    try:
        await operator.run()
    finally:
        sys.setrecursionlimit(limit)
    assert (job(cluster).state, job(cluster).reason) == ("Failed", "InputInvalid")
    assert operator.errors == []


async def test_a_plan_that_would_not_fit_is_refused_at_once(cluster: Cluster, operator: Operator) -> None:
    def large(algorithm: Body) -> None:
        (interface,) = algorithm["spec"]["interfaces"]
        interface["outputs"] = [
            {
                "slug": f"tissues-{number}",
                "kind": "Segmentation",
                "overlaySegments": [{"name": f"{'x' * 50} {v}", "voxelValue": v} for v in range(1, 257)],
            }
            for number in range(6)
        ]
        interface["inputs"] = [interface["inputs"][0], {"slug": "smoothing", "kind": "Anything"}]

    cluster.update(ALGORITHMS, "brain-tissue", large)
    write_job(cluster, inputs=[JOB["spec"]["inputs"][0], {"slug": "smoothing", "value": "x" * 120_000}])
    await operator.run()
    status = job(cluster)
    assert (status.state, status.reason) == ("Failed", "InputTooLarge")
    assert "put values into a DataStore" in (status.message or "")
    assert cluster.pods() == []


async def test_a_message_is_as_long_as_the_status_takes(cluster: Cluster, operator: Operator) -> None:
    def many(algorithm: Body) -> None:
        (interface,) = algorithm["spec"]["interfaces"]
        algorithm["spec"]["interfaces"] = [
            {
                **interface,
                "name": f"i{n}",
                "inputs": [{"slug": f"{'x' * 55}-{n}-{m}", "kind": "Anything"} for m in range(9)],
            }
            for n in range(16)
        ]

    cluster.update(ALGORITHMS, "brain-tissue", many)
    write_job(cluster)
    await operator.run()
    assert job(cluster).reason == "InputsMismatch"
    assert len(job(cluster).message or "") == 1024
    assert operator.errors == []


@pytest.mark.parametrize("resource", [ALGORITHMS, DATASTORES], ids=["algorithm", "datastore"])
async def test_what_this_version_cannot_read_stops_only_those_who_need_it(
    cluster: Cluster, operator: Operator, resource: Any
) -> None:
    broken = {"metadata": {"name": "broken"}, "spec": {"image": 5, "persistentVolumeClaim": 5}}
    cluster.put(resource, broken)
    write_job(cluster)
    cluster.put(
        ALGORITHM_JOBS,
        {
            "metadata": {"name": "other"},
            "spec": {
                **JOB["spec"],
                **(
                    {"algorithmRef": {"name": "broken"}}
                    if resource is ALGORITHMS
                    else {"outputStore": {"name": "broken"}}
                ),
            },
        },
    )
    await operator.run()
    assert runs_created(cluster) == [RUN]
    other = (cluster.get(ALGORITHM_JOBS, "other") or {})["status"]
    assert other["reason"] in ("AlgorithmNotReady", "StoreNotReady")
    assert "cannot read it" in other["message"]
    said = (cluster.get(resource, "broken") or {})["status"]["conditions"][0]
    assert (said["status"], said["reason"]) == ("False", "SpecInvalid")
    assert operator.errors == []


async def test_a_job_that_cannot_be_read_says_so(cluster: Cluster, operator: Operator) -> None:
    write_job(cluster)
    cluster.put(ALGORITHM_JOBS, {"metadata": {"name": "newer"}, "spec": {**JOB["spec"], "attempts": "many"}})
    await operator.run()
    assert runs_created(cluster) == [RUN]
    status = (cluster.get(ALGORITHM_JOBS, "newer") or {})["status"]
    assert (status["state"], status["reason"]) == ("Pending", "SpecInvalid")
    assert "attempts" in status["message"]
    assert operator.errors == []


async def test_an_accepted_job_waits_for_a_type_of_gpu_that_was_taken_away(cluster: Cluster) -> None:
    write_job(cluster)
    async with Client(connection(cluster)) as client:
        cluster.admission = lambda body: answer(403, "Forbidden", "not yet")
        await Operator(cluster, client).run()
        cluster.admission = None
        types = '{"A10": {"nodeSelectorTerms": [{}]}}'
        await Operator(cluster, client, load({**ENVIRONMENT, "AO_GPU_TYPES": types})).run()
        assert job(cluster).reason == "GpuTypeUnknown"
        assert "A10" in (job(cluster).message or "")


async def test_isolation_is_waited_for_and_no_word_of_it_is_left(
    cluster: Cluster, operator: Operator
) -> None:
    operator.canary.lives = False
    write_job(cluster)
    await operator.run()
    assert told(job(cluster))["Isolated"] == "False/IsolationUnverified"
    operator.canary.lives = True
    await operator.after(6)
    kubelet(cluster, stage=running())
    await operator.run()
    assert (job(cluster).reason, job(cluster).message) == (None, "")
    assert "Isolated" not in told(job(cluster))


async def test_nodes_are_asked_for_only_where_they_explain_something(
    cluster: Cluster, operator: Operator
) -> None:
    node = {"metadata": {"name": "n1", "labels": {"gpu": "none"}}, "status": {"allocatable": {}}}
    cluster.put(NODES, node, None)
    write_job(cluster)
    await operator.run()
    assert ("GET", NODES.path()) not in cluster.requests
    said = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    kubelet(cluster, node=None, phase="Pending", conditions=[said])
    await operator.run()
    assert job(cluster).reason == "NoGpuNode"
    written = len(cluster.writes())
    await operator.after(300)
    assert len(cluster.writes()) == written
