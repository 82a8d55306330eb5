"""All that is wrong with the sockets and interfaces of an Algorithm."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.kinds import FILE_SUFFIXES
from algorithm_operator.contract.problems import spec_problems

UUID = "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11"


def socket(slug: str = "a", kind: str = "Anything", **more: Any) -> dict[str, Any]:
    return {"slug": slug, "kind": kind, **more}


def segments(*pairs: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "voxelValue": value} for name, value in pairs]


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
    "a catalogue's socket": spec(([{"slug": "t1-brain-mri"}], [{"slug": "results-json-file"}])),
    "names that are like those of our own files": spec(
        ([socket("manifest")], [socket("report"), socket("failure", "PDF file")])
    ),
    "an overlay": spec(
        (
            [socket("a", "Image"), socket("b", "Segmentation", overlaySegments=segments(("x", 1)))],
            [socket("out", "Heat Map", overlayOf="b", geometryCheck="Warn")],
        )
    ),
    "schema and status": spec(
        ([socket(schema={"minimum": 1})], [socket("out", "Float", storeInStatus=True)])
    ),
    "an output of one is an input of another": spec(([socket()], OUT), ([socket("out")], [socket("b")])),
}


@pytest.mark.parametrize("sound", SOUND.values(), ids=SOUND)
def test_a_sound_algorithm(sound: AlgorithmSpec) -> None:
    assert spec_problems(sound) == []


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
    "a path with dots": (
        spec(([socket(relativePath="../a.json")], OUT)),
        'input "a": relativePath "../a.json": Relative paths are not allowed.',
    ),
    "a slash at the end": (
        spec(([socket(relativePath="a.json/")], OUT)),
        "relativePath \"a.json/\": Path must not begin or end with '/'.",
    ),
    "not below images/": (
        spec(([socket(kind="Image", relativePath="ct")], OUT)),
        'relativePath "ct": Images should be a directory: images/<name>.',
    ),
    "below images/": (
        spec(([socket(relativePath="images/a.json")], OUT)),
        "Only images may lie below images/.",
    ),
    "a reserved slug": (
        spec(([socket()], [socket("metrics-json-file")])),
        'output "metrics-json-file": this slug is reserved at Grand Challenge',
    ),
    "the name of the run record": (
        spec(([socket()], [socket("manifest")])),
        'output "manifest": it would be stored as manifest.json, which tells of the run itself; give it another slug',
    ),
    "the name of the record of a failure": (
        spec(([socket()], [socket("failure", relativePath="other.json")])),
        'output "failure": it would be stored as failure.json',
    ),
    "schema of an image": (
        spec(([socket(kind="Image", schema={})], OUT)),
        "kind Image has no schema; that is for kinds that are JSON.",
    ),
    "schema of a file": (
        spec(([socket(kind="PDF file", schema={})], OUT)),
        "kind PDF file has no schema",
    ),
    "a schema that is none": (
        spec(([socket(schema={"type": "number of things"})], OUT)),
        'input "a": schema: at "/type"',
    ),
    "schemas too large together": (
        spec(
            (
                [socket(schema={"title": "x" * 20_000})],
                [socket("out", schema={"title": "x" * 20_000})],
            )
        ),
        "The schemas of its sockets have 40024 bytes together, more than 32768.",
    ),
    "a large kind in status": (
        spec(([socket()], [socket("out", "Multiple points", storeInStatus=True)])),
        'output "out": kind Multiple points is not shown in status, its content may be large; leave storeInStatus out',
    ),
    "an image in status": (
        spec(([socket()], [socket("out", "Image", storeInStatus=True)])),
        "kind Image is not shown in status",
    ),
    "an input in status": (
        spec(([socket(storeInStatus=True)], OUT)),
        'input "a": storeInStatus is for outputs.',
    ),
    "overlayOf of an input": (
        spec(([socket("a", "Heat Map", overlayOf="b"), socket("b", "Image")], OUT)),
        'input "a": overlayOf is for outputs.',
    ),
    "geometryCheck of an input": (
        spec(([socket("a", "Heat Map", geometryCheck="Warn")], OUT)),
        'input "a": geometryCheck is for outputs.',
    ),
    "overlayOf of something that lies on nothing": (
        spec(([socket("a", "Image")], [socket("out", "Image", overlayOf="a")])),
        "overlayOf and geometryCheck are for outputs of kind Segmentation, Heat Map, Displacement field.",
    ),
    "overlayOf names no input": (
        spec(([socket("a", "Image")], [socket("out", "Heat Map", overlayOf="b")])),
        'output "out": overlayOf "b" is no input of this interface; it has a.',
    ),
    "overlayOf names a number": (
        spec(([socket("a", "Float")], [socket("out", "Heat Map", overlayOf="a")])),
        'overlayOf "a" is of kind Float, which is no image to lie on.',
    ),
    "DICOM out": (
        spec(([socket()], [socket("out", "DICOM Image Set")])),
        'output "out": kind DICOM Image Set is for inputs; write an Image, a .mha file.',
    ),
    "overlayOf names DICOM": (
        spec(([socket("a", "DICOM Image Set")], [socket("out", "Heat Map", overlayOf="a")])),
        "is of kind DICOM Image Set, which is no image to lie on.",
    ),
    "segments of one name": (
        spec(([socket(kind="Segmentation", overlaySegments=segments(("x", 1), ("x", 2)))], OUT)),
        'two overlaySegments are named "x"',
    ),
}


@pytest.mark.parametrize(("wrong", "says"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_named(wrong: AlgorithmSpec, says: str) -> None:
    assert any(says in problem for problem in spec_problems(wrong)), spec_problems(wrong)


@pytest.mark.parametrize(("kind", "suffix"), FILE_SUFFIXES.items(), ids=[kind.name for kind in FILE_SUFFIXES])
def test_files_end_as_their_kind_does(kind: str, suffix: str) -> None:
    assert spec_problems(spec(([socket("a", kind)], OUT))) == []
    assert spec_problems(spec(([socket("a", kind, relativePath="a.json")], OUT))) == [
        f'Interface "i0": input "a": relativePath "a.json": Relative path should end with {suffix}.'
    ]


def test_json_ends_with_json() -> None:
    assert spec_problems(spec(([socket("a", "Float", relativePath="a.txt")], OUT))) == [
        'Interface "i0": input "a": relativePath "a.txt": Relative path should end with .json.'
    ]


def test_a_schema_that_is_too_deep_for_python() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"not": deep}
    wrong = spec(([socket(schema=deep)], OUT), ([socket(schema=deep), socket("b")], OUT))
    assert spec_problems(wrong) == [
        f'Interface "{name}": input "a": schema: it is nested deeper than 40 levels.' for name in ("i0", "i1")
    ]


def test_every_error_is_told_at_once() -> None:
    wrong = spec(
        (
            [
                socket("a", "Image", relativePath="ct"),
                socket("b", "Hologram"),
                socket("c", schema={"$ref": "http://x"}),
            ],
            [socket("out", "Heat Map", overlayOf="d"), socket("metrics-json-file")],
        ),
        ([socket("a", "Float")], [socket("out", "Heat Map")]),
    )
    assert [problem.split(";")[0] for problem in spec_problems(wrong)] == [
        'Interface "i0": input "a": relativePath "ct": Images should be a directory: images/<name>.',
        'Interface "i0": input "b": this version does not know kind "Hologram"',
        'Interface "i0": input "c": schema: $ref "http://x" is not part of it',
        'Interface "i0": output "metrics-json-file": this slug is reserved at Grand Challenge, for evaluations',
        'Interface "i0": output "out": overlayOf "d" is no input of this interface',
        'Interface "i1": socket "a" is defined otherwise in an interface before it (kind "Image" there, "Float" here)',
    ]
