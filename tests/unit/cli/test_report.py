"""What `report` gets of a job: from a real store server, checked; what is not there is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.page import MAX_LOG_BYTES, Facts
from algorithm_operator.cli.report import gather, stored, tail, write
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.cli.transfer import DifferenceError
from algorithm_operator.contract.report import MAX_REPORT_BYTES, Report
from tests.unit.cli.conftest import MemoryCluster
from tests.unit.cli.test_explain import job
from tests.unit.cli.test_results import FOLDER, file_of, manifest
from tests.unit.cli.test_results import stored as put

REPORT = Report(results_html="<p>883.3 mL</p>").model_dump_json(by_alias=True).encode()


def with_report(volume: Path, data: bytes, announced: dict[str, Any] | None = None) -> Job:
    body = json.loads(manifest()) | {"report": announced or file_of("_report.json", data)}
    one = put(volume, json.dumps(body).encode())
    (volume / FOLDER / "_report.json").write_bytes(data)
    return one


def test_a_succeeded_job(store: StoreClient, volume: Path) -> None:
    facts = Facts()
    stored(store, with_report(volume, REPORT), facts)
    assert facts.manifest is not None
    assert facts.report is not None
    assert facts.report.results_html == "<p>883.3 mL</p>"
    assert [(log.title, log.data, log.stderr) for log in facts.logs] == [
        ("stdout", b"out", False),
        ("stderr", b"", True),
    ]
    assert facts.remarks == []


@pytest.mark.parametrize("path", ["_report.json", "logs/stdout.log", "manifest.json"])
def test_a_changed_byte_is_an_error(store: StoreClient, volume: Path, path: str) -> None:
    one = with_report(volume, REPORT)
    file = volume / FOLDER / path
    file.write_bytes(file.read_bytes()[:-1] + b"~")
    with pytest.raises(DifferenceError, match=path):
        stored(store, one, Facts())


@pytest.mark.parametrize(
    ("data", "announced", "why"),
    [
        (b"{", None, "cannot be read"),
        (b'{"schema": "other"}', None, "cannot be read"),
        (b'{"previews": [{"slug": "a"}]}', None, "cannot be read"),
        (REPORT, {"path": "_report.json", "bytes": MAX_REPORT_BYTES + 1, "sha256": "0" * 64}, "too much"),
    ],
)
def test_a_report_that_is_none_is_a_remark(
    store: StoreClient, volume: Path, data: bytes, announced: dict[str, Any] | None, why: str
) -> None:
    facts = Facts()
    stored(store, with_report(volume, data, announced), facts)
    assert facts.report is None
    assert [why in remark for remark in facts.remarks] == [True]
    assert facts.logs


def test_a_failed_job_has_findings_and_logs(store: StoreClient, volume: Path) -> None:
    folder = volume / FOLDER
    (folder / "logs").mkdir(parents=True)
    (folder / "logs/stderr.log").write_bytes(b"Traceback\n")
    record = json.loads(manifest())
    failure = {
        "job": record["job"], "algorithm": record["algorithm"], "reason": "OutputInvalid", "message": "m",
        "findings": [{"slug": "a", "path": "a.json", "message": "was not produced"}], "finishedAt": "",
    }  # fmt: skip
    (folder / "failure.json").write_text(json.dumps(failure))
    facts = Facts()
    stored(store, job(state="Failed", attempts=[{"number": 1, "pod": "case-1-1-run"}]), facts)
    assert [finding.message for finding in facts.findings] == ["was not produced"]
    assert [log.data for log in facts.logs] == [b"Traceback\n"]


def run(**more: Any) -> dict[str, Any]:
    """What a job runs, as its status has it."""
    return {
        "name": "brain", "uid": "u", "generation": 1, "image": "i", "imageDigest": "d", "timeLimitSeconds": 60,
        "interface": {"inputs": [{"slug": "a", "kind": "Float"}], "outputs": [{"slug": "b", "kind": "Float"}]},
        "resources": {}, "collectSeconds": 60, "network": "None", **more,
    }  # fmt: skip


class Logging(MemoryCluster):
    """A cluster whose Pods have said something."""

    def __init__(self, words: bytes | None) -> None:
        super().__init__()
        self.words = words

    def pod_log(self, name: str, container: str) -> list[bytes] | None:
        assert (name, container) == ("case-1-1-run", "algorithm")
        if self.words == b"":
            raise CliError("container is waiting to start")
        return [self.words] if self.words is not None else None


@pytest.mark.parametrize(
    ("words", "logs", "remarks"),
    [
        (b"so far", [b"so far"], []),
        (None, [], []),
        (b"", [], ["Not all of it could be had. container is waiting to start"]),
    ],
)
def test_a_running_job_has_what_its_pod_has_said(
    words: bytes | None, logs: list[bytes], remarks: list[str]
) -> None:
    one = job(
        state="Running", algorithm=run(outputStore="results"), attempts=[{"number": 1, "pod": "case-1-1-run"}]
    )
    facts = gather(Logging(words), one)  # type: ignore[arg-type]
    assert [log.data for log in facts.logs] == logs
    assert facts.remarks == remarks


def test_logs_that_are_kept_apart_stay_there(store: StoreClient, volume: Path) -> None:
    apart = run(outputStore="results", logPolicy={"store": {"name": "private"}})
    running = job(state="Running", algorithm=apart, attempts=[{"number": 1, "pod": "case-1-1-run"}])
    facts = gather(Logging(b"a name"), running)  # type: ignore[arg-type]
    assert facts.logs == []
    assert facts.remarks == ["The logs are kept apart, in DataStore private: kubectl algorithm logs case-1"]
    done = with_report(volume, REPORT)
    assert done.status.manifest is not None
    ended = job(state="Succeeded", algorithm=apart, manifest=done.status.manifest.wire())
    facts = Facts()
    stored(store, ended, facts)
    assert facts.report is not None
    assert facts.logs == []


def test_a_store_that_cannot_be_had_is_a_remark(cluster: MemoryCluster) -> None:
    one = job(
        state="Failed", algorithm=run(outputStore="gone"), attempts=[{"number": 1, "pod": "case-1-1-run"}]
    )
    facts = gather(cluster, one)  # type: ignore[arg-type]
    (remark,) = facts.remarks
    assert 'There is no DataStore "gone"' in remark


def test_the_end_of_a_log() -> None:
    short = tail("stdout", [b"a", b"b"])
    assert (short.data, short.cut) == (b"ab", False)
    long = tail("stdout", [b"x" * 50_000] * 5 + [b"the end"], stderr=True)
    assert (len(long.data), long.cut, long.stderr) == (MAX_LOG_BYTES, True, True)
    assert long.data.endswith(b"xthe end")


def test_where_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write(file, "one")
    write(file, "two")
    assert file.read_text() == "two"
    for path in (tmp_path, tmp_path / "no/page.html"):
        with pytest.raises(CliError, match=r"is a folder|cannot be written"):
            write(path, "x")
