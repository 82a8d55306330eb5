"""What all tests share: each folder below tests/ gives its tests the marker of the same name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark `tests/<folder>/…` with `<folder>`, if that is one of the markers in pyproject.toml."""
    markers = {line.partition(":")[0] for line in config.getini("markers")}
    for item in items:
        if item.path.is_relative_to(HERE):
            folder = item.path.relative_to(HERE).parts[0]
            if folder in markers:
                item.add_marker(folder)


@pytest.fixture(autouse=True)
def _own_recursion_limit() -> Iterator[None]:
    """The processes raise it for themselves: the next test would go on until the stack is full."""
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)
