"""What `run` shows while it waits."""

from datetime import UTC, datetime
from typing import Any

import pytest

from algorithm_operator.cli import progress
from algorithm_operator.cli.connection import Cluster, UnreachableError
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.progress import Moment, clock, follow, moment_of
from tests.unit.cli.test_explain import condition, job

NOW = datetime(2026, 11, 22, 20, 1, 30, tzinfo=UTC)
RUN: dict[str, Any] = {
    "name": "brain",
    "uid": "u",
    "generation": 1,
    "image": "i",
    "imageDigest": "d",
    "user": {"uid": 1, "gid": 1},
    "interface": {"inputs": [{"slug": "a", "kind": "Image"}], "outputs": [{"slug": "b", "kind": "Image"}]},
    "resources": {},
    "timeLimitSeconds": 7200,
    "collectSeconds": 600,
    "network": "None",
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, Moment("Pending")),
        (
            {
                "state": "Pending",
                "conditions": [condition("Accepted", "False", "AlgorithmNotFound", "no\nalgo")],
            },
            Moment("Pending", r"no\x0aalgo"),
        ),
        ({"state": "Queued", "algorithm": RUN}, Moment("Queued", limit_seconds=7200)),
        (
            {
                "state": "Running",
                "algorithm": RUN,
                "conditions": [condition("Scheduled", "True", "Scheduled")],
            },
            Moment("Running", used_seconds=90, limit_seconds=7200),
        ),
        # This machine's clock is behind.
        (
            {
                "state": "Staging",
                "algorithm": RUN,
                "conditions": [condition("Scheduled", "True", "Scheduled", at="2026-11-22T20:09:00Z")],
            },
            Moment("Staging", used_seconds=0, limit_seconds=7200),
        ),
        # Collecting is not on the limit's account.
        (
            {
                "state": "Collecting",
                "algorithm": RUN,
                "conditions": [condition("Scheduled", "True", "Scheduled")],
            },
            Moment("Collecting", limit_seconds=7200),
        ),
    ],
)
def test_moment(status: dict[str, Any], expected: Moment) -> None:
    assert moment_of(job(**status), NOW) == expected


def test_line_names_the_attempt() -> None:
    assert Moment("Queued", "busy", attempt=2).line == "Queued (attempt 2): busy"
    assert Moment("Running", attempt=1).line == "Running"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (7200, "2:00:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_an_outage_is_survived(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    looks: list[Any] = [
        UnreachableError("away"),
        job(state="Running"),
        UnreachableError("away"),
        job(state="Succeeded"),
    ]

    def look(cluster: Cluster, name: str) -> Any:
        found = looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(progress, "find_job", look)
    drawn: list[str] = []
    assert follow(cluster, "case-1", lambda now: drawn.append(now.state), 0).finished
    assert drawn == ["Running", "Succeeded"]


def test_a_deleted_job_ends_it(cluster: Cluster) -> None:
    with pytest.raises(CliError, match="There is no job"):
        follow(cluster, "case-1", lambda now: None, 0)
