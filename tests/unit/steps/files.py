"""Small files of the kinds that are neither JSON nor images, written byte by byte."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from algorithm_operator.api.kinds import SocketKind

PDF = b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xc0\x00\x0b\x08\x00\x02\x00\x02\x01\x01\x11\x00"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x00\xff\xd9"
)
MP4 = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 12, b"moov") + bytes(4)


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(6)))
    + chunk(b"IEND", b"")
)


def hdf5() -> bytes:
    """What an HDF5 file begins with."""
    return b"\x89HDF\r\n\x1a\n" + bytes(88)


def zipped(comment: bytes = b"") -> bytes:
    """A ZIP file with one small file."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("a.txt", "hello")
        archive.comment = comment
    return written.getvalue()


FILES: dict[SocketKind, bytes] = {
    SocketKind.PDF: PDF,
    SocketKind.SQREG: b"SQLite format 3\0",
    SocketKind.JPEG: JPEG,
    SocketKind.PNG: PNG,
    SocketKind.OBJ: b"v 0 0 0\n",
    SocketKind.MP4: MP4,
    SocketKind.NEWICK: b"(A,B);",
    SocketKind.BIOM: hdf5(),
    SocketKind.CSV: b"a,b\n1,2\n",
    SocketKind.ZIP: zipped(),
}
"""One of each kind."""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a file, for reading."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
