"""Fixtures of the tests of whole jobs, on the test cluster with the operator installed from this checkout.

cluster           (session) the cluster is up; gives its client
operator          (session) images are built and the chart is installed; gives the client
gateway           (session) where its gateway is: URL and authority
probe             (session) the probe image by digest: images/probe, a test algorithm that does what its input says
make_namespace    (session) a function: a fresh namespace as the chart makes it (`restricted=`, `closed=` to leave
                  something out); all are deleted at the end, unwaited
namespace         a fresh namespace for the test
module_namespace  one for all tests of the file: for many small jobs, started together and then looked at one by one
store             the namespace's default DataStore (`Namespace.store` for others)

harness.py has what they give: Namespace, Store, Job. A test that fails shows jobs, Pods, events and the operator's log.
Files named test_last_*.py disturb the cluster or the operator for everybody; they run after all others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.gateway import Address
from scripts.gateway import gateway as gateway_of_the_cluster
from scripts.install_operator import GPU_TOLERATION, install
from tests.cluster import processes
from tests.cluster.settings import BIN, CACHE, KUBECONFIG, NODE_NAME, PROJECT
from tests.e2e.diagnosis import diagnosis
from tests.e2e.harness import Namespace, Store, remove_volumes
from tests.e2e.kube import Kube, kube

HERE = Path(__file__).parent
KWOK_TOLERATION = {"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}
MakeNamespace = Callable[..., Namespace]


def cluster_command(*arguments: str) -> str:
    """What a command of `python3 tests/cluster` prints; its progress goes to stderr."""
    command = [sys.executable, str(PROJECT / "tests" / "cluster"), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that disturb others come last; the time limit counts the tests alone, not images that are built."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.timeout(300, func_only=True))
    last = [item for item in ours if item.path.name.startswith("test_last_")]
    items[:] = [item for item in items if item not in last] + last


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the namespace of a test that failed, unless its error shows it already."""
    report = yield
    if report.failed and "--- jobs" not in str(report.longrepr):
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Namespace):
                with contextlib.suppress(Exception):
                    report.sections.append(
                        (f"namespace {value.name}", diagnosis(value.kube, value.name)[-20000:])
                    )
    return report


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kube]:
    """The cluster is up, nobody else's whole-job tests disturb it, and kubectl and helm of this process speak to it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster_command("up")
        os.environ["KUBECONFIG"] = str(KUBECONFIG)
        os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
        # What a run that was killed may have left.
        processes.resume("kube-router")
        kube().patch("nodes", NODE_NAME, {"spec": {"unschedulable": None}})
        yield kube()


def operator_values() -> dict[str, Any]:
    """Values beside the usual ones: the gateway is there, T4 jobs may also go to the nodes on paper (which only
    scheduling tests bring up), and there are a GPU type for the smaller of them, one for a node that a test may make,
    and one that no node has."""
    small = [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["simulated-t4-16gb"]}]
    shared = [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-Paper"]},
        {"key": "nvidia.com/gpu.sharing-strategy", "operator": "NotIn", "values": ["time-slicing", "mps"]},
    ]
    nowhere = [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-Nowhere"]}]
    return {
        "gateway": gateway_of_the_cluster()[0],
        "registries": {"ca": "kube-root-ca.crt"},  # the private registry's (registries.py)
        "extraTolerations": [KWOK_TOLERATION],
        "gpuTypes": {
            "T4-16GB": {"nodeSelectorTerms": [{"matchExpressions": small}], "tolerations": [GPU_TOLERATION]},
            "Nowhere": {"nodeSelectorTerms": [{"matchExpressions": nowhere}]},
            "Paper": {"nodeSelectorTerms": [{"matchExpressions": shared}]},
        },
        # Python starts in a second and not in three; still four jobs at a time on two CPUs.
        "stepsResources": {
            "stage": {"cpu": "400m", "memory": "512Mi"},
            "collect": {"cpu": "250m", "memory": "512Mi"},
            "import": {"cpu": "400m", "memory": "512Mi"},
        },
    }


@pytest.fixture(scope="session")
def operator(cluster: Kube) -> Kube:
    """The operator of this checkout is installed and ready, with its gateway."""
    install([], operator_values())
    return cluster


@pytest.fixture(scope="session")
def gateway(operator: Kube) -> Address:
    """Where the gateway is."""
    return gateway_of_the_cluster()[1]


@pytest.fixture(scope="session")
def lungs_image(cluster: Kube) -> str:
    """The reference of the image of docs/gcapi.md's algorithm."""
    return cluster_command("build", "algorithm-operator/lungs", str(HERE / "images" / "lungs"))


@pytest.fixture(scope="session")
def probe(cluster: Kube) -> str:
    """The reference of the probe image."""
    return cluster_command("build", "algorithm-operator/probe", str(HERE / "images" / "probe"))


@pytest.fixture(scope="session")
def make_namespace(operator: Kube, probe: str) -> Iterator[MakeNamespace]:
    """Makes namespaces; `make_namespace("purpose", restricted=False)`."""
    made: list[Namespace] = []

    def make(purpose: str, **options: bool) -> Namespace:
        short = re.sub(r"[^a-z0-9]+", "-", purpose.lower()).strip("-")[:36].strip("-")
        made.append(Namespace.create(operator, f"e2e-{short}-{uuid.uuid4().hex[:6]}", probe, **options))
        return made[-1]

    yield make
    for namespace in made:
        namespace.delete()
    remove_volumes([namespace.name for namespace in made])


@pytest.fixture
def namespace(request: pytest.FixtureRequest, make_namespace: MakeNamespace) -> Iterator[Namespace]:
    """A fresh namespace, deleted after the test."""
    fresh = make_namespace(request.node.name.removeprefix("test_"))
    yield fresh
    fresh.delete()


@pytest.fixture(scope="module")
def module_namespace(request: pytest.FixtureRequest, make_namespace: MakeNamespace) -> Iterator[Namespace]:
    """One namespace for all tests of a file."""
    fresh = make_namespace(request.node.name.removeprefix("test_").removesuffix(".py").rpartition("/")[2])
    yield fresh
    fresh.delete()


@pytest.fixture
def store(namespace: Namespace) -> Store:
    """The default DataStore of the test's namespace."""
    return namespace.store()
