"""Whatever keeps a job from running is told within ten seconds, with the fix; and the fix works.

The image that cannot be pulled is started first and looked at last: its attempt ends after two minutes.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import RESULTS, Job, Kube, Namespace, Object, eventually
from tests.e2e.registries import PrivateRegistry, private, pull_secret, variant
from tests.e2e.vanishing import VanishingImage

DO = [["write_json", "results.json", {}]]
IN_STATUS = [{**RESULTS, "storeInStatus": True}]
GIVE_UP_SECONDS = 120


@pytest.fixture(scope="module", autouse=True)
def sharing_nodes(cluster: Kube) -> Iterator[list[str]]:
    """Nodes on paper that share their GPUs. There from the beginning: the operator remembers nodes for seconds."""
    names = []
    for strategy in ("mps", "time-slicing"):
        labels = {
            "nvidia.com/gpu.product": "NVIDIA-Paper-SHARED",
            "nvidia.com/gpu.sharing-strategy": strategy,
            "nvidia.com/gpu.replicas": "4",
        }
        names.append(f"paper-{strategy}")
        cluster.delete("nodes", names[-1])
        cluster.create("nodes", {"kind": "Node", "metadata": {"name": names[-1], "labels": labels}})
    yield names
    for name in names:
        cluster.delete("nodes", name)


@pytest.fixture(scope="module")
def unpullable(module_namespace: Namespace) -> Job:
    """A job whose image was there when it was looked up, and is no more when the node wants it. One attempt."""
    image = VanishingImage(module_namespace.image)
    module_namespace.algorithm("vanished", image=image.reference, outputs=IN_STATUS, timeLimitSeconds=600)
    image.vanish()
    return module_namespace.job("unpullable", algorithm="vanished", do=DO, attempts=1)


@pytest.fixture(scope="module")
def in_outage(module_namespace: Namespace) -> Iterator[tuple[Job, PrivateRegistry]]:
    """A job whose image was looked up, and whose registry is away when the node wants it. One attempt."""
    registry, here = PrivateRegistry(), module_namespace
    registry.start()
    try:
        here.kube.create("secrets", pull_secret("right"), here.name)
        image = private(variant(here.image, here.name, Labels={"outage": here.name}))
        here.algorithm("away", image=image, pull_secrets=["right"], outputs=IN_STATUS, timeLimitSeconds=600)
        registry.stop()
        yield here.job("outage", algorithm="away", do=DO, attempts=1), registry
    finally:
        registry.stop()


@pytest.mark.usefixtures("in_outage")
def test_an_image_that_cannot_be_pulled_is_told(unpullable: Job) -> None:
    # An operator that has just started first makes sure of its canary, and says so.
    eventually(unpullable.pod, 30, "the Pod is created")

    waiting = unpullable.wait_condition("Scheduled", "False", "ImagePullFailing")

    assert "e2e/vanishing-" in waiting["message"]
    assert "not found" in waiting["message"]
    assert f"The attempt ends {GIVE_UP_SECONDS} s after it was scheduled" in waiting["message"]
    assert unpullable.status["reason"] == "ImagePullFailing"
    assert unpullable.status["message"] == waiting["message"]


@pytest.mark.usefixtures("unpullable")
def test_a_job_before_its_algorithm_waits_for_it(namespace: Namespace) -> None:
    job = namespace.job("early", do=DO)

    waiting = job.wait_condition("Accepted", "False", "AlgorithmNotFound")

    assert waiting["message"] == (
        f'There is no Algorithm "probe" in namespace {namespace.name}; the job runs once it is created.'
    )
    assert job.state == "Pending"
    assert job.pods() == []
    namespace.algorithm(outputs=IN_STATUS)
    assert job.wait("Succeeded")["attempts"][0]["number"] == 1


def test_no_node_with_that_gpu(namespace: Namespace) -> None:
    namespace.algorithm(outputs=IN_STATUS, resources={"cpu": "50m", "gpu": {"type": "Nowhere"}})
    job = namespace.job("case", do=DO)

    waiting = job.wait_condition("Scheduled", "False", "NoGpuNode")

    assert "1 × Nowhere (nvidia.com/gpu)" in waiting["message"]
    assert "none with the labels of a Nowhere" in waiting["message"]
    assert "gpuTypes.Nowhere in the Helm values" in waiting["message"]
    assert job.state == "Queued"


def test_a_quota_that_is_used_up_consumes_no_attempt(namespace: Namespace) -> None:
    kube = namespace.kube
    namespace.algorithm(outputs=IN_STATUS)
    quota = {"kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    kube.create("resourcequotas", quota, namespace.name)
    eventually(
        lambda: (kube.get("resourcequotas", "full", namespace.name) or {}).get("status"),
        10,
        "the quota holds",
    )
    job = namespace.job("case", do=DO)

    waiting = job.wait_condition("Scheduled", "False", "QuotaExceeded")

    assert "exceeded quota: full" in waiting["message"]
    assert "pods=0" in waiting["message"]
    assert job.status.get("attempts", []) == []
    kube.patch("resourcequotas", "full", {"spec": {"hard": {"pods": "5"}}}, namespace.name)
    assert [a["number"] for a in job.wait("Succeeded", timeout=60)["attempts"]] == [1]


def test_a_claim_that_does_not_exist(namespace: Namespace) -> None:
    namespace.datastore("results", claim="forgotten", default=True)
    namespace.algorithm()
    job = namespace.job("case", do=DO)

    waiting = job.wait_condition("Scheduled", "False", "ClaimNotFound")

    assert 'persistentvolumeclaim "forgotten" not found' in waiting["message"].replace("\\", "")
    assert "DataStore results" in waiting["message"]
    assert "An admin creates it" in waiting["message"]
    claim: Object = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "forgotten"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    namespace.kube.create("persistentvolumeclaims", claim, namespace.name)
    job.wait("Succeeded")


def test_a_namespace_that_is_not_restricted_and_the_line_that_mends_it(make_namespace: MakeNamespace) -> None:
    namespace = make_namespace("unrestricted", restricted=False)
    namespace.algorithm(outputs=IN_STATUS)
    job = namespace.job("case", do=DO)

    waiting = job.wait_condition("Scheduled", "False", "NamespaceNotRestricted")

    assert job.pods() == []
    found = re.search(r"An admin runs: (kubectl .+)$", waiting["message"])
    assert found, waiting["message"]
    subprocess.run(shlex.split(found[1]), check=True, stdout=subprocess.DEVNULL)
    job.wait("Succeeded", timeout=60)


def test_a_namespace_without_the_policy_and_one_that_another_policy_opens(
    make_namespace: MakeNamespace,
) -> None:
    """Where the operator may not put the policy back: a quota keeps it out. And where no admission policy guards."""
    namespace = make_namespace("open", closed=False, guarded=False)
    kube = namespace.kube
    opening = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "friendly"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    kube.create("networkpolicies", opening, namespace.name)
    hard = {"count/networkpolicies.networking.k8s.io": "1"}
    kube.create(
        "resourcequotas",
        {"kind": "ResourceQuota", "metadata": {"name": "one"}, "spec": {"hard": hard}},
        namespace.name,
    )
    eventually(
        lambda: ((kube.get("resourcequotas", "one", namespace.name) or {}).get("status") or {}).get("used"),
        20,
        "the quota counts",
    )
    namespace.algorithm(outputs=IN_STATUS)
    job = namespace.job("case", do=DO)

    waiting = job.wait_condition("Scheduled", "False", "PolicyMissing")
    assert "algorithm-operator-deny-all" in waiting["message"]
    assert "deploy/namespace.yaml" in waiting["message"]

    kube.delete("resourcequotas", "one", namespace.name)
    waiting = job.wait_condition("Scheduled", "False", "PolicyConflict", timeout=30)
    assert '"friendly"' in waiting["message"]
    assert job.pods() == []

    kube.delete("networkpolicies", "friendly", namespace.name)
    job.wait("Succeeded", timeout=60)


def test_nodes_that_share_their_gpus_are_not_taken(namespace: Namespace, sharing_nodes: list[str]) -> None:
    namespace.algorithm(outputs=IN_STATUS, resources={"cpu": "50m", "gpu": {"type": "Paper"}})
    job = namespace.job("case", do=DO)

    waiting = job.wait_condition("Scheduled", "False", "GpuShared")

    assert f"({', '.join(sharing_nodes)})" in waiting["message"]
    assert "An admin turns time-slicing or MPS off" in waiting["message"]
    assert job.state == "Queued"


def test_an_image_that_cannot_be_pulled_ends_the_attempt_after_two_minutes(unpullable: Job) -> None:
    """So that a GPU is not held for as long as the job may take."""
    status = unpullable.wait("Failed", timeout=GIVE_UP_SECONDS + 60)

    assert (status["reason"], status["blame"]) == ("ImagePullFailed", "infrastructure")
    (attempt,) = status["attempts"]
    assert attempt["reason"] == "ImagePullFailed"
    began = datetime.fromisoformat(unpullable.body["metadata"]["creationTimestamp"])
    ended = datetime.fromisoformat(attempt["finishedAt"])
    assert GIVE_UP_SECONDS - 2 <= (ended - began).total_seconds() <= GIVE_UP_SECONDS + 15
    deadline = time.monotonic() + 30
    while unpullable.pods():
        assert time.monotonic() < deadline, "its Pod still holds the GPU"
        time.sleep(0.5)


def test_an_outage_of_the_registry_delays_a_job_and_does_not_fail_it(
    in_outage: tuple[Job, PrivateRegistry],
) -> None:
    """Its GPU is given back meanwhile, and its only attempt is not used up."""
    job, registry = in_outage

    def look() -> list[Object]:
        attempts: list[Object] = job.status.get("attempts") or []
        return [attempt for attempt in attempts if "finishedAt" in attempt]

    first = eventually(look, GIVE_UP_SECONDS + 30, "the first attempt has ended")[0]
    assert (first["reason"], first["counted"]) == ("RegistryUnreachable", False)
    assert "connection refused" in first["message"]
    registry.start()
    job.wait("Succeeded", timeout=120)
