"""What the gateway's unit tests share. A test module says by fixtures of its own which `routers` and `settings`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from fastapi import APIRouter

from algorithm_operator.gateway.database.engine import SqlDatabase, migrate
from algorithm_operator.gateway.settings import Settings
from tests.gateway import fakes
from tests.unit.steps.conftest import store

__all__ = ["store"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """As in the process: uvloop has transports, timers and TLS of its own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def routers() -> list[APIRouter]:
    """Of the module that is tested; none by default."""
    return []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, with files in a folder of the test's."""
    return fakes.settings(tmp_path)


@pytest.fixture
async def service(settings: Settings, routers: list[APIRouter]) -> AsyncIterator[fakes.Service]:
    """The gateway on an empty database."""
    migrate(settings.database)
    async with SqlDatabase(settings.database) as database:
        yield fakes.Service(database, settings, routers)
