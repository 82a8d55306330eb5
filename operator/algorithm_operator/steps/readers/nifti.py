"""NIfTI headers, checked before any library sees the file: one file, and no more promised than it can hold.

Facts: the definition of NIfTI-1 (348 bytes, either byte order, `n+1`). SimpleITK reads no NIfTI-2.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from dataclasses import dataclass

from algorithm_operator.steps.readers.reading import Given, Unreadable

MAX_INFLATION = 1032
"""How many bytes deflate can make of one."""
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_HEADER, _SECOND_HEADER = 348, 540
_FIRST_VOXEL = _HEADER + 4
_DIM, _DATATYPE, _VOX_OFFSET, _SCALE, _MAGIC = 40, 70, 108, 112, 344
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64, 2304: 32}
"""Of the data types that an image can have, by their codes: whole numbers, floats, and colours of 8 bits."""
_COMPLEX = (32, 1792, 2048)


@dataclass(frozen=True, slots=True)
class Header:
    """What of it matters: the voxels' place and bytes, uncompressed, and the scaling that turns them into values."""

    offset: int
    voxel_bytes: int
    slope: float
    intercept: float

    @property
    def scaled(self) -> bool:
        """Whether stored numbers are not the values themselves."""
        return self.slope != 0 and (self.slope, self.intercept) != (1, 0)


def read_header(file: Given, max_voxel_bytes: int) -> Header:
    """The header of an open .nii or .nii.gz file.

    :raises Unreadable: the file cannot be taken.
    """
    compressed = file.name.lower().endswith(".gz")
    start = os.pread(file.descriptor, 64 * 1024, 0)
    try:
        if compressed != start.startswith(_GZIP):
            raise Unreadable("it is not gzip." if compressed else "it is gzip; name it .nii.gz.")
        if compressed:
            start = gzip.GzipFile(fileobj=io.BytesIO(start)).read(_HEADER)
        room = file.size * MAX_INFLATION if compressed else file.size
        return parse(start, room, max_voxel_bytes)
    except (OSError, EOFError, zlib.error):
        raise Unreadable(f"{file}: its gzip data are damaged.", [file]) from None
    except Unreadable as error:
        raise Unreadable(f"{file}: {error}", [file]) from None


def check_whole(file: Given, header: Header) -> None:
    """That all voxels come out of a .nii.gz: SimpleITK takes what a cut file lacks for zeros.

    :raises Unreadable: they do not.
    """
    wanted = header.offset + header.voxel_bytes
    with os.fdopen(os.dup(file.descriptor), "rb") as compressed, gzip.GzipFile(fileobj=compressed) as stream:
        compressed.seek(0)
        try:
            while wanted > 0 and (piece := stream.read(min(wanted, _PIECE))):
                wanted -= len(piece)
        except (OSError, EOFError, zlib.error):
            pass
    if wanted > 0:
        raise Unreadable(f"{file}: its gzip data are damaged, or end before the last voxel.", [file])


def parse(start: bytes, room: int, max_voxel_bytes: int) -> Header:
    """The header that `start` begins with, of a file that holds at most `room` bytes.

    :raises Unreadable: anything that is not plainly one image.
    """
    order = _byte_order(start)
    count, *dims = struct.unpack_from(f"{order}8h", start, _DIM)
    if not 1 <= count <= 7 or min(dims[:count]) < 1:
        raise Unreadable("its header gives no valid number of dimensions, or a dimension of less than 1.")
    code, bits = struct.unpack_from(f"{order}2h", start, _DATATYPE)
    if code in _COMPLEX:
        raise Unreadable(
            "its voxels are complex numbers, which no .mha holds; store the parts as two images."
        )
    if _BITS.get(code) != bits:
        raise Unreadable(f"its data type (code {code} of {bits} bits) is not one that can be staged.")
    (offset,) = struct.unpack_from(f"{order}f", start, _VOX_OFFSET)
    if not _FIRST_VOXEL <= offset <= room or offset != int(offset):
        raise Unreadable("its header does not say where the voxels begin (vox_offset).")
    voxel_bytes = math.prod(dims[:count]) * bits // 8
    if voxel_bytes > max_voxel_bytes:
        raise Unreadable(
            f"its header promises {voxel_bytes} bytes of voxels; the limit is {max_voxel_bytes}."
        )
    if int(offset) + voxel_bytes > room:
        raise Unreadable(f"its header promises {voxel_bytes} bytes of voxels, which the file cannot hold.")
    slope, intercept = struct.unpack_from(f"{order}2f", start, _SCALE)
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise Unreadable("its scaling (scl_slope, scl_inter) is no finite number.")
    return Header(int(offset), voxel_bytes, slope, intercept)


def _byte_order(start: bytes) -> str:
    for order in "<>":
        size = struct.unpack_from(f"{order}i", start)[0] if len(start) >= _HEADER else 0
        if size == _SECOND_HEADER:
            raise Unreadable("it is NIfTI-2, which cannot be read; save it as NIfTI-1.")
        if size == _HEADER:
            magic = start[_MAGIC : _MAGIC + 4]
            if magic == b"n+1\0":
                return order
            if magic == b"ni1\0":
                raise Unreadable("its voxels lie in another file (.hdr and .img); write one .nii file.")
    raise Unreadable("it does not begin with a NIfTI header.")
