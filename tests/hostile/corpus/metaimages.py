"""MetaImage files that name other files, lie about their size, or say things twice."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

from algorithm_operator.api.interface import OverlaySegment
from tests.hostile.corpus.entries import Output, Row, Write, folder, image, of_image
from tests.unit.steps.mha import compressed, header, mha

OTHER_FILES: Final = Row(
    "E.2",
    "`.mha` whose `ElementDataFile` is another file, a list, a pattern; `.mhd` beside its data (SimpleITK alone "
    "publishes any file's bytes as voxels)",
    "the header is read by ourselves first: LOCAL alone is let through",
)
LIES: Final = Row(
    "E.2",
    "headers that promise 160 GB, or more or fewer voxels than there are; NaN, infinite, zero spacing; no right "
    "angles; endless headers; keys that say it twice",
    "sizes are compared with the file's before anything is allocated; numbers are finite; a key counts once",
)
BOMBS: Final = Row(
    "E.2",
    "zlib bombs, truncated or foreign compressed data",
    "inflated in pieces, up to what the header promises",
)
SEGMENTS: Final = Row(
    "E.2",
    "a segmentation of 60 000 values, of values that nobody declared",
    "distinct values are counted up to 256",
)
SNIFFING: Final = Row(
    "E.2",
    "files of one format that are called as another, or are two at once",
    "the suffix says which reader there is, and it must agree; no other is tried",
)
_SEGMENTS = {"overlay_segments": [OverlaySegment(name="Lesion", voxel_value=1)]}
NOT_HERE = "its data lie in another file (ElementDataFile = …); only LOCAL is allowed"


def names_other(target: str) -> Write:
    """An image whose data are elsewhere; {outside} is the folder outside."""

    def write(where: Path, outside: Path) -> None:
        image(mha(ElementDataFile=target.format(outside=outside)))(where, outside)

    return write


def lists_other(where: Path, outside: Path) -> None:
    image(header(DimSize="8 4 1", ElementDataFile=f"LIST\n{outside}/secret"))(where, outside)


def bomb(mebibytes: int) -> bytes:
    """A small image whose voxels inflate to much more than it promises."""
    deflate = zlib.compressobj(9)
    data = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(mebibytes)) + deflate.flush()
    return header(CompressedData="True", CompressedDataSize=str(len(data))) + data


def _lie(id_: str, says: str, data: bytes) -> Output:
    return of_image(id_, LIES, image(data), says)


def _damaged(id_: str, says: str, data: bytes) -> Output:
    return of_image(id_, BOMBS, image(data), says)


ENTRIES = (
    of_image("data-up", OTHER_FILES, names_other("../../../outside/secret"), NOT_HERE, reaches=True),
    of_image("data-absolute", OTHER_FILES, names_other("{outside}/secret"), NOT_HERE, reaches=True),
    of_image("data-list", OTHER_FILES, lists_other, 'ElementDataFile = "LIST"', reaches=True),
    of_image("data-pattern", OTHER_FILES, names_other("{outside}/secret%.0d 1 2 1"), NOT_HERE),
    of_image("data-local-in-lower-case", OTHER_FILES, names_other("local"), NOT_HERE),
    of_image("data-local-and-more", OTHER_FILES, names_other("LOCAL {outside}/secret"), NOT_HERE),
    of_image("data-of-a-url", OTHER_FILES, names_other("http://localhost/x"), NOT_HERE),
    Output(
        "data-detached",
        OTHER_FILES,
        folder(x__mhd=header(ElementDataFile="x.raw")),
        '"x.mhd" is no .mha file',
        kind="Image",
    ),
    of_image(
        "data-last-line-missing", OTHER_FILES, image(header(ElementDataFile=None)), "no ElementDataFile"
    ),
    _lie(
        "size-160-gb",
        "promises 160000000000 bytes of voxels; the limit is",
        header(DimSize="400000 400000 1"),
    ),
    _lie("size-overflow", "must be 3 whole number(s)", header(DimSize="4 3 99999999999999999999")),
    _lie("size-wraps-64-bits", "promises", header(DimSize="4294967296 4294967296 4294967296")),
    _lie("size-negative", "must be 3 whole number(s)", header(DimSize="-4 3 -2")),
    _lie("size-zero", "must be at least 1", header(DimSize="0 3 2")),
    _lie("size-too-few", "must be 3 whole number(s)", mha(DimSize="4 3")),
    _lie("dimensions-many", "NDims is 100; images have 2 to 4 dimensions", mha(NDims="100")),
    _lie(
        "channels",
        "promises 24000000000 bytes of voxels, but 24 follow",
        mha(ElementNumberOfChannels="1000000000"),
    ),
    _lie("one-byte-more", "promises 24 bytes of voxels, but 25 follow it", mha(bytes(25))),
    _lie("one-byte-fewer", "promises 24 bytes of voxels, but 23 follow it", mha(bytes(23))),
    _lie("spacing-nan", "must be 3 finite number(s)", mha(ElementSpacing="nan 1 1")),
    _lie("spacing-infinite", "must be 3 finite number(s)", mha(ElementSpacing="1e999 1 1")),
    _lie("spacing-zero", "must be more than 0", mha(ElementSpacing="0 1 1")),
    _lie("spacing-negative", "must be more than 0", mha(ElementSpacing="1 -1 1")),
    _lie("origin-nan", "must be 3 finite number(s)", mha(Offset="0 0 NaN")),
    _lie("direction-singular", "at right angles", mha(TransformMatrix="1 0 0 1 0 0 0 0 1")),
    _lie("direction-nan", "must be 9 finite number(s)", mha(TransformMatrix="nan 0 0 0 1 0 0 0 1")),
    _lie("type-unknown", "is not known; use one of", mha(ElementType="MET_STRING")),
    _lie("text-voxels", "write the voxels in binary form", mha(BinaryData="False")),
    _lie("header-size", "HeaderSize is set", mha(HeaderSize="100000")),
    _lie("header-endless-line", "does not begin with a MetaImage header", b"A = " + b"x" * (1 << 20)),
    _lie(
        "header-endless",
        "no ElementDataFile within 65536 bytes",
        b"".join(b"K%d = x\n" % n for n in range(20_000)),
    ),
    _lie("header-no-ascii", "line 2 of its header is not", b"A = x\n" + b"B = \xff\n"),
    _lie("header-ansi", "does not begin with a MetaImage header", b"Comment = \x1b[2J\n" + mha()),
    _lie("key-twice", 'sets "DimSize" twice', mha(DimSize="4 3 2\nDimSize = 4 3 2")),
    _lie("key-by-another-name", 'sets "Offset" twice', mha(Position="1 2 3")),
    _lie("key-before-dimensions", "before NDims", b"DimSize = 4 3 2\n" + mha()),
    _lie("zeros", "does not begin with a MetaImage header", bytes(1 << 20)),
    _lie("empty", "does not begin with a MetaImage header", b""),
    _damaged("bomb", "hold more than the 24 bytes promised", bomb(256)),
    _damaged("compressed-too-few", "hold 23 bytes of voxels; its header promises 24", compressed(bytes(23))),
    _damaged("compressed-cut", "CompressedDataSize is", compressed()[:-3]),
    _damaged(
        "compressed-and-more",
        "bytes follow the end of its compressed data",
        compressed(CompressedDataSize=None) + b"more",
    ),
    _damaged("compressed-not-at-all", "are damaged", header(CompressedData="True") + b"no zlib at all"),
    _damaged("compressed-checksum", "are damaged", compressed(CompressedDataSize=None)[:-1] + b"!"),
    Output(
        "segments-undeclared",
        SEGMENTS,
        image(mha(bytes([0, 1, 7, 9] * 6))),
        "The valid voxel values for this segmentation are: {0, 1}…{7, 9}",
        kind="Segmentation",
        socket=_SEGMENTS,
    ),
    Output(
        "segments-many",
        SEGMENTS,
        image(
            mha(
                b"".join(value.to_bytes(2, "little") for value in range(60_000)),
                DimSize="100 600 1",
                ElementType="MET_USHORT",
            )
        ),
        "contains no more than 256 segments",
        kind="Segmentation",
        socket=_SEGMENTS,
    ),
    Output(
        "segments-fractions",
        SEGMENTS,
        image(mha(bytes(96), ElementType="MET_FLOAT")),
        "ensure the voxel values are integers",
        kind="Segmentation",
        socket=_SEGMENTS,
    ),
    Output(
        "tiff-called-mha",
        SNIFFING,
        image(b"II*\0\x08\0\0\0" + bytes(64)),
        "does not begin with a MetaImage header",
        kind="Image",
    ),
    of_image("nifti-as-output", SNIFFING, folder(x__nii=bytes(352)), "No output images could be imported"),
    of_image("script-behind-voxels", SNIFFING, image(mha(b"#!/bin/sh\nexec sh\n".ljust(24))), None),
)
