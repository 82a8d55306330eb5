"""JSON schemas (draft 7) and example values of the socket kinds that are JSON, built from small pieces.

Source of the facts: Grand Challenge's definitions of its socket kinds. A point has three coordinates; an annotation is
an object that says its `type` and the `version` of its format, and holds nothing that its kind does not know. The
annotations of a "Multiple ..." kind lie in a list, each without a version.
"""

from __future__ import annotations

from typing import Any

from algorithm_operator.api.kinds import SocketKind

Schema = dict[str, Any]

_VEGA_LITE = "https://vega.github.io/schema/vega-lite/v5"
_DRAFT_7 = "http://json-schema.org/draft-07/schema#"
_STRING: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_VERSION_PART: Schema = {"type": "number", "minimum": 0, "multipleOf": 1}


def _list_of(items: Schema, count: int | None = None) -> Schema:
    """A list; of exactly `count` items if that is given."""
    exactly = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": items, **exactly}


def _closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object that has all of `required`, may have those of `optional`, and has no other keys."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


_POINT = _list_of(_NUMBER, 3)
_STRETCH = _list_of(_POINT, 2)
_VERSION = _closed({"major": _VERSION_PART, "minor": _VERSION_PART})
_NAME: dict[str, Schema] = {"name": _STRING}
_PROBABILITY: dict[str, Schema] = {"probability": {"type": "number", "minimum": 0, "maximum": 1}}


def _annotation(label: str, parts: dict[str, Schema]) -> Schema:
    """One annotation, alone in its file."""
    return _closed({"version": _VERSION, "type": {"const": label}, **parts}, {**_NAME, **_PROBABILITY})


def _annotations(label: str, key: str, one: str, parts: dict[str, Schema]) -> Schema:
    """Many of kind `one`, in a list under `key`. Probabilities are the members', not the list's."""
    member = _closed(parts, {"type": {"const": one}, **_NAME, **_PROBABILITY})
    return _closed({"version": _VERSION, "type": {"const": label}, key: _list_of(member)}, _NAME)


_PARTS: dict[str, tuple[dict[str, Schema], dict[str, Any]]] = {
    SocketKind.BOX_2D: (
        {"corners": _list_of(_POINT, 4)},
        {"corners": [[130.8, 148.8, 0.5], [69.7, 148.8, 0.5], [69.7, 73.1, 0.5], [130.8, 73.1, 0.5]]},
    ),
    SocketKind.DISTANCE: (
        {"start": _POINT, "end": _POINT},
        {"start": [59.8, 78.8, 0.5], "end": [69.4, 143.8, 0.5]},
    ),
    SocketKind.POINT: ({"point": _POINT}, {"point": [152.1, 111.0, 0.5]}),
    SocketKind.POLYGON: (
        {
            "seed_point": _POINT,
            "path_points": _list_of(_POINT),
            "sub_type": _STRING,
            "groups": _list_of(_STRING),
        },
        {
            "seed_point": [76.4, 124.0, 0.5],
            "path_points": [[76.4, 124.0, 0.5], [76.6, 124.3, 0.5], [76.9, 123.8, 0.5]],
            "sub_type": "brush",
            "groups": ["manual"],
        },
    ),
    SocketKind.LINE: (
        {"seed_points": _list_of(_POINT), "path_point_lists": _list_of(_list_of(_POINT))},
        {
            "seed_points": [[1.0, 2.0, 0.5], [1.0, 9.0, 0.5]],
            "path_point_lists": [[[5.0, 6.0, 0.5], [7.0, 8.0, 0.5]], [[9.0, 10.0, 0.5], [11.0, 10.0, 0.5]]],
        },
    ),
    SocketKind.ANGLE: (
        {"lines": _list_of(_STRETCH, 2)},
        {"lines": [[[180.0, 10.0, 0.5], [190.0, 10.0, 0.5]], [[180.0, 25.0, 0.5], [190.0, 15.0, 0.5]]]},
    ),
    SocketKind.ELLIPSE: (
        {"major_axis": _STRETCH, "minor_axis": _STRETCH},
        {
            "major_axis": [[-10.0, 606.0, 0.5], [39.0, 559.0, 0.5]],
            "minor_axis": [[2.0, 570.0, 0.5], [26.0, 595.0, 0.5]],
        },
    ),
    SocketKind.THREE_POINT_ANGLE: (
        {"angle": _list_of(_POINT, 3)},
        {"angle": [[177.0, 493.0, 0.5], [22.0, 489.0, 0.5], [112.0, 353.0, 0.5]]},
    ),
}
"""Of the annotations alone: what belongs to them besides version and type, as a schema and as an example. Points in
the world coordinates of the image, mm."""

_LISTS = {
    SocketKind.BOXES_2D: ("boxes", SocketKind.BOX_2D),
    SocketKind.DISTANCES: ("lines", SocketKind.DISTANCE),
    SocketKind.POINTS: ("points", SocketKind.POINT),
    SocketKind.POLYGONS: ("polygons", SocketKind.POLYGON),
    SocketKind.LINES: ("lines", SocketKind.LINE),
    SocketKind.ANGLES: ("angles", SocketKind.ANGLE),
    SocketKind.ELLIPSES: ("ellipses", SocketKind.ELLIPSE),
    SocketKind.THREE_POINT_ANGLES: ("angles", SocketKind.THREE_POINT_ANGLE),
}
"""Of the kinds that hold many: the key of the list, and the kind of its members."""

_AFFINE = _closed({"3d_affine_transform": _list_of(_list_of(_NUMBER, 4), 4)}) | {"additionalProperties": True}
_IDENTITY = [[float(row == column) for column in range(4)] for row in range(4)]

_CHART: Schema = {
    "type": "object",
    "properties": {
        "$schema": {
            "type": "string",
            "pattern": r"^https://vega\.github\.io/schema/vega-lite/v5(\.[0-9]+)*\.json$",
        },
        "mark": {"type": ["string", "object"]},
        "encoding": {"type": "object"},
        "data": {"type": ["object", "null"]},
        "datasets": {"type": "object"},
        "transform": {"type": "array", "items": {"type": "object"}},
        "layer": {"$ref": "#/definitions/views"},
        "concat": {"$ref": "#/definitions/views"},
        "hconcat": {"$ref": "#/definitions/views"},
        "vconcat": {"$ref": "#/definitions/views"},
        "facet": {"type": "object"},
        "repeat": {"type": ["array", "object"]},
        "spec": {"type": "object"},
        "config": {"type": "object"},
    },
    "oneOf": [
        {"required": ["mark"]},
        {"required": ["layer"]},
        {"required": ["concat"]},
        {"required": ["hconcat"]},
        {"required": ["vconcat"]},
        {"required": ["facet", "spec"]},
        {"required": ["repeat", "spec"]},
    ],
    "definitions": {"views": {"type": "array", "items": {"type": "object"}}},
}
"""The shape of a Vega-Lite v5 chart: exactly one of a mark, layers, charts side by side, facets or repeats. What is
inside is left to the renderer, which knows all of Vega-Lite and runs without any rights."""

_CONFUSION = [
    {"Predicted": predicted, "Actual": actual, "Count": count}
    for predicted, actual, count in (("A", "A", 10), ("A", "B", 5), ("B", "A", 3), ("B", "B", 15))
]
_CONFUSION_MATRIX = {
    "$schema": f"{_VEGA_LITE}.json",
    "title": "Confusion matrix",
    "data": {"values": _CONFUSION},
    "mark": "rect",
    "encoding": {
        "x": {"field": "Predicted", "type": "nominal"},
        "y": {"field": "Actual", "type": "nominal"},
        "color": {"field": "Count", "type": "quantitative"},
    },
}

_PLAIN: dict[str, tuple[Schema, Any]] = {
    SocketKind.STRING: (_STRING, "Example String"),
    SocketKind.INTEGER: ({"type": "integer"}, 42),
    SocketKind.FLOAT: (_NUMBER, 42.0),
    SocketKind.BOOL: ({"type": "boolean"}, True),
    SocketKind.ANYTHING: ({}, {"key": "value", "None": None}),
    SocketKind.CHART: (_CHART, _CONFUSION_MATRIX),
    SocketKind.AFFINE_TRANSFORM: (_AFFINE, {"3d_affine_transform": _IDENTITY}),
    SocketKind.CHOICE: (_STRING, "Choice 1"),
    SocketKind.MULTIPLE_CHOICE: (_list_of(_STRING), ["Choice 1", "Choice 2"]),
}


def _schemas() -> dict[str, tuple[Schema, Any]]:
    """Schema and example of every kind that is JSON, by label."""
    version = {"major": 1, "minor": 0}
    found = dict(_PLAIN)
    for kind, (parts, example) in _PARTS.items():
        found[kind] = (
            _annotation(kind, parts),
            {"version": version, "type": str(kind), "name": "A", **example},
        )
    for kind, (key, one) in _LISTS.items():
        parts, example = _PARTS[one]
        members = [{"name": "A", "probability": 0.75, **example}, {"name": "B", **example}]
        found[kind] = (
            _annotations(kind, key, one, parts),
            {"version": version, "type": str(kind), key: members},
        )
    return {str(kind): ({"$schema": _DRAFT_7, **schema}, value) for kind, (schema, value) in found.items()}


SCHEMAS: dict[str, tuple[Schema, Any]] = _schemas()
"""Schema and example value of every kind that is JSON, by label."""
