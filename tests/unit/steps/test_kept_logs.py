"""The logs that collect keeps: beside the outputs, or in a store of their own, where others may not read them."""

from __future__ import annotations

import hashlib
import json

import pytest

from algorithm_operator.contract.plan import PlannedOutputStore
from tests.unit.steps.attempt import Attempt, planned

LINE = "patient Jansen has 3 lesions"
COMBINED = '{"t":"T","s":"stdout","m":"abc"}\n'


def print_things(attempt: Attempt) -> None:
    for name, text in (("stdout.log", "abc"), ("stderr.log", LINE), ("combined.jsonl", COMBINED)):
        attempt.log(name, text)


def apart(attempt: Attempt) -> dict[str, bytes]:
    root = attempt.at("/log-store")
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_three_files_beside_the_outputs(attempt: Attempt) -> None:
    attempt.plan.outputs.append(planned("results", "Anything"))
    attempt.output("results.json", "1")
    print_things(attempt)
    code, report = attempt.collect(lastStderrLine=LINE)
    assert code == 0, attempt.stderr
    kept = attempt.stored()
    assert kept["logs/stderr.log"] == LINE.encode()
    assert kept["logs/combined.jsonl"] == COMBINED.encode()
    assert [file.path for file in attempt.manifest().logs] == [
        "logs/stdout.log",
        "logs/stderr.log",
        "logs/combined.jsonl",
    ]
    assert report.exit is not None
    assert report.exit.last_stderr_line == LINE


@pytest.mark.parametrize("code", [0, 3])
def test_apart_nothing_of_them_is_beside_the_outputs(attempt: Attempt, code: int) -> None:
    attempt.plan.log_store = PlannedOutputStore(name="secret", folder="case-001/uid/1")
    attempt.plan.outputs.append(planned("results", "Anything"))
    attempt.output("results.json", "1")
    print_things(attempt)
    _, report = attempt.collect(code, lastStderrLine=LINE)
    assert apart(attempt) == {
        "logs/stdout.log": b"abc",
        "logs/stderr.log": LINE.encode(),
        "logs/combined.jsonl": COMBINED.encode(),
    }
    kept = attempt.stored()
    assert not any(LINE.encode() in data for data in kept.values())
    assert set(kept) == ({"manifest.json", "_report.json", "results.json"} if code == 0 else {"failure.json"})
    record = json.loads(kept["manifest.json" if code == 0 else "failure.json"])
    assert record["logs"][1] == {
        "path": "secret:case-001/uid/1/logs/stderr.log",
        "bytes": len(LINE),
        "sha256": hashlib.sha256(LINE.encode()).hexdigest(),
    }
    assert report.exit is not None
    assert report.exit.last_stderr_line == LINE, "errorInStatus is another question"


def test_the_error_line_stays_where_the_logs_are(attempt: Attempt) -> None:
    attempt.plan.error_in_status = False
    print_things(attempt)
    code, report = attempt.collect(3, lastStderrLine=LINE, stderr={"bytes": 28, "kept": 28})
    assert code == 66
    assert report.exit is not None
    assert (report.exit.last_stderr_line, report.exit.stderr.bytes) == (None, 28)
    assert LINE not in attempt.termination()
    assert LINE not in attempt.stdout + attempt.stderr


def test_without_an_output_store_they_still_go_apart(attempt: Attempt) -> None:
    attempt.plan.output_store = None
    attempt.plan.log_store = PlannedOutputStore(name="secret", folder="case-001/uid/1")
    attempt.plan.outputs.append(planned("results", "Anything"))
    attempt.output("results.json", "1")
    print_things(attempt)
    code, _ = attempt.collect()
    assert code == 0, attempt.stderr
    assert len(apart(attempt)) == 3
    assert attempt.stored() == {}


def test_a_log_store_that_cannot_be_written_is_told_before_the_start(attempt: Attempt) -> None:
    attempt.plan.log_store = PlannedOutputStore(name="secret", folder="case-001/uid/1")
    attempt.at("/log-store").rmdir()
    attempt.at("/log-store").symlink_to("/nowhere")
    attempt.start_collect()
    attempt.wait_said("DataStore secret")
    assert not attempt.listens(), "the algorithm does not start"
    code, report = attempt.end_collect()
    assert (code, report.reason) == (75, "CollectFailed")
    assert report.message is not None
    assert "DataStore secret cannot be written" in report.message
