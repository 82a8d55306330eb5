"""DICOM files, written byte by byte: any element may be anything."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from tests.hostile.corpus.entries import deflated_zeros

Value = tuple[str, bytes] | bytes | None
"""VR and value; or the whole element as it stands; or none at all."""
Changes = Mapping[int, Value]

CT: Final = b"1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, DEFLATED, RLE, JPEG_2000 = (
    f"1.2.840.10008.1.2.{end}".encode() for end in ("1", "1.99", "5", "4.90")
)
UNDEFINED: Final = 0xFFFFFFFF
SYNTAX, CLASS, UID, CHARSET, DESCRIPTION, NAME = 0x20010, 0x80016, 0x80018, 0x80005, 0x8103E, 0x100010
SERIES, POSITION, ORIENTATION = 0x20000E, 0x200032, 0x200037
FRAMES, ROWS, COLUMNS, SPACING, BITS = 0x280008, 0x280010, 0x280011, 0x280030, 0x280100
SLOPE, PIXELS = 0x281053, 0x7FE00010
_LONG = ("OB", "OW", "SQ", "UN", "UT", "OV")


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """One element in explicit little endian; `length` is what it says, if that is not true."""
    value += (b"\0" if vr in ("UI", "OB", "OW", "UN") else b" ") * (len(value) % 2)
    said = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return head + (struct.pack("<HI", 0, said) if vr in _LONG else struct.pack("<H", said)) + value


def _us(value: int) -> tuple[str, bytes]:
    return "US", struct.pack("<H", value)


def dicom(
    changes: Changes | None = None, *, number: int = 0, syntax: bytes = EXPLICIT, preamble: bytes = b"", zeros: int = 0
) -> bytes:  # fmt: skip
    """Slice `number` of a CT of 4 × 3 pixels; deflated, as many MiB of `zeros` follow its elements."""
    elements: dict[int, Value] = {
        CLASS: ("UI", CT),
        UID: ("UI", b"1.2.3.%d" % (number + 1)),
        0x80060: ("CS", b"CT"),
        0x20000D: ("UI", b"1.2.3"),
        SERIES: ("UI", b"1.2.4"),
        POSITION: ("DS", b"0\\0\\%d" % number),
        ORIENTATION: ("DS", b"1\\0\\0\\0\\1\\0"),
        0x280002: _us(1),
        0x280004: ("CS", b"MONOCHROME2"),
        ROWS: _us(3),
        COLUMNS: _us(4),
        SPACING: ("DS", b"1\\1"),
        BITS: _us(16),
        0x280101: _us(16),
        0x280102: _us(15),
        0x280103: _us(0),
        PIXELS: ("OW", bytes(24)),
    }
    elements.update(changes or {})
    meta = element(0x20002, "UI", CT) + element(0x20003, "UI", b"1.2.3") + element(SYNTAX, "UI", syntax)
    body = b"".join(
        value if isinstance(value, bytes) else element(tag, *value)
        for tag, value in sorted(elements.items(), key=lambda item: item[0])
        if value is not None
    )  # fmt: skip
    if syntax == DEFLATED:
        body = deflated_zeros(body, zeros)
    start = preamble.ljust(128, b"\0") + b"DICM"
    return start + element(0x20000, "UL", struct.pack("<I", len(meta))) + meta + body


def series(count: int, *, without: int | None = None) -> dict[str, bytes]:
    """The files of a series."""
    return {f"{number}.dcm": dicom(number=number) for number in range(count) if number != without}


def nested(levels: int) -> bytes:
    """Sequences in sequences, of undefined length."""
    start = struct.pack("<HH2sHI", 0x8, 0x1140, b"SQ", 0, UNDEFINED) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, UNDEFINED
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return start * levels + end * levels
