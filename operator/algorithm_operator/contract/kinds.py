"""Socket kinds as data: Grand Challenge's label, code, file suffix, super kind and JSON schema.

Source of labels, codes and super kinds: Grand Challenge's socket kinds. A new kind is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from algorithm_operator.api.kinds import SEGMENTED_KINDS, SocketKind


class SuperKind(StrEnum):
    """How a kind is carried: as a JSON value, a file, or an image directory."""

    VALUE = "Value"
    FILE = "File"
    IMAGE = "Image"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    `suffixes` are what a file of that kind may end with; `segments` kinds must declare overlaySegments.
    """

    label: str
    code: str
    super_kind: SuperKind
    suffixes: tuple[str, ...]
    schema: dict[str, Any] | None = None
    example: Any = None
    segments: bool = field(default=False)


def _json(label: SocketKind, code: str, schema: dict[str, Any], example: Any) -> Kind:
    return Kind(label, code, SuperKind.VALUE, (".json",), schema, example)


def _image(label: SocketKind, code: str) -> Kind:
    return Kind(label, code, SuperKind.IMAGE, (".mha",), segments=label in SEGMENTED_KINDS)


_ROWS = (
    _json(SocketKind.STRING, "STR", {"type": "string"}, "Example String"),
    _json(SocketKind.INTEGER, "INT", {"type": "integer"}, 42),
    _json(SocketKind.FLOAT, "FLT", {"type": "number"}, 42.0),
    _json(SocketKind.BOOL, "BOOL", {"type": "boolean"}, True),
    _json(SocketKind.ANYTHING, "JSON", {}, {"key": "value", "None": None}),
    _image(SocketKind.IMAGE, "IMG"),
    _image(SocketKind.SEGMENTATION, "SEG"),
)

KINDS: dict[str, Kind] = {row.label: row for row in _ROWS}
LABELS: tuple[str, ...] = tuple(KINDS)
