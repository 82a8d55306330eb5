"""ZIP inputs: what is unpacked and where, and what is refused in Grand Challenge's words."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithm_operator.steps import zips
from algorithm_operator.steps.tree import Bounds, Tree

Members = list[tuple[str | zipfile.ZipInfo, bytes]]


def archive(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return made.getvalue()


def link(name: str, mode: int = stat.S_IFLNK) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (mode | 0o777) << 16
    return info


def unpack(root: Path, data: bytes, bounds: Bounds | None = None) -> dict[str, bytes]:
    """The files below `root` after unpacking into root/input."""
    source, target = root / "x.zip", root / "input"
    source.write_bytes(data)
    target.mkdir(exist_ok=True)
    descriptor = os.open(source, os.O_RDONLY)
    try:
        with closing(Tree(str(target), bounds or Bounds(100, 8, 1 << 20))) as tree:
            zips.extract(descriptor, tree)
            tree.finish()
    finally:
        os.close(descriptor)
    return {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("a.txt", b"1")], {"a.txt": b"1"}),
        ([("top/", b""), ("top/a.txt", b"1"), ("top/b/c.txt", b"2")], {"a.txt": b"1", "b/c.txt": b"2"}),
        ([("top/deep/a.txt", b"1")], {"a.txt": b"1"}),
        ([("one/a", b"1"), ("oneself/a", b"2")], {"one/a": b"1", "oneself/a": b"2"}),
        ([("a", b"1"), ("one/b", b"2")], {"a": b"1", "one/b": b"2"}),
        ([("__MACOSX/x", b""), ("x/.DS_Store", b""), ("x/desktop.ini", b""), ("x/a", b"1")], {"a": b"1"}),
        ([("x/my.DS_Store.txt", b"1"), ("x/b", b"")], {"my.DS_Store.txt": b"1", "b": b""}),
        ([("größe/ä.txt", b"1")], {"ä.txt": b"1"}),
    ],
    ids=["one", "one folder", "folders above", "no folder", "mixed", "desktops", "almost", "umlauts"],
)  # fmt: skip
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_is_unpacked(tmp_path: Path, members: Members, method: int, expected: dict[str, bytes]) -> None:
    assert unpack(tmp_path, archive(members, method)) == expected
    assert all(file.stat().st_mode & 0o222 == 0 for file in (tmp_path / "input").rglob("*"))


def encrypted() -> bytes:
    data = bytearray(archive([("a", b"1")]))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + place] |= 1
    return bytes(data)


def promising(size: int) -> bytes:
    data = bytearray(archive([("a", b"1")]))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, size)
    return bytes(data)


EXTRACTED, PATHS, LARGE = (
    "Input zip file could not be extracted: ",
    "Zip file contains invalid paths: ",
    "Contents of zip file too large: ",
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", EXTRACTED),
        (b"PK\x03\x04" + bytes(100), EXTRACTED),
        (archive([("a", b"1" * 5000)])[:-40], EXTRACTED),
        (archive([]), EXTRACTED + "it holds no files"),
        (archive([("x/", b"")]), EXTRACTED + "it holds no files"),
        (archive([("../a", b"")]), PATHS + '"../a"'),
        (archive([("x/../../a", b"")]), PATHS),
        (archive([("/etc/passwd", b"")]), PATHS + '"/etc/passwd"'),
        (archive([("x//a", b""), ("x/b", b"")]), PATHS),
        (archive([("x\\a", b"")]), PATHS + r".*backslash"),
        (archive([("a\nb", b"")]), PATHS + ".*control character"),
        (archive([("x/" * 9 + "a", b""), ("b", b"")]), PATHS + ".*more than 8 folders deep"),
        (archive([(link("a"), b"/etc/passwd")]), PATHS + '"a" is a link'),
        (archive([(link("a", stat.S_IFIFO), b"")]), PATHS),
        (archive([("a", b"1"), ("A", b"2")]), PATHS + '"A" clashes with "a"'),
        (archive([("x/a", b"1"), ("x/a/b", b"2"), ("y", b"")]), PATHS + '.*below "x/a", which is a file'),
        (archive([("inputs.json", b"[]")]), PATHS + '"inputs.json" clashes'),
        (archive([("a", b"1")], zipfile.ZIP_LZMA), "Zip file contains an unsupported compression method: of"),
        (archive([("a", b"1")], zipfile.ZIP_BZIP2), "Zip file contains an unsupported compression method: of"),
        (encrypted(), EXTRACTED + '"a" is encrypted'),
        (promising(1 << 31), EXTRACTED + 'the size of "a" is not what it can hold'),
        (archive([("a", bytes(2 << 20))]), LARGE + "its files have more than 1048576 bytes"),
        (archive([(str(n), b"") for n in range(101)]), LARGE + "it has more than 100 entries"),
    ],
    ids=[
        "empty", "zeros", "cut off", "no member", "a folder alone", "up", "up in the middle", "absolute",
        "empty segment", "backslash", "line feed", "deep", "link", "pipe", "two cases", "below a file", "inputs.json",
        "LZMA", "bzip2", "encrypted", "promises", "large", "many",
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    with pytest.raises(zips.ZipError, match=expected) as caught:
        unpack(tmp_path, data)
    assert str(caught.value).isprintable()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(zips.ZipError, match="clashes"):
        unpack(tmp_path, archive([("a", b"1"), ("a", b"2")]))


def test_a_checksum_that_is_wrong(tmp_path: Path) -> None:
    data = bytearray(archive([("a", b"secret")], zipfile.ZIP_STORED))
    data[data.index(b"secret")] ^= 1
    with pytest.raises(zips.ZipError, match=EXTRACTED + ".*CRC"):
        unpack(tmp_path, bytes(data))


@pytest.mark.parametrize("name", ["taken", "taken/a"])
def test_what_lies_there_already_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input/taken").write_bytes(b"mine")
    with pytest.raises(zips.ZipError, match=PATHS + ".*lies where another input is"):
        unpack(tmp_path, archive([(name, b"1"), ("b", b"2")]))
    assert (tmp_path / "input/taken").read_bytes() == b"mine"


@settings(deadline=None, max_examples=60)
@given(places=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=6))
@example(places=[(0, b"PK\x05\x06")])
def test_any_damage_is_told_of_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("zip")
    data = bytearray(archive([("x/a", b"1" * 50), ("x/b", b"2" * 50)]))
    for place, piece in places:
        data[place : place + len(piece)] = piece
    refusal = ""
    try:
        unpack(root, bytes(data))
    except zips.ZipError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert sorted(entry.name for entry in root.iterdir()) == ["input", "x.zip"]
