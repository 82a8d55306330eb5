"""JSON from hostile bytes, and values against their kinds."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.contract.kinds import KINDS
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


VALUES: dict[str, tuple[list[object], list[object]]] = {
    "String": (["", "text", "1"], [1, None, [], True]),
    "Integer": ([0, -5, 2**40, 1.0], [1.5, True, "1", None]),
    "Float": ([0, 1.5, -3], [True, "1.5", None, [1.5]]),
    "Bool": ([True, False], [0, 1, "true", None]),
    "Anything": ([None, 1, "x", [], {}, {"a": [None]}], []),
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
    assert message.startswith("JSON does not fulfill schema: instance is not ")


def test_the_message_does_not_repeat_the_value() -> None:
    message = check_value(KINDS["Float"], "x" * 1_000_000)
    assert message == "JSON does not fulfill schema: instance is not a number."


def test_a_deep_value_is_no_value_of_any_kind() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    assert check_value(KINDS["Anything"], deep) == f"it is nested deeper than {MAX_DEPTH} levels."


def test_images_have_no_value() -> None:
    with pytest.raises(ValueError, match="kind Image is not carried as JSON"):
        check_value(KINDS["Image"], 1)
