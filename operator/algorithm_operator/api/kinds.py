"""The labels of the socket kinds, and what the API server must know of them. The rest is in `contract/kinds.py`."""

from __future__ import annotations

from enum import StrEnum


class SocketKind(StrEnum):
    """Grand Challenge's labels, verbatim."""

    STRING = "String"
    INTEGER = "Integer"
    FLOAT = "Float"
    BOOL = "Bool"
    ANYTHING = "Anything"
    CHART = "Chart"
    BOX_2D = "2D bounding box"
    BOXES_2D = "Multiple 2D bounding boxes"
    DISTANCE = "Distance measurement"
    DISTANCES = "Multiple distance measurements"
    POINT = "Point"
    POINTS = "Multiple points"
    POLYGON = "Polygon"
    POLYGONS = "Multiple polygons"
    LINE = "Line"
    LINES = "Multiple lines"
    ANGLE = "Angle"
    ANGLES = "Multiple angles"
    ELLIPSE = "Ellipse"
    ELLIPSES = "Multiple ellipses"
    THREE_POINT_ANGLE = "Three-point angle"
    THREE_POINT_ANGLES = "Multiple three-point angles"
    AFFINE_TRANSFORM = "Affine transform registration"
    CHOICE = "Choice"
    MULTIPLE_CHOICE = "Multiple choice"
    IMAGE = "Image"
    SEGMENTATION = "Segmentation"
    HEAT_MAP = "Heat Map"
    DISPLACEMENT_FIELD = "Displacement field"
    DICOM_IMAGE_SET = "DICOM Image Set"
    PDF = "PDF file"
    SQREG = "SQREG file"
    JPEG = "Thumbnail jpg"
    PNG = "Thumbnail png"
    OBJ = "OBJ file"
    MP4 = "MP4 file"
    NEWICK = "Newick tree-format file"
    BIOM = "BIOM format"
    CSV = "CSV file"
    ZIP = "ZIP file"


PANIMG_KINDS = (
    SocketKind.IMAGE,
    SocketKind.SEGMENTATION,
    SocketKind.HEAT_MAP,
    SocketKind.DISPLACEMENT_FIELD,
)
"""Carried as a folder that holds one .mha or .tif file."""

IMAGE_KINDS = (*PANIMG_KINDS, SocketKind.DICOM_IMAGE_SET)
"""Carried as a folder."""

OVERLAY_KINDS = (SocketKind.SEGMENTATION, SocketKind.HEAT_MAP, SocketKind.DISPLACEMENT_FIELD)
"""Shown on top of another image, so their outputs must lie in its place."""

SEGMENTED_KINDS = (SocketKind.SEGMENTATION,)
"""Their sockets must declare overlaySegments."""

FILE_SUFFIXES = {
    SocketKind.PDF: ".pdf",
    SocketKind.SQREG: ".sqreg",
    SocketKind.JPEG: ".jpeg",
    SocketKind.PNG: ".png",
    SocketKind.OBJ: ".obj",
    SocketKind.MP4: ".mp4",
    SocketKind.NEWICK: ".newick",
    SocketKind.BIOM: ".biom",
    SocketKind.CSV: ".csv",
    SocketKind.ZIP: ".zip",
}
"""Carried as one file of that suffix; all kinds that are neither here nor images are one .json file."""
