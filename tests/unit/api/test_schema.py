"""Models to structural schemas, and the committed CRDs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from algorithm_operator.api.base import FREE_JSON, Model, Quantity, cel, list_map, rules
from algorithm_operator.api.crd import KINDS, definition, main
from algorithm_operator.api.kinds import IMAGE_KINDS, SEGMENTED_KINDS, SocketKind
from algorithm_operator.api.schema import SchemaError, structural
from algorithm_operator.contract import kinds

CRDS = Path(__file__).parents[3] / "crds"


class Inner(Model):
    """Inner text."""

    model_config = rules(cel("self.a > 0", "a must be more than 0"))

    a: Annotated[int, Field(ge=0, description="A number.")] = 1


class Outer(Model):
    """Outer text."""

    some_name: Annotated[str | None, Field(max_length=5, description="A name.")] = None
    inner: Inner = Inner()
    described: Annotated[Inner | None, Field(description="Own text.")] = None
    many: Annotated[
        list[Inner], Field(max_length=3, description="Several.", json_schema_extra=list_map("a"))
    ] = []
    value: Annotated[Any, Field(description="Free.", json_schema_extra=FREE_JSON)] = None
    cpu: Annotated[Quantity, Field(description="How much.")]


INNER = {
    "description": "Inner text.",
    "type": "object",
    "x-kubernetes-validations": [{"rule": "self.a > 0", "message": "a must be more than 0"}],
    "properties": {
        "a": {"description": "A number.", "type": "integer", "format": "int64", "default": 1, "minimum": 0}
    },
}


def test_a_model_becomes_a_structural_schema() -> None:
    assert structural(Outer) == {
        "description": "Outer text.",
        "type": "object",
        "required": ["cpu"],
        "properties": {
            "someName": {"description": "A name.", "type": "string", "maxLength": 5},
            "inner": {**INNER, "default": {"a": 1}},
            "described": {**INNER, "description": "Own text."},
            "many": {
                "description": "Several.",
                "type": "array",
                "maxItems": 3,
                "items": INNER,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
            },
            "value": {
                "description": "Free.",
                "x-kubernetes-preserve-unknown-fields": True,
                "nullable": True,
            },
            "cpu": {
                "description": "How much.",
                "x-kubernetes-int-or-string": True,
                "maxLength": 32,
                "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
            },
        },
    }


def test_status_has_no_rules() -> None:
    assert "x-kubernetes-validations" not in str(structural(Outer, with_rules=False))


class Unbounded(Model):
    """Text."""

    text: Annotated[str, Field(description="Any.")]


class UnboundedList(Model):
    """Text."""

    items: Annotated[list[int], Field(description="Any.")]


class UnboundedItems(Model):
    """Text."""

    items: Annotated[list[str], Field(description="Any.", max_length=3)]


class Silent(Model):
    """Text."""

    text: Annotated[str, Field(max_length=3)]


class Union(Model):
    """Text."""

    either: Annotated[int | bool, Field(description="Either.")]


class Free(Model):
    """Text."""

    mapping: Annotated[dict[str, int], Field(description="Any.")]


class Tree(Model):
    """Text."""

    children: Annotated[list[Tree], Field(description="Below.", max_length=3)]


class OtherDefault(Model):
    """Text."""

    inner: Inner = Inner(a=2)


UNSOUND: dict[type[Model], str] = {
    Unbounded: "Unbounded.text: a string without maxLength",
    UnboundedList: "UnboundedList.items: a list without maxItems",
    UnboundedItems: r"UnboundedItems.items\[\]: a string without maxLength",
    Silent: "Silent.text: no description",
    Union: "union of 2 types",
    Free: "Free.mapping: an object without fields",
    Tree: "Tree contains itself",
    OtherDefault: "OtherDefault.inner: the default is",
}


@pytest.mark.parametrize(("model", "says"), UNSOUND.items(), ids=[model.__name__ for model in UNSOUND])
def test_an_unsound_model_is_refused_by_name(model: type[Model], says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        structural(model)


def test_the_committed_crds_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(CRDS)]) == 0
    assert capsys.readouterr().err == ""


def test_a_stale_a_missing_and_a_surplus_file_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "algorithms.yaml").write_text("other: true\n")
    (tmp_path / "datastores.yaml").unlink()
    (tmp_path / "more.yaml").write_text("")
    assert main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert [name in said for name in ("algorithms.yaml", "datastores.yaml", "more.yaml")] == [True] * 3
    assert "algorithmjobs.yaml" not in said


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_file_holds_its_definition_and_nothing_that_a_template_would_expand(kind: Any) -> None:
    text = (CRDS / f"{kind.plural}.yaml").read_text()
    assert yaml.safe_load(text) == definition(kind)
    assert "{{" not in text
    assert "&id" not in text


def test_kinds_are_the_same_in_the_api_and_in_the_contract() -> None:
    assert set(kinds.KINDS) == set(SocketKind)
    rows = kinds.KINDS.values()
    assert {row.label for row in rows if row.super_kind is kinds.SuperKind.IMAGE} == set(IMAGE_KINDS)
    assert {row.label for row in rows if row.segments} == set(SEGMENTED_KINDS)
    assert all(row.suffixes == (".json",) for row in rows if row.super_kind is kinds.SuperKind.VALUE)
