"""The commands, on a cluster in memory: exit codes, what is created, what is said."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli import __main__ as program
from algorithm_operator.cli import commands, connection
from algorithm_operator.cli.connection import Kind
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.cli.transfer import file_sha256
from tests.unit.cli.conftest import MemoryCluster, algorithm
from tests.unit.cli.test_explain import EVIL

Call = Callable[..., int]
IMAGE = ("t1-mri", "Image")


@pytest.fixture
def call(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command line; its exit code."""
    monkeypatch.setattr(connection, "connect", lambda target: cluster)
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["kubectl-algorithm", *arguments])
        try:
            program.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


@pytest.fixture
def finishing(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Every job ends as soon as it is created, with this status."""

    def arrange(**status: Any) -> None:
        create = cluster.create

        def create_and_end(kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
            made = create(kind, body)
            cluster.finish(body["metadata"]["name"], **status)
            return made

        monkeypatch.setattr(cluster, "create", create_and_end)

    return arrange


def spec_of(cluster: MemoryCluster, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = cluster.objects[Kind.JOBS, name]["spec"]
    return spec


def test_run_succeeds(
    call: Call, cluster: MemoryCluster, finishing: Callable[..., None], capsys: Any
) -> None:
    cluster.objects[Kind.ALGORITHMS, "brain"] = algorithm(IMAGE, ("smoothing", "Float"))
    finishing(state="Succeeded", outputs=[{"slug": "results", "kind": "Anything", "value": {"ml": 3}}])
    code = call(
        "run", "brain", "-i", "t1-mri=cases:1/t1.mha", "-i", "smoothing=1.5", "--name", "one",
        "--output-store", "results", "--attempts", "2", "--time-limit", "60",
    )  # fmt: skip
    assert code == 0
    assert spec_of(cluster, "one") == {
        "algorithmRef": {"name": "brain"},
        "inputs": [
            {"slug": "t1-mri", "store": {"name": "cases", "paths": ["1/t1.mha"]}},
            {"slug": "smoothing", "value": 1.5},
        ],
        "outputStore": {"name": "results"},
        "attempts": 2,
        "timeLimitSeconds": 60,
    }
    assert '{"ml": 3}' in capsys.readouterr().out


@pytest.mark.usefixtures("with_store")
def test_local_files_and_folders_go_to_the_store_first(
    call: Call, cluster: MemoryCluster, store: StoreClient, tmp_path: Path
) -> None:
    cluster.objects[Kind.ALGORITHMS, "brain"] = algorithm(IMAGE)
    (tmp_path / "series").mkdir()
    (tmp_path / "series/1.dcm").write_text("one")
    (tmp_path / "IM2").write_text("two")
    given = ("-i", f"t1-mri=@{tmp_path}/series", "-i", f"t1-mri=@{tmp_path}/IM2")
    assert call("run", "brain", *given, "--name", "one", "--no-wait", "--to", "imaging:up") == 0
    assert spec_of(cluster, "one")["inputs"] == [
        {
            "slug": "t1-mri",
            "store": {"name": "imaging", "paths": ["up/one/t1-mri/series/", "up/one/t1-mri/IM2"]},
        }
    ]
    assert sorted(store.files("up")) == ["up/one/t1-mri/IM2", "up/one/t1-mri/series/1.dcm"]


@pytest.mark.usefixtures("with_store")
def test_local_files_that_the_kind_does_not_take_are_not_sent(
    call: Call, cluster: MemoryCluster, store: StoreClient, tmp_path: Path, capsys: Any
) -> None:
    cluster.objects[Kind.ALGORITHMS, "brain"] = algorithm(IMAGE)
    (tmp_path / "t1.png").write_text("one")
    assert call("run", "brain", "-i", f"t1-mri=@{tmp_path}/t1.png", "--to", "imaging:up") == 2
    assert "kind Image takes files that end with .mha" in capsys.readouterr().err
    assert store.files("") == []


def test_run_fails(call: Call, finishing: Callable[..., None], capsys: Any) -> None:
    finishing(state="Failed", reason="ExitCode", message=f"ended with 3: {EVIL}", blame="algorithm")
    assert call("run", "brain", "-i", "a=1", "--name", "one") == 1
    said = capsys.readouterr()
    assert "ended with 3" in said.out
    assert "blame: algorithm" in said.out
    assert "there is no Algorithm" in said.err
    assert not set(said.out + said.err) & set("\x1b\u202e")
    assert "[red]x" in said.out, "markup of a tenant is text"


def test_cancelled_is_no_success(call: Call, finishing: Callable[..., None]) -> None:
    finishing(state="Cancelled", reason="Cancelled", message="The job was cancelled.")
    assert call("run", "brain", "-i", "a=1") == 1


def test_no_wait_prints_the_name(call: Call, cluster: MemoryCluster, capsys: Any) -> None:
    assert call("run", "Brain.Tissue", "-i", "a=1", "--no-wait") == 0
    name = capsys.readouterr().out.strip()
    assert re.fullmatch(r"brain-tissue-[a-z0-9]{6}", name)
    assert (Kind.JOBS, name) in cluster.objects


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "ALGORITHM"),
        (["run", "brain", "-i", "nonsense"], "slug=VALUE"),
        (["run", "brain", "-i", "a=1", "--name", "Big"], "cannot be called"),
        (["run", "brain", "-i", "a=1", "--name", "x" * 51], "at most 50"),
        (["run", "brain", "-i", "a=1", "--name", "taken"], "take another --name"),
        (["run", "brain", "--to", "cases:x"], "--each"),
        (["run", "brain", "--each", "x.csv", "--name", "one"], "--name"),
        (["run", "brain", "--each", "none.csv"], "no such folder or list"),
        (["run", "brain", "-i", "a=1", "--attempts", "0"], "attempts"),
        (["upload", "x"], "LOCAL... STORE:PATH"),
        (["upload", "x", "y"], "LOCAL... STORE:PATH"),
        (["upload", "x", "cases:../y"], '".."'),
        (["nonsense"], "nonsense"),
    ],
)
def test_usage_errors(
    call: Call, cluster: MemoryCluster, arguments: list[str], said: str, capsys: Any
) -> None:
    cluster.objects[Kind.JOBS, "taken"] = {}
    before = dict(cluster.objects)
    assert call(*arguments) == 2
    assert said in capsys.readouterr().err
    assert cluster.objects == before


@pytest.mark.parametrize("command", ["get", "logs", "explain", "cancel", "download"])
def test_no_such_job(call: Call, command: str, capsys: Any) -> None:
    assert call(command, "none") == 1
    assert 'There is no job "none" in namespace imaging' in capsys.readouterr().err


def test_cancel(call: Call, cluster: MemoryCluster, capsys: Any) -> None:
    for name in ("one", "two", "over"):
        call("run", "brain", "-i", "a=1", "--name", name, "--no-wait")
    cluster.finish("two", state="Collecting")
    cluster.finish("over", state="Succeeded")
    capsys.readouterr()
    assert call("cancel", "one", "two", "over", "one") == 0
    assert capsys.readouterr().out.splitlines() == [
        'job "one" is being cancelled',
        'job "two" is being cancelled; its algorithm has ended, so it may still succeed',
        'job "over" is finished already: Succeeded',
    ]
    assert spec_of(cluster, "one")["cancel"] is True
    assert "cancel" not in spec_of(cluster, "over")
    assert call("cancel", "one") == 0
    assert "is being cancelled already" in capsys.readouterr().out


def test_cancel_all(call: Call, cluster: MemoryCluster, capsys: Any) -> None:
    assert call("cancel") == call("cancel", "x", "--all") == 2
    for name in ("one", "two"):
        call("run", "brain", "-i", "a=1", "--name", name, "--no-wait")
    cluster.finish("two", state="Failed")
    capsys.readouterr()
    assert call("cancel", "--all") == 0
    assert capsys.readouterr().out == 'job "one" is being cancelled\n'
    cluster.finish("one", state="Cancelled")
    assert call("cancel", "--all") == 0
    assert "no job of namespace imaging is waiting or running" in capsys.readouterr().err


def test_suspend_and_resume(call: Call, cluster: MemoryCluster, capsys: Any) -> None:
    for name in ("one", "started"):
        call("run", "brain", "-i", "a=1", "--name", name, "--no-wait")
    cluster.finish("started", state="Running", attempts=[{"number": 1, "pod": "started-1-run"}])
    capsys.readouterr()
    assert call("suspend", "none", "started", "one") == 1, "one of them could not be"
    said = capsys.readouterr()
    assert 'There is no job "none"' in said.err
    assert 'job "started" is Running: it has started and cannot be suspended any more' in said.err
    assert 'job "one" is suspended' in said.out
    assert spec_of(cluster, "one")["suspend"] is True
    assert "suspend" not in spec_of(cluster, "started")
    assert call("suspend", "one") == 0
    assert call("resume", "one") == 0
    assert call("resume", "one") == 0
    assert capsys.readouterr().out.splitlines() == [
        'job "one" is suspended already',
        'job "one" goes on',
        'job "one" is not suspended',
    ]
    assert spec_of(cluster, "one")["suspend"] is False


def test_lists_and_details(call: Call, cluster: MemoryCluster, capsys: Any) -> None:
    assert call("get") == 0
    assert "there are no jobs" in capsys.readouterr().err
    call("run", "brain", "-i", f"a={EVIL}", "--name", "one", "--no-wait")
    cluster.finish("one", state="Failed", message=EVIL, reason="ExitCode")
    capsys.readouterr()
    for arguments in (["get"], ["get", "one"], ["explain", "one"]):
        assert call(*arguments) == 0
        said = capsys.readouterr().out
        assert "Failed" in said
        assert not set(said) & set("\x1b\u202e")


def test_who_asked_and_which_place_a_job_has(call: Call, cluster: MemoryCluster, capsys: Any) -> None:
    call("run", "brain", "-i", "a=1", "--name", "one", "--no-wait")
    spec_of(cluster, "one")["requestedBy"] = "[red]\u202ex"
    words = '2nd of 3 waiting: 1 of 1 jobs of Algorithm "brain" are active'
    waits = {"type": "Scheduled", "status": "False", "reason": "ActiveJobsLimit", "message": words}
    waits["lastTransitionTime"] = "2026-11-22T20:00:00Z"
    cluster.finish("one", state="Queued", reason="ActiveJobsLimit", message=words, conditions=[waits])
    capsys.readouterr()
    for arguments in (["get", "one"], ["explain", "one"]):
        assert call(*arguments) == 0
        said = capsys.readouterr().out
        assert words in " ".join(said.split())
        assert not set(said) & set("\x1b\u202e")
        assert ("requested by" in said) == (arguments[0] == "get")
    assert call("get") == 0
    assert "ActiveJobsLimit" in capsys.readouterr().out


@pytest.fixture
def with_store(store: StoreClient, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(cluster: object, name: str, say: object) -> Iterator[StoreClient]:
        yield store

    monkeypatch.setattr(commands, "open_store", opened)


def test_many_cases_and_again(
    call: Call,
    cluster: MemoryCluster,
    finishing: Callable[..., None],
    with_store: None,
    volume: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    cluster.objects[Kind.ALGORITHMS, "brain"] = algorithm(IMAGE, ("smoothing", "Float"))
    cluster.objects[Kind.STORES, "cases"] = {"metadata": {"name": "cases"}, "spec": {"default": True}}
    finishing(state="Succeeded")
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.mha").write_bytes(name.encode())
    command = ("run", "brain", "--each", str(folder), "-i", "smoothing=1")
    assert call(*command) == 0
    assert "2 of 2 succeeded" in capsys.readouterr().out
    made = [name for kind, name in cluster.objects if kind == Kind.JOBS]
    assert len(made) == 2
    for name in made:
        (path,) = spec_of(cluster, name)["inputs"][1]["store"]["paths"]
        assert file_sha256(volume / path)[:12] in path
    stamps = {file: file.stat().st_mtime_ns for file in volume.rglob("*.mha")}

    (folder / "c.mha").write_bytes(b"c")
    assert call(*command) == 0
    said = capsys.readouterr()
    assert "3 of 3 succeeded" in said.out
    assert said.err.count("is there already") == 2
    assert len([name for kind, name in cluster.objects if kind == Kind.JOBS]) == 3
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps


def test_one_of_many_fails(
    call: Call, cluster: MemoryCluster, finishing: Callable[..., None], tmp_path: Path, capsys: Any
) -> None:
    finishing(state="Failed", message="no such file", reason="InputNotFound")
    (tmp_path / "list.csv").write_text("name,t1\none,cases:1.mha\n")
    assert call("run", "brain", "--each", str(tmp_path / "list.csv")) == 1
    said = capsys.readouterr().out
    assert "no such file" in said
    assert "0 of 1 succeeded" in said


def test_help_needs_no_cluster(call: Call, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(connection, "connect", lambda target: pytest.fail("help asked for a cluster"))
    assert call("--help") == 0
    listed = capsys.readouterr().out
    for command in (
        "upload",
        "download",
        "run",
        "get",
        "logs",
        "explain",
        "cancel",
        "suspend",
        "resume",
        "sockets",
        "version",
    ):
        assert command in listed
        assert call(command, "--help") == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["get", "-n", "a"], ["get", "-n", "a"]),
        (["-n", "a", "get", "job"], ["get", "-n", "a", "job"]),
        (["--context=c", "--namespace", "a", "get"], ["get", "--context=c", "--namespace", "a"]),
        (["-h"], ["-h"]),
        (["-n"], ["-n"]),
        ([], []),
    ],
)
def test_options_of_kubectl_stand_in_either_place(given: list[str], expected: list[str]) -> None:
    assert program.command_first(given) == expected
