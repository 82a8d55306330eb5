"""A socket's own JSON schema: what it may be, what of a value it refuses, and that hostile ones end soon."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm_operator.contract.customschemas import (
    MAX_SCHEMA_BYTES,
    MAX_WORK,
    is_bounded,
    schema_problem,
)
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.values import check_value
from tests.unit.contract.test_values import json_values

DRAFT = "http://json-schema.org/draft-0{}/schema#"
ANYTHING = KINDS["Anything"]


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def doubling(steps: int) -> dict[str, Any]:
    """Twice as much work with every step."""
    return {
        "definitions": {
            "0": {},
            **{str(n): {"allOf": [{"$ref": f"#/definitions/{n - 1}"}] * 2} for n in range(1, steps + 1)},
        },
        "$ref": f"#/definitions/{steps}",
    }


SOUND: dict[str, dict[str, Any]] = {
    "empty": {},
    "draft 7": {"$schema": DRAFT.format(7), "if": {"type": "array"}, "then": {"minItems": 1}},
    "draft 6": {"$schema": DRAFT.format(6), "const": 1},
    "draft 4": {"$schema": DRAFT.format(4), "minimum": 1, "exclusiveMinimum": True},
    "by https, no fragment": {"$schema": "https://json-schema.org/draft-07/schema"},
    "an id": {"$id": "https://example.org/a.json", "$ref": "#/definitions/a", "definitions": {"a": {}}},
    "itself": {"properties": {"child": {"$ref": "#"}}},
    "a property named $ref": {"properties": {"$ref": {"type": "string"}}},
    "a pattern": {"pattern": "^a+$"},
    "an entry twice": {"$schema": DRAFT.format(4), "enum": [1, [], 1]},
    "as large as allowed": {"title": "x" * (MAX_SCHEMA_BYTES - 12)},
}


@pytest.mark.parametrize("schema", SOUND.values(), ids=SOUND)
def test_sound(schema: dict[str, Any]) -> None:
    assert schema_problem(schema) is None


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "too large": (
        {"title": "x" * MAX_SCHEMA_BYTES},
        f"it has {MAX_SCHEMA_BYTES + 12} bytes, more than 32768.",
    ),
    "too deep": (nested(40), "it is nested deeper than 40 levels."),
    "very deep": (nested(2000), "it is nested deeper than 40 levels."),
    "a newer draft": (
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        '$schema is "https://json-schema.org/draft/2020-12/schema"; JSON Schema drafts 7, 6 and 4 are known.',
    ),
    "draft 3": ({"$schema": DRAFT.format(3)}, "drafts 7, 6 and 4 are known."),
    "$schema a number": ({"$schema": 7}, '$schema is "7"; JSON Schema drafts 7, 6 and 4 are known.'),
    "a remote reference": (
        {"items": {"$ref": "http://10.96.0.1/x.json"}},
        '$ref "http://10.96.0.1/x.json" is not part of it; a schema may refer only to itself ("#/definitions/…").',
    ),
    "a file": ({"$ref": "file:///etc/passwd"}, '$ref "file:///etc/passwd" is not part of it'),
    "the metaschema": ({"$ref": DRAFT.format(7)}, "is not part of it"),
    "a remote reference that is hidden": (
        {"x": [{"$ref": "other.json"}]},
        '$ref "other.json" is not part of it',
    ),
    "a reference to nothing": ({"$ref": "#/definitions/a"}, '$ref "#/definitions/a" leads nowhere.'),
    "a reference to a number": ({"$ref": "#/minimum", "minimum": 1}, "leads to something that is no schema."),
    "a reference with an unknown anchor": ({"$ref": "#a"}, '$ref "#a" leads nowhere.'),
    "a type that is none": ({"type": "float"}, 'at "/type": '),
    "deep inside": ({"properties": {"a": {"minimum": "1"}}}, 'at "/properties/a/minimum": '),
    "no regular expression": ({"pattern": "(a"}, 'at "/pattern": the pattern "(a" is no regular expression.'),
    "a pattern of parentheses": ({"pattern": "(" * 5000 + ")" * 5000}, "pattern"),
    "a pattern of very many": (
        {"pattern": "a{99999999999}"},
        "one of its patterns repeats something too often.",
    ),
    "a pattern of very many digits": ({"pattern": f"a{{{'9' * 5000}}}"}, "repeats something too often."),
    "a pattern that takes long to compile": (
        {"items": {"pattern": "(?i:" + r"[\x00-\uffff]" * 1900 + ")"}},
        "has flags or a comment in it, which JSON Schema does not know",
    ),
    "patterns of very many sets": (
        {"patternProperties": {r"[^\w\x80-\uffff]" * 65: {"pattern": "[a]" * 64}}},
        "its patterns have more than 128 sets of characters.",
    ),
    "very many parts": ({"items": [0] * 4000}, "it has more than 4000 parts."),
    "very many parts as an enum that is none": (
        {"properties": {"enum": {"items": [0] * 4000}}},
        "4000 parts",
    ),
    "flags after sets": ({"pattern": r"[]\](?i]\[\\(?i)a"}, "has flags"),
    "flags of a property's name": ({"patternProperties": {"(?-i:a)": {}}}, 'pattern "(?-i:a)" has flags'),
    "a comment that hides flags": ({"pattern": "(?#[)(?i)[a]"}, "has flags or a comment"),
    "control characters": ({"type": "\u202e\n"}, r"\u202e"),
}


@pytest.mark.parametrize("pattern", [r"(?:a)(?=b)(?!c)(?<=d)(?<!e)", "[(?i)]", r"\(?i", "[](?i]", r"[\](?i]"])
def test_patterns_without_flags(pattern: str) -> None:
    assert schema_problem({"pattern": pattern, "properties": {"pattern": {"type": "string"}}}) is None


@pytest.mark.parametrize(("schema", "says"), PROBLEMS.values(), ids=PROBLEMS)
def test_problem(schema: dict[str, Any], says: str) -> None:
    problem = schema_problem(schema)
    assert problem is not None
    assert says in problem
    assert problem.isprintable()
    assert len(problem) < 400


def test_entries_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """By draft 4 those of an enum are unique; 5000 of them of two types would be compared 12 million times."""
    monkeypatch.setattr("jsonschema._keywords.uniq", lambda _: pytest.fail("they were compared"))
    assert schema_problem({"$schema": DRAFT.format(4), "enum": [[], 1] * 2500}) is None


FITS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "a range": ("Float", {"minimum": 0, "maximum": 1}, 0.5),
    "one of a list": ("Choice", {"enum": ["a", "b"]}, "b"),
    "null": ("Anything", {"type": ["null", "string"]}, None),
    "draft 4 knows no const": ("Float", {"$schema": DRAFT.format(4), "const": 1}, 2.0),
    "a tree": (
        "Anything",
        {"properties": {"c": {"$ref": "#"}}, "additionalProperties": False},
        {"c": {"c": {}}},
    ),
}


@pytest.mark.parametrize(("kind", "schema", "value"), FITS.values(), ids=FITS)
def test_fits(kind: str, schema: dict[str, Any], value: Any) -> None:
    assert schema_problem(schema) is None
    assert check_value(KINDS[kind], value, schema) is None


MISFITS: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "the kind comes first": ("Float", {"type": "string"}, "x", "instance is not a number."),
    "out of range": ("Float", {"maximum": 1}, 1.5, "instance is 1.5, and maximum is 1."),
    "draft 4": (
        "Float",
        {"$schema": DRAFT.format(4), "minimum": 1, "exclusiveMinimum": True},
        1.0,
        "instance is 1.0, and minimum is 1.",
    ),
    "of two types": ("Anything", {"type": ["null", "string"]}, 1, "instance is not null or a string."),
    "a key is missing": ("Anything", {"required": ["a", "b"]}, {"a": 1}, 'instance has no "b".'),
    "a key too much": (
        "Anything",
        {"properties": {"a": {}}, "additionalProperties": False},
        {"a": 1, "b\n": 2},
        'instance may not have "b\\x0a".',
    ),
    "deep inside": (
        "Anything",
        {"properties": {"a": {"items": {"const": 1}}}},
        {"a": [1, 2]},
        'instance["a"][1] is not 1.',
    ),
    "a key that is no name": (
        "Anything",
        {"additionalProperties": {"type": "null"}},
        {"\u202e": 1},
        r'instance["\u202e"] is not null.',
    ),
    "a choice": ("Choice", {"enum": ["a", "b"]}, "c", 'instance is none of "a", "b".'),
    "a choice of many": (
        "Integer",
        {"enum": list(range(20))},
        20,
        "instance is none of 0, 1, 2, 3, 4, 5, 6, 7, ….",
    ),
    "too few": ("Anything", {"minItems": 2}, [1], "instance has 1 entries, and at least 2 are needed."),
    "too many": ("Anything", {"maxItems": 1}, [1, 2], "instance has 2 entries, and at most 1 are allowed."),
    "no form": (
        "Anything",
        {"anyOf": [{"type": "null"}, {"const": {"a": 1}}]},
        1,
        "instance fits none of the 2 forms that it may have.",
    ),
    "two forms": (
        "Anything",
        {"oneOf": [{}, {"type": "integer"}]},
        1,
        "instance fits several of the 2 forms of which it may have one.",
    ),
    "a pattern": ("String", {"pattern": "^a+$"}, "b", 'instance does not fulfill "pattern": "^a+$".'),
    "nothing": ("Anything", {"not": {}}, 1, 'instance does not fulfill "not": {…}.'),
    "a dead end": ("Anything", {"items": False}, [1], "instance holds something that may not be there."),
    "round in circles": (
        "Anything",
        {"$ref": "#"},
        1,
        "instance is nested too deep, or the schema refers to itself without an end.",
    ),
    "nowhere": ("Anything", {"$ref": "#/a"}, 1, 'its $ref "/a" leads nowhere.'),
    "far away": (
        "Anything",
        {"$ref": "http://10.96.0.1/x"},
        1,
        'its $ref "http://10.96.0.1/x" leads nowhere.',
    ),
}


@pytest.mark.parametrize(("kind", "schema", "value", "says"), MISFITS.values(), ids=MISFITS)
def test_does_not_fit(kind: str, schema: dict[str, Any], value: Any, says: str) -> None:
    message = check_value(KINDS[kind], value, schema)
    assert message is not None
    assert message.startswith("JSON does not fulfill schema: ")
    assert says in message


def test_a_deep_value_shows_only_the_end_of_its_path() -> None:
    value: Any = 1
    for _ in range(50):
        value = {"a" * 100: value}
    message = check_value(ANYTHING, value, {"type": "object", "additionalProperties": {"$ref": "#"}})
    assert message is not None
    assert message.startswith("JSON does not fulfill schema: instance[…]")
    assert len(message) < 500


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("the schema was fetched"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was connected to"))
    schema = {"$id": "http://10.96.0.1/a.json", "items": {"$id": "b.json", "$ref": "c.json#/d"}}
    assert "leads nowhere" in (check_value(ANYTHING, [1], schema) or "")


BOUNDED: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "plain": ({"minimum": 0}, 1, True),
    "a pattern": ({"pattern": "^(a+)+$"}, "a" * 40 + "b", False),
    "a pattern for keys": ({"patternProperties": {"a": {}}}, {}, False),
    "a reference": ({"$ref": "#"}, 1, False),
    "doubling": (doubling(64), 1, False),
    "all against all": ({"uniqueItems": True}, [1, []], False),
    "hidden below": ({"properties": {"a": {"items": [{"pattern": "a"}]}}}, 1, False),
    "much of both": ({"allOf": [{"type": "array"}] * 100}, [0] * (MAX_WORK // 100), False),
    "much of one": ({"minimum": 0}, [0] * (MAX_WORK // 10), True),
    "a long text for many": ({"anyOf": [{"type": "null"}] * 100}, "x" * MAX_WORK, False),
    "a long text for one": ({"maxLength": 10}, "x" * (MAX_WORK // 4), True),
}


@pytest.mark.parametrize(("schema", "value", "bounded"), BOUNDED.values(), ids=BOUNDED)
def test_what_the_operator_checks_itself(schema: dict[str, Any], value: Any, bounded: bool) -> None:
    assert is_bounded(schema, value) is bounded


keywords = st.sampled_from(
    [
        *("type", "enum", "const", "minimum", "maxLength", "pattern", "items", "additionalItems", "minItems"),
        *("uniqueItems", "contains", "required", "properties", "patternProperties", "additionalProperties"),
        *(
            "dependencies",
            "propertyNames",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "if",
            "then",
            "else",
            "$ref",
            "$id",
        ),
        *("id", "$schema", "definitions", "multipleOf", "format", "a"),
    ]
)
texts = st.sampled_from(
    [
        "object",
        "array",
        "string",
        "#",
        "#/definitions/a",
        "#a",
        "a",
        "x.json",
        "http://[",
        "(",
        "a",
        DRAFT.format(4),
    ]
)
hostile_schemas = st.dictionaries(
    keywords,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-2, 3)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=4,
)


@settings(max_examples=200)
@given(hostile_schemas, json_values)
def test_any_schema_is_refused_or_checks_any_value_in_one_safe_line(
    schema: dict[str, Any], value: Any
) -> None:
    problem = schema_problem(schema)
    message = check_value(ANYTHING, value, schema) if problem is None else problem
    if message is not None:
        assert message.isprintable()
        assert len(message) < 500


@given(json_values)
def test_a_value_fits_the_schema_that_is_made_of_it(value: Any) -> None:
    def of(node: Any) -> dict[str, Any]:
        if isinstance(node, dict):
            return {
                "type": "object",
                "properties": {key: of(child) for key, child in node.items()},
                "required": list(node),
                "additionalProperties": False,
            }
        return (
            {"type": "array", "items": [of(child) for child in node]}
            if isinstance(node, list)
            else {"const": node}
        )

    assert check_value(ANYTHING, value, of(value)) is None


@given(json_values)
def test_schemas_survive_the_wire(value: Any) -> None:
    schema = {"const": value}
    assert schema_problem(json.loads(json.dumps(schema))) == schema_problem(schema)
