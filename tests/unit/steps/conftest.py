"""Fixtures of the steps' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.steps.attempt import Attempt
from tests.unit.steps.storeserver import Client, serving


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    """An attempt on temporary folders; its processes are gone afterwards."""
    made = Attempt(tmp_path)
    yield made
    made.end()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Client]:
    """A volume and the server of its store Pod."""
    root = tmp_path / "volume"
    root.mkdir()
    with serving(root) as port:
        yield Client(root, port)
