"""TIFF and BigTIFF headers, read strictly; no voxel is decoded here.

Pages are followed without loops and up to a bound, and the strips or tiles of every page must be all there. The rules
for spacing and colour are those of panimg, Grand Challenge's importer of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.steps.tiff_entries import MAX_VALUES, UNSIGNED, Entry, File, Read, TiffError

MAX_PAGES = 256
MAX_PIECES = 1 << 22
"""Strips or tiles of all pages together."""
MAX_SIDE = 1 << 31
_PIECES_AT_ONCE = 8192
_FORMATS = {1: "uint", 2: "int", 3: "float", 4: "uint"}
_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946, 33003, 33005, 34712, 50000, 50001)
"""None, LZW, JPEG, Deflate, PackBits, Deflate (old number), JPEG 2000 (three numbers), Zstandard, WebP."""
_COLOURS = (1, 2, 6)
"""Grey with black as 0, RGB, YCbCr."""
_MM = {2: 25.4, 3: 10.0}
"""Millimetres in a unit of resolution: an inch, a centimetre."""


class Tag(IntEnum):
    """The tags that are looked at."""

    WIDTH = 256
    LENGTH = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_OFFSETS = 273
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    MINIMUM = 280
    MAXIMUM = 281
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANES = 284
    RESOLUTION_UNIT = 296
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    SUB_PAGES = 330
    SAMPLE_FORMAT = 339
    SAMPLE_MINIMUM = 340
    SAMPLE_MAXIMUM = 341


@dataclass(frozen=True, slots=True)
class Page:
    """The grid of one page, and the strips or tiles that it is stored in; a strip is as wide as the page."""

    width: int
    height: int
    samples: int
    bits: int
    sample_format: int
    compression: int
    planes: int
    tiled: bool
    piece_width: int
    piece_height: int
    offsets: Entry
    counts: Entry

    @property
    def piece_samples(self) -> int:
        """Samples of a voxel in one piece."""
        return self.samples // self.planes

    @property
    def row_bytes(self) -> int:
        """Of one row of a piece, uncompressed."""
        return self.piece_width * self.piece_samples * self.bits // 8

    @property
    def grid(self) -> tuple[int, int]:
        """Pieces across and down."""
        return -(-self.width // self.piece_width), -(-self.height // self.piece_height)


@dataclass(frozen=True, slots=True)
class Header:
    """What the first page is, in two dimensions, and how many pages there are (mostly levels of resolution).

    `minimum` and `maximum` of its voxels are what its tags say; nobody has looked.
    """

    geometry: ImageGeometry
    levels: int
    minimum: float | None
    maximum: float | None
    compressed: bool
    big_endian: bool
    element_bytes: int
    page: Page


def parse(read: Read, file_bytes: int, max_voxel_bytes: int) -> Header:
    """The header of a file of `file_bytes` bytes; `max_voxel_bytes` bounds all pages together, uncompressed.

    :raises TiffError: anything that is not plainly a whole image whose voxels have a size.
    """
    file = File(read, file_bytes)
    seen: set[int] = set()
    first: tuple[dict[int, Entry], Page] | None = None
    levels = pieces = voxel_bytes = 0
    pending = [(file.first, True)]
    while pending:
        offset, in_chain = pending.pop()
        if offset in seen:
            raise TiffError("its pages form a loop.")
        seen.add(offset)
        if len(seen) > MAX_PAGES:
            raise TiffError(f"it has more than {MAX_PAGES} pages.")
        entries, following = file.directory(offset)
        page = _page(file, entries)
        levels += in_chain
        pieces += page.offsets.count
        if pieces > MAX_PIECES:
            raise TiffError(f"it has more than {MAX_PIECES} strips or tiles.")
        voxel_bytes += page.width * page.height * page.samples * page.bits // 8
        if voxel_bytes > max_voxel_bytes:
            raise TiffError(
                f"its header promises {voxel_bytes} bytes of voxels; the limit is {max_voxel_bytes}."
            )
        _check_pieces(file, page)
        first = first or (entries, page)
        if following:
            pending.append((following, in_chain))
        if Tag.SUB_PAGES in entries:
            inside = file.values(entries[Tag.SUB_PAGES], count=MAX_PAGES + 1)
            pending.extend((int(where), False) for where in reversed(inside))
    if first is None:
        raise TiffError("it has no page.")
    return _header(file, *first, levels)


def _header(file: File, entries: dict[int, Entry], page: Page, levels: int) -> Header:
    if _one(file, entries, Tag.PHOTOMETRIC) not in _COLOURS:
        raise TiffError("Not a valid tif: Color space could not be determined (write grey, RGB or YCbCr).")
    geometry = ImageGeometry(
        size=[page.width, page.height],
        spacing=[_spacing(file, entries, Tag.X_RESOLUTION), _spacing(file, entries, Tag.Y_RESOLUTION)],
        origin=[0.0, 0.0],
        direction=[1.0, 0.0, 0.0, 1.0],
        pixel_type=f"{_FORMATS[page.sample_format]}{page.bits}",
        components=page.samples,
    )
    return Header(
        geometry,
        levels,
        _extreme(file, entries, Tag.SAMPLE_MINIMUM, Tag.MINIMUM, min),
        _extreme(file, entries, Tag.SAMPLE_MAXIMUM, Tag.MAXIMUM, max),
        compressed=page.compression != 1,
        big_endian=file.order == ">",
        element_bytes=page.bits // 8,
        page=page,
    )


def _spacing(file: File, entries: dict[int, Entry], tag: Tag) -> float:
    """Millimetres from voxel to voxel."""
    if tag not in entries:
        side = "width" if tag is Tag.X_RESOLUTION else "height"
        raise TiffError(
            f"Not a valid tif: Voxel {side} could not be determined (set {tag.name} and its unit)."
        )
    unit = _one(file, entries, Tag.RESOLUTION_UNIT, 1)
    if unit not in _MM:
        raise TiffError("Invalid resolution unit in tiff file (ResolutionUnit must be inch or centimetre)")
    return _MM[unit] / file.fraction(entries[tag])


def _extreme(
    file: File, entries: dict[int, Entry], tag: Tag, other: Tag, pick: Callable[[list[float]], float]
) -> float | None:
    for each in (tag, other):
        if each in entries and entries[each].count:
            found = pick([float(value) for value in file.values(entries[each])])
            return found if math.isfinite(found) else None
    return None


def _page(file: File, entries: dict[int, Entry]) -> Page:
    width, height = _one(file, entries, Tag.WIDTH), _one(file, entries, Tag.LENGTH)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise TiffError(f"a page is {width} by {height} voxels large.")
    samples = _one(file, entries, Tag.SAMPLES, 1)
    if not 1 <= samples <= 4:
        raise TiffError(f"a page has {samples} components; 1 to 4 are allowed.")
    bits = _same(file, entries, Tag.BITS, 1)
    sample_format = _same(file, entries, Tag.SAMPLE_FORMAT, 1)
    if bits not in (8, 16, 32, 64) or sample_format not in _FORMATS or (sample_format == 3 and bits < 32):
        raise TiffError(f"voxels of {bits} bits in sample format {sample_format} are not taken.")
    compression = _one(file, entries, Tag.COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise TiffError(f"compression {compression} is not taken.")
    if (planar := _one(file, entries, Tag.PLANES, 1)) not in (1, 2):
        raise TiffError(f"PlanarConfiguration is {planar}; it must be 1 or 2.")
    if tiled := Tag.TILE_WIDTH in entries:
        piece_width, piece_height = _one(file, entries, Tag.TILE_WIDTH), _one(file, entries, Tag.TILE_LENGTH)
    else:
        piece_width, piece_height = width, min(_one(file, entries, Tag.ROWS_PER_STRIP, height), height)
    if not (1 <= piece_width <= MAX_SIDE and 1 <= piece_height <= MAX_SIDE):
        raise TiffError("its tiles or strips have no size.")
    where, how_much = (Tag.TILE_OFFSETS, Tag.TILE_BYTES) if tiled else (Tag.STRIP_OFFSETS, Tag.STRIP_BYTES)
    if where not in entries or how_much not in entries:
        raise TiffError("it does not say where its strips or tiles are.")
    planes = samples if planar == 2 else 1
    page = Page(
        width, height, samples, bits, sample_format, compression, planes, tiled, piece_width, piece_height,
        entries[where], entries[how_much],
    )  # fmt: skip
    across, down = page.grid
    for entry in (page.offsets, page.counts):
        if entry.count != across * down * planes or entry.type not in UNSIGNED:
            raise TiffError(
                f"a page should have {across * down * planes} strips or tiles; it lists {entry.count}."
            )
    return page


def _check_pieces(file: File, page: Page) -> None:
    """That every strip or tile lies within the file and is as long as it must be. Tiles of 0 bytes are blank."""
    across, down = page.grid
    for number, (offset, count) in enumerate(pieces(file, page)):
        if offset + count > file.size:
            raise TiffError("a strip or tile lies beyond its end; it is not whole.")
        if page.compression != 1 or (count == 0 and page.tiled):
            continue
        rows = page.piece_height
        if (
            page.piece_width == page.width and (number // across) % down == down - 1
        ):  # the last strip is shorter
            rows = min(rows, page.height - (down - 1) * rows)
        if count < rows * page.row_bytes:
            raise TiffError(f"a strip or tile has {count} bytes; it needs {rows * page.row_bytes}.")


def pieces(file: File, page: Page) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of each strip or tile, row by row, plane by plane."""
    for start in range(0, page.offsets.count, _PIECES_AT_ONCE):
        offsets = file.values(page.offsets, start, _PIECES_AT_ONCE)
        counts = file.values(page.counts, start, _PIECES_AT_ONCE)
        for offset, count in zip(offsets, counts, strict=True):
            yield int(offset), int(count)


def _one(file: File, entries: dict[int, Entry], tag: Tag, default: int | None = None) -> int:
    if tag not in entries:
        if default is None:
            raise TiffError(f"it does not set {tag.name}.")
        return default
    entry = entries[tag]
    if entry.count != 1 or entry.type not in UNSIGNED:
        raise TiffError(f"{tag.name} must be one whole number.")
    return int(file.values(entry)[0])


def _same(file: File, entries: dict[int, Entry], tag: Tag, default: int) -> int:
    """A number for each component, which must be the same for all."""
    if tag not in entries:
        return default
    entry = entries[tag]
    found = set(file.values(entry)) if entry.type in UNSIGNED and entry.count <= MAX_VALUES else set()
    if len(found) != 1:
        raise TiffError(f"{tag.name} must be the same for all components.")
    return int(found.pop())
