"""The labels of the socket kinds that this version runs. What a kind means stands in `contract/kinds.py`."""

from __future__ import annotations

from enum import StrEnum


class SocketKind(StrEnum):
    """Grand Challenge's labels, verbatim."""

    STRING = "String"
    INTEGER = "Integer"
    FLOAT = "Float"
    BOOL = "Bool"
    ANYTHING = "Anything"
    IMAGE = "Image"
    SEGMENTATION = "Segmentation"


IMAGE_KINDS = (SocketKind.IMAGE, SocketKind.SEGMENTATION)
"""Carried as a folder that holds one image; all others are one JSON file."""

SEGMENTED_KINDS = (SocketKind.SEGMENTATION,)
"""Their sockets must declare overlaySegments."""
