"""MetaImage files for tests, written byte by byte."""

from __future__ import annotations

import zlib

FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "1 1 1",
    "DimSize": "4 3 2",
    "ElementType": "MET_UCHAR",
    "ElementDataFile": "LOCAL",
}


def header(**changes: str | None) -> bytes:
    """A header; a field given as None is left out, an unknown one comes before ElementDataFile."""
    fields = FIELDS | changes
    last = fields.pop("ElementDataFile")
    if last is not None:
        fields["ElementDataFile"] = last
    return "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None).encode()


def mha(voxels: bytes = bytes(24), **changes: str | None) -> bytes:
    """A whole file."""
    return header(**changes) + voxels


def compressed(voxels: bytes = bytes(24), **changes: str | None) -> bytes:
    """A whole file with compressed voxels."""
    data = zlib.compress(voxels)
    return header(**{"CompressedData": "True", "CompressedDataSize": str(len(data)), **changes}) + data
