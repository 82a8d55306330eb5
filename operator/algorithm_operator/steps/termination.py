"""The termination message: what the kubelet shows of a step, in at most MAX_TERMINATION_BYTES."""

from __future__ import annotations

import sys

from algorithm_operator.api.base import Model
from algorithm_operator.api.text import shown
from algorithm_operator.contract.exits import MAX_TERMINATION_BYTES, CollectReport, StageReport
from algorithm_operator.steps.roots import Roots

_STEPS = (768, 512, 256, 128, 64, 16)
"""Longest text tried, in characters, until the report fits."""


def encode(report: StageReport | CollectReport) -> bytes:
    """`report` as JSON, its free texts cut until it fits."""
    text = _json(report)
    for limit in _STEPS:
        if len(text) <= MAX_TERMINATION_BYTES:
            break
        text = _json(_cut(report, limit))
    return text


def _json(report: Model) -> bytes:
    return report.model_dump_json(by_alias=True, exclude_none=True).encode()


def _cut(report: StageReport | CollectReport, limit: int) -> StageReport | CollectReport:
    """The verdict's message is worth more than the algorithm's words, which are cut to a half."""
    changes: dict[str, object] = {"message": shown(report.message, limit) if report.message else None}
    if isinstance(report, CollectReport) and report.exit is not None:
        record = report.exit
        changes["exit"] = record.model_copy(
            update={
                "last_stderr_line": _short(record.last_stderr_line, limit // 2),
                "start_error": _short(record.start_error, limit // 2),
            }
        )
    return report.model_copy(update=changes)


def _short(text: str | None, limit: int) -> str | None:
    return None if text is None else shown(text, limit)


def write(roots: Roots, report: StageReport | CollectReport) -> None:
    """Leave the report for the kubelet."""
    leave(roots, encode(report), report.message)


def leave(roots: Roots, text: bytes, message: str | None) -> None:
    """Leave `text` for the kubelet, and say `message`. Where it cannot be left, the exit code still tells."""
    try:
        with open(roots.termination_log, "wb") as file:
            file.write(text)
    except OSError as error:
        print(f"the termination message cannot be written: {error.strerror}", file=sys.stderr)
    if message:
        print(shown(message, 2000), file=sys.stderr)
