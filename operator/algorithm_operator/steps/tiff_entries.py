"""The entries of TIFF and BigTIFF files: numbers by their tag, each of which must lie within the file.

Nothing is allocated by what a file says: lists of numbers are read in pieces. Source: TIFF 6.0, the BigTIFF design.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass

MAX_ENTRIES = 1024
"""Of one page."""
MAX_VALUES = 4096
"""Of an entry that is read as a whole."""
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of a value, by the number of its type."""
_CODES = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    8: "h",
    9: "i",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
    11: "f",
    12: "d",
}
UNSIGNED = (1, 3, 4, 13, 16, 18)
_RATIONAL = 5
_NATIVE = "<" if struct.pack("=H", 1) == b"\x01\x00" else ">"

Read = Callable[[int, int], bytes]
"""As os.pread: so many bytes from that offset on; fewer at the end of the file."""


class TiffError(ValueError):
    """The file is no TIFF that can be taken; the message is for its owner and safe to show."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a page: values of a type, how many, and where they lie."""

    type: int
    count: int
    offset: int


class File:
    """Bounded access to the numbers of one file."""

    def __init__(self, read: Read, size: int) -> None:
        self._read, self.size = read, size
        start = read(16, 0)
        self.order = {b"II": "<", b"MM": ">"}.get(start[:2], "")
        version = struct.unpack(f"{self.order}H", start[2:4])[0] if self.order and len(start) >= 8 else 0
        self.big = version == 43
        if version not in (42, 43) or (self.big and start[4:8] != struct.pack(f"{self.order}HH", 8, 0)):
            raise TiffError("it does not begin with a TIFF header.")
        self.word = "Q" if self.big else "I"
        self.first = self.number(self.word, 8 if self.big else 4)

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes, which must be there."""
        data = self._read(count, offset) if 0 <= offset <= self.size - count else b""
        if len(data) != count:
            raise TiffError("its header points beyond its end.")
        return data

    def number(self, code: str, offset: int) -> int:
        """One whole number."""
        return int(struct.unpack(self.order + code, self.bytes_at(offset, struct.calcsize(f"={code}")))[0])

    def directory(self, offset: int) -> tuple[dict[int, Entry], int]:
        """The entries of the page at `offset`, and where the next page is; 0: there is none."""
        count_code, entry_bytes = ("Q", 20) if self.big else ("H", 12)
        count = self.number(count_code, offset)
        if not 1 <= count <= MAX_ENTRIES:
            raise TiffError(f"a page has {count} entries; 1 to {MAX_ENTRIES} are allowed.")
        begin = offset + struct.calcsize(f"={count_code}")
        data = self.bytes_at(begin, count * entry_bytes)
        entries: dict[int, Entry] = {}
        for number in range(count):
            tag, type_, values = struct.unpack_from(f"{self.order}HH{self.word}", data, number * entry_bytes)
            if type_ not in _SIZES:
                raise TiffError(f"entry {tag} has type {type_}, which does not exist.")
            if tag in entries:
                raise TiffError(f"a page sets entry {tag} twice.")
            place = begin + (number + 1) * entry_bytes - struct.calcsize(f"={self.word}")
            if _SIZES[type_] * values > struct.calcsize(f"={self.word}"):
                place = self.number(self.word, place)
            if place + _SIZES[type_] * values > self.size:
                raise TiffError(f"the values of entry {tag} lie beyond its end.")
            entries[tag] = Entry(type_, values, place)
        return entries, self.number(self.word, begin + len(data))

    def values(self, entry: Entry, start: int = 0, count: int = MAX_VALUES) -> array[int] | array[float]:
        """Values `start` to `start + count` of an entry of numbers, as far as there are so many."""
        if entry.type not in _CODES:
            raise TiffError(f"a number of its header has type {entry.type}, which is none.")
        width = _SIZES[entry.type]
        count = max(0, min(count, entry.count - start))
        numbers = array(_CODES[entry.type], self.bytes_at(entry.offset + start * width, count * width))
        if self.order != _NATIVE:
            numbers.byteswap()
        return numbers

    def fraction(self, entry: Entry) -> float:
        """One rational number, more than 0.

        :raises TiffError: it is not.
        """
        if entry.type == _RATIONAL and entry.count == 1:
            above, below = struct.unpack(f"{self.order}II", self.bytes_at(entry.offset, 8))
            if above and below:
                return float(above / below)
        raise TiffError("Invalid resolution in tiff file")
