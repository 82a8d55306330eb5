"""The database: the migrations make the models' tables; transactions are whole, one after the other, and durable."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from algorithm_operator.gateway.database.engine import DatabaseTooNew, SqlDatabase, engine_of, migrate
from algorithm_operator.gateway.database.models import Base, JobStart, UploadPart

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'g.db'}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[SqlDatabase]:
    migrate(url)
    async with SqlDatabase(url) as database:
        yield database


def start(number: int, created: datetime = NOW) -> JobStart:
    return JobStart(id=str(number), namespace="n", username="u", algorithm="a", created=created)


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(JobStart)) or 0


def test_the_migrations_make_the_tables_of_the_models(url: str) -> None:
    migrate(url)
    engine = engine_of(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.scalar(text("PRAGMA foreign_key_check")) is None
    engine.dispose()


async def test_migrating_again_keeps_what_is_there(url: str) -> None:
    migrate(url)
    async with SqlDatabase(url) as database:
        await database.run(lambda session: session.add(start(1)))
    migrate(url)
    async with SqlDatabase(url) as database:
        assert await database.run(count) == 1


def test_a_later_versions_database_is_refused_and_left_alone(url: str) -> None:
    migrate(url)
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match=r"later version .*'9999'.* restore the backup"):
        migrate(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 15000)],
    ids=lambda value: str(value),
)
async def test_sqlite_is_set_up(database: SqlDatabase, pragma: str, value: object) -> None:
    assert await database.run(lambda session: session.scalar(text(f"PRAGMA {pragma}"))) == value


async def test_what_raises_leaves_nothing(database: SqlDatabase) -> None:
    def work(session: Session) -> None:
        session.add(start(1))
        session.flush()
        raise LookupError("half way")

    with pytest.raises(LookupError, match="half way"):
        await database.run(work)
    assert await database.run(count) == 0


async def test_foreign_keys_hold(database: SqlDatabase) -> None:
    part = UploadPart(upload_id="nobody", number=1, etag="e", size=1, path="p", modified=NOW)
    with pytest.raises(IntegrityError):
        await database.run(lambda session: session.add(part))


async def test_reading_and_then_writing_is_one_step(database: SqlDatabase, url: str) -> None:
    """Two processes, so two connections: each counts and then adds what it counted."""

    def work(session: Session) -> None:
        session.add(start(count(session)))

    async with SqlDatabase(url) as other:
        await asyncio.gather(*(each.run(work) for each in (database, other) * 20))
        assert await other.run(count) == 40


@pytest.mark.parametrize(
    "moment",
    [NOW, NOW.astimezone(timezone(timedelta(hours=5))), NOW.replace(microsecond=0)],
    ids=["utc", "another zone", "whole seconds"],
)
async def test_moments_come_back_as_they_were(database: SqlDatabase, moment: datetime) -> None:
    await database.run(lambda session: session.add(start(1, moment)))
    found = await database.run(lambda session: session.get_one(JobStart, "1").created)
    assert found == moment
    assert found.tzinfo == UTC


@pytest.mark.parametrize(("failures", "ends_well"), [(0, True), (1, True), (19, True), (20, False)])
async def test_a_transaction_that_met_another_is_done_again(
    database: SqlDatabase, failures: int, ends_well: bool
) -> None:
    tries = 0

    class SerializationError(Exception):
        sqlstate = "40001"

    def work(session: Session) -> None:
        nonlocal tries
        session.add(start(1))
        session.flush()
        tries += 1
        if tries <= failures:
            raise OperationalError("COMMIT", None, SerializationError())

    if ends_well:
        await database.run(work)
        assert await database.run(count) == 1
    else:
        with pytest.raises(OperationalError):
            await database.run(work)
        assert await database.run(count) == 0
    assert tries == min(failures + 1, 20)
