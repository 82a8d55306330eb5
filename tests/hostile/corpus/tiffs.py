"""TIFF files whose pages form loops, point beyond the end, or promise more than any memory holds."""

from __future__ import annotations

import struct
from typing import Any, Final

from algorithm_operator.steps.tiff import Tag
from tests.hostile.corpus.entries import Output, Row, folder, of_image
from tests.unit.steps.mha import mha
from tests.unit.steps.tiffs import FLOAT, LONG, LONG8, RATIONAL, SHORT, Page, tiff

LOOPS: Final = Row(
    "E.2",
    "TIFF and BigTIFF whose pages form a loop, whose sub-pages lead back, with 300 pages, 65 535 entries, offsets and "
    "counts beyond the end or beyond 64 bits",
    "the pages are followed by ourselves, without loops, up to 256; every number must lie within the file",
)
BOMBS: Final = Row(
    "E.2",
    "TIFF of 4 294 967 295 voxels a side, millions of tiles, strips shorter than their rows; unknown compressions; XML "
    "that names other files",
    "sizes are compared with what is there; no voxel is decoded, no description is read",
)


def _tif(id_: str, row: Row, says: str | None, data: bytes) -> Output:
    return of_image(id_, row, folder(x__tif=data), says)


def _page(**changes: tuple[int, list[Any]] | None) -> Page:
    return Page(changes={Tag[name]: entry for name, entry in changes.items()})


def loop(*, big: bool = False) -> bytes:
    """The page after the only page is that page."""
    data = bytearray(tiff(Page(), big=big))
    word, place = ("<Q", 8) if big else ("<I", 4)
    struct.pack_into(word, data, len(data) - struct.calcsize(word), struct.unpack_from(word, data, place)[0])
    return bytes(data)


def patched(data: bytes, place: int, format_: str, value: int) -> bytes:
    """`data` with a number replaced."""
    changed = bytearray(data)
    struct.pack_into(format_, changed, place, value)
    return bytes(changed)


def first_page(data: bytes) -> int:
    """Where the first page of a small little-endian TIFF is."""
    return int(struct.unpack_from("<I", data, 4)[0])


_GOOD = tiff(Page())
_FIRST = first_page(_GOOD)
_XML = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><OME>&a;</OME>\0'

ENTRIES = (
    _tif("tiff-loop", LOOPS, "its pages form a loop", loop()),
    _tif("tiff-loop-big", LOOPS, "its pages form a loop", loop(big=True)),
    _tif("tiff-sub-page-loop", LOOPS, "its pages form a loop", tiff(_page(SUB_PAGES=(LONG, [_FIRST])))),
    _tif("tiff-pages", LOOPS, "it has more than 256 pages", tiff(*[Page()] * 300)),
    _tif(
        "tiff-first-page-outside",
        LOOPS,
        "its header points beyond its end",
        patched(_GOOD, 4, "<I", 0xFFFFFFF0),
    ),
    _tif(
        "tiff-first-page-in-header", LOOPS, "No output images could be imported", patched(_GOOD, 4, "<I", 0)
    ),
    _tif(
        "tiff-next-page-outside",
        LOOPS,
        "its header points beyond its end",
        patched(_GOOD, len(_GOOD) - 4, "<I", 1 << 31),
    ),
    _tif(
        "tiff-entries",
        LOOPS,
        "a page has 65535 entries; 1 to 1024 are allowed",
        patched(_GOOD, _FIRST, "<H", 65535),
    ),
    _tif("tiff-no-entries", LOOPS, "a page has 0 entries", patched(_GOOD, _FIRST, "<H", 0)),
    _tif("tiff-count-outside", LOOPS, "lie beyond its end", patched(_GOOD, _FIRST + 2 + 4, "<I", 0xFFFFFFFF)),
    _tif(
        "tiff-count-of-64-bits",
        LOOPS,
        "beyond its end",
        patched(
            tiff(Page(), big=True),
            struct.unpack_from("<Q", tiff(Page(), big=True), 8)[0] + 8 + 4,
            "<Q",
            (1 << 64) - 1,
        ),
    ),
    _tif("tiff-type-unknown", LOOPS, "which does not exist", patched(_GOOD, _FIRST + 2 + 2, "<H", 99)),
    _tif("tiff-cut", LOOPS, "beyond its end", _GOOD[:-20]),
    _tif("tiff-empty", LOOPS, "it does not begin with a TIFF header", b""),
    _tif(
        "tiff-strip-outside",
        LOOPS,
        "a strip or tile lies beyond its end",
        tiff(_page(STRIP_OFFSETS=(LONG, [1 << 30]))),
    ),
    _tif(
        "tiff-strip-of-64-bits",
        LOOPS,
        "a strip or tile lies beyond its end",
        tiff(_page(STRIP_OFFSETS=(LONG8, [(1 << 64) - 1])), big=True),
    ),
    _tif(
        "tiff-side",
        BOMBS,
        "a page is 4294967295 by 4294967295 voxels large",
        tiff(_page(WIDTH=(LONG, [0xFFFFFFFF]), LENGTH=(LONG, [0xFFFFFFFF]))),
    ),
    _tif(
        "tiff-bytes",
        BOMBS,
        "bytes of voxels; the limit is",
        tiff(_page(WIDTH=(LONG, [1 << 30]), LENGTH=(LONG, [1 << 30]), ROWS_PER_STRIP=(LONG, [1 << 30]))),
    ),
    _tif(
        "tiff-bytes-within-the-limit",
        BOMBS,
        "a strip or tile has 12 bytes; it needs",
        tiff(_page(WIDTH=(LONG, [1 << 16]), LENGTH=(LONG, [1 << 16]), ROWS_PER_STRIP=(LONG, [1 << 16]))),
    ),
    _tif(
        "tiff-tiles",
        BOMBS,
        "strips or tiles; it lists 1",
        tiff(
            _page(
                WIDTH=(LONG, [1 << 18]),
                LENGTH=(LONG, [1 << 17]),
                TILE_WIDTH=(LONG, [1]),
                TILE_LENGTH=(LONG, [1]),
                TILE_OFFSETS=(LONG, [8]),
                TILE_BYTES=(LONG, [1]),
            )
        ),
    ),
    _tif(
        "tiff-tile-of-no-size",
        BOMBS,
        "its tiles or strips have no size",
        tiff(_page(TILE_WIDTH=(LONG, [0]), TILE_LENGTH=(LONG, [0]))),
    ),
    _tif("tiff-components", BOMBS, "a page has 65535 components", tiff(_page(SAMPLES=(SHORT, [65535])))),
    _tif(
        "tiff-compression", BOMBS, "compression 34892 is not taken", tiff(_page(COMPRESSION=(SHORT, [34892])))
    ),
    _tif(
        "tiff-resolution-0",
        BOMBS,
        "Invalid resolution in tiff file",
        tiff(_page(X_RESOLUTION=(RATIONAL, [1, 0]))),
    ),
    _tif(
        "tiff-resolution-nan",
        BOMBS,
        "Invalid resolution in tiff file",
        tiff(_page(X_RESOLUTION=(FLOAT, [float("nan")]))),
    ),
    _tif("tiff-that-is-mha", BOMBS, "it does not begin with a TIFF header", mha()),
    of_image(
        "tiff-xml",
        BOMBS,
        folder(x__tif=tiff(Page(changes={270: (2, [bytes([byte]) for byte in _XML])}))),
        None,
    ),
)
