"""Sockets with their defaults, and the rules between them; which interface a job picks; inputs.json."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.contract.inputs_json import StagedImage, StagedInput, inputs_json
from algorithm_operator.contract.interfaces import Mismatch, pick
from algorithm_operator.contract.sockets import (
    definition_difference,
    planned_socket,
    socket_pk,
    spec_problem,
)

UUID = "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11"


def socket(slug: str = "a", kind: str = "Anything", **more: Any) -> dict[str, Any]:
    return {"slug": slug, "kind": kind, **more}


def model(slug: str = "a", kind: str = "Anything", **more: Any) -> Socket:
    return Socket.model_validate(socket(slug, kind, **more))


def segments(*pairs: tuple[str, int], **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "voxelValue": value, **more} for name, value in pairs]


def test_defaults_of_an_image() -> None:
    planned = planned_socket(model("t1-mri", "Image"), "imaging")
    assert planned.title == "T1 mri"
    assert planned.relative_path == "images/t1-mri"
    assert planned.pk == socket_pk("imaging", "t1-mri")


def test_defaults_of_json() -> None:
    assert planned_socket(model("smoothing", "Float"), "imaging").relative_path == "smoothing.json"


def test_what_is_written_stays() -> None:
    planned = planned_socket(
        model("a", "Image", title="T1 MRI", relativePath="images/mri", storeInStatus=True), "imaging"
    )
    assert (planned.title, planned.relative_path, planned.store_in_status) == ("T1 MRI", "images/mri", True)


def test_keys_are_stable_31_bits_and_differ_by_namespace() -> None:
    # echo -n imaging/t1-mri | sha256sum: its first 32 bits, halved
    assert socket_pk("imaging", "t1-mri") == 0x6021D332
    assert socket_pk("imaging", "t1-mri") != socket_pk("other", "t1-mri")
    assert all(0 <= socket_pk("imaging", str(number)) < 2**31 for number in range(1000))


SAME = {
    "titles": (model(title="A"), model(title="B", description="C")),
    "default path written out": (model(), model(relativePath="a.json")),
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
    other = model(kind="Segmentation", overlaySegments=segments(("x", 1)))
    assert (
        definition_difference(model(kind="Segmentation", overlaySegments=segments(("y", 1))), other)
        == "other overlaySegments"
    )


def spec(*interfaces: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> AlgorithmSpec:
    named = [
        {"name": f"i{number}", "inputs": inputs, "outputs": outputs}
        for number, (inputs, outputs) in enumerate(interfaces)
    ]
    return AlgorithmSpec.model_validate({"image": {"reference": "a/b:1"}, "interfaces": named})


OUT = [socket("out")]
SOUND = {
    "one": spec(([socket()], OUT)),
    "two with a common socket": spec(([socket()], OUT), ([socket(), socket("b")], OUT)),
    "a path that only begins like another": spec(([socket(), socket("ab"), socket("a-b")], OUT)),
    "an input and an output at one path": spec(([socket("a", relativePath="out.json")], OUT)),
    "an output of one is an input of another": spec(([socket()], OUT), ([socket("out")], [socket("b")])),
}


@pytest.mark.parametrize("sound", SOUND.values(), ids=SOUND)
def test_a_sound_algorithm(sound: AlgorithmSpec) -> None:
    assert spec_problem(sound) is None


PROBLEMS = {
    "two interfaces of the same inputs": (
        spec(([socket("a"), socket("b")], OUT), ([socket("b"), socket("a")], [socket("c")])),
        'Interfaces "i0" and "i1" have the same inputs',
    ),
    "a slug of two kinds": (
        spec(([socket("a")], OUT), ([socket("a", "Float"), socket("b")], OUT)),
        'socket "a" is defined otherwise in an interface before it (kind "Anything" there, "Float" here)',
    ),
    "a slug twice": (spec(([socket("a"), socket("a")], OUT)), 'input "a" stands there twice'),
    "input and output": (spec(([socket("out")], OUT)), '"out" is both an input and an output'),
    "one path": (
        spec(([socket("a", relativePath="x.json"), socket("x")], OUT)),
        '"x" ("x.json") and "a" ("x.json") are in each other',
    ),
    "a path inside another": (
        spec(([socket("a", "Image"), socket("b", "Image", relativePath="images/a/b/c")], OUT)),
        '"b" ("images/a/b/c") and "a" ("images/a") are in each other',
    ),
    "a file where a folder must be": (
        spec(([socket("a"), socket("b", relativePath="a.json/b.json")], OUT)),
        '"b" ("a.json/b.json") and "a" ("a.json") are in each other',
    ),
    "reserved by its slug": (spec(([socket("inputs")], OUT)), "This relative path is reserved"),
    "uuid by its slug": (spec(([socket(UUID)], OUT)), "UUID"),
    "unknown kind": (spec(([socket(kind="Hologram")], OUT)), 'does not know kind "Hologram"'),
    "segments missing": (
        spec(([socket(kind="Segmentation")], OUT)),
        "kind Segmentation needs overlaySegments",
    ),
    "segments too much": (
        spec(([socket(overlaySegments=segments(("x", 1)))], OUT)),
        "kind Anything has no overlaySegments",
    ),
    "segments with a gap": (
        spec(([socket(kind="Segmentation", overlaySegments=segments(("x", 1), ("y", 3)))], OUT)),
        "must be 1 to 2 without a gap; they are 1, 3.",
    ),
    "segments of one name": (
        spec(([socket(kind="Segmentation", overlaySegments=segments(("x", 1), ("x", 2)))], OUT)),
        'two overlaySegments are named "x"',
    ),
}


@pytest.mark.parametrize(("wrong", "says"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_named(wrong: AlgorithmSpec, says: str) -> None:
    assert says in (spec_problem(wrong) or "")


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


def test_inputs_json() -> None:
    def planned(slug: str, kind: str, **more: Any) -> Any:
        return planned_socket(model(slug, kind, **more), "imaging")

    mask = planned("mask", "Segmentation", overlaySegments=segments(("CSF", 1)))
    listed = inputs_json(
        [
            StagedInput(mask, image=StagedImage(UUID, "mask.mha")),
            StagedInput(planned("age", "Integer"), value=42),
            StagedInput(planned("t1-mri", "Image"), image=StagedImage(UUID, "t1.mha")),
            StagedInput(planned("aim", "Anything"), value={"a": None}),
        ]
    )
    assert [each["socket"]["slug"] for each in listed] == ["age", "aim", "mask", "t1-mri"]
    assert all(each["socket"] == each["interface"] for each in listed)
    assert listed[0] == {
        "socket": {
            "title": "Age",
            "description": None,
            "slug": "age",
            "kind": "Integer",
            "pk": socket_pk("imaging", "age"),
            "default_value": None,
            "super_kind": "Value",
            "relative_path": "age.json",
            "overlay_segments": None,
            "look_up_table": None,
        },
        "interface": listed[0]["socket"],
        "value": 42,
        "file": None,
        "image": None,
        "pk": socket_pk("imaging", "age"),
    }
    assert listed[2]["image"] == {"pk": UUID, "name": "mask.mha"}
    assert listed[2]["socket"]["super_kind"] == "Image"
    assert listed[2]["socket"]["overlay_segments"] == [{"name": "CSF", "visible": True, "voxel_value": 1}]
