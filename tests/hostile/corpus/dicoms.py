"""DICOM inputs: two files in one, traversal, bombs, lengths that lie, and series that are no grid."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.hostile.corpus.dicomfiles import (
    BITS,
    CHARSET,
    CLASS,
    COLUMNS,
    DEFLATED,
    DESCRIPTION,
    FRAMES,
    JPEG_2000,
    NAME,
    ORIENTATION,
    PIXELS,
    POSITION,
    RLE,
    ROWS,
    SERIES,
    SLOPE,
    SPACING,
    UID,
    UNDEFINED,
    Changes,
    dicom,
    element,
    nested,
    series,
)
from tests.hostile.corpus.entries import Input, Row, Write

POLYGLOTS: Final = Row(
    "E.3",
    "DICOM whose preamble makes it a program as well; names of patients, private elements, escape sequences in texts",
    "of an image, pixels and geometry alone go on; of an image set, all but the preamble",
)
TRAVERSAL: Final = Row("E.3", "a DICOMDIR that lists `..\\..\\secret`", "a DICOMDIR is never followed")
BOMBS: Final = Row(
    "E.3",
    "deflate, RLE and JPEG 2000 bombs; lengths of 4 GiB; 10 000 sequences in each other; 65 535 × 65 535 pixels, "
    "2 147 483 647 frames; headers that end nowhere",
    "a child process with bounded memory and time; lengths are compared with the file's",
)
GRIDS: Final = Row(
    "E.3",
    "mixed series, missing and doubled slices, uneven distances, gantry tilt, NaN positions, the same uid twice",
    "sorted by geometry; what is no regular grid is refused with its numbers",
)
SECRET: Final = b"DOE^JANE"


def files(content: dict[str, bytes]) -> Write:
    """A folder of these files."""

    def write(where: Path, outside: Path) -> None:
        where.mkdir()
        for name, data in content.items():
            (where / name).write_bytes(data)

    return write


def _one(id_: str, row: Row, says: str | None, data: bytes, kind: str = "Image") -> Input:
    return Input(id_, row, files({"x.dcm": data}), says, kind=kind)


def _slices(
    id_: str, says: str | None, changed: dict[int, Changes], count: int = 4, kind: str = "Image"
) -> Input:
    content = {f"{number}.dcm": dicom(changed.get(number), number=number) for number in range(count)}
    return Input(id_, GRIDS, files(content), says, kind=kind)


def _listing() -> bytes:
    record = element(0x41500, "CS", b"..\\..\\outside\\secret") + element(0x41430, "CS", b"IMAGE")
    item = b"\xfe\xff\x00\xe0" + len(record).to_bytes(4, "little") + record
    return dicom({CLASS: ("UI", b"1.2.840.10008.1.3.10"), PIXELS: None, 0x41220: ("SQ", item)})


_SERIES_OF_ANOTHER: Changes = {SERIES: ("UI", b"1.2.5"), DESCRIPTION: ("LO", b"\x1b[2J\x1b]0;x\x07 {{7*7}}")}
_LARGE: Changes = {ROWS: ("US", b"\xff\xff"), COLUMNS: ("US", b"\xff\xff")}

ENTRIES = (
    Input(
        "dicom-program",
        POLYGLOTS,
        files({"x.dcm": dicom(preamble=b"#!/bin/sh\nid #")}),
        None,
        absent=b"#!/bin/sh",
    ),
    Input(
        "dicom-program-set",
        POLYGLOTS,
        files({"x.dcm": dicom(preamble=b"MZ\x90 a program")}),
        None,
        kind="DICOM Image Set",
        absent=b"a program",
    ),
    Input(
        "dicom-patient",
        POLYGLOTS,
        files({"x.dcm": dicom({NAME: ("PN", SECRET), 0x91001: ("LO", SECRET), 0x60003000: ("OW", SECRET)})}),
        None,
        absent=SECRET,
    ),
    _one(
        "dicom-charset",
        POLYGLOTS,
        None,
        dicom({CHARSET: ("CS", b"ISO 2022 IR 149\\\\evil\\..\\.."), DESCRIPTION: ("LO", b"\x1b$)C\xff\xfe")}),
    ),
    Input(
        "dicomdir",
        TRAVERSAL,
        files({"DICOMDIR": _listing()}),
        "there is no DICOM image; a DICOMDIR only lists others",
    ),
    Input("dicomdir-beside", TRAVERSAL, files({"DICOMDIR": _listing(), **series(3)}), None),
    _one(
        "dicom-deflate-bomb",
        BOMBS,
        "is too large to process",
        dicom({0xFFFCFFFC: element(0xFFFCFFFC, "OB", b"", 0xFFFFFFFE)}, syntax=DEFLATED, zeros=4096),
    ),
    _one(
        "dicom-rle-bomb",
        BOMBS,
        "its header promises 8589672450 bytes of pixels",
        dicom(
            {
                **_LARGE,
                PIXELS: element(PIXELS, "OB", b"", UNDEFINED)
                + b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x44\0\0\0"
                + b"\1\0\0\0\x40\0\0\0"
                + bytes(56)
                + b"\x81\0\x81\0"
                + b"\xfe\xff\xdd\xe0\0\0\0\0",
            },
            syntax=RLE,
        ),
    ),
    _one(
        "dicom-jpeg-2000",
        BOMBS,
        "is too large to process",
        dicom(
            {
                **_LARGE,
                PIXELS: element(PIXELS, "OB", b"", UNDEFINED)
                + b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x10\0\0\0\xff\x4f\xff\x51"
                + bytes(12)
                + b"\xfe\xff\xdd\xe0\0\0\0\0",
            },
            syntax=JPEG_2000,
        ),
    ),
    _one(
        "dicom-length",
        BOMBS,
        "without pixels",
        dicom({DESCRIPTION: element(DESCRIPTION, "UT", b"x", 0xFFFFFFF0)}),
    ),
    _one(
        "dicom-pixels-length",
        BOMBS,
        "bytes follow its header",
        dicom({PIXELS: element(PIXELS, "OW", bytes(24), 0xFFFFFFFE)}),
    ),
    _one("dicom-nested", BOMBS, "damaged", dicom({0x81140: nested(10_000)})),
    _one("dicom-rows", BOMBS, "its header promises 8589672450 bytes of pixels", dicom(_LARGE)),
    _one(
        "dicom-frames",
        BOMBS,
        "NumberOfFrames is 2147483647; it must be 1 to 100000",
        dicom({FRAMES: ("IS", b"2147483647")}),
    ),
    _one("dicom-frames-text", BOMBS, "NumberOfFrames", dicom({FRAMES: ("IS", b"\x1b[2J")})),
    _one("dicom-bits", BOMBS, "BitsAllocated is 7", dicom({BITS: ("US", b"\7\0")})),
    _one("dicom-cut", BOMBS, "without pixels", dicom()[:300]),
    _one("dicom-magic-alone", BOMBS, "object without a class, without pixels", bytes(128) + b"DICM"),
    _one(
        "dicom-zeros", BOMBS, "object without a class, without pixels", bytes(128) + b"DICM" + bytes(1 << 20)
    ),
    _one(
        "dicom-pdf",
        BOMBS,
        "no image but Encapsulated PDF",
        dicom({CLASS: ("UI", b"1.2.840.10008.5.1.4.1.1.104.1"), PIXELS: None, 0x420011: ("OB", b"%PDF-1.7")}),
    ),
    _slices("dicom-two-series", "the files are of 2 series", {1: _SERIES_OF_ANOTHER}),
    _slices("dicom-missing-slice", "6 slice(s) are missing", {3: {POSITION: ("DS", b"0\\0\\9")}}),
    _slices("dicom-uneven", "its slices are not evenly spaced", {3: {POSITION: ("DS", b"0\\0\\3.4")}}),
    _slices("dicom-same-place", "lie where another one lies", {3: {POSITION: ("DS", b"0\\0\\2")}}),
    _slices(
        "dicom-tilt",
        "its slices are sheared by 45.00°",
        {number: {POSITION: ("DS", b"0\\%d\\%d" % (number, number))} for number in range(4)},
    ),
    _slices("dicom-orientations", "different orientations", {2: {ORIENTATION: ("DS", b"0\\1\\0\\1\\0\\0")}}),
    _slices(
        "dicom-orientation-singular",
        "is not two unit vectors at a right angle",
        {n: {ORIENTATION: ("DS", b"1\\0\\0\\1\\0\\0")} for n in range(4)},
    ),
    _slices("dicom-position-nan", "ImagePositionPatient", {2: {POSITION: ("DS", b"0\\0\\nan")}}),
    _slices("dicom-position-infinite", "ImagePositionPatient", {2: {POSITION: ("DS", b"0\\0\\1e999")}}),
    _slices(
        "dicom-position-far", "its slices are not evenly spaced", {2: {POSITION: ("DS", b"0\\0\\1e308")}}
    ),
    _slices("dicom-spacing-zero", "it must be positive", {n: {SPACING: ("DS", b"0\\0")} for n in range(4)}),
    _slices("dicom-slope-nan", "RescaleSlope", {n: {SLOPE: ("DS", b"nan")} for n in range(4)}),
    _slices(
        "dicom-uid-twice",
        "have the same SOPInstanceUID",
        {1: {UID: ("UI", b"1.2.3.1")}},
        kind="DICOM Image Set",
    ),
    _slices("dicom-uid-path", "which is no uid", {1: {UID: ("UI", b"../../x")}}, kind="DICOM Image Set"),
)
