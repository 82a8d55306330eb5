"""The forty kinds as data: what Grand Challenge's table says, and that every example is one of its own kind."""

from __future__ import annotations

import jsonschema
import pytest

from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract.kinds import KINDS, Form, Kind, SuperKind
from algorithm_operator.contract.schemas import SCHEMAS

JSON_KINDS = [kind for kind in KINDS.values() if kind.form is Form.JSON]


def test_there_are_forty_of_distinct_codes() -> None:
    assert len(KINDS) == len({kind.code for kind in KINDS.values()}) == 40
    assert [kind.form for kind in KINDS.values()].count(Form.JSON) == 25
    assert [kind.form for kind in KINDS.values()].count(Form.FILE) == 10


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_only_json_kinds_have_a_schema(kind: Kind) -> None:
    assert (kind.schema is not None) == (kind.form is Form.JSON) == (kind.label in SCHEMAS)


@pytest.mark.parametrize("kind", JSON_KINDS, ids=lambda kind: kind.code)
def test_schema_and_example_are_sound(kind: Kind) -> None:
    assert kind.schema is not None
    jsonschema.Draft7Validator.check_schema(kind.schema)
    jsonschema.Draft7Validator(kind.schema).validate(kind.example)


SUPER_KINDS = {
    SuperKind.VALUE: "STR INT FLT BOOL JSON CHART 2DBB DIST POIN POLY LINE ANGL ELLI 3ANG ATRG CHOI MCHO",
    SuperKind.FILE: "M2DB MDIS MPOI MPOL MLIN MANG MELL M3AN PDF SQREG JPEG PNG OBJ MP4 NEWCK BIOM CSV ZIP",
    SuperKind.IMAGE: "IMG SEG HMAP DSPF DCMIS",
}


@pytest.mark.parametrize(("super_kind", "codes"), SUPER_KINDS.items(), ids=SUPER_KINDS)
def test_super_kinds(super_kind: SuperKind, codes: str) -> None:
    assert {kind.code for kind in KINDS.values() if kind.super_kind is super_kind} == set(codes.split())


def test_isolated_and_undisplayable_kinds() -> None:
    assert {kind.code for kind in KINDS.values() if kind.isolated} == {"CHART", "PDF", "JPEG", "PNG", "MP4"}
    assert {kind.code for kind in KINDS.values() if not kind.displayable} == {
        "CSV",
        "ZIP",
        "OBJ",
        "NEWCK",
        "BIOM",
    }


def test_only_segmentations_have_segments() -> None:
    assert [kind.label for kind in KINDS.values() if kind.segments] == [SocketKind.SEGMENTATION]
