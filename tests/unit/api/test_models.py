"""What the models read and write, conditions, and text that is safe to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from algorithm_operator.api.algorithm import AlgorithmSpec, Resources
from algorithm_operator.api.conditions import (
    Condition,
    ConditionType,
    find,
    is_true,
    with_condition,
    without_condition,
)
from algorithm_operator.api.job import AlgorithmJobSpec, JobInput
from algorithm_operator.api.text import quoted, shown

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def test_the_default_shape_is_the_seeds() -> None:
    interface = {"inputs": [{"slug": "a", "kind": "Float"}], "outputs": [{"slug": "b", "kind": "Float"}]}
    spec = AlgorithmSpec.model_validate({"image": {"reference": "a"}, "interfaces": [interface]})
    assert spec.resources.wire() == {
        "cpu": "2",
        "memory": "24G",
        "gpu": {"type": "T4", "count": 1},
        "scratch": {"size": "30G", "medium": "Disk"},
        "threads": 512,
    }
    assert spec.time_limit_seconds == 7200


def test_unknown_fields_of_a_newer_version_are_read_over() -> None:
    assert Resources.model_validate({"cpu": "1", "sharedMemory": "1Gi"}).cpu == "1"


def test_a_plain_number_is_a_quantity_and_true_is_none() -> None:
    assert Resources.model_validate({"cpu": 4}).cpu == "4"
    with pytest.raises(ValidationError):
        Resources.model_validate({"cpu": True})


@pytest.mark.parametrize(
    "wire",
    [
        {"slug": "a", "value": None},
        {"slug": "a", "value": {"b": None}},
        {"slug": "a", "value": False},
        {"slug": "a", "store": {"name": "s", "paths": ["x"]}},
    ],
    ids=["null", "null inside", "false", "store"],
)
def test_an_input_is_written_as_it_was_read(wire: dict[str, object]) -> None:
    given = JobInput.model_validate(wire)
    assert given.wire() == wire
    assert given.has_value == ("value" in wire)
    spec = AlgorithmJobSpec.model_validate({"algorithmRef": {"name": "a"}, "inputs": [wire]})
    assert spec.wire()["inputs"] == [wire]


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = with_condition([], ConditionType.READY, False, "Why", "x", generation=1, now=NOW)
    later = with_condition(
        first, ConditionType.READY, False, "Other", "y", generation=2, now=NOW + timedelta(1)
    )
    assert later == [
        Condition(
            type="Ready",
            status="False",
            reason="Other",
            message="y",
            observed_generation=2,
            last_transition_time="2026-11-22T20:00:00Z",
        )
    ]
    turned = with_condition(later, ConditionType.READY, True, "Ready", generation=2, now=NOW + timedelta(1))
    assert turned[0].last_transition_time == "2026-11-23T20:00:00Z"
    assert is_true(turned, ConditionType.READY)


def test_unknown_is_a_status_of_its_own() -> None:
    unknown = with_condition([], ConditionType.STAGED, None, "Why", generation=None, now=NOW)
    assert unknown[0].status == "Unknown"
    assert not is_true(unknown, ConditionType.STAGED)


def test_other_conditions_stay_where_they_are() -> None:
    both = with_condition(
        with_condition([], "A", True, "Why", generation=1, now=NOW), "B", True, "Why", generation=1, now=NOW
    )
    assert [each.type for each in with_condition(both, "A", False, "Why", generation=1, now=NOW)] == [
        "A",
        "B",
    ]
    assert find(without_condition(both, "A"), "A") is None
    assert find(without_condition(both, "A"), "B") == both[1]


@given(st.text() | st.binary(), st.integers(8, 300))
def test_shown_text_is_one_printable_bounded_line(text: str | bytes, limit: int) -> None:
    line = shown(text, limit)
    assert len(line) <= limit
    assert all(char.isprintable() or char.isspace() for char in line)
    assert len(line.splitlines()) <= 1
    line.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ä 脳", "plain ä 脳"),
        ("a\nb\r\x1b[31m", r"a\x0ab\x0d\x1b[31m"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
        (b"\xff\x00", r"\xff\x00"),
        ("\ud800", r"\ud800"),
        ("{0} %s $(id)", "{0} %s $(id)"),
    ],
    ids=["plain", "control", "bidi", "bytes", "surrogate", "templates"],
)
def test_shown(text: str | bytes, expected: str) -> None:
    assert shown(text) == expected


def test_long_text_is_cut_and_says_so() -> None:
    assert shown("x" * 1000, 10) == "x" * 9 + "…"
    assert shown("x" * 10, 10) == "x" * 10


def test_quotes_are_escaped() -> None:
    assert quoted('a"b') == r'"a\"b"'
