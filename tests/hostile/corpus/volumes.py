"""NIfTI, NRRD and .mhd inputs whose headers name other files or promise what is not there; gzip that is none."""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path
from typing import Final

from tests.hostile.corpus.dicoms import files
from tests.hostile.corpus.entries import Input, Row, Write, deflated_zeros
from tests.unit.steps.mha import header, mha

OTHER_FILES: Final = Row(
    "E.3",
    "NRRD, NIfTI and `.mhd` whose data are another file, a list, a pattern, far behind the end",
    "headers are read by ourselves first; a `.mhd` may name a file of the same input alone, by its plain name",
)
LIES: Final = Row(
    "E.3",
    "NIfTI and NRRD with negative, endless, overflowing dimensions, NaN scaling, unknown types; gzip bombs, cut gzip",
    "what is promised is compared with what a file of that size can hold; the rest in a child with bounded memory",
)


def nifti(
    *, dims: tuple[int, ...] = (3, 4, 3, 2, 1, 1, 1, 1), code: int = 2, bits: int = 8, offset: float = 352,
    slope: float = 1, intercept: float = 0, magic: bytes = b"n+1\0", data: bytes = bytes(24), spacing: float = 1,
    cosine: float = 1, size: int = 348, extension: bytes = bytes(4),
) -> bytes:  # fmt: skip
    """A NIfTI-1 file; any number may be any other."""
    start = bytearray(348)
    struct.pack_into("<i", start, 0, size)
    struct.pack_into("<8h", start, 40, *dims)
    struct.pack_into("<2h", start, 70, code, bits)
    struct.pack_into("<8f", start, 76, 1, *[spacing] * 3, 1, 1, 1, 1)
    struct.pack_into("<3f", start, 108, offset, slope, intercept)
    struct.pack_into("<2h", start, 252, 0, 1)
    struct.pack_into("<12f", start, 280, cosine, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    start[344:348] = magic
    return bytes(start) + extension + data


def nrrd(*fields: str, data: bytes = bytes(24), **changes: str | None) -> bytes:
    """A NRRD file; a field given as None is left out, others are added."""
    every = {"type": "uint8", "dimension": "3", "sizes": "4 3 2", "encoding": "raw"} | changes
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in every.items() if value is not None]
    return "\n".join(["NRRD0004", *lines, *fields, "", ""]).encode("latin-1") + data


def gzip_bomb(start: bytes, mebibytes: int) -> bytes:
    """A gzip of `start` and as many zeros; nobody gets as far as its checksum."""
    head = gzip.compress(b"")[:10]
    return head + deflated_zeros(start, mebibytes) + bytes(8)


def detached(line: str) -> Write:
    """A NRRD header that names its data; {outside} is the folder outside."""

    def write(where: Path, outside: Path) -> None:
        files({"x.nrrd": nrrd(line.format(outside=outside), data=b"")})(where, outside)

    return write


def mhd(target: str) -> Write:
    """A .mhd that names its data; {outside} is the folder outside."""

    def write(where: Path, outside: Path) -> None:
        data = {"x.mhd": header(ElementDataFile=target.format(outside=outside)), "x.raw": bytes(24)}
        files(data)(where, outside)

    return write


def _nrrd(id_: str, row: Row, says: str | None, write: Write, *, reaches: bool = False) -> Input:
    return Input(id_, row, write, says, reaches=reaches)


def _one(id_: str, row: Row, says: str | None, name: str, data: bytes) -> Input:
    return Input(id_, row, files({name: data}), says)


_SLAB: Final = nifti(dims=(3, 32, 32, 16, 1, 1, 1, 1), data=random.Random(5).randbytes(32 * 32 * 16))
ELSEWHERE: Final = "its data lie in another file"
PLAIN: Final = "it must be the name of one file in the same folder"
ENTRIES = (
    Input(
        "nrrd-data-absolute", OTHER_FILES, detached("data file: {outside}/secret"), ELSEWHERE, reaches=True
    ),
    Input(
        "nrrd-data-up", OTHER_FILES, detached("datafile: ../../../outside/secret"), ELSEWHERE, reaches=True
    ),
    Input("nrrd-data-list", OTHER_FILES, detached("data file: LIST\n{outside}/secret"), ELSEWHERE),
    Input("nrrd-data-pattern", OTHER_FILES, detached("DATA FILE: {outside}/secret%d 1 1 1"), ELSEWHERE),
    Input("nrrd-data-skip", OTHER_FILES, detached("byte skip: -1\ndata file: {outside}/secret"), ELSEWHERE),
    Input(
        "nrrd-header-alone",
        OTHER_FILES,
        files({"x.nhdr": nrrd("data file: x.raw", data=b"")}),
        "no image in a format that is read",
    ),
    Input("mhd-data-up", OTHER_FILES, mhd("../../../outside/secret"), PLAIN, reaches=True),
    Input("mhd-data-absolute", OTHER_FILES, mhd("{outside}/secret"), PLAIN, reaches=True),
    Input("mhd-data-list", OTHER_FILES, mhd("LIST\n{outside}/secret"), PLAIN),
    Input("mhd-data-itself", OTHER_FILES, mhd("x.mhd"), "an input is exactly one image"),
    Input("mhd-data-missing", OTHER_FILES, mhd("y.raw"), "is not among the files of this input"),
    Input("mhd-data-beside", OTHER_FILES, mhd("x.raw"), None),
    _one("nifti-two-files", OTHER_FILES, "its voxels lie in another file", "x.nii", nifti(magic=b"ni1\0")),
    _one("nifti-offset-far", OTHER_FILES, "does not say where the voxels begin", "x.nii", nifti(offset=1e30)),
    _one(
        "nifti-offset-nan",
        OTHER_FILES,
        "does not say where the voxels begin",
        "x.nii",
        nifti(offset=float("nan")),
    ),
    _one(
        "nifti-offset-negative",
        OTHER_FILES,
        "does not say where the voxels begin",
        "x.nii",
        nifti(offset=-352),
    ),
    _one("nifti-offset-0", OTHER_FILES, "does not say where the voxels begin", "x.nii", nifti(offset=0)),
    _one(
        "nifti-dimensions-8",
        LIES,
        "no valid number of dimensions",
        "x.nii",
        nifti(dims=(8, 2, 2, 2, 2, 2, 2, 2)),
    ),
    _one(
        "nifti-dimension-negative",
        LIES,
        "no valid number of dimensions",
        "x.nii",
        nifti(dims=(3, -4, 3, -2, 1, 1, 1, 1)),
    ),
    _one(
        "nifti-dimension-0",
        LIES,
        "no valid number of dimensions",
        "x.nii",
        nifti(dims=(3, 0, 3, 2, 1, 1, 1, 1)),
    ),
    _one("nifti-promises", LIES, "the limit is", "x.nii", nifti(dims=(7, *[32767] * 7))),
    _one(
        "nifti-promises-less",
        LIES,
        "which the file cannot hold",
        "x.nii",
        nifti(dims=(3, 1024, 1024, 1024, 1, 1, 1, 1)),
    ),
    _one("nifti-scale-nan", LIES, "is no finite number", "x.nii", nifti(slope=float("nan"))),
    _one("nifti-type", LIES, "is not one that can be staged", "x.nii", nifti(code=1234)),
    _one("nifti-bits", LIES, "is not one that can be staged", "x.nii", nifti(bits=64)),
    _one("nifti-spacing-nan", LIES, None, "x.nii", nifti(spacing=float("nan"))),
    _one("nifti-matrix-nan", LIES, "must be 3 finite number(s)", "x.nii", nifti(cosine=float("nan"))),
    _one(
        "nifti-extension",
        LIES,
        None,
        "x.nii",
        nifti(extension=b"\1\0\0\0" + struct.pack("<ii", 0x7FFFFFF0, 4)),
    ),
    _one("nifti-2", LIES, "it is NIfTI-2", "x.nii", nifti(size=540)),
    _one("nifti-empty", LIES, "does not begin with a NIfTI header", "x.nii", b""),
    _one(
        "nifti-gz-bomb",
        LIES,
        "is too large to process",
        "x.nii.gz",
        gzip_bomb(nifti(dims=(4, 1024, 1024, 1024, 4, 1, 1, 1), data=b""), 4096),
    ),
    _one("nifti-gz-bomb-behind", LIES, None, "x.nii.gz", gzip_bomb(nifti(), 1024)),
    _one("nifti-gz-cut", LIES, "its gzip data are damaged", "x.nii.gz", gzip.compress(_SLAB)[:8000]),
    _one("nifti-gz-too-few", LIES, "its gzip data are damaged", "x.nii.gz", gzip.compress(_SLAB[:-1])),
    _one(
        "nifti-gz-checksum",
        LIES,
        "SimpleITK cannot read it",
        "x.nii.gz",
        gzip.compress(_SLAB)[:-8] + bytes(8),
    ),
    _one(
        "nifti-gz-members", LIES, None, "x.nii.gz", gzip.compress(_SLAB[:8000]) + gzip.compress(_SLAB[8000:])
    ),
    _one("nifti-gz-not", LIES, "it is not gzip", "x.nii.gz", nifti()),
    _one("nifti-is-gz", LIES, "it is gzip; name it .nii.gz", "x.nii", gzip.compress(nifti())),
    _one("nrrd-sizes", LIES, "must be 3 whole number(s)", "x.nrrd", nrrd(sizes="4 3 -2")),
    _one("nrrd-sizes-overflow", LIES, "the limit is", "x.nrrd", nrrd(sizes="4294967296 4294967296 1")),
    _one("nrrd-promises", LIES, "which the file cannot hold", "x.nrrd", nrrd(sizes="1024 1024 1024")),
    _one("nrrd-dimensions", LIES, "it has 100 axes", "x.nrrd", nrrd(dimension="100")),
    _one(
        "nrrd-type-block",
        LIES,
        "is not one that can be staged",
        "x.nrrd",
        nrrd("block size: 99999999999", type="block"),
    ),
    _one("nrrd-encoding", LIES, "it must be raw or gzip", "x.nrrd", nrrd(encoding="bzip2")),
    _one("nrrd-line-skip", LIES, "it sets lineskip", "x.nrrd", nrrd("line skip: 99999999")),
    _one(
        "nrrd-directions-nan",
        LIES,
        "SimpleITK cannot read it",
        "x.nrrd",
        nrrd("space dimension: 3", "space directions: (nan,0,0) (0,1,0) (0,0,1)"),
    ),
    _one("nrrd-twice", LIES, "twice", "x.nrrd", nrrd("sizes: 1 1 1")),
    _one("nrrd-endless", LIES, "does not end within 65536 bytes", "x.nrrd", nrrd("# " + "x" * 100_000)),
    _one("nrrd-ansi", LIES, "holds control characters", "x.nrrd", nrrd("content: \x1b[2J")),
    _one("nrrd-gz-bomb", LIES, None, "x.nrrd", nrrd(encoding="gzip", data=gzip_bomb(bytes(24), 1024))),
    _one("mha-called-nrrd", LIES, "it does not begin with an NRRD header", "x.nrrd", mha()),
)
