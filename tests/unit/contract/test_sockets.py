"""Sockets with their defaults, and what a definition is; which interface a job picks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.contract.interfaces import Mismatch, pick
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.contract.sockets import definition_difference, planned_socket, socket_pk

OUT = [{"slug": "out", "kind": "Anything"}]


def socket(slug: str = "a", kind: str = "Anything", **more: Any) -> dict[str, Any]:
    return {"slug": slug, "kind": kind, **more}


def model(slug: str = "a", kind: str = "Anything", **more: Any) -> Socket:
    return Socket.model_validate(socket(slug, kind, **more))


def segments(*pairs: tuple[str, int], **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "voxelValue": value, **more} for name, value in pairs]


def plan(given: Socket) -> PlannedSocket:
    """As an input that is alone."""
    return planned_socket(given, "imaging", Interface(inputs=[given], outputs=[model("out")]))


def test_defaults_of_an_image() -> None:
    planned = plan(model("t1-mri", "Image"))
    assert planned.title == "T1 mri"
    assert planned.relative_path == "images/t1-mri"
    assert planned.pk == socket_pk("imaging", "t1-mri")


def test_defaults_of_json() -> None:
    planned = plan(model("smoothing", "Float"))
    assert (planned.relative_path, planned.description, planned.schema_) == ("smoothing.json", None, None)


def test_default_of_a_file() -> None:
    assert plan(model("report", "PDF file")).relative_path == "report.pdf"


def test_what_is_written_stays() -> None:
    planned = plan(
        model(
            "a",
            title="A",
            description="b",
            relativePath="c.json",
            storeInStatus=True,
            schema={"type": "null"},
        )
    )
    assert (planned.title, planned.description, planned.relative_path) == ("A", "b", "c.json")
    assert (planned.store_in_status, planned.schema_) == (True, {"type": "null"})


ONE_IMAGE = [socket("t1-mri", "Image"), socket("age", "Integer")]
TWO_IMAGES = [*ONE_IMAGE, socket("t2-mri", "Image")]
OVERLAYS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str | None]] = {
    "the only image": (ONE_IMAGE, {"kind": "Heat Map"}, "t1-mri"),
    "a displacement field": (ONE_IMAGE, {"kind": "Displacement field"}, "t1-mri"),
    "a segmentation": (
        ONE_IMAGE,
        {"kind": "Segmentation", "overlaySegments": [{"name": "x", "voxelValue": 1}]},
        "t1-mri",
    ),
    "one of several, named": (TWO_IMAGES, {"kind": "Heat Map", "overlayOf": "t2-mri"}, "t2-mri"),
    "one of several, not named": (TWO_IMAGES, {"kind": "Heat Map"}, None),
    "an input that is no plain image": ([socket("map", "Heat Map")], {"kind": "Heat Map"}, None),
    "no image at all": ([socket("age", "Integer")], {"kind": "Heat Map"}, None),
    "not checked": (ONE_IMAGE, {"kind": "Heat Map", "geometryCheck": "Off"}, None),
    "not checked though named": (
        ONE_IMAGE,
        {"kind": "Heat Map", "geometryCheck": "Off", "overlayOf": "t1-mri"},
        None,
    ),
    "a plain image": (ONE_IMAGE, {"kind": "Image"}, None),
}


@pytest.mark.parametrize(("inputs", "output", "below"), OVERLAYS.values(), ids=OVERLAYS)
def test_what_an_output_lies_on(
    inputs: list[dict[str, Any]], output: dict[str, Any], below: str | None
) -> None:
    whole = Interface.model_validate({"inputs": inputs, "outputs": [{"slug": "out", **output}]})
    assert planned_socket(whole.outputs[0], "imaging", whole).overlay_of == below
    assert all(planned_socket(each, "imaging", whole).overlay_of is None for each in whole.inputs)


@pytest.mark.parametrize(("given", "planned"), [(None, "Fail"), ("Fail", "Fail"), ("Warn", "Warn")])
def test_geometry_check(given: str | None, planned: str) -> None:
    output = {"slug": "out", "kind": "Heat Map", "geometryCheck": given}
    whole = Interface.model_validate({"inputs": ONE_IMAGE, "outputs": [output]})
    assert planned_socket(whole.outputs[0], "imaging", whole).geometry_check == planned


def test_keys_are_stable_31_bits_and_differ_by_namespace() -> None:
    # echo -n imaging/t1-mri | sha256sum: its first 32 bits, halved
    assert socket_pk("imaging", "t1-mri") == 0x6021D332
    assert socket_pk("imaging", "t1-mri") != socket_pk("other", "t1-mri")
    assert all(0 <= socket_pk("imaging", str(number)) < 2**31 for number in range(1000))


SAME = {
    "titles": (model(title="A"), model(title="B", description="C")),
    "default path written out": (model(), model(relativePath="a.json")),
    "description": (model(description="A"), model()),
    "keys of the schema in another order": (
        model(schema={"type": "array", "minItems": 1}),
        model(schema={"minItems": 1, "type": "array"}),
    ),
    "what an interface does with it": (model(kind="Heat Map", geometryCheck="Warn"), model(kind="Heat Map")),
    "visible": (
        model(kind="Segmentation", overlaySegments=segments(("x", 1))),
        model(kind="Segmentation", overlaySegments=segments(("x", 1), visible=False)),
    ),
    "order of segments": (
        model(kind="Segmentation", overlaySegments=segments(("x", 1), ("y", 2))),
        model(kind="Segmentation", overlaySegments=segments(("y", 2), ("x", 1))),
    ),
}


@pytest.mark.parametrize(("here", "there"), SAME.values(), ids=SAME)
def test_one_definition(here: Socket, there: Socket) -> None:
    assert definition_difference(here, there) is None


def test_two_definitions() -> None:
    assert definition_difference(model(kind="Float"), model()) == 'kind "Anything" there, "Float" here'
    assert definition_difference(model(), model(relativePath="b.json")) == (
        'relativePath "b.json" there, "a.json" here'
    )
    assert definition_difference(model(schema={"minimum": 1}), model()) == "another schema"
    assert (
        definition_difference(model(schema={"const": 1}), model(schema={"const": True})) == "another schema"
    )
    other = model(kind="Segmentation", overlaySegments=segments(("x", 1)))
    assert (
        definition_difference(model(kind="Segmentation", overlaySegments=segments(("y", 1))), other)
        == "other overlaySegments"
    )


def interface(name: str, *slugs: str) -> Interface:
    return Interface.model_validate(
        {"name": name, "inputs": [socket(slug) for slug in slugs], "outputs": OUT}
    )


ONE, TWO, THREE = (
    interface("one", "a"),
    interface("two", "a", "b"),
    interface("three", "t1-mri", "t2-mri", "age"),
)


@pytest.mark.parametrize("picked", [ONE, TWO, THREE], ids=lambda each: each.name)
def test_the_exact_set_picks(picked: Interface) -> None:
    slugs = [each.slug for each in picked.inputs]
    assert pick([ONE, TWO, THREE], slugs[::-1]) is picked


@given(st.sets(st.sampled_from(["a", "b", "t1-mri", "t2-mri", "age", "zz"]), max_size=6))
def test_no_other_set_picks(slugs: set[str]) -> None:
    found = pick([ONE, TWO, THREE], slugs)
    if isinstance(found, Mismatch):
        assert found.why
        assert slugs not in ({"a"}, {"a", "b"}, {"t1-mri", "t2-mri", "age"})
    else:
        assert {each.slug for each in found.inputs} == slugs


MISMATCHES = {
    "typo": (
        {"t1-mir", "t2-mri", "age"},
        'There is no input "t1-mir"; did you mean "t1-mri"? Input "t1-mri" is',
    ),
    "nothing near": ({"a", "zzz"}, 'There is no input "zzz".'),
    "one missing": ({"t1-mri", "t2-mri"}, 'Input "age" is missing.'),
    "two missing": ({"t1-mri"}, 'Inputs "age" and "t2-mri" are missing.'),
    "too many": ({"a", "b", "age"}, '"age" cannot be given together with the others.'),
    "surplus and missing": (
        {"b", "t1-mri", "age"},
        'Input "t2-mri" is missing. "b" cannot be given together with the others.',
    ),
    "none": (set(), 'Input "a" is missing.'),
}


@pytest.mark.parametrize(("slugs", "says"), MISMATCHES.values(), ids=MISMATCHES)
def test_a_mismatch_says_what_and_lists_what_there_is(slugs: set[str], says: str) -> None:
    found = pick([ONE, TWO, THREE], slugs)
    assert isinstance(found, Mismatch)
    assert says in found.why
    assert found.allowed == "one: a; two: a and b; three: t1-mri, t2-mri, and age"


def test_a_hostile_slug_is_escaped() -> None:
    found = pick([ONE], {"\u202ex\n{0}"})
    assert isinstance(found, Mismatch)
    assert r'"\u202ex\x0a{0}"' in found.why
