"""Termination messages and the runner's words."""

from __future__ import annotations

import json

from algorithm_operator.contract.exits import MAX_TERMINATION_BYTES, CollectReport, ExitRecord, StageReport
from algorithm_operator.steps.record import parse
from algorithm_operator.steps.termination import encode


def test_what_fits_is_left_as_it_is() -> None:
    report = StageReport(ok=False, reason="InputInvalid", message="ü" * 300, slug="x")
    assert StageReport.model_validate_json(encode(report)) == report


def test_long_texts_are_cut_and_all_else_stays() -> None:
    record = ExitRecord(exit_code=3, last_stderr_line="\x00" * 5000, start_error='"' * 5000)
    report = CollectReport(
        ok=False, message="\U0001f9e0" * 5000, manifest_sha256="0" * 64, findings=7, exit=record
    )
    text = encode(report)
    assert len(text) <= MAX_TERMINATION_BYTES
    found = CollectReport.model_validate_json(text)
    assert (found.findings, found.manifest_sha256) == (7, "0" * 64)
    assert found.message is not None
    assert found.message.endswith("…")
    assert found.exit is not None
    assert found.exit.exit_code == 3


def line(**event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_the_runners_words() -> None:
    words = parse(line(event="start", seccomp=True) + line(event="exit", exitCode=0, ranSeconds=1.5))
    assert words.seccomp is True
    assert words.exit is not None
    assert (words.exit.exit_code, words.exit.ran_seconds) == (0, 1.5)


def test_half_a_record_is_none() -> None:
    whole = line(event="exit", exitCode=0)
    for data in (
        b"",
        whole[:-1],
        whole[5:],
        b"\xff\n",
        b"[]\n",
        b"1\n",
        line(event="exit"),
        line(event="exit", exitCode="x"),
    ):
        words = parse(data)
        assert words.connected
        assert words.exit is None
