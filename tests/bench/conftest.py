"""Figures of a bench run: printed, and kept in build/bench.json by name, so that one part can be run again alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.install_operator import install
from tests.e2e.conftest import cluster, make_namespace, namespace, probe, store
from tests.e2e.kube import Kube

__all__ = ["cluster", "make_namespace", "namespace", "probe", "store"]

RESULTS = Path("build/bench.json")

Record = Callable[[str, dict[str, Any]], None]


@pytest.fixture(scope="session")
def operator(cluster: Kube) -> Kube:
    """The operator of this checkout with the chart's own values, as users have it."""
    install([])
    return cluster


@pytest.fixture
def folder() -> Iterator[Path]:
    """On the project's own disk: /tmp may be memory."""
    path = Path("build/bench").absolute()
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """`record(name, figures)`: keep what was measured."""
    found: dict[str, dict[str, Any]] = {}

    def keep(name: str, figures: dict[str, Any]) -> None:
        found[name] = figures
        print(f"\n{name}: {json.dumps(figures, indent=2)}")

    yield keep
    if found:
        RESULTS.parent.mkdir(exist_ok=True)
        before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**before, **found}, indent=2) + "\n")
