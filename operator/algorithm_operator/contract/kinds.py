"""Socket kinds as data: Grand Challenge's label, code, file suffix, super kind and JSON schema.

Source of labels, codes and super kinds: Grand Challenge's socket kinds. A new kind is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class SuperKind(StrEnum):
    """How a kind is carried: as a JSON value, a file, or an image directory."""

    VALUE = "Value"
    FILE = "File"
    IMAGE = "Image"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `suffixes` are what a file of that kind may end with."""

    label: str
    code: str
    super_kind: SuperKind
    suffixes: tuple[str, ...]
    schema: dict[str, Any] | None = None
    example: Any = None
    segments: bool = field(default=False)


_ROWS = (
    Kind("String", "STR", SuperKind.VALUE, (".json",), {"type": "string"}, "Example String"),
    Kind("Integer", "INT", SuperKind.VALUE, (".json",), {"type": "integer"}, 42),
    Kind("Float", "FLT", SuperKind.VALUE, (".json",), {"type": "number"}, 42.0),
    Kind("Bool", "BOOL", SuperKind.VALUE, (".json",), {"type": "boolean"}, True),
    Kind("Anything", "JSON", SuperKind.VALUE, (".json",), {}, {"key": "value", "None": None}),
    Kind("Image", "IMG", SuperKind.IMAGE, (".mha",)),
    Kind("Segmentation", "SEG", SuperKind.IMAGE, (".mha",), segments=True),
)

KINDS: dict[str, Kind] = {row.label: row for row in _ROWS}
LABELS: tuple[str, ...] = tuple(KINDS)
