"""MetaImage (.mha) headers, read strictly before any library sees the file.

A `.mha` may name other files as its data (`ElementDataFile`), and readers follow: only `LOCAL` is let through (a
`.mhd` is made one by its bytes), and the file must hold exactly the voxels that its header promises. Keys that no
reader gives a meaning to are allowed; keys that some reader does are checked here or refused.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.api.text import quoted
from algorithm_operator.steps.copying import blocks

MAX_HEADER = 64 * 1024
_DIRECTION_TOLERANCE = 1e-2

_ELEMENTS = {
    "MET_CHAR": ("int8", 1),
    "MET_UCHAR": ("uint8", 1),
    "MET_SHORT": ("int16", 2),
    "MET_USHORT": ("uint16", 2),
    "MET_INT": ("int32", 4),
    "MET_UINT": ("uint32", 4),
    "MET_LONG": ("int32", 4),
    "MET_ULONG": ("uint32", 4),
    "MET_LONG_LONG": ("int64", 8),
    "MET_ULONG_LONG": ("uint64", 8),
    "MET_FLOAT": ("float32", 4),
    "MET_DOUBLE": ("float64", 8),
}
_ALIASES = {
    "Position": "Offset",
    "Origin": "Offset",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}
_OTHER_NUMBERS = {
    "Color": 4,
    "CompressionLevel": 1,
    "ElementMax": 1,
    "ElementMin": 1,
    "ElementToIntensityFunctionOffset": 1,
    "ElementToIntensityFunctionSlope": 1,
    "ID": 1,
    "ParentID": 1,
    "SequenceID": 4,
}
"""Numbers that are not looked at, but whose count has to be right: a reader would look for more on the next line."""
_KEY = re.compile(rb"[A-Za-z0-9_|.-]{1,256}")
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]*")
_WHOLE = re.compile(r"[0-9]{1,18}")
_PLAIN_NAME = re.compile(r"[^/\\%]{1,255}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


class MetaImageError(ValueError):
    """The file is not a MetaImage that can be taken; the message is for its owner and safe to show."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says: geometry, where the voxels begin, how many bytes they are, how they are stored."""

    geometry: ImageGeometry
    offset: int
    voxel_bytes: int
    """Of all voxels, uncompressed."""
    element_bytes: int
    """Of one component."""
    compressed: bool
    big_endian: bool


def parse(start: bytes, file_bytes: int, max_voxel_bytes: int) -> Header:
    """The header in `start`, the first MAX_HEADER bytes (or all) of a file of `file_bytes` bytes.

    :raises MetaImageError: anything that is not plainly a whole, self-contained image.
    """
    fields, offset = _fields(start)
    if (data := fields["ElementDataFile"]) != "LOCAL":
        raise MetaImageError(
            f"its data lie in another file (ElementDataFile = {quoted(data, 128)}); "
            "only LOCAL is allowed: write one self-contained .mha file."
        )
    if fields.get("ObjectType", "Image") != "Image":
        raise MetaImageError(f"ObjectType is {quoted(fields['ObjectType'], 64)}; it must be Image.")
    if not _boolean(fields, "BinaryData", default=False):
        raise MetaImageError("BinaryData is not True; write the voxels in binary form.")
    if fields.get("HeaderSize", "0") not in ("0", "-1"):
        raise MetaImageError("HeaderSize is set; the voxels must begin right after the header.")
    dimensions = _whole_numbers(fields, "NDims", 1)[0]
    if not 2 <= dimensions <= 4:
        raise MetaImageError(f"NDims is {dimensions}; images have 2 to 4 dimensions.")
    size = _whole_numbers(fields, "DimSize", dimensions)
    element = fields.get("ElementType")
    if element is None:
        raise MetaImageError("ElementType is missing.")
    if element not in _ELEMENTS:
        raise MetaImageError(
            f"ElementType {quoted(element, 64)} is not known; use one of {', '.join(_ELEMENTS)}."
        )
    pixel_type, element_bytes = _ELEMENTS[element]
    components = (
        _whole_numbers(fields, "ElementNumberOfChannels", 1)[0] if "ElementNumberOfChannels" in fields else 1
    )
    if any(count < 1 for count in (*size, components)):
        raise MetaImageError("DimSize and ElementNumberOfChannels must be at least 1.")
    voxel_bytes = math.prod(size) * components * element_bytes
    if voxel_bytes > max_voxel_bytes:
        raise MetaImageError(
            f"its header promises {voxel_bytes} bytes of voxels; the limit is {max_voxel_bytes}."
        )
    for key, count in (
        *_OTHER_NUMBERS.items(),
        ("CenterOfRotation", dimensions),
        ("ElementSize", dimensions),
    ):
        _numbers(fields, key, count)
    compressed = _boolean(fields, "CompressedData", default=False)
    _check_stored(fields, file_bytes - offset, voxel_bytes, compressed)
    geometry = ImageGeometry(
        size=size,
        spacing=_spacing(fields, dimensions),
        origin=_numbers(fields, "Offset", dimensions) or [0.0] * dimensions,
        direction=_direction(fields, dimensions),
        pixel_type=pixel_type,
        components=components,
    )
    big_endian = _boolean(fields, "BinaryDataByteOrderMSB", default=False)
    return Header(geometry, offset, voxel_bytes, element_bytes, compressed, big_endian)


def attached(start: bytes) -> tuple[str, bytes]:
    """Of a .mhd, whose first MAX_HEADER bytes (or all) are `start`: the name of its data file, and the header that
    stands before those data in a .mha.

    :raises MetaImageError: it is no header, or names anything but one file beside it.
    """
    fields, offset = _fields(start)
    name = fields["ElementDataFile"]
    if name == "LOCAL":
        raise MetaImageError("its data are inside (ElementDataFile = LOCAL); name it .mha.")
    if not _PLAIN_NAME.fullmatch(name) or name.split()[0] in ("LIST", "PATTERN"):
        raise MetaImageError(
            f"ElementDataFile is {quoted(name, 128)}; it must be the name of one file in the same folder."
        )
    if start[offset:].strip():
        raise MetaImageError("its header goes on after ElementDataFile, which must be the last line.")
    lines = start[:offset].splitlines(keepends=True)
    return name, b"".join(lines[:-1]) + b"ElementDataFile = LOCAL\n"


def _fields(start: bytes) -> tuple[dict[str, str], int]:
    """The keys and values, and where the data begin: after the line of ElementDataFile, which is the last."""
    fields: dict[str, str] = {}
    offset = 0
    while True:
        end = start.find(b"\n", offset, MAX_HEADER)
        if end < 0:
            if not fields:
                raise MetaImageError("it does not begin with a MetaImage header.")
            raise MetaImageError(f"its header has no ElementDataFile within {MAX_HEADER} bytes.")
        line = start[offset:end].removesuffix(b"\r")
        offset = end + 1
        name, equals, text = line.partition(b"=")
        name = name.strip(b" \t")
        if not equals or not _KEY.fullmatch(name) or not _PRINTABLE.fullmatch(text):
            if not fields:
                raise MetaImageError("it does not begin with a MetaImage header.")
            raise MetaImageError(f"line {len(fields) + 1} of its header is not 'Key = value' in plain ASCII.")
        key = name.decode("ascii")
        canonical = _ALIASES.get(key, key)
        if canonical in fields:
            raise MetaImageError(f"its header sets {quoted(canonical, 64)} twice.")
        # Readers take a list of NDims numbers, so they must know NDims by then.
        if canonical in ("DimSize", "Offset", "TransformMatrix", "ElementSpacing") and "NDims" not in fields:
            raise MetaImageError(f"its header sets {canonical} before NDims.")
        fields[canonical] = text.decode("ascii").strip(" \t")
        if canonical == "ElementDataFile":
            return fields, offset


def _check_stored(fields: dict[str, str], stored: int, voxel_bytes: int, compressed: bool) -> None:
    if compressed:
        if "CompressedDataSize" in fields and _whole_numbers(fields, "CompressedDataSize", 1)[0] != stored:
            raise MetaImageError(
                f"CompressedDataSize is {fields['CompressedDataSize']}, but {stored} bytes follow its header."
            )
    elif stored != voxel_bytes:
        raise MetaImageError(f"its header promises {voxel_bytes} bytes of voxels, but {stored} follow it.")


def _boolean(fields: dict[str, str], key: str, *, default: bool) -> bool:
    text = fields.get(key)
    if text is None:
        return default
    if text not in ("True", "False"):
        raise MetaImageError(f"{key} is {quoted(text, 32)}; it must be True or False.")
    return text == "True"


def _whole_numbers(fields: dict[str, str], key: str, count: int) -> list[int]:
    words = fields.get(key, "").split()
    if len(words) != count or not all(_WHOLE.fullmatch(word) for word in words):
        raise MetaImageError(
            f"{key} is {quoted(fields.get(key, ''), 64)}; it must be {count} whole number(s)."
        )
    return [int(word) for word in words]


def _numbers(fields: dict[str, str], key: str, count: int) -> list[float] | None:
    if key not in fields:
        return None
    words = fields[key].split()
    if len(words) == count and all(len(word) <= 64 and _NUMBER.fullmatch(word) for word in words):
        numbers = [float(word) for word in words]
        if all(math.isfinite(number) for number in numbers):
            return numbers
    raise MetaImageError(f"{key} is {quoted(fields[key], 64)}; it must be {count} finite number(s).")


def _spacing(fields: dict[str, str], dimensions: int) -> list[float]:
    key = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    spacing = _numbers(fields, key, dimensions) or [1.0] * dimensions
    if not all(number > 0 for number in spacing):
        raise MetaImageError(
            f"{key} is {quoted(fields[key], 64)}; the distances of voxels must be more than 0."
        )
    return spacing


def _direction(fields: dict[str, str], dimensions: int) -> list[float]:
    """Direction cosines row by row. The file holds them axis by axis, that is column by column."""
    rows = range(dimensions)
    matrix = _numbers(fields, "TransformMatrix", dimensions**2)
    if matrix is None:
        return [float(row == column) for row in rows for column in rows]
    axes = [matrix[axis * dimensions : (axis + 1) * dimensions] for axis in rows]
    for first in rows:
        for second in rows:
            product = sum(a * b for a, b in zip(axes[first], axes[second], strict=True))
            if not abs(product - (first == second)) <= _DIRECTION_TOLERANCE:
                raise MetaImageError(
                    f"TransformMatrix is {quoted(fields['TransformMatrix'], 128)}; its axes must be of length 1 and at "
                    "right angles."
                )
    return [axes[column][row] for row in rows for column in rows]


def read_voxels(descriptor: int, header: Header, file_bytes: int, take: Callable[[memoryview], None]) -> None:
    """Give all voxels, uncompressed, to `take` in pieces of whole components; bounded memory, nothing is kept.

    :raises MetaImageError: the compressed data are damaged, too short or too long.
    """
    rest = b""
    if not header.compressed:
        for block in blocks(descriptor, file_bytes, header.offset):
            rest = _take_whole(rest + block if rest else block, header.element_bytes, take)
        return
    inflate = zlib.decompressobj()
    done = 0
    for block in blocks(descriptor, file_bytes, header.offset):
        data: bytes | memoryview = block
        while data:
            if inflate.eof:
                raise MetaImageError("bytes follow the end of its compressed data.")
            try:
                piece = inflate.decompress(data, min(len(block), 1 << 20))
            except zlib.error:
                raise MetaImageError("its compressed data are damaged.") from None
            data = inflate.unconsumed_tail
            done += len(piece)
            if done > header.voxel_bytes:
                raise MetaImageError(
                    f"its compressed data hold more than the {header.voxel_bytes} bytes promised."
                )
            rest = _take_whole(rest + piece, header.element_bytes, take)
            if inflate.unused_data:
                raise MetaImageError("bytes follow the end of its compressed data.")
    if not inflate.eof or done != header.voxel_bytes:
        raise MetaImageError(
            f"its compressed data hold {done} bytes of voxels; its header promises {header.voxel_bytes}."
        )


def _take_whole(data: bytes | memoryview, unit: int, take: Callable[[memoryview], None]) -> bytes:
    whole = len(data) - len(data) % unit
    if whole:
        take(memoryview(data)[:whole])
    return bytes(data[whole:])
