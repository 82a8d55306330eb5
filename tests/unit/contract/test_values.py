"""JSON from hostile bytes, and values against their kinds."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.contract.kinds import KINDS, Kind
from algorithm_operator.contract.values import (
    MAX_DEPTH,
    JsonError,
    JsonTooLargeError,
    check_value,
    dump_json,
    parse_json,
)

CAP = 1 << 20

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_every_value_survives(value: object, escaped: bool) -> None:
    text = json.dumps(value) if escaped else dump_json(value)
    assert parse_json(text.encode(), CAP) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_in_one_safe_line(data: bytes) -> None:
    try:
        value = parse_json(data, CAP)
    except JsonError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) < 400
    else:
        dump_json(value).encode()


@given(
    st.lists(
        st.sampled_from(['{"a":', "[", "]", "}", '"\\ud800"', "1e999", "NaN", ",", "9" * 30]), max_size=30
    )
)
def test_what_is_parsed_can_be_written_again(tokens: list[str]) -> None:
    try:
        value = parse_json("".join(tokens).encode(), CAP)
    except JsonError:
        return
    assert parse_json(dump_json(value).encode(), CAP) == value


REFUSED = {
    "empty": (b"", "it is empty"),
    "blank": (b" \n\t", "it is empty"),
    "cut off": (b'{"a": 1', "Expecting ',' delimiter: line 1, column 8"),
    "two values": (b"1 2", "Extra data"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "it is not UTF-8 (byte 0)"),
    "Latin-1": ('"Größe"'.encode("latin-1"), "it is not UTF-8"),
    "a key twice": (b'{"a": 1, "a": 2}', 'the key "a" twice'),
    "a key twice by escape": (rb'{"a": 1, "\u0061": 2}', 'the key "a" twice'),
    "half a surrogate pair": (rb'{"a": "\ud83d"}', "half of a surrogate pair"),
    "half a surrogate pair as key": (rb'{"\udc00": 1}', "half of a surrogate pair"),
    "65 bits": (b"9223372036854775808", "more than 64 bits (9223372036854775808)"),
    "65 bits below zero": (b"-9223372036854775809", "more than 64 bits"),
    "a million digits": (b"1" * 1_000_000, "more than 64 bits (1111"),
    "deep list": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
    "very deep list": (b"[" * 500_000, "nested deeper"),
    "deep object": (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested deeper"),
    "control character": (b'"\x01"', "Invalid control character"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, says: str) -> None:
    with pytest.raises(JsonError) as refused:
        parse_json(data, CAP)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 200


PARSED = {
    "blanks around": (b" \r\n[1]\n", [1]),
    "a surrogate pair": (rb'"\ud83d\ude00"', "😀"),
    "largest": (b"9223372036854775807", 2**63 - 1),
    "smallest": (b"-9223372036854775808", -(2**63)),
    "as deep as allowed": (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
    "the same key in two objects": (b'[{"a":1},{"a":1}]', [{"a": 1}, {"a": 1}]),
    "NaN": (b'{"a": [NaN, Infinity, -Infinity, 1e999, -1e999]}', {"a": [None] * 5}),
    "minus zero": (b"-0.0", 0.0),
}


@pytest.mark.parametrize(("data", "value"), PARSED.values(), ids=PARSED)
def test_parsed(data: bytes, value: object) -> None:
    parsed = parse_json(data, CAP)
    if value is not None:
        assert parsed == value


def test_a_large_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(JsonTooLargeError, match="it has 101 bytes, more than the limit of 100"):
        parse_json(b"1" * 101, 100)
    assert parse_json(b" " * 99 + b"1", 100) == 1


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_not_a_number_can_be_refused(token: str) -> None:
    with pytest.raises(JsonError, match="which is not JSON"):
        parse_json(f"[{token}]".encode(), CAP, allow_nan=False)


def test_not_a_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json({"a": math.nan})


VERSION = {"major": 1, "minor": 0}
P = [1, 2.5, 0]
BOX = {"version": VERSION, "type": "2D bounding box", "corners": [P, P, P, P]}
POINTS = {"version": VERSION, "type": "Multiple points", "points": []}
CHART = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "mark": "bar"}
VALUES: dict[str, tuple[list[object], list[object]]] = {
    "String": (["", "text", "1"], [1, None, [], True]),
    "Integer": ([0, -5, 2**40, 1.0], [1.5, True, "1", None]),
    "Float": ([0, 1.5, -3], [True, "1.5", None, [1.5]]),
    "Bool": ([True, False], [0, 1, "true", None]),
    "Anything": ([None, 1, "x", [], {}, {"a": [None]}], []),
    "Choice": (["", "a"], [1, ["a"], None]),
    "Multiple choice": ([[], ["a", "a"]], ["a", [1], None]),
    "Affine transform registration": (
        [{"3d_affine_transform": [[1, 0, 0, 0]] * 4}],
        [{}, {"3d_affine_transform": [[1, 0, 0]] * 4}, {"3d_affine_transform": [[1, 0, 0, 0]] * 3}, []],
    ),
    "2D bounding box": (
        [BOX, BOX | {"name": "a", "probability": 1}],
        [
            *(BOX | {"corners": [P, P, P]}, BOX | {"corners": [P] * 5}, BOX | {"corners": [[1, 2]] * 4}),
            *(BOX | {"type": "Point"}, BOX | {"more": 1}, BOX | {"probability": 1.1}, BOX | {"name": 1}),
            *(BOX | {"version": {"major": 1}}, BOX | {"version": {"major": 1, "minor": 0.5}}),
            *(BOX | {"version": {"major": -1, "minor": 0}}, {"type": "2D bounding box", "corners": [P] * 4}),
        ],
    ),
    "Multiple points": (
        [
            POINTS,
            POINTS | {"points": [{"point": P}, {"point": P, "name": "a", "type": "Point", "probability": 0}]},
        ],
        [
            *(
                POINTS | {"probability": 0.5},
                POINTS | {"points": [P]},
                POINTS | {"points": [{"point": [1, 2, "3"]}]},
            ),
            *(POINTS | {"points": [{"point": P, "version": VERSION}]}, POINTS | {"points": {}}, [POINTS]),
        ],
    ),
    "Polygon": (
        [
            {
                **{"version": VERSION, "type": "Polygon", "seed_point": P, "path_points": [P]},
                **{"sub_type": "poly", "groups": []},
            }
        ],
        [{"version": VERSION, "type": "Polygon", "seed_point": P, "path_points": [P], "groups": []}],
    ),
    "Chart": (
        [CHART, {"layer": [{}]}, {"facet": {}, "spec": {}}, {"repeat": ["a"], "spec": {}}, {"vconcat": []}],
        [
            *({}, [], {"mark": 1}, CHART | {"layer": []}, {"repeat": []}, {"layer": [1]}),
            CHART | {"$schema": "https://vega.github.io/schema/vega/v5.json"},
            CHART | {"$schema": "https://vega.github.io/schema/vega-lite/v6.json"},
        ],
    ),
}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(kind, value) for kind, (valid, _) in VALUES.items() for value in valid],
)
def test_values_of_a_kind(kind: str, value: object) -> None:
    assert check_value(KINDS[kind], value) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [(kind, value) for kind, (_, invalid) in VALUES.items() for value in invalid],
)
def test_values_that_are_none_of_a_kind(kind: str, value: object) -> None:
    message = check_value(KINDS[kind], value)
    assert message is not None
    assert message.startswith("JSON does not fulfill schema: instance")
    assert len(message) < 450


def test_the_message_does_not_repeat_the_value() -> None:
    message = check_value(KINDS["Float"], "x" * 1_000_000)
    assert message == "JSON does not fulfill schema: instance is not a number."


LARGE = "x" * 1_000_000
LARGE_VALUES: dict[str, tuple[str, object, str]] = {
    "a long list": ("Point", {"type": "Point", "version": VERSION, "point": [0] * 100_000}, "100000 entries"),
    "a long key": (
        "Point",
        {"type": "Point", LARGE: 1, "version": VERSION, "point": P},
        'may not have "xxxx',
    ),
    "a long name": (
        "Point",
        {"type": LARGE, "version": VERSION, "point": P},
        'instance["type"] is not "Point"',
    ),
    "a large number": (
        "Point",
        {"type": "Point", "version": {"major": -(10**300), "minor": 0}, "point": P},
        "minimum is 0",
    ),
}


@pytest.mark.parametrize(("kind", "value", "says"), LARGE_VALUES.values(), ids=LARGE_VALUES)
def test_messages_are_bounded(kind: str, value: object, says: str) -> None:
    message = check_value(KINDS[kind], value)
    assert message is not None
    assert says in message
    assert len(message) < 450


@given(st.sampled_from([kind for kind in KINDS.values() if kind.schema is not None]), json_values)
def test_any_value_is_of_a_kind_or_is_refused_in_one_safe_line(kind: Kind, value: object) -> None:
    message = check_value(kind, value)
    if message is not None:
        assert message.isprintable()
        assert len(message) < 450


@given(
    st.sampled_from(
        [kind for kind in KINDS.values() if isinstance(kind.example, dict) and kind.label != "Anything"]
    ),
    st.data(),
)
def test_an_example_without_one_of_its_keys_is_none_of_its_kind(kind: Kind, data: st.DataObject) -> None:
    assert kind.schema is not None
    required = kind.schema.get("required", ["mark"])
    gone = data.draw(st.sampled_from(required))
    assert check_value(kind, kind.example) is None
    assert check_value(kind, {key: value for key, value in kind.example.items() if key != gone}) is not None


def test_a_deep_value_is_no_value_of_any_kind() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    assert check_value(KINDS["Anything"], deep) == f"it is nested deeper than {MAX_DEPTH} levels."


def test_images_have_no_value() -> None:
    with pytest.raises(ValueError, match="kind Image is not carried as JSON"):
        check_value(KINDS["Image"], 1)
