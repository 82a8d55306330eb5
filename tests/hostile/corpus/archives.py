"""ZIP inputs, which are unpacked: slips, links, bombs, clashes."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from typing import Final

from tests.hostile.corpus import files as outputs
from tests.hostile.corpus.entries import Input, Row, holds
from tests.unit.steps.files import zipped

SLIPS: Final = Row(
    "E.3",
    "ZIP inputs with `..`, absolute names, backslashes, links, the same name twice or in two cases, names with escapes",
    "names are checked before anything is written; members are plain new files below the socket's folder",
)
BOMBS: Final = Row(
    "E.3",
    "ZIP bombs, plain and overlapping; 100 001 members; encrypted, foreign or damaged ones",
    "bytes and entries are counted while they are written, in a child process with bounded memory",
)


def archive(*members: tuple[str, bytes], mode: int = 0o644, method: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP of these."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as made:
        for name, data in members:
            info = zipfile.ZipInfo("x" * len(name))
            info.external_attr, info.compress_type = mode << 16, method
            info.filename = name  # not as ZipInfo would have it
            with warnings.catch_warnings(action="ignore"):  # the same name twice is meant
                made.writestr(info, data)
    return written.getvalue()


def overlapping(count: int) -> bytes:
    """Many members whose data are the same bytes."""
    data = bytearray(archive(("a", bytes(1 << 20)), method=zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entry = bytes(data[at:end])
    entries = entry * count
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(entries), at, 0)
    return bytes(data[:at]) + entries + tail


def _zip(id_: str, row: Row, says: str | None, data: bytes, **settings: int) -> Input:
    return Input(id_, row, holds(data), says, kind="ZIP file", path="data.zip", settings=settings)


INVALID: Final = "Zip file contains invalid paths"
ENTRIES = (
    _zip("in-zip-slip", SLIPS, INVALID, outputs.slip()),
    _zip("in-zip-up", SLIPS, INVALID, archive(("a/x", b"1"), ("a/../../x", b"1"))),
    _zip("in-zip-absolute", SLIPS, INVALID, archive(("/etc/x", b"1"))),
    _zip("in-zip-backslash", SLIPS, INVALID, archive(("a\\..\\..\\x", b"1"))),
    _zip(
        "in-zip-link",
        SLIPS,
        "is a link or another special file",
        archive(("x", b"/etc/passwd"), mode=0o120777),
    ),
    _zip("in-zip-pipe", SLIPS, "is a link or another special file", archive(("x", b""), mode=0o010644)),
    _zip("in-zip-setuid", SLIPS, None, archive(("x", b"1"), mode=0o104777)),
    _zip("in-zip-twice", SLIPS, "clashes with", archive(("x", b"1"), ("x", b"2"))),
    _zip("in-zip-two-cases", SLIPS, "clashes with", archive(("x", b"1"), ("X", b"2"))),
    _zip("in-zip-file-and-folder", SLIPS, INVALID, archive(("x", b"1"), ("x/y", b"2"))),
    _zip("in-zip-inputs-json", SLIPS, "clashes with", archive(("inputs.json", b"[]"), ("x", b"1"))),
    _zip("in-zip-name", SLIPS, INVALID, archive(("a\x1b[2J\n\u202e", b"1"))),
    _zip("in-zip-long-name", SLIPS, INVALID, archive(("n" * 300, b"1"))),
    _zip("in-zip-deep", SLIPS, INVALID, archive(("x", b"1"), ("d/" * 100 + "x", b"1"))),
    _zip("in-zip-bomb", BOMBS, "Contents of zip file too large", outputs.bomb(64), maxArchiveBytes=1 << 20),
    _zip("in-zip-overlapping", BOMBS, "clashes with", overlapping(1000), maxArchiveBytes=64 << 20),
    _zip(
        "in-zip-members",
        BOMBS,
        "Contents of zip file too large",
        archive(*[(str(n), b"") for n in range(1200)]),
        maxEntries=1000,
    ),
    _zip("in-zip-empty", BOMBS, "it holds no files", archive()),
    _zip("in-zip-cut", BOMBS, "its list of files is missing", zipped()[:-10]),
    _zip(
        "in-zip-checksum",
        BOMBS,
        "could not be extracted",
        archive(("x", b"hello")).replace(b"hello", b"hullo"),
    ),
    _zip(
        "in-zip-method",
        BOMBS,
        "unsupported compression method",
        archive(("x", b"1" * 99), method=zipfile.ZIP_LZMA),
    ),
    _zip("in-zip-not", BOMBS, "it does not begin as one", b"\x7fELF" + zipped()),
)
