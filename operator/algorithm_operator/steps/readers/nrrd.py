"""NRRD headers, checked before any library sees the file: attached data only, and no more than the file can hold.

Facts: the definition of the format (NRRD0001 to NRRD0005).
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

from algorithm_operator.api.text import quoted
from algorithm_operator.steps.readers.nifti import MAX_INFLATION
from algorithm_operator.steps.readers.reading import Given, Unreadable

MAX_HEADER = 64 * 1024
_MAGIC = re.compile(rb"NRRD000[1-5]")
_LINE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_WHOLE = re.compile(r"[0-9]{1,18}")
_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4
    ),
    **dict.fromkeys(
        ("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8
    ),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
    "float": 4,
}
_RAW, _GZIP = ("raw",), ("gz", "gzip")


@dataclass(frozen=True, slots=True)
class Header:
    """What of it matters: where the data begin, and the voxels' bytes, uncompressed."""

    offset: int
    voxel_bytes: int


def read_header(file: Given, max_voxel_bytes: int) -> Header:
    """The header of an open .nrrd file.

    :raises Unreadable: the file cannot be taken.
    """
    try:
        return parse(os.pread(file.descriptor, MAX_HEADER, 0), file.size, max_voxel_bytes)
    except Unreadable as error:
        raise Unreadable(f"{file}: {error}", [file]) from None


def parse(start: bytes, file_bytes: int, max_voxel_bytes: int) -> Header:
    """The header in `start`, the first MAX_HEADER bytes (or all) of a file of `file_bytes` bytes.

    :raises Unreadable: anything that is not plainly one image in one file.
    """
    fields, offset = _fields(start)
    dimensions = _whole_numbers(fields, "dimension", 1)[0]
    if not 1 <= dimensions <= 5:
        raise Unreadable(f"it has {dimensions} axes; images have 2 to 4 dimensions and one axis of channels.")
    size = _whole_numbers(fields, "sizes", dimensions)
    if 0 in size:
        raise Unreadable("an axis of it is of size 0.")
    kind = " ".join(fields.get("type", "").lower().split())
    if kind not in _BYTES:
        raise Unreadable(f"its type {quoted(kind, 64)} is not one that can be staged.")
    for skip in ("lineskip", "byteskip"):
        if fields.get(skip, "0") != "0":
            raise Unreadable(f"it sets {skip}; the data must begin right after the header.")
    voxel_bytes = math.prod(size) * _BYTES[kind]
    if voxel_bytes > max_voxel_bytes:
        raise Unreadable(
            f"its header promises {voxel_bytes} bytes of voxels; the limit is {max_voxel_bytes}."
        )
    encoding = fields.get("encoding", "").lower()
    if encoding not in (*_RAW, *_GZIP):
        raise Unreadable(f"its encoding is {quoted(encoding, 64)}; it must be raw or gzip.")
    room = (file_bytes - offset) * (MAX_INFLATION if encoding in _GZIP else 1)
    if voxel_bytes > room:
        raise Unreadable(f"its header promises {voxel_bytes} bytes of voxels, which the file cannot hold.")
    return Header(offset, voxel_bytes)


def _fields(start: bytes) -> tuple[dict[str, str], int]:
    """The fields by their names without blanks, and where the data begin: after the first empty line."""
    magic, *_ = start.split(b"\n", 1)
    if not _MAGIC.fullmatch(magic.removesuffix(b"\r")):
        raise Unreadable("it does not begin with an NRRD header.")
    fields: dict[str, str] = {}
    offset = len(magic) + 1
    while True:
        end = start.find(b"\n", offset)
        if end < 0:
            raise Unreadable(f"its header does not end within {MAX_HEADER} bytes with an empty line.")
        line = start[offset:end].removesuffix(b"\r")
        offset = end + 1
        if not line:
            return fields, offset
        if not _LINE.fullmatch(line):
            raise Unreadable("its header holds control characters.")
        if line.startswith(b"#"):
            continue
        name, colon, text = line.decode("latin-1").partition(":")
        if not colon:
            raise Unreadable(f"the line {quoted(name, 64)} of its header is no field.")
        if text.startswith("="):  # a pair of the owner's; never a field
            continue
        key = "".join(name.lower().split())
        if key == "datafile":
            raise Unreadable("its data lie in another file; write one .nrrd with the data inside.")
        if key in fields:
            raise Unreadable(f"its header sets {quoted(name, 64)} twice.")
        fields[key] = text.strip()


def _whole_numbers(fields: dict[str, str], key: str, count: int) -> list[int]:
    words = fields.get(key, "").split()
    if len(words) != count or not all(_WHOLE.fullmatch(word) for word in words):
        raise Unreadable(f"{key} is {quoted(fields.get(key, ''), 64)}; it must be {count} whole number(s).")
    return [int(word) for word in words]
