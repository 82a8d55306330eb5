"""Keeping files: whole or not at all, never in place of another."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from algorithm_operator.steps.commit import AttemptFolder
from algorithm_operator.steps.copying import ChangedError


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    return AttemptFolder(str(tmp_path))


def listed(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keeps_with_hash_and_mode(
    folder: AttemptFolder, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = os.urandom(5 << 20)
    source = tmp_path_factory.mktemp("source") / "x"
    source.write_bytes(data)
    with source.open("rb") as file:
        kept = folder.keep("tissues.mha", file.fileno(), len(data))
    assert (kept.path, kept.bytes, kept.sha256) == (
        "tissues.mha",
        len(data),
        hashlib.sha256(data).hexdigest(),
    )
    assert (tmp_path / "tissues.mha").read_bytes() == data
    assert mode(tmp_path / "tissues.mha") == 0o644
    assert listed(tmp_path) == ["tissues.mha"]


def test_a_shared_group_keeps_others_out(folder: AttemptFolder, tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    folder.keep_bytes("logs/stdout.log", b"x")
    assert mode(tmp_path / "logs") == 0o2770
    assert mode(tmp_path / "logs/stdout.log") == 0o640


@pytest.mark.parametrize("links", [True, False])
def test_never_replaces(
    folder: AttemptFolder, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    folder.keep_bytes("manifest.json", b"first")
    with pytest.raises(FileExistsError):
        folder.keep_bytes("manifest.json", b"second")
    assert (tmp_path / "manifest.json").read_bytes() == b"first"
    assert listed(tmp_path) == ["manifest.json"]


@pytest.mark.parametrize("size", [2, 4])
def test_a_file_of_another_size_is_not_kept(
    folder: AttemptFolder, tmp_path: Path, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("source") / "x"
    source.write_bytes(b"abc")
    with source.open("rb") as file, pytest.raises(ChangedError):
        folder.keep("x.mha", file.fileno(), size)
    assert listed(tmp_path) == []


def test_discard_takes_back_what_is_not_settled(folder: AttemptFolder, tmp_path: Path) -> None:
    (tmp_path / "foreign").touch()
    folder.keep_bytes("logs/b.log", b"1")
    folder.settle()
    folder.keep_bytes("a.json", b"1")
    folder.discard()
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == {
        tmp_path / "foreign",
        tmp_path / "logs/b.log",
    }


def test_a_link_in_the_way_is_not_followed(folder: AttemptFolder, tmp_path: Path) -> None:
    (tmp_path / "logs").symlink_to("/tmp")
    with pytest.raises(OSError):
        folder.keep_bytes("logs/stdout.log", b"x")
    folder.check_writable()
    assert listed(tmp_path) == ["logs"]
