"""Socket kinds as data: Grand Challenge's label, code, file suffix, super kind and JSON schema.

Source of labels, codes and super kinds: Grand Challenge's socket kinds. A new kind is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from algorithm_operator.api.kinds import FILE_SUFFIXES, PANIMG_KINDS, SEGMENTED_KINDS, SocketKind
from algorithm_operator.contract.schemas import SCHEMAS


class SuperKind(StrEnum):
    """How a kind is carried: as a JSON value, a file, or an image directory. The API of Grand Challenge says it so."""

    VALUE = "Value"
    FILE = "File"
    IMAGE = "Image"


class Form(StrEnum):
    """What stands at the relative path: one file of JSON, one other file, one image in a folder, a folder of DICOM."""

    JSON = "JSON"
    FILE = "file"
    IMAGE = "image"
    DICOM = "DICOM"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    `suffixes` are what a file of that kind may end with, as the algorithm reads and writes it; `segments` kinds must
    declare overlaySegments; `isolated` ones are shown to people only from another origin, `displayable` ones at all.
    JSON kinds of super kind File are never shown in a status: their values may be large.
    """

    label: str
    code: str
    super_kind: SuperKind
    form: Form
    suffixes: tuple[str, ...]
    schema: dict[str, Any] | None = None
    example: Any = None
    segments: bool = False
    isolated: bool = False
    displayable: bool = True


_CODES = {
    SocketKind.STRING: "STR",
    SocketKind.INTEGER: "INT",
    SocketKind.FLOAT: "FLT",
    SocketKind.BOOL: "BOOL",
    SocketKind.ANYTHING: "JSON",
    SocketKind.CHART: "CHART",
    SocketKind.BOX_2D: "2DBB",
    SocketKind.BOXES_2D: "M2DB",
    SocketKind.DISTANCE: "DIST",
    SocketKind.DISTANCES: "MDIS",
    SocketKind.POINT: "POIN",
    SocketKind.POINTS: "MPOI",
    SocketKind.POLYGON: "POLY",
    SocketKind.POLYGONS: "MPOL",
    SocketKind.LINE: "LINE",
    SocketKind.LINES: "MLIN",
    SocketKind.ANGLE: "ANGL",
    SocketKind.ANGLES: "MANG",
    SocketKind.ELLIPSE: "ELLI",
    SocketKind.ELLIPSES: "MELL",
    SocketKind.THREE_POINT_ANGLE: "3ANG",
    SocketKind.THREE_POINT_ANGLES: "M3AN",
    SocketKind.AFFINE_TRANSFORM: "ATRG",
    SocketKind.CHOICE: "CHOI",
    SocketKind.MULTIPLE_CHOICE: "MCHO",
    SocketKind.IMAGE: "IMG",
    SocketKind.SEGMENTATION: "SEG",
    SocketKind.HEAT_MAP: "HMAP",
    SocketKind.DISPLACEMENT_FIELD: "DSPF",
    SocketKind.DICOM_IMAGE_SET: "DCMIS",
    SocketKind.PDF: "PDF",
    SocketKind.SQREG: "SQREG",
    SocketKind.JPEG: "JPEG",
    SocketKind.PNG: "PNG",
    SocketKind.OBJ: "OBJ",
    SocketKind.MP4: "MP4",
    SocketKind.NEWICK: "NEWCK",
    SocketKind.BIOM: "BIOM",
    SocketKind.CSV: "CSV",
    SocketKind.ZIP: "ZIP",
}
_ISOLATED = (SocketKind.CHART, SocketKind.PDF, SocketKind.JPEG, SocketKind.PNG, SocketKind.MP4)
_UNDISPLAYABLE = (SocketKind.CSV, SocketKind.ZIP, SocketKind.OBJ, SocketKind.NEWICK, SocketKind.BIOM)


def _row(kind: SocketKind) -> Kind:
    isolated, displayable = kind in _ISOLATED, kind not in _UNDISPLAYABLE
    code = _CODES[kind]
    if kind in PANIMG_KINDS:
        suffixes = (".mha", ".tif")
        return Kind(kind, code, SuperKind.IMAGE, Form.IMAGE, suffixes, segments=kind in SEGMENTED_KINDS)
    if kind is SocketKind.DICOM_IMAGE_SET:
        return Kind(kind, code, SuperKind.IMAGE, Form.DICOM, (".dcm",))
    if kind in FILE_SUFFIXES:
        suffix = (FILE_SUFFIXES[kind],)
        return Kind(kind, code, SuperKind.FILE, Form.FILE, suffix, isolated=isolated, displayable=displayable)
    schema, example = SCHEMAS[kind]
    carried = (
        SuperKind.FILE
        if kind.startswith("Multiple ") and kind != SocketKind.MULTIPLE_CHOICE
        else SuperKind.VALUE
    )
    return Kind(kind, code, carried, Form.JSON, (".json",), schema, example, isolated=isolated)


KINDS: dict[str, Kind] = {str(kind): _row(kind) for kind in SocketKind}
LABELS: tuple[str, ...] = tuple(KINDS)
