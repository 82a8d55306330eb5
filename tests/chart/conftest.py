"""Helm and kubectl of the test cluster are on PATH for every test of the chart."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chart.release import Release, copied
from tests.chart.tools import kubectl
from tests.cluster.settings import BIN, KUBECONFIG


@pytest.fixture(scope="session", autouse=True)
def _cluster_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("KUBECONFIG", str(KUBECONFIG))
        assert shutil.which("helm"), "helm is not there: `make cluster-up` builds it"
        yield


@contextmanager
def restricted_namespace() -> Iterator[str]:
    """A fresh namespace on the test cluster that enforces the restricted Pod Security Standard."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace() -> Iterator[str]:
    """A fresh namespace."""
    with restricted_namespace() as name:
        yield name


@pytest.fixture
def release(tmp_path: Path, namespace: str) -> Iterator[Release]:
    """A copy of the chart, not installed yet."""
    with copied(tmp_path, namespace) as release:
        yield release
