"""The clients, each in its environment."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.gcapi.environments import MINORS, python_with


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """As in the gateway's process: uvloop has TLS of its own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    """By minor version. To make the environments takes a minute, which is no test's (`timeout`, func_only)."""
    return {minor: python_with(minor) for minor in MINORS}
