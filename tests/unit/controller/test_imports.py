"""ImageImports against a cluster in memory: their Pod, its answer, what is tried again, and the jobs that wait."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from algorithm_operator.core import names
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import (
    ALGORITHM_JOBS,
    ALGORITHMS,
    DATASTORES,
    IMAGE_IMPORTS,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    PVCS,
)
from tests.unit.controller.cluster import NAMESPACE, Cluster, Operator, cluster_at
from tests.unit.core.builders import ALGORITHM, JOB, NOW, POLICY
from tests.unit.kube.fake_api import status as answer

Body = dict[str, Any]
NAME, POD = "series-1", "series-1-1-import"
SEALED = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
GEOMETRY = {
    "size": [4, 3, 2],
    "spacing": [1.0, 1.0, 1.0],
    "origin": [0.0, 0.0, 0.0],
    "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    "pixelType": "int16",
    "components": 1,
}
IMAGE = {"suffix": ".mha", "bytes": 99, "sha256": "d" * 64, "name": "series", "geometry": GEOMETRY}
GOOD = json.dumps({"v": 1, "image": IMAGE})
BAD = json.dumps({"v": 1, "message": "they are of 2 series.", "files": ["a", "b"], "more": 7})


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with cluster_at(NOW) as made:
        made.put(NAMESPACES, {"metadata": SEALED}, None)
        made.put(NETWORK_POLICIES, POLICY)
        for name, default in (("cases", False), ("results", True)):
            made.put(PVCS, {"metadata": {"name": name}})
            spec = {"persistentVolumeClaim": {"claimName": name}, "default": default, "gid": 2000}
            made.put(DATASTORES, {"metadata": {"name": name}, "spec": spec})
        yield made


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[Operator]:
    async with Client(Connection(server=cluster.url)) as client:
        yield Operator(cluster, client)


def write(cluster: Cluster, **spec: Any) -> None:
    whole = {
        "source": {"name": "cases", "paths": ["series/"]},
        "kind": "Image",
        "timeLimitSeconds": 600,
        **spec,
    }
    cluster.put(IMAGE_IMPORTS, {"metadata": {"name": NAME}, "spec": whole})


def status(cluster: Cluster) -> Body:
    body = cluster.get(IMAGE_IMPORTS, NAME)
    assert body is not None
    found: Body = body["status"]
    return found


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status(cluster)["conditions"]}


def uid(cluster: Cluster) -> str:
    body = cluster.get(IMAGE_IMPORTS, NAME)
    assert body is not None
    return str(body["metadata"]["uid"])


def ends(cluster: Cluster, code: int, message: str, pod: str = POD) -> None:
    """The container ends by itself."""
    ended = {"exitCode": code, "startedAt": cluster.clock.stamp(), "message": message}
    state = [{"name": "import", "state": {"terminated": ended}}]
    phase = "Failed" if code else "Succeeded"
    cluster.update(PODS, pod, lambda b: b.update(status={"phase": phase, "containerStatuses": state}))


def fails(cluster: Cluster, reason: str, pod: str = POD) -> None:
    """The kubelet ends the Pod."""
    cluster.update(PODS, pod, lambda b: b.update(status={"phase": "Failed", "reason": reason}))


async def test_files_become_an_image_and_the_pod_goes(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    assert (status(cluster)["state"], status(cluster)["pod"]) == ("Importing", POD)
    (pod,) = cluster.pods(names.ROLE_IMPORT)
    assert pod["metadata"]["labels"][names.LABEL_IMPORT] == NAME
    ends(cluster, 0, GOOD)
    await operator.run()
    found = status(cluster)
    assert (found["state"], found["reason"], found["observedGeneration"]) == ("Succeeded", "Completed", 1)
    folder = f"imports/{NAME}/{uid(cluster)}"
    assert found["image"] == {
        "store": "results",
        "path": f"{folder}/{uid(cluster)}.mha",
        "bytes": 99,
        "sha256": "d" * 64,
        "name": "series",
        "format": "MHD",
        "geometry": GEOMETRY,
        "notes": [],
    }
    assert conditions(cluster) == {"Complete": ("True", "Completed")}
    assert cluster.pods() == []
    assert operator.errors == []


async def test_bad_files_are_told_at_once_and_by_file(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    ends(cluster, 65, BAD)
    await operator.run()
    found = status(cluster)
    assert (found["state"], found["reason"], found["blame"]) == ("Failed", "FilesInvalid", "input")
    assert found["message"] == (
        "The files are not one image that can be imported: they are of 2 series. 7 more files are not listed."
    )
    assert found["files"] == [{"name": name, "message": "they are of 2 series."} for name in "ab"]
    assert conditions(cluster) == {"Failed": ("True", "FilesInvalid"), "Stalled": ("True", "FilesInvalid")}
    assert (len(cluster.created), cluster.pods()) == (1, [])


async def attempts(cluster: Cluster, operator: Operator) -> None:
    """Every attempt is evicted."""
    for number in (1, 2, 3):
        fails(cluster, "Evicted", f"{NAME}-{number}-import")
        await operator.run()
        await operator.after(21)


async def test_infrastructure_may_fail_twice(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    fails(cluster, "Evicted")
    await operator.run()
    found = status(cluster)
    assert (found["state"], found["reason"], found["failures"]) == ("Pending", "Retrying", 1)
    assert "Attempt 1 failed (LookUpFailed); the next one starts in 10 s." in found["message"]
    assert cluster.pods() == []
    await operator.after(11)
    cluster.remove(PODS, f"{NAME}-2-import")
    await operator.run()
    assert (status(cluster)["failures"], "it was deleted" in status(cluster)["message"]) == (2, True)
    await operator.after(21)
    ends(cluster, 0, GOOD, f"{NAME}-3-import")
    await operator.run()
    assert status(cluster)["state"] == "Succeeded"


async def test_with_the_third_failure_it_has_failed(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    await attempts(cluster, operator)
    found = status(cluster)
    assert (found["state"], found["blame"], found["failures"]) == ("Failed", "infrastructure", 3)
    assert found["message"].endswith("Evicted. It was tried 3 times; apply the import under a new name.")
    assert "Tried again" not in found["message"]
    await operator.after(100)
    assert len(cluster.created) == 3
    assert cluster.pods() == []


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            75,
            json.dumps({"v": 1, "message": "the disk is full."}),
            "Importing the files failed: the disk is full.",
        ),
        (137, "", "its Pod ended with exit code 137 and no answer that can be read"),
        (0, "nonsense", "no answer that can be read"),
        (0, json.dumps({"v": 1}), "Importing the files failed: no reason is told"),
        (0, json.dumps({"v": 1, "image": {**IMAGE, "suffix": "/../x"}}), "no answer that can be read"),
    ],
    ids=["says so", "killed", "no JSON", "empty", "hostile"],
)
async def test_an_answer_that_is_none_is_tried_again(
    cluster: Cluster, operator: Operator, code: int, message: str, says: str
) -> None:
    write(cluster)
    await operator.run()
    ends(cluster, code, message)
    await operator.run()
    assert (status(cluster)["state"], status(cluster)["failures"]) == ("Pending", 1)
    assert says in status(cluster)["message"]


async def test_a_pod_that_was_changed_is_not_believed(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    cluster.update(PODS, POD, lambda b: b["metadata"]["annotations"].update({names.ANNOTATION_PLAN: "{}"}))
    ends(cluster, 0, GOOD)
    await operator.run()
    assert (status(cluster)["state"], status(cluster)["failures"]) == ("Pending", 1)
    assert "its plan was changed" in status(cluster)["message"]


async def test_a_node_that_does_not_answer(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    cluster.update(PODS, POD, lambda b: b["spec"].update(nodeName="gpu-7"))
    await operator.run()
    assert conditions(cluster) == {"Scheduled": ("True", "Scheduled")}
    cluster.remove(PODS, POD)
    await operator.after(30)
    assert status(cluster).get("failures", 0) == 0
    await operator.after(90)
    assert status(cluster)["failures"] == 1
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == [f"{NAME}-2-import"]


async def no_claim(cluster: Cluster) -> None:
    cluster.remove(PVCS, "cases")


async def no_store(cluster: Cluster) -> None:
    cluster.remove(DATASTORES, "cases")


async def no_quota(cluster: Cluster) -> None:
    cluster.admission = lambda body: answer(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: small')


@pytest.mark.parametrize(
    ("lack", "reason", "says"),
    [
        (
            no_claim,
            "ClaimNotFound",
            "The PersistentVolumeClaim of DataStore cases does not exist: claim cases",
        ),
        (no_store, "StoreNotFound", 'There is no DataStore "cases" in namespace imaging'),
        (no_quota, "QuotaExceeded", "exceeded quota: small"),
    ],
    ids=["claim", "store", "quota"],
)
async def test_what_is_lacking_is_waited_for(
    cluster: Cluster, operator: Operator, lack: Any, reason: str, says: str
) -> None:
    await lack(cluster)
    write(cluster)
    await operator.run()
    found = status(cluster)
    assert (found["state"], found["reason"]) == ("Pending", reason)
    assert says in found["message"]
    assert conditions(cluster) == {"Scheduled": ("False", reason)}
    assert cluster.pods() == []
    written = len(cluster.requests)
    await operator.after(30)
    assert len(cluster.requests) - written < 30, "it is asked for now and then"
    cluster.admission = None
    cluster.put(PVCS, {"metadata": {"name": "cases"}})
    spec = {"persistentVolumeClaim": {"claimName": "cases"}, "gid": 2000}
    cluster.put(DATASTORES, {"metadata": {"name": "cases"}, "spec": spec})
    await operator.after(11)
    assert status(cluster)["state"] == "Importing"


async def test_the_policy_that_seals_is_put_back_first(cluster: Cluster, operator: Operator) -> None:
    cluster.remove(NETWORK_POLICIES, "algorithm-operator-deny-all")
    write(cluster)
    await operator.run()
    assert cluster.get(NETWORK_POLICIES, "algorithm-operator-deny-all") is not None
    assert status(cluster)["state"] == "Importing"


async def test_without_a_default_store_it_must_say_where_to(cluster: Cluster, operator: Operator) -> None:
    cluster.remove(DATASTORES, "results")
    write(cluster)
    await operator.run()
    found = status(cluster)
    assert (found["state"], found["reason"], found["blame"]) == ("Failed", "NoOutputStore", "input")


async def test_a_path_that_leaves_the_store_is_refused(cluster: Cluster, operator: Operator) -> None:
    write(cluster, source={"name": "cases", "paths": ["../other"]})
    await operator.run()
    assert status(cluster)["state"] == "Failed"
    assert 'the path "../other" is not allowed: it contains ".."' in status(cluster)["message"]
    assert cluster.created == []


async def test_somebodys_pod_of_that_name_is_left_alone(cluster: Cluster, operator: Operator) -> None:
    cluster.put(PODS, {"metadata": {"name": POD}, "spec": {}})
    write(cluster)
    await operator.run()
    assert (status(cluster)["state"], status(cluster)["reason"]) == ("Pending", "NameTaken")
    await operator.after(30)
    assert len(cluster.pods()) == 1


async def test_a_pod_of_an_earlier_import_of_that_name_goes(cluster: Cluster, operator: Operator) -> None:
    write(cluster)
    await operator.run()
    earlier = uid(cluster)
    cluster.remove(IMAGE_IMPORTS, NAME)
    write(cluster)
    assert uid(cluster) != earlier
    await operator.run()
    (pod,) = cluster.pods()
    assert names.controller(pod)["uid"] == uid(cluster)
    assert status(cluster)["state"] == "Importing"


async def test_it_leaves_when_its_time_is_over(cluster: Cluster, operator: Operator) -> None:
    write(cluster, ttlSecondsAfterFinished=60)
    await operator.run()
    ends(cluster, 0, GOOD)
    await operator.run()
    await operator.after(50)
    assert status(cluster)["state"] == "Succeeded"
    await operator.after(15)
    assert cluster.get(IMAGE_IMPORTS, NAME) is None


async def test_one_that_this_version_cannot_read_says_so(cluster: Cluster, operator: Operator) -> None:
    write(cluster, timeLimitSeconds="soon")
    await operator.run()
    assert (status(cluster)["state"], status(cluster)["reason"]) == ("Pending", "SpecInvalid")
    assert cluster.created == []


@pytest.mark.parametrize("ending", [(0, GOOD), (65, BAD)], ids=["image", "refused"])
async def test_a_job_waits_for_an_import(
    cluster: Cluster, operator: Operator, ending: tuple[int, str]
) -> None:
    cluster.put(ALGORITHMS, ALGORITHM)
    algorithm = cluster.get(ALGORITHMS, "brain-tissue")
    assert algorithm is not None
    cluster.update(ALGORITHMS, "brain-tissue", lambda b: b["status"].update(observedGeneration=1))
    inputs = [{"slug": "t1-mri", "imageImport": {"name": NAME}}, {"slug": "smoothing", "value": 1.5}]
    metadata = {"name": "case-001"}
    cluster.put(ALGORITHM_JOBS, {"metadata": metadata, "spec": {**JOB["spec"], "inputs": inputs}})

    def job() -> Body:
        body = cluster.get(ALGORITHM_JOBS, "case-001")
        assert body is not None
        found: Body = body["status"]
        return found

    await operator.run()
    assert (job()["state"], job()["reason"]) == ("Pending", "InputPending")
    assert 'waits for import "series-1": there is no such ImageImport' in job()["message"]
    write(cluster)
    await operator.run()
    await operator.after(6)
    assert 'waits for import "series-1": it is Importing.' in job()["message"]
    ends(cluster, *ending)
    await operator.run()
    if ending[0]:
        assert (job()["state"], job()["reason"], job()["blame"]) == ("Failed", "InputInvalid", "input")
        assert 'import "series-1" failed: The files are not one image' in job()["message"]
        return
    assert job()["algorithm"]["inputs"] == [
        {
            "slug": "t1-mri",
            "imageImport": NAME,
            "store": "results",
            "path": status(cluster)["image"]["path"],
            "sha256": "d" * 64,
        }
    ]
    (pod,) = cluster.pods(names.ROLE_RUN)
    (planned, *_) = json.loads(pod["metadata"]["annotations"][names.ANNOTATION_PLAN])["inputs"]
    (file,) = planned["files"]
    assert (file["imageImport"], file["sha256"]) == (NAME, "d" * 64)
