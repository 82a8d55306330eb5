"""The process: its environment, its parts together, its end."""

import asyncio
import logging
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from algorithm_operator.gateway import __main__ as program
from algorithm_operator.gateway import process
from algorithm_operator.gateway import settings as config
from algorithm_operator.gateway.context import Gateway
from algorithm_operator.gateway.database.engine import DatabaseTooNew, migrate
from algorithm_operator.gateway.process import Chore, again_and_again, beside, run
from algorithm_operator.gateway.settings import Settings, load
from algorithm_operator.kube import connection, logs
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.environment import ConfigError
from tests.gateway.reviews import known, reviewer
from tests.unit.controller.test_canary import free_port

ROOT = Path(__file__).parents[2]


def test_defaults() -> None:
    assert load({}) == replace(Settings(), active_jobs_per_user=None)


def test_everything(tmp_path: Path) -> None:
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    for file in (chain, key):
        file.write_text("PEM")
    found = load(
        {
            "AO_GATEWAY_NAMESPACES": "a, b",
            "AO_GATEWAY_DATABASE": "postgresql://db/gateway",
            "AO_GATEWAY_SIGNING_KEY": "/keys/one",
            "AO_GATEWAY_HOST": "127.0.0.1",
            "AO_GATEWAY_PORT": "9443",
            "AO_GATEWAY_TLS_CERTIFICATE": str(chain),
            "AO_GATEWAY_TLS_KEY": str(key),
            "AO_GATEWAY_UPLOAD_BYTES_PER_USER": "1000",
            "AO_GATEWAY_UPLOADS_PER_USER": "20",
            "AO_GATEWAY_UPLOAD_LIFETIME": "1h30m",
            "AO_GATEWAY_ACTIVE_JOBS_PER_USER": "16",
            "AO_GATEWAY_JOBS_PER_USER": "50",
            "AO_GATEWAY_JOBS_PERIOD": "720h",
            "AO_GATEWAY_JSON_BYTES": "100000",
            "AO_GATEWAY_REQUESTS": "7",
            "AO_GATEWAY_LOG_LEVEL": "debug",
        }
    )
    assert found == Settings(
        namespaces=("a", "b"),
        database="postgresql://db/gateway",
        signing_key=Path("/keys/one"),
        host="127.0.0.1",
        port=9443,
        tls_certificate=chain,
        tls_key=key,
        upload_bytes_per_user=1000,
        uploads_per_user=20,
        upload_seconds=5400,
        active_jobs_per_user=16,
        jobs_per_user=50,
        jobs_period_seconds=30 * 86400,
        json_bytes=100000,
        requests=7,
        log_level="DEBUG",
    )


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"AO_GATEWAY_NAMESPACES": "a,B"}, "contains 'B'"),
        ({"AO_GATEWAY_PORT": "0"}, "from 1 to 65535"),
        ({"AO_GATEWAY_TLS_CERTIFICATE": "/nowhere"}, "not a file that can be read"),
        ({"AO_GATEWAY_TLS_CERTIFICATE": __file__}, "go together"),
        ({"AO_GATEWAY_TLS_KEY": __file__}, "go together"),
        ({"AO_GATEWAY_UPLOAD_LIFETIME": "1d"}, "a time such as 24h"),
        ({"AO_GATEWAY_UPLOAD_LIFETIME": "1s"}, "between 1m and 8760h"),
        ({"AO_GATEWAY_ACTIVE_JOBS_PER_USER": "0"}, "from 1 to"),
        ({"AO_GATEWAY_JOBS_PER_USER": "3"}, "go together"),
        ({"AO_GATEWAY_JOBS_PERIOD": "3h"}, "go together"),
        ({"AO_GATEWAY_LOG_LEVEL": "loud"}, "one of DEBUG"),
    ],
    ids=lambda value: next(iter(value)).removeprefix("AO_GATEWAY_") if isinstance(value, dict) else None,
)
def test_a_wrong_variable_is_named(environment: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as error:
        load(environment)
    assert next(iter(environment)) in str(error.value)


VARIABLE = r"AO_GATEWAY_[A-Z_]+"


def test_every_variable_is_documented_and_the_chart_sets_none_that_is_not_read() -> None:
    read = set(re.findall(rf'"({VARIABLE})"', Path(config.__file__).read_text(encoding="utf-8")))
    document = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert read == set(re.findall(rf"^\| `({VARIABLE})` \|", document, re.MULTILINE))
    chart = (ROOT / "charts" / "algorithm-operator" / "templates" / "gateway.yaml").read_text(
        encoding="utf-8"
    )
    assert set(re.findall(VARIABLE, chart)) <= read
    assert len(read) > 10


async def test_from_the_start_to_sigterm(tmp_path: Path) -> None:
    settings = Settings(
        database=f"sqlite:///{tmp_path / 'g.db'}",
        signing_key=tmp_path / "key",
        host="127.0.0.1",
        port=free_port(),
    )
    migrate(settings.database)
    async with reviewer() as cluster, aiohttp.ClientSession(f"http://127.0.0.1:{settings.port}") as session:
        cluster.people["good"] = known()
        running = asyncio.create_task(run(settings, cluster.connection))
        await _until_served(session)
        headers = {"Authorization": "BEARER good"}
        for path, expected in (
            ("/readyz", 200),
            ("/imaging/api/v1/gcapi/", 200),
            ("/imaging/api/v1/archives/", 200),
            ("/imaging/api/v1/archives/items/", 200),
            ("/Imaging/api/v1/archives/", 404),
        ):
            async with session.get(path, headers=headers) as answer:
                assert (answer.status, answer.headers["Content-Type"]) == (expected, "application/json"), path
        async with session.get("/imaging/api/v1/archives/") as answer:
            assert answer.status == 401
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 10)


async def _until_served(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                async with session.get("/healthz") as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


async def test_a_chore_that_fails_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    async def work(gateway: Gateway) -> None:
        done.append(len(done))
        if len(done) < 3:
            raise ValueError("PATIENT")

    chore = Chore("the dishes", 0.001, work)
    async with asyncio.timeout(5), beside(again_and_again(chore, None)):  # type: ignore[arg-type]
        while len(done) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [record.message for record in caplog.records] == ["the dishes: not done"] * 2
    assert "ValueError" in str(caplog.records[0].__dict__["exception"])
    assert "PATIENT" not in str([record.__dict__ for record in caplog.records])
    count = len(done)
    await asyncio.sleep(0.01)
    assert len(done) == count  # it has ended


def test_what_is_done_beside_requests() -> None:
    assert {chore.what: chore.seconds for chore in process.CHORES} == {
        "the imports of images": 15.0,
        "uploads that nothing uses": 3600.0,
    }


@pytest.mark.parametrize(
    ("environment", "error"),
    [({"AO_GATEWAY_PORT": "x"}, "AO_GATEWAY_PORT is 'x'"), ({"KUBECONFIG": "/nowhere"}, "/nowhere")],
)
def test_a_wrong_environment_is_told_in_one_line(
    environment: dict[str, str],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert program.main() == 78
    said = capsys.readouterr().err
    assert said.startswith("algorithm-operator gateway: ")
    assert error in said


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("too new", 1, "a later version"),
        ("no pair", 78, "the TLS certificate and key do not fit"),
        ("defect", 1, "the gateway cannot go on"),
    ],
)
def test_what_ends_it(
    fault: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connection, "load", lambda environment: Connection("http://127.0.0.1:1"))
    monkeypatch.setattr(logs, "configure", lambda level: None)
    monkeypatch.setenv("AO_GATEWAY_DATABASE", f"sqlite:///{tmp_path / 'g.db'}")

    async def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    def too_new(url: str) -> None:
        raise DatabaseTooNew("The gateway's database is of a later version")

    if fault == "too new":
        monkeypatch.setattr(program, "migrate", too_new)
    elif fault == "defect":
        monkeypatch.setattr(program, "run", broken)
    else:
        for variable in ("AO_GATEWAY_TLS_CERTIFICATE", "AO_GATEWAY_TLS_KEY"):
            (tmp_path / variable).write_text("no PEM")
            monkeypatch.setenv(variable, str(tmp_path / variable))
    assert program.main() == code
    (record,) = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert said in record.getMessage()
