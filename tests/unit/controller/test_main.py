"""The process's exit codes where it cannot start."""

import logging

import pytest

from algorithm_operator.controller import __main__ as process
from algorithm_operator.kube import connection, logs


def test_a_wrong_environment_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AO_STEPS_IMAGE", raising=False)
    assert process.main() == 78
    assert capsys.readouterr().err.startswith("algorithm-operator: AO_STEPS_IMAGE is not set")


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"AO_STEPS_IMAGE": "x", "AO_NAMESPACE": "ops", "KUBECONFIG": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    assert process.main() == 78
    assert "/nowhere" in capsys.readouterr().err


def test_a_defect_is_logged_and_not_hidden(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("broken")

    for name, value in {"AO_STEPS_IMAGE": "x", "AO_NAMESPACE": "ops"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(connection, "load", lambda environment: connection.Connection("http://127.0.0.1:1"))
    monkeypatch.setattr(logs, "configure", lambda level: None)
    monkeypatch.setattr(process, "run", fails)
    assert process.main() == 1
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.exc_info is not None
