"""Where a job's logs come from: a store that keeps streams apart, or a Pod that may not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli import jobs, logs
from algorithm_operator.cli.connection import Kind
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.logs import Asked, print_logs
from algorithm_operator.cli.store import StoreClient
from tests.unit.cli.conftest import MemoryCluster

TIME = "2026-11-22T20:00:00Z"
FOLDER = "case/uid-1/1/logs"
RUN = {
    "name": "brain", "uid": "a", "generation": 1, "image": "i@d", "imageDigest": "d", "network": "None",
    "interface": {"inputs": [{"slug": "a", "kind": "Anything"}], "outputs": [{"slug": "b", "kind": "Anything"}]},
    "resources": {}, "timeLimitSeconds": 60, "collectSeconds": 60, "outputStore": "results",
}  # fmt: skip


class Cluster(MemoryCluster):
    """With one job, and a Pod whose API splits the streams or does not."""

    def __init__(self, split: bool = False, pod: bool = True) -> None:
        super().__init__()
        self.split, self.has_pod = split, pod
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.create(Kind.JOBS, {
            "metadata": {"name": "case"},
            "spec": {"algorithmRef": {"name": "brain"}, "inputs": [{"slug": "a", "value": 1}]},
        })  # fmt: skip

    def status(self, state: str, *, apart: bool = False, attempts: int = 1, **more: Any) -> None:
        policy = {"logPolicy": {"store": {"name": "secret"}}} if apart else {}
        ended = [
            {"finishedAt": TIME} if n < attempts or state == "Succeeded" else {}
            for n in range(1, attempts + 1)
        ]
        listed = [{"number": n + 1, "pod": f"case-{n + 1}-run", **end} for n, end in enumerate(ended)]
        self.finish("case", state=state, algorithm={**RUN, **policy}, attempts=listed, **more)

    def pod_log(
        self, name: str, container: str, *, follow: bool = False, **options: Any
    ) -> Iterator[bytes] | None:
        self.asked.append((container, options))
        if not self.has_pod:
            return None
        both = {"stage": [b"staged\n", b""], "algorithm": [b"out\n", b"err\n"]}[container]
        stream = options.get("stream")
        if self.split and stream:
            return iter([both[stream == "Stderr"]] if both[stream == "Stderr"] else [])
        return iter(both)


@pytest.fixture
def place(store: StoreClient, volume: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the logs in the store."""

    @contextmanager
    def opened(cluster: object, name: str, say: object) -> Iterator[StoreClient]:
        if name == "secret":
            raise CliError('leases "algorithm-operator-store-secret" is forbidden')
        yield store

    monkeypatch.setattr(logs, "open_store", opened)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (volume / FOLDER).mkdir(parents=True)
    return volume / FOLDER


def show(cluster: Cluster, **asked: Any) -> None:
    print_logs(cluster, jobs.find_job(cluster, "case"), Asked(**asked))  # type: ignore[arg-type]


def test_of_a_finished_job_each_stream_goes_where_it_belongs(place: Path, capsys: Any) -> None:
    cluster = Cluster()
    cluster.status("Succeeded")
    (place / "stdout.log").write_bytes(b"fine\x1b[2J\n")
    (place / "stderr.log").write_bytes(b"careful\n")
    (place / "combined.jsonl").write_bytes(b'{"t":"T","s":"stderr","m":"careful"}\n')
    show(cluster)
    said = capsys.readouterr()
    assert said.out == "fine\\x1b[2J\n"
    assert "from DataStore results" in said.err
    assert said.err.endswith("careful\n")
    for asked, expected in (
        ({"stderr": True}, "careful\n"),
        ({"stdout": True}, "fine\\x1b[2J\n"),
        ({"combined": True}, "T stderr careful\n"),
    ):
        show(cluster, **asked)
        assert capsys.readouterr().out == expected
    assert cluster.asked == []


def test_of_an_earlier_attempt(place: Path, capsys: Any) -> None:
    cluster = Cluster()
    cluster.status("Running", attempts=2)
    (place / "stdout.log").write_bytes(b"first\n")
    show(cluster, attempt=1)
    said = capsys.readouterr()
    assert said.out == "first\n"
    assert "there is no stderr.log" in said.err
    with pytest.raises(CliError, match="has no attempt 3; its attempts: 1, 2"):
        show(cluster, attempt=3)


@pytest.mark.parametrize("follow", [False, True])
def test_of_a_running_job_apart_where_the_api_can(place: Path, capsys: Any, follow: bool) -> None:
    cluster = Cluster(split=True)
    cluster.status("Running")
    show(cluster, follow=follow)
    said = capsys.readouterr()
    assert said.out == "out\n"
    assert said.err == "from Pod case-1-run\nerr\n"
    show(cluster, stderr=True)
    assert capsys.readouterr().out == "err\n"


@pytest.mark.parametrize("asked", [{}, {"stderr": True}, {"combined": True}])
def test_of_a_running_job_together_and_labelled_so(place: Path, capsys: Any, asked: dict[str, bool]) -> None:
    cluster = Cluster(split=False)
    cluster.status("Running")
    show(cluster, **asked)
    said = capsys.readouterr()
    assert said.out == "out\nerr\n"
    assert "stdout and stderr together" in said.err
    assert "apart they are in the store once the algorithm has ended" in said.err
    assert ("algorithm", {"timestamps": True} if asked.get("combined") else {}) in cluster.asked


def test_of_an_evicted_attempt_what_the_pod_has(place: Path, capsys: Any) -> None:
    cluster = Cluster()
    cluster.status("Failed", reason="Evicted")
    show(cluster)
    said = capsys.readouterr()
    assert said.out == "out\nerr\n"
    assert "the store has none" in said.err
    assert "together" in said.err
    cluster.has_pod = False
    with pytest.raises(CliError, match="never started, or its Pod is gone"):
        show(cluster)


def test_follow_waits_for_the_start(place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(split=True)
    cluster.finish("case", state="Queued")
    states = iter(["Queued", "Staging", "Running"])
    monkeypatch.setattr("time.sleep", lambda seconds: cluster.status(next(states)))
    show(cluster, follow=True)
    said = capsys.readouterr()
    assert "is Queued; waiting" in said.err
    assert "is Staging; waiting" in said.err
    assert said.out == "out\n"


def test_not_started(place: Path) -> None:
    cluster = Cluster()
    cluster.finish("case", state="Queued")
    with pytest.raises(CliError, match="has not started yet: Queued"):
        show(cluster)
    cluster.finish("case", state="Failed")
    with pytest.raises(CliError, match="never started"):
        show(cluster)


def test_logs_that_are_kept_apart(place: Path) -> None:
    cluster = Cluster()
    cluster.status("Running", apart=True)
    with pytest.raises(CliError, match="keeps logs apart, in DataStore secret; they are there once"):
        show(cluster)
    cluster.status("Succeeded", apart=True)
    with pytest.raises(
        CliError, match=r"kept apart, in DataStore secret .*whoever may connect.*is forbidden"
    ):
        show(cluster)
    assert cluster.asked == [], "the Pod's own log is never asked for"
