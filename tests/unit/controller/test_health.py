"""Probes, metrics and log lines."""

import logging

import aiohttp
import orjson
import pytest

from algorithm_operator.controller.health import HealthServer
from algorithm_operator.controller.metrics import Metrics
from algorithm_operator.kube.logs import JsonFormatter
from tests.unit.controller.test_canary import free_port


async def test_probes_and_metrics() -> None:
    metrics, port, wrong = Metrics(), free_port(), ""
    metrics.job_finished("Failed", "ExitCode")
    metrics.requested("get", 200, 0.01)
    metrics.watch("leading", "Leads.", lambda: 1.0)
    async with (
        HealthServer(port, metrics, alive=lambda: wrong, ready=lambda: "not yet", host="127.0.0.1"),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert await get("/healthz") == (200, "ok")
        assert await get("/readyz") == (503, "not yet")
        wrong = "stalled"
        assert await get("/healthz") == (503, "stalled")
        status, text = await get("/metrics")
    assert status == 200
    assert 'algorithm_operator_jobs_finished_total{reason="ExitCode",state="Failed"} 1.0' in text
    assert 'algorithm_operator_api_request_seconds_count{code="200",verb="get"} 1.0' in text
    assert "algorithm_operator_leading 1.0" in text


def line(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    record = logging.getLogger("x").makeRecord(
        "x", logging.INFO, "f", 1, message, arguments, None, extra=extra
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, object] = orjson.loads(text)
    return found


def test_a_log_line_cannot_be_forged() -> None:
    found = line("job %s", 'x"}\n{"level":"error', key="a/b", uid="u", k8s_ref="x", other=object())
    assert found["message"] == 'job x"}\n{"level":"error'
    assert (found["level"], found["key"], found["uid"]) == ("info", "a/b", "u")
    assert set(found) == {"time", "level", "logger", "message", "key", "uid"}


@pytest.mark.parametrize("text", ["\udcff", "x" * 100_000, "\x00\x1b[31m"])
def test_any_text_is_a_line(text: str) -> None:
    assert len(str(line("%s", text)["message"])) <= 4096 + 8
    assert "key" in line("m", key=text)
