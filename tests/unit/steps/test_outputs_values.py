"""Outputs that are one file: JSON of every kind, and files of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from algorithm_operator.api.kinds import FILE_SUFFIXES, SocketKind
from algorithm_operator.contract.kinds import KINDS, Form, Kind, SuperKind
from tests.unit.steps.attempt import planned
from tests.unit.steps.files import FILES
from tests.unit.steps.inspected import inspected, write

JSON_KINDS = [kind for kind in KINDS.values() if kind.form is Form.JSON]


@pytest.mark.parametrize("kind", JSON_KINDS, ids=lambda kind: kind.code)
def test_every_json_kind_is_taken_and_large_ones_are_no_values(tmp_path: Path, kind: Kind) -> None:
    write(tmp_path, "out.json", json.dumps(kind.example))
    found = inspected(tmp_path, planned("out", kind.label))
    assert not found.findings
    out = found.checked["out"]
    assert out.suffix == ".json"
    assert out.has_value == (kind.super_kind is SuperKind.VALUE)
    assert out.value == (kind.example if out.has_value else None)


@pytest.mark.parametrize(
    "kind", [kind for kind in JSON_KINDS if kind.label != SocketKind.ANYTHING], ids=lambda kind: kind.code
)
def test_json_of_another_kind_is_refused(tmp_path: Path, kind: Kind) -> None:
    write(tmp_path, "out.json", json.dumps({"wrong": [None]}))
    message = inspected(tmp_path, planned("out", kind.label)).message
    assert message.startswith(
        'The output file "out.json" is not valid. JSON does not fulfill schema: instance'
    )


def test_a_socket_has_a_schema_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "score.json", "1.5")
    socket = planned("score", "Float", schema_={"maximum": 1})
    assert "is not valid. JSON does not fulfill schema: instance" in inspected(tmp_path, socket).message
    assert not inspected(tmp_path, planned("score", "Float", schema_={"maximum": 2})).findings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, 'Output file "out.json" was not produced'),
        ("{", 'The output file "out.json" is not valid json. '),
        (b"\xff", 'The output file "out.json" is not valid json. It is not UTF-8 (byte 0).'),
        ("[" * 1000, 'The output file "out.json" is not valid json. '),
        ('"' + "x" * 200 + '"', 'The output file "out.json" is too large. The limit is 100 bytes'),
    ],
    ids=["missing", "broken", "not text", "deep", "large"],
)
def test_json_that_cannot_be_taken(tmp_path: Path, text: str | bytes | None, message: str) -> None:
    if text is not None:
        write(tmp_path, "out.json", text)
    limit = 100 if message.endswith("100 bytes") else 1 << 20
    assert inspected(tmp_path, planned("out", "Anything"), max_json_bytes=limit).message.startswith(message)


def test_nan_is_null_where_the_schema_takes_null(tmp_path: Path) -> None:
    write(tmp_path, "out.json", '{"auc": NaN}')
    found = inspected(tmp_path, planned("out", "Anything"))
    out = found.checked["out"]
    assert out.value == {"auc": None}
    assert found.kept["out"] == b'{"auc":null}\n'
    assert out.size == len(found.kept["out"])
    write(tmp_path, "out.json", "NaN")
    assert "is not valid" in inspected(tmp_path, planned("out", "Float")).message


def test_large_json_needs_a_store(tmp_path: Path) -> None:
    kind = KINDS[SocketKind.POINTS]
    write(tmp_path, "out.json", json.dumps(kind.example))
    socket = planned("out", kind.label)
    assert "name an outputStore" in inspected(tmp_path, socket, keeps_files=False).message


@pytest.mark.parametrize("kind", FILE_SUFFIXES)
def test_every_file_kind_is_taken(tmp_path: Path, kind: SocketKind) -> None:
    suffix = FILE_SUFFIXES[kind]
    write(tmp_path, f"deep/out{suffix}", FILES[kind])
    found = inspected(tmp_path, planned("out", kind, f"deep/out{suffix}"))
    assert not found.findings
    out = found.checked["out"]
    assert (out.suffix, out.size, out.has_value) == (suffix, len(FILES[kind]), False)


@pytest.mark.parametrize("kind", FILE_SUFFIXES)
def test_files_of_another_kind_are_refused(tmp_path: Path, kind: SocketKind) -> None:
    name = f"out{FILE_SUFFIXES[kind]}"
    write(tmp_path, name, b"\0" if kind is not SocketKind.SQREG else b"")
    message = inspected(tmp_path, planned("out", kind)).message
    assert message.startswith(f'The output file "{name}" is not valid. It is ')


@pytest.mark.parametrize("kind", [SocketKind.PDF, SocketKind.ANYTHING])
def test_a_file_must_be_a_file(tmp_path: Path, kind: SocketKind) -> None:
    socket = planned("out", kind)
    assert inspected(tmp_path, socket).message == f'Output file "{socket.relative_path}" was not produced'
    (tmp_path / socket.relative_path).mkdir()
    assert "is a folder; outputs must be regular files" in inspected(tmp_path, socket).message
    (tmp_path / socket.relative_path).rmdir()
    (tmp_path / socket.relative_path).symlink_to("/etc/passwd")
    assert "is a symbolic link; outputs must be regular files" in inspected(tmp_path, socket).message


def test_a_file_that_ends_its_checker_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bomb(kind: str, descriptor: int, size: int) -> str | None:
        raise MemoryError if size == 1 else RecursionError

    monkeypatch.setattr("algorithm_operator.steps.filetypes.problem", bomb)
    write(tmp_path, "out.csv", "a")
    assert inspected(tmp_path, planned("out", "CSV file")).message == 'The output file "out.csv" is too large'
    write(tmp_path, "out.csv", "ab")
    assert "Reading it failed (RecursionError" in inspected(tmp_path, planned("out", "CSV file")).message
