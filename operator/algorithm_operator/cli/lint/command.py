"""The command: find the files, check, show."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from algorithm_operator.api.base import GROUP
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import FAILED, UsageError
from algorithm_operator.cli.lint.check import check, is_ours
from algorithm_operator.cli.lint.findings import Finding
from algorithm_operator.cli.lint.manifests import MAX_BYTES, Manifest, ManifestError, read

STDIN = "-"


class Output(StrEnum):
    """How the findings are written."""

    TEXT = "text"
    JSON = "json"


def lint(names: Sequence[str], output: Output) -> None:
    """`lint FILE|DIR...`: exits with 1 if something is wrong."""
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    for file, data in _files(names):
        try:
            manifests += read(file, data)
        except ManifestError as error:
            findings.append(Finding(file, error.line, "", "", error.why, error.fix))
    ours = sum(map(is_ours, manifests))
    if not ours and not findings:
        raise UsageError(f"There is no manifest of {GROUP} in {', '.join(map(quoted, names))}.")
    findings = sorted([*findings, *check(manifests)])
    if output is Output.JSON:
        document = {"objects": ours, "findings": [finding.wire() for finding in findings]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f"{finding}\n")
    if findings:
        sys.exit(FAILED)


def _files(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The files' names and content; of a folder those of its YAML files that mention our API group."""
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield name, sys.stdin.buffer.read(MAX_BYTES + 1)
        elif path.is_dir():
            found = [each for each in path.rglob("*") if each.suffix in (".yaml", ".yml")]
            for each in sorted(found):
                if each.is_file() and GROUP.encode() in (data := _content(each)):
                    yield str(each), data
        else:
            yield name, _content(path)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{quoted(str(path), 1024)} cannot be read: {error.strerror}.") from None
