"""Fixtures of the steps' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.steps.attempt import Attempt


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    """An attempt on temporary folders; its processes are gone afterwards."""
    made = Attempt(tmp_path)
    yield made
    made.end()
