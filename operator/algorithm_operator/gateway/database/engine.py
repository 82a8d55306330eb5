"""The database of the gateway: transactions in threads, and the schema brought up to date before the first of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 15
"""How long a transaction on SQLite waits for one of another process (a backup, the gateway of before)."""
_THREADS = 8
_TRIES = 20
_WAIT_FIRST, _WAIT_MAX = 0.005, 0.2
_SERIALIZATION = {"40001", "40P01"}
"""SQLSTATEs of transactions that met another one: done again, they end well."""


class DatabaseTooNew(Exception):  # noqa: N818 - says it better than "Error" would
    """The tables were made by a later version; the message is for the admin."""


def engine_of(url: str) -> Engine:
    """An engine whose transactions see nothing of each other, as if one came after the other."""
    if not url.startswith("sqlite"):
        return create_engine(url, isolation_level="SERIALIZABLE", pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own BEGINs come too late, and never before DDL
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # At once: a transaction that first reads and then writes could not wait for another one that writes.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def migrate(url: str) -> None:
    """Bring the tables to this version's. Doing it again changes nothing. Raises DatabaseTooNew."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            there = MigrationContext.configure(connection).get_current_revision()
            if there is not None and there not in {each.revision for each in script.walk_revisions()}:
                raise DatabaseTooNew(
                    f"The gateway's database is of a later version of Algorithm Operator (its tables are at "
                    f"{there!r}, this version knows up to {script.get_current_head()!r}): run that version "
                    f"again, or restore the backup that was made before the update."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


class SqlDatabase:
    """`context.Database` by SQLAlchemy. With SQLite one thread does everything, so that nobody waits for a lock."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        threads = 1 if self._engine.dialect.name == "sqlite" else _THREADS
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="database")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, work: Callable[[Session], T]) -> T:
        """Do `work` in one transaction, in a thread: committed when it returns, rolled back when it raises.

        Objects may be read after it, but nothing is loaded any more: what is needed of relations is read in `work`.
        `work` may be done more than once, if other transactions were in its way; it must change the session alone.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, work)

    async def close(self) -> None:
        """End all connections, after what is being done."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    def _run(self, work: Callable[[Session], T]) -> T:
        for tried in range(1, _TRIES + 1):
            try:
                with Session(self._engine, expire_on_commit=False) as session, session.begin():
                    return work(session)
            except DBAPIError as error:
                if tried == _TRIES or getattr(error.orig, "sqlstate", None) not in _SERIALIZATION:
                    raise
            time.sleep(random.uniform(0, min(_WAIT_FIRST * 2**tried, _WAIT_MAX)))  # noqa: S311
        raise AssertionError("unreachable")
