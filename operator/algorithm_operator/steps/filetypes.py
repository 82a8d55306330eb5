"""Whether a file is of the type that its socket kind names: its first and last bytes, and its plain structure.

As at Grand Challenge, that asks for a MIME type, no picture is decoded, no table is loaded and nothing is unpacked:
each check reads a bounded part of the file. It parses hostile bytes all the same, so it belongs in the sandbox.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Callable

from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.api.text import shown

MAX_TEXT = 1 << 20
"""How many bytes of a text are looked at."""
MAX_TREE = 16 << 20
"""The largest Newick file, in bytes: it is read as a whole."""
MAX_PARTS = 10_000
"""How many segments of a JPEG, or boxes of an MP4, are looked at."""
_TAIL = 4096
_JPEG_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_PNG_END = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_VERTEX = re.compile(rb"^[ \t]*v(?:[ \t]+[+-]?[0-9.][0-9.eE+-]*){3}", re.MULTILINE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_NEWICK = re.compile(rb"""'(?:[^']|'')*+'|\[[^\]]*+\]|[(),;'\[\]]|[^(),;'\[\]\s]++""")


class _OtherError(ValueError):
    """Why the file is not what it should be."""


def problem(kind: str, descriptor: int, size: int) -> str | None:
    """What is wrong with an open file of `size` bytes as a value of the file kind of that label, or None.

    A sentence that is safe to show and begins in lower case. The suffix of its name is checked elsewhere.

    :raises KeyError: it is no file kind.
    """
    check = _CHECKS[kind]
    if size == 0:
        return "it is empty."
    try:
        check(descriptor, size)
    except _OtherError as error:
        return f"it is no {_NAMES.get(kind, kind)}: {error}."
    return None


def _pdf(descriptor: int, size: int) -> None:
    if os.pread(descriptor, 5, 0) != b"%PDF-":
        raise _OtherError("it does not begin with %PDF-")
    if b"%%EOF" not in _tail(descriptor, size):
        raise _OtherError("it does not end with %%EOF, so it is not whole")


def _sqreg(_descriptor: int, _size: int) -> None:
    """Grand Challenge takes any binary data as such a file; mostly it is an SQLite database."""


def _jpeg(descriptor: int, _size: int) -> None:
    if os.pread(descriptor, 3, 0) != b"\xff\xd8\xff":
        raise _OtherError("it does not begin as one")
    place, frame = 2, False
    for _ in range(MAX_PARTS):
        head = os.pread(descriptor, 9, place)
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker = head[1]
        if marker in (0xFF, *_JPEG_ALONE):  # padding, and markers without a length
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAMES:
            frame = len(head) == 9 and head[7:9] != b"\0\0"
        if marker == 0xDA:
            if frame:
                return
            break
        place += 2 + int.from_bytes(head[2:4])
    raise _OtherError("its segments do not lead to a picture")


def _png(descriptor: int, size: int) -> None:
    head = os.pread(descriptor, 24, 0)
    if not head.startswith(_PNG_START):
        raise _OtherError("it does not begin as one")
    if len(head) < 24 or 0 in struct.unpack(">II", head[16:]):
        raise _OtherError("its width or height is 0")
    if _PNG_END not in _tail(descriptor, size):
        raise _OtherError("its last chunk is missing, so it is not whole")


def _obj(descriptor: int, _size: int) -> None:
    if not _VERTEX.search(_text(descriptor)):
        raise _OtherError(f"there is no vertex (a line 'v x y z') in its first {MAX_TEXT} bytes")


def _mp4(descriptor: int, size: int) -> None:
    if os.pread(descriptor, 4, 4) != b"ftyp":
        raise _OtherError("it does not begin with an ftyp box")
    place = 0
    for _ in range(MAX_PARTS):
        head = os.pread(descriptor, 16, place)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        elif length == 0:  # to the end of the file
            length = size - place
        if length < 8 or place + length > size:
            raise _OtherError("a box ends after the end of the file, so it is not whole")
        if head[4:8] == b"moov":
            return
        place += length
    raise _OtherError("it has no moov box, so there is nothing to play")


def _newick(descriptor: int, size: int) -> None:
    if size > MAX_TREE:
        raise _OtherError(f"it has {size} bytes, more than the limit of {MAX_TREE}")
    data = os.pread(descriptor, size, 0)
    _check_text(data)
    depth, before = 0, b";"
    for found in _NEWICK.finditer(data):
        token = found[0]
        if token in (b"'", b"[", b"]"):
            raise _OtherError(f"a quote or comment at byte {found.start()} is not closed, or not opened")
        if token.startswith(b"["):
            continue
        if token == b"(":
            if before not in (b";", b"(", b","):
                raise _OtherError(f"a comma or an end is missing before byte {found.start()}")
            depth += 1
        elif token == b")":
            depth -= 1
            if depth < 0:
                raise _OtherError(f"the parenthesis at byte {found.start()} was not opened")
        elif token == b"," and not depth:
            raise _OtherError(f"the comma at byte {found.start()} is outside of parentheses")
        elif token == b";" and (depth or before == b";"):
            raise _OtherError(f"the tree that ends at byte {found.start()} is empty or has open parentheses")
        before = token
    if before != b";" or b";" not in data:
        raise _OtherError("it does not end with a semicolon")


def _biom(descriptor: int, size: int) -> None:
    place = 0  # an HDF5 file may begin with a user block of 512 bytes, or of twice, four times, … as much
    while place < min(size, MAX_TEXT):
        if os.pread(descriptor, 8, place) == _HDF5:
            return
        place = place * 2 or 512
    raise _OtherError("it is not HDF5; BIOM as JSON (version 1) is not taken")


def _csv(descriptor: int, _size: int) -> None:
    if not _text(descriptor).strip():
        raise _OtherError("there is nothing but white space in it")


def _zip(descriptor: int, _size: int) -> None:
    if os.pread(descriptor, 2, 0) != b"PK":
        raise _OtherError("it does not begin as one")
    with os.fdopen(os.dup(descriptor), "rb") as file:
        if not zipfile.is_zipfile(file):
            raise _OtherError("its list of files is missing, so it is not whole")


def _tail(descriptor: int, size: int) -> bytes:
    return os.pread(descriptor, _TAIL, max(0, size - _TAIL))


def _text(descriptor: int) -> bytes:
    data = os.pread(descriptor, MAX_TEXT, 0)
    _check_text(data)
    return data


def _check_text(data: bytes) -> None:
    """Of any encoding that has ASCII in it, as UTF-8 and Latin-1 have."""
    if found := _CONTROL.search(data):
        raise _OtherError(
            f"byte {found.start()} is {shown(found[0])}, which is in no text (save it as UTF-8)"
        )


_CHECKS: dict[str, Callable[[int, int], None]] = {
    SocketKind.PDF: _pdf,
    SocketKind.SQREG: _sqreg,
    SocketKind.JPEG: _jpeg,
    SocketKind.PNG: _png,
    SocketKind.OBJ: _obj,
    SocketKind.MP4: _mp4,
    SocketKind.NEWICK: _newick,
    SocketKind.BIOM: _biom,
    SocketKind.CSV: _csv,
    SocketKind.ZIP: _zip,
}
_NAMES: dict[str, str] = {
    SocketKind.JPEG: "JPEG file",
    SocketKind.PNG: "PNG file",
    SocketKind.NEWICK: "Newick file",
    SocketKind.BIOM: "BIOM file",
}
