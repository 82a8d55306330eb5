"""Files that are neither JSON nor images: two types at once, bombs, and what slips out when it is unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Final

from tests.hostile.corpus.entries import Output, Row, holds, sparse
from tests.unit.steps.files import JPEG, MP4, PDF, PNG, zipped

POLYGLOTS: Final = Row(
    "E.2",
    "PDF, PNG, JPEG, MP4 that are something else as well, or are cut, or whose parts lead in circles",
    "the first and last bytes and the plain structure are looked at, bounded; nothing is decoded or shown in place",
)
ARCHIVES: Final = Row(
    "E.2",
    "zip bombs, zip slips as outputs",
    "nothing is unpacked: the file is kept as it is",
)
TEXTS: Final = Row(
    "E.2",
    "CSV with formulas, Newick trees of 200 000 levels, OBJ without an end",
    "texts are read up to a bound, by no recursion",
)


def slip() -> bytes:
    """A ZIP whose members lie elsewhere."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in ("../../outside/x", "/etc/cron.d/x", "a\\..\\..\\x", "CON", "x\x1b[2J"):
            archive.writestr(name, "slipped")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return written.getvalue()


def bomb(mebibytes: int, members: int = 1) -> bytes:
    """A small ZIP of much."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(members):
            archive.writestr(str(number), bytes(mebibytes << 20))
    return written.getvalue()


def _file(id_: str, row: Row, kind: str, says: str | None, data: bytes) -> Output:
    return Output(id_, row, holds(data), says, kind=kind)


ENTRIES = (
    _file("pdf-and-zip", POLYGLOTS, "PDF file", None, PDF + zipped()),
    _file(
        "pdf-with-script",
        POLYGLOTS,
        "PDF file",
        None,
        PDF.replace(b"/Catalog", b"/Catalog /OpenAction <</S /JavaScript /JS (app.alert(1))>>"),
    ),
    _file(
        "pdf-behind-html", POLYGLOTS, "PDF file", "it does not begin with %PDF-", b"<script>1</script>" + PDF
    ),
    _file("pdf-cut", POLYGLOTS, "PDF file", "it does not end with %%EOF", PDF[:-7]),
    Output("pdf-sparse", POLYGLOTS, sparse(PDF, 1 << 41), "is too large", kind="PDF file"),
    Output(
        "pdf-sparse-within-the-limit",
        POLYGLOTS,
        sparse(PDF, 1 << 30),
        "it does not end with %%EOF",
        kind="PDF file",
    ),
    _file("png-and-html", POLYGLOTS, "Thumbnail png", None, PNG + b"<script>alert(1)</script>"),
    _file("png-is-svg", POLYGLOTS, "Thumbnail png", "it does not begin as one", b"<svg onload=alert(1)>"),
    _file(
        "png-of-no-size",
        POLYGLOTS,
        "Thumbnail png",
        "its width or height is 0",
        PNG[:16] + bytes(8) + PNG[24:],
    ),
    _file("png-cut", POLYGLOTS, "Thumbnail png", "its last chunk is missing", PNG[:-12]),
    _file("jpeg-is-gif", POLYGLOTS, "Thumbnail jpg", "it does not begin as one", b"GIF89a/*" + bytes(64)),
    _file(
        "jpeg-of-fill",
        POLYGLOTS,
        "Thumbnail jpg",
        "its segments do not lead to a picture",
        b"\xff\xd8" + b"\xff" * 5_000_000,
    ),
    _file(
        "jpeg-of-empty-segments",
        POLYGLOTS,
        "Thumbnail jpg",
        "its segments do not lead to a picture",
        b"\xff\xd8" + b"\xff\xe0\0\0" * 100_000,
    ),
    _file("jpeg-and-html", POLYGLOTS, "Thumbnail jpg", None, JPEG + b"<script>alert(1)</script>"),
    _file(
        "mp4-box-of-0",
        POLYGLOTS,
        "MP4 file",
        "no moov box",
        MP4[:16] + struct.pack(">I4s", 0, b"free") + bytes(64),
    ),
    _file(
        "mp4-box-of-7",
        POLYGLOTS,
        "MP4 file",
        "a box ends after the end",
        MP4[:16] + struct.pack(">I4s", 7, b"free") + bytes(64),
    ),
    _file(
        "mp4-box-of-64-bits",
        POLYGLOTS,
        "MP4 file",
        "a box ends after the end",
        MP4[:16] + struct.pack(">I4sQ", 1, b"free", (1 << 64) - 1),
    ),
    _file(
        "mp4-boxes",
        POLYGLOTS,
        "MP4 file",
        "no moov box",
        MP4[:16] + struct.pack(">I4s", 8, b"free") * 100_000,
    ),
    _file("zip-slip", ARCHIVES, "ZIP file", None, slip()),
    _file("zip-bomb", ARCHIVES, "ZIP file", None, bomb(64)),
    _file("zip-behind-program", ARCHIVES, "ZIP file", "it does not begin as one", b"\x7fELF" + zipped()),
    _file("zip-cut", ARCHIVES, "ZIP file", "its list of files is missing", zipped()[:-10]),
    _file("zip-comment", ARCHIVES, "ZIP file", None, zipped(b"<script>" * 8000)),
    _file("csv-formula", TEXTS, "CSV file", None, b'=cmd|"/c calc"!A1,@SUM(1),+1,-1\n'),
    _file("csv-ansi", TEXTS, "CSV file", None, b"a,\x1b[2J\n"),
    _file("csv-nul", TEXTS, "CSV file", "which is in no text", b"a,\0\n"),
    _file("csv-one-line", TEXTS, "CSV file", None, b"a," * 5_000_000),
    _file(
        "newick-deep", TEXTS, "Newick tree-format file", None, b"(" * 200_000 + b"a" + b")" * 200_000 + b";"
    ),
    _file("newick-open", TEXTS, "Newick tree-format file", "open parentheses", b"(" * 200_000 + b";"),
    _file(
        "newick-quotes", TEXTS, "Newick tree-format file", "is not closed", b"('" + b"''" * 1_000_000 + b";"
    ),
    _file(
        "newick-large", TEXTS, "Newick tree-format file", "more than the limit of 16777216", b"a," * (9 << 20)
    ),
    _file("obj-no-vertex", TEXTS, "OBJ file", "there is no vertex", b"v" + b" \t" * 2_000_000),
    _file("obj-numbers", TEXTS, "OBJ file", "there is no vertex", b"v 1" + b"1" * 2_000_000),
    _file("biom-is-json", TEXTS, "BIOM format", "it is not HDF5", b'{"id": null, "format": "BIOM 1.0"}' * 20),
    _file("sqreg-of-anything", TEXTS, "SQREG file", None, b"\x7fELF" + bytes(64)),
)
