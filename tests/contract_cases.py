"""One example of every kind that is taken and one that is refused, with the words: data for a test and for the docs.

`tests/unit/steps/test_contract.py` runs them through collect and stage; `tests/contract_table.py` writes them into
docs/contract.md. A new kind needs a new row.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract.kinds import KINDS, Form
from tests.unit.steps.dicom import series, volume
from tests.unit.steps.files import FILES
from tests.unit.steps.mha import mha

Files = Mapping[str, bytes]
"""By their names below the folder of an image; of a JSON or other file, one without a name."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is handed in, in words and as files; `says`: the whole message of `collect` if it is refused as output "a"
    (of a kind that is for inputs only, of `stage`)."""

    words: str
    files: Files
    says: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Of one kind: an example that is taken, where it is staged below /input, and an example that is refused."""

    taken: Case
    staged: str
    refused: Case


def _text(value: Any) -> Case:
    return Case(json.dumps(value), {"": json.dumps(value).encode()})


def _not(value: Any, says: str) -> Case:
    case = _text(value)
    why = f"JSON does not fulfill schema: instance{says}"
    return Case(case.words, case.files, f'The output file "a.json" is not valid. {why}')


def _without(kind: str, key: str) -> dict[str, Any]:
    return {name: value for name, value in KINDS[kind].example.items() if name != key}


_VERSION = {"major": 1, "minor": 0}


def _of(kind: str, **parts: Any) -> dict[str, Any]:
    return {"version": _VERSION, "type": str(kind), **parts}


_JSON_REFUSED: dict[SocketKind, Case] = {
    SocketKind.STRING: _not(42, " is not a string."),
    SocketKind.INTEGER: _not(42.5, " is not a whole number."),
    SocketKind.FLOAT: _not("42", " is not a number."),
    SocketKind.BOOL: _not("true", " is not true or false."),
    SocketKind.ANYTHING: Case(
        "{'key': 'value'}",
        {"": b"{'key': 'value'}"},
        'The output file "a.json" is not valid json. Expecting property name enclosed in double quotes: line 1, '
        "column 2.",
    ),
    SocketKind.CHART: _not({"data": {}}, " fits none of the 7 forms that it may have."),
    SocketKind.BOX_2D: _not(
        _of(SocketKind.BOX_2D, corners=[[0, 0, 0], [1, 1, 0]]),
        '["corners"] has 2 entries, and at least 4 are needed.',
    ),
    SocketKind.BOXES_2D: _not([], " is not an object."),
    SocketKind.DISTANCE: _not(_of(SocketKind.DISTANCE, start=[0, 0, 0]), ' has no "end".'),
    SocketKind.DISTANCES: _not(
        _of(SocketKind.DISTANCES, lines=[{"start": [0, 0, 0]}]), '["lines"][0] has no "end".'
    ),
    SocketKind.POINT: _not(
        _of(SocketKind.POINT, point=[1, 2]), '["point"] has 2 entries, and at least 3 are needed.'
    ),
    SocketKind.POINTS: _not(_of(SocketKind.POINTS, points=[[1, 2, 3]]), '["points"][0] is not an object.'),
    SocketKind.POLYGON: _not(_without(SocketKind.POLYGON, "groups"), ' has no "groups".'),
    SocketKind.POLYGONS: _not({"type": "Multiple polygons", "polygons": []}, ' has no "version".'),
    SocketKind.LINE: _not(_without(SocketKind.LINE, "seed_points"), ' has no "seed_points".'),
    SocketKind.LINES: _not(_of(SocketKind.LINES, lines=[], probability=1), ' may not have "probability".'),
    SocketKind.ANGLE: _not(
        _of(SocketKind.ANGLE, lines=[]), '["lines"] has 0 entries, and at least 2 are needed.'
    ),
    SocketKind.ANGLES: _not(_of("Angle", angles=[]), '["type"] is not "Multiple angles".'),
    SocketKind.ELLIPSE: _not(_without(SocketKind.ELLIPSE, "minor_axis"), ' has no "minor_axis".'),
    SocketKind.ELLIPSES: _not(_of(SocketKind.ELLIPSES, ellipses={}), '["ellipses"] is not a list.'),
    SocketKind.THREE_POINT_ANGLE: _not(
        _of(SocketKind.THREE_POINT_ANGLE, angle=[[0, 0, 0]] * 4),
        '["angle"] has 4 entries, and at most 3 are allowed.',
    ),
    SocketKind.THREE_POINT_ANGLES: _not(
        _of(SocketKind.THREE_POINT_ANGLES, angles=[], color="red"), ' may not have "color".'
    ),
    SocketKind.AFFINE_TRANSFORM: _not(
        {"3d_affine_transform": [[1, 0, 0, 0]]},
        '["3d_affine_transform"] has 1 entries, and at least 4 are needed.',
    ),
    SocketKind.CHOICE: _not(["a"], " is not a string."),
    SocketKind.MULTIPLE_CHOICE: _not("a", " is not a list."),
}


_FILES_REFUSED: dict[SocketKind, tuple[str, bytes, str]] = {
    SocketKind.PDF: (
        "a PDF file that was cut off",
        FILES[SocketKind.PDF][:-6],
        "PDF file: it does not end with %%EOF, so it is not whole",
    ),
    SocketKind.SQREG: ("an empty file", b"", ""),
    SocketKind.JPEG: ("a PNG file named .jpeg", FILES[SocketKind.PNG], "JPEG file: it does not begin as one"),
    SocketKind.PNG: ("a JPEG file named .png", FILES[SocketKind.JPEG], "PNG file: it does not begin as one"),
    SocketKind.OBJ: (
        "a text without a vertex",
        b"hello\n",
        "OBJ file: there is no vertex (a line 'v x y z') in its first 1048576 bytes",
    ),
    SocketKind.MP4: (
        "an MP4 file that was cut off",
        FILES[SocketKind.MP4][:-4],
        "MP4 file: a box ends after the end of the file, so it is not whole",
    ),
    SocketKind.NEWICK: ("a tree without its end", b"(A,B)", "Newick file: it does not end with a semicolon"),
    SocketKind.BIOM: (
        "a text",
        b"hello\n",
        "BIOM file: it is not HDF5; BIOM as JSON (version 1) is not taken",
    ),
    SocketKind.CSV: (
        "binary data",
        bytes(16),
        r"CSV file: byte 0 is \x00, which is in no text (save it as UTF-8)",
    ),
    SocketKind.ZIP: (
        "a ZIP file that was cut off",
        FILES[SocketKind.ZIP][:-4],
        "ZIP file: its list of files is missing, so it is not whole",
    ),
}


def _file(kind: SocketKind) -> Row:
    suffix = KINDS[kind].suffixes[0]
    words, data, why = _FILES_REFUSED[kind]
    says = f'The output file "a{suffix}" is not valid. It is ' + (f"no {why}." if why else "empty.")
    staged = "a.txt" if kind is SocketKind.ZIP else f"a{suffix}"
    words_taken = "a ZIP file that holds a.txt" if kind is SocketKind.ZIP else f"a whole {suffix} file"
    return Row(Case(words_taken, {"": FILES[kind]}), staged, Case(words, {"": data}, says))


_SEGMENTED = mha(bytes([0, 1] * 12))
_FIELD = mha(
    bytes(24 * 3), NDims="4", DimSize="4 3 2 3", ElementSpacing="1 1 1 1", Offset="0 0 0 0",
    TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
)  # fmt: skip


def _series() -> list[bytes]:
    """Two slices of one DICOM series."""
    with tempfile.TemporaryDirectory() as folder:
        return [path.read_bytes() for path in series(Path(folder), volume(2))]


_SLICES = _series()
_IMAGE = "images/a/{uuid}.mha"
_IMAGES = {
    SocketKind.IMAGE: Row(
        Case("one .mha file", {"x.mha": mha()}),
        _IMAGE,
        Case(
            "two .mha files",
            {"x.mha": mha(), "y.mha": mha()},
            'Only 1 image should be produced in "images/a", we found 2',
        ),
    ),
    SocketKind.SEGMENTATION: Row(
        Case("voxels of 0 and 1, where segment 1 is declared", {"x.mha": _SEGMENTED}),
        _IMAGE,
        Case(
            "a voxel of 7",
            {"x.mha": mha(bytes([0, 7] * 12))},
            'The image produced in "images/a" is not valid. The valid voxel values for this segmentation are: {0, 1}. '
            "This segmentation is invalid as it contains the voxel values: {7}.",
        ),
    ),
    SocketKind.HEAT_MAP: Row(
        Case("one .mha file", {"x.mha": mha()}),
        _IMAGE,
        Case(
            "a NIfTI file",
            {"x.nii": b"x"},
            'No output images could be imported from "images/a". "x.nii" is no .mha file (with the data inside) and no '
            ".tif file",
        ),
    ),
    SocketKind.DISPLACEMENT_FIELD: Row(
        Case("a 4D image with x, y and z along the fourth axis", {"x.mha": _FIELD}),
        _IMAGE,
        Case(
            "a 3D image",
            {"x.mha": mha()},
            'The image produced in "images/a" is not valid. Deformation and displacement must be 4D images.',
        ),
    ),
    SocketKind.DICOM_IMAGE_SET: Row(
        Case("the files of one series", {"x.dcm": _SLICES[0], "y.dcm": _SLICES[1]}),
        "images/a/1.2.3.4.1.dcm, images/a/1.2.3.4.2.dcm",
        Case(
            "a file that is no DICOM",
            {"x.dcm": b"hello"},
            'Input "a" is not valid: "case/x.dcm": no DICOM, which has DICM after 128 bytes; leave it out.',
        ),
    ),
}


def _row(kind: SocketKind) -> Row:
    if kind in _IMAGES:
        return _IMAGES[kind]
    if KINDS[kind].form is Form.FILE:
        return _file(kind)
    return Row(_text(KINDS[kind].example), "a.json", _JSON_REFUSED[kind])


ROWS: dict[SocketKind, Row] = {kind: _row(kind) for kind in SocketKind}

PATHS: dict[tuple[SocketKind, str], str] = {
    (SocketKind.FLOAT, "/a.json"): "Path must not begin or end with '/'",
    (SocketKind.FLOAT, "../a.json"): "Relative paths are not allowed.",
    (SocketKind.FLOAT, "Inputs.json"): "This relative path is reserved",
    (SocketKind.FLOAT, "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11.json"): (
        "This relative path contains a UUID; the names of image files are UUIDs already"
    ),
    (SocketKind.FLOAT, "a.txt"): "Relative path should end with .json",
    (SocketKind.PDF, "a.json"): "Relative path should end with .pdf",
    (SocketKind.JPEG, "a.jpg"): "Relative path should end with .jpeg",
    (SocketKind.FLOAT, "images/a.json"): "Only images may lie below images/",
    (SocketKind.IMAGE, "ct"): "Images should be a directory: images/<name>",
    (SocketKind.IMAGE, "images/ct.mha"): "Images should be a directory: images/<name>",
}
"""Relative paths that no socket of that kind may have, and why."""
