"""Files of the kinds that are neither JSON nor images: what is taken, what is refused and with which words."""

from __future__ import annotations

import io
import sqlite3
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.api.kinds import FILE_SUFFIXES, SocketKind
from algorithm_operator.steps import filetypes
from tests.unit.steps.files import JPEG, MP4, PDF, PNG, hdf5, opened, zipped


def judged(path: Path, kind: str, data: bytes) -> str | None:
    path.write_bytes(data)
    with opened(path) as descriptor:
        return filetypes.problem(kind, descriptor, len(data))


def database(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute("create table landmarks (x real)")
    connection.commit()
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize("kind", FILE_SUFFIXES)
def test_an_empty_file_is_of_no_kind(tmp_path: Path, kind: str) -> None:
    assert judged(tmp_path / "x", kind, b"") == "it is empty."


def test_a_registration_may_be_any_data(tmp_path: Path) -> None:
    assert judged(tmp_path / "x", SocketKind.SQREG, database(tmp_path / "db")) is None
    assert judged(tmp_path / "x", SocketKind.SQREG, b"\x00\x01") is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param(SocketKind.PDF, PDF, id="pdf"),
        pytest.param(SocketKind.JPEG, JPEG, id="jpeg"),
        pytest.param(SocketKind.JPEG, JPEG[:2] + b"\xff\xff\xff\xd0" + JPEG[2:], id="jpeg with padding"),
        pytest.param(SocketKind.PNG, PNG, id="png"),
        pytest.param(SocketKind.OBJ, b"# cube\no cube\nv 0 1.5 -2e-3\nf 1 1 1\n", id="obj"),
        pytest.param(SocketKind.OBJ, "o Schädel\nv 0 0 0\n".encode("latin-1"), id="obj in latin-1"),
        pytest.param(SocketKind.MP4, MP4, id="mp4"),
        pytest.param(
            SocketKind.MP4,
            MP4[:16] + struct.pack(">I4sQ", 1, b"mdat", 20) + bytes(4) + struct.pack(">I4s", 0, b"moov"),
            id="mp4 with a large box",
        ),
        pytest.param(SocketKind.NEWICK, b"();", id="newick, the least"),
        pytest.param(SocketKind.NEWICK, b"(A:0.1,B:0.2,(C:0.3,D:0.4)E:0.5)F;\n", id="newick"),
        pytest.param(SocketKind.NEWICK, b"(A,B);\n(C,D);\n", id="newick, two trees"),
        pytest.param(SocketKind.NEWICK, b"[&R] ('it''s; (one',B[&x=1]:[y]2)x:0;", id="newick, quotes"),
        pytest.param(SocketKind.BIOM, hdf5(), id="biom"),
        pytest.param(SocketKind.BIOM, bytes(1024) + hdf5(), id="biom after a user block"),
        pytest.param(SocketKind.CSV, b"a,b\n1,2\n", id="csv"),
        pytest.param(SocketKind.CSV, b"only\none\ncolumn\n", id="csv of one column"),
        pytest.param(SocketKind.ZIP, zipped(), id="zip"),
        pytest.param(SocketKind.ZIP, zipped(comment=b"hello"), id="zip with a comment"),
    ],
)
def test_is_taken(tmp_path: Path, kind: str, data: bytes) -> None:
    assert judged(tmp_path / "x", kind, data) is None


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        pytest.param(SocketKind.PDF, b"<html>", "it does not begin with %PDF-", id="pdf is html"),
        pytest.param(SocketKind.PDF, PDF[:-6], "so it is not whole", id="pdf cut"),
        pytest.param(SocketKind.JPEG, PNG, "it does not begin as one", id="jpeg is png"),
        pytest.param(SocketKind.JPEG, JPEG[:30], "do not lead to a picture", id="jpeg cut"),
        pytest.param(SocketKind.JPEG, b"\xff\xd8\xff" * 9, "do not lead to a picture", id="jpeg of nothing"),
        pytest.param(SocketKind.JPEG, b"\xff\xd8" + b"\xff" * 99999, "not lead to a picture", id="jpeg pads"),
        pytest.param(SocketKind.PNG, JPEG, "it does not begin as one", id="png is jpeg"),
        pytest.param(SocketKind.PNG, PNG[:-12], "its last chunk is missing", id="png cut"),
        pytest.param(
            SocketKind.PNG, PNG[:16] + bytes(8) + PNG[24:], "width or height is 0", id="png of nothing"
        ),
        pytest.param(SocketKind.OBJ, b"solid cube\nfacet normal 0 0 1\n", "no vertex", id="obj is stl"),
        pytest.param(SocketKind.OBJ, b"v 0 0 0\x00", "byte 7 is \\x00", id="obj is binary"),
        pytest.param(SocketKind.MP4, b"RIFF....AVI ", "it does not begin with an ftyp box", id="mp4 is avi"),
        pytest.param(SocketKind.MP4, MP4[:-1], "after the end of the file", id="mp4 cut"),
        pytest.param(SocketKind.MP4, MP4[:16], "no moov box", id="mp4 without a film"),
        pytest.param(SocketKind.NEWICK, b"(A,B)", "does not end with a semicolon", id="newick without end"),
        pytest.param(SocketKind.NEWICK, b"  \n", "does not end with a semicolon", id="newick of nothing"),
        pytest.param(SocketKind.NEWICK, b";", "is empty or has open", id="newick, empty tree"),
        pytest.param(SocketKind.NEWICK, b"((A,B);", "byte 6 is empty or has open", id="newick open"),
        pytest.param(SocketKind.NEWICK, b"(A,B));", "at byte 5 was not opened", id="newick closed"),
        pytest.param(SocketKind.NEWICK, b"(A)(B);", "missing before byte 3", id="newick, no comma"),
        pytest.param(SocketKind.NEWICK, b"A,B;", "at byte 1 is outside", id="newick, bare comma"),
        pytest.param(SocketKind.NEWICK, b"('A,B);", "at byte 1 is not closed", id="newick quote"),
        pytest.param(SocketKind.NEWICK, b"([A,B);", "at byte 1 is not closed", id="newick comment"),
        pytest.param(SocketKind.BIOM, b'{"id": null}', "it is not HDF5", id="biom is json"),
        pytest.param(SocketKind.CSV, b"a,b\n\xff\xfe\x00", "byte 6 is \\x00", id="csv is binary"),
        pytest.param(SocketKind.CSV, b" \n\n", "nothing but white space", id="csv of nothing"),
        pytest.param(SocketKind.ZIP, b"Rar!\x1a\x07", "it does not begin as one", id="zip is rar"),
        pytest.param(SocketKind.ZIP, zipped()[:-8], "its list of files is missing", id="zip cut"),
    ],
)
def test_is_refused(tmp_path: Path, kind: str, data: bytes, why: str) -> None:
    said = judged(tmp_path / "x", kind, data)
    assert said is not None
    assert why in said
    assert said.startswith("it is no ")


def test_a_large_tree_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"(A,B);")
    with opened(path) as descriptor:
        said = filetypes.problem(SocketKind.NEWICK, descriptor, filetypes.MAX_TREE + 1)
    assert (
        said
        == f"it is no Newick file: it has {filetypes.MAX_TREE + 1} bytes, more than the limit of {filetypes.MAX_TREE}."
    )


def test_zip_is_what_zipfile_opens() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped())) as archive:
        assert archive.namelist() == ["a.txt"]


_STARTS = [
    b"",
    b"%PDF-",
    b"\xff\xd8\xff\xe0",
    PNG[:33],
    b"v 0 0 0",
    MP4[:16],
    b"(",
    hdf5()[:8],
    b"PK\x03\x04",
]


@given(
    kind=st.sampled_from(list(FILE_SUFFIXES)), start=st.sampled_from(_STARTS), rest=st.binary(max_size=400)
)
def test_whatever_the_bytes_are_there_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, kind: str, start: bytes, rest: bytes
) -> None:
    said = judged(tmp_path_factory.getbasetemp() / "any", kind, start + rest)
    assert said is None or (said.isprintable() and len(said) < 256)
