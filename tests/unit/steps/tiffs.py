"""TIFF files for tests, written byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from algorithm_operator.steps.tiff import Tag

SHORT, LONG, RATIONAL, FLOAT, LONG8 = 3, 4, 5, 11, 16
_CODES = {1: "B", 2: "c", 3: "H", 4: "I", 5: "II", 8: "h", 11: "f", 12: "d", 16: "Q"}

Entry = tuple[int, Sequence[Any]]
"""Type and values; a rational is two values."""


@dataclass
class Page:
    """A page in strips of `rows` rows, or in tiles; `changes` replace entries, or (None) drop them."""

    width: int = 4
    height: int = 3
    voxels: bytes = bytes(12)
    bits: int = 8
    samples: int = 1
    rows: int | None = None
    tile: tuple[int, int] | None = None
    changes: dict[int, Entry | None] = field(default_factory=dict)

    def pieces(self) -> list[bytes]:
        """The strips or tiles."""
        unit = self.samples * self.bits // 8
        rows = [self.voxels[y * self.width * unit :][: self.width * unit] for y in range(self.height)]
        if self.tile is None:
            step = self.rows or self.height
            return [b"".join(rows[y : y + step]) for y in range(0, self.height, step)]
        across, down = self.tile
        return [
            b"".join(
                (rows[y + row][x * unit : (x + across) * unit] if y + row < self.height else b"").ljust(
                    across * unit, b"\xee"
                )
                for row in range(down)
            )
            for y in range(0, self.height, down)
            for x in range(0, self.width, across)
        ]


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """A whole file: voxels first, then the pages in a chain."""
    word, count = ("Q", "Q") if big else ("I", "H")
    data = bytearray(b"II" if order == "<" else b"MM")
    data += struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0)
    link = len(data) - struct.calcsize(f"={word}")
    for page in pages or (Page(),):
        offsets, lengths = [], []
        for piece in page.pieces():
            offsets.append(len(data))
            lengths.append(len(piece))
            data += piece
        data += bytes(len(data) % 2)
        where = (Tag.TILE_OFFSETS, Tag.TILE_BYTES) if page.tile else (Tag.STRIP_OFFSETS, Tag.STRIP_BYTES)
        size = LONG8 if big else LONG
        entries: dict[int, Entry | None] = {
            Tag.WIDTH: (LONG, [page.width]),
            Tag.LENGTH: (LONG, [page.height]),
            Tag.BITS: (SHORT, [page.bits] * page.samples),
            Tag.COMPRESSION: (SHORT, [1]),
            Tag.PHOTOMETRIC: (SHORT, [1 if page.samples == 1 else 2]),
            Tag.SAMPLES: (SHORT, [page.samples]),
            Tag.X_RESOLUTION: (RATIONAL, [20, 1]),
            Tag.Y_RESOLUTION: (RATIONAL, [40, 1]),
            Tag.RESOLUTION_UNIT: (SHORT, [3]),
            where[0]: (size, offsets),
            where[1]: (size, lengths),
        }
        if page.tile:
            entries |= {Tag.TILE_WIDTH: (SHORT, [page.tile[0]]), Tag.TILE_LENGTH: (SHORT, [page.tile[1]])}
        else:
            entries[Tag.ROWS_PER_STRIP] = (LONG, [page.rows or page.height])
        there = {tag: entry for tag, entry in sorted((entries | page.changes).items()) if entry is not None}
        inline = struct.calcsize(f"={word}")
        table = b""
        for tag, (type_, values) in there.items():
            packed = struct.pack(f"{order}{len(values)}{_CODES[type_][0]}", *values)
            number = len(values) // len(_CODES[type_])
            if len(packed) > inline:
                place = len(data)
                data += packed + bytes(len(packed) % 2)
                packed = struct.pack(order + word, place)
            table += struct.pack(f"{order}HH{word}", tag, type_, number) + packed.ljust(inline, b"\0")
        struct.pack_into(order + word, data, link, len(data))
        data += struct.pack(order + count, len(there)) + table
        link = len(data)
        data += bytes(inline)
    return bytes(data)
