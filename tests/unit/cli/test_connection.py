"""From kubeconfig to cluster."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from algorithm_operator.cli.connection import Kind, Target, UnreachableError, _behind, connect
from algorithm_operator.cli.errors import CliError

NOW = datetime(2026, 11, 22, 20, 0, 0, tzinfo=UTC)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    contexts = [
        {"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "imaging"}},
        {"name": "b", "context": {"cluster": "c", "user": "u"}},
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": contexts,
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    return str(tmp_path / "config")


@pytest.mark.parametrize(
    ("namespace", "context", "expected"),
    [(None, None, "imaging"), ("other", None, "other"), (None, "b", "default"), ("other", "b", "other")],
)
def test_namespace(kubeconfig: str, namespace: str | None, context: str | None, expected: str) -> None:
    assert connect(Target(namespace, context, kubeconfig)).namespace == expected


def test_unknown_context_names_the_known(kubeconfig: str) -> None:
    with pytest.raises(CliError, match="no context nope; it has: a, b"):
        connect(Target(context="nope", kubeconfig=kubeconfig))


def test_no_kubeconfig() -> None:
    with pytest.raises(CliError, match="Set KUBECONFIG or give --kubeconfig"):
        connect(Target(kubeconfig="/none"))


def test_no_server(kubeconfig: str) -> None:
    cluster = connect(Target(kubeconfig=kubeconfig))
    cluster.api.configuration.retries = False
    with pytest.raises(
        UnreachableError, match=r"The cluster at http://127\.0\.0\.1:9 does not answer: Connection refused\."
    ):
        cluster.list(Kind.JOBS)


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sun, 22 Nov 2026 20:03:00 GMT", 180),
        ("Sun, 22 Nov 2026 19:59:00 GMT", -60),
        ("Sun, 22 Nov 2026 20:00:01 GMT", 0),
        ("yesterday", 0),
        (None, 0),
    ],
)
def test_clock(date: str | None, seconds: int) -> None:
    assert _behind(date, NOW) == timedelta(seconds=seconds)
