"""What people type after --input, and what it becomes."""

import json
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.inputs import Place, parse_input, parse_inputs, parse_place

IMAGE = "registry.example.org:5000/cases@sha256:" + "a" * 64


def stored(store: str, path: str) -> dict[str, Any]:
    return {"store": {"name": store, "paths": [path]}}


@pytest.mark.parametrize(
    ("right", "kind", "expected"),
    [
        ("1.5", "Float", {"value": 1.5}),
        ("-3", "Integer", {"value": -3}),
        ("true", "Bool", {"value": True}),
        ("null", "Anything", {"value": None}),
        ('{"a": [1, 2]}', "Anything", {"value": {"a": [1, 2]}}),
        # JSON that holds a colon is no path.
        ('{"a:b": 1}', "Anything", {"value": {"a:b": 1}}),
        # A String is its text, whatever it looks like, unless it is written as JSON.
        ("true", "String", {"value": "true"}),
        ("12", "String", {"value": "12"}),
        ('"12"', "String", {"value": "12"}),
        ("left: lung", "String", {"value": "left: lung"}),
        ("left:lung", "String", {"value": "left:lung"}),
        ("", "String", {"value": ""}),
        # What is not JSON is text; the operator says whether that fits.
        ("fast", "Float", {"value": "fast"}),
        ("NaN", "Float", {"value": "NaN"}),
        # Kinds that are JSON come from a store as .json only, images as anything.
        ("cases:001/age.json", "Integer", stored("cases", "001/age.json")),
        ("cases:001/t1.mha", "Image", stored("cases", "001/t1.mha")),
        ("cases:001/dicom/", "Image", stored("cases", "001/dicom/")),
        ("job:first/tissues", "Image", {"job": {"name": "first", "output": "tissues"}}),
        ("job:first/note", "String", {"job": {"name": "first", "output": "note"}}),
        ('"job:first/note"', "String", {"value": "job:first/note"}),
        ("configmap:small/age.json", "Integer", {"configMap": {"name": "small", "key": "age.json"}}),
        ("configmap:left/lung", "String", {"value": "configmap:left/lung"}),
        (f"image:{IMAGE}:001/t1.mha", "Image", {"image": {"reference": IMAGE, "path": "001/t1.mha"}}),
        (f"image:{IMAGE}:age.json", "Integer", {"image": {"reference": IMAGE, "path": "age.json"}}),
        ("import:series-1", "Heat Map", {"imageImport": {"name": "series-1"}}),
        ("import:series-1", "String", {"value": "import:series-1"}),
        # Without an Algorithm to ask.
        ("cases:001/t1.mha", None, stored("cases", "001/t1.mha")),
        ("hello", None, {"value": "hello"}),
        ("7", None, {"value": 7}),
    ],
)
def test_right_hand_side(right: str, kind: str | None, expected: dict[str, Any]) -> None:
    assert parse_input("slug", right, kind) == {"slug": "slug", **expected}


def test_file_is_json() -> None:
    files = {"x.json": '{"mm": 1.5}', "broken.json": "{", "nan.json": "NaN"}
    assert parse_input("a", "@x.json", "Anything", files.__getitem__)["value"] == {"mm": 1.5}
    for name in ("broken.json", "nan.json"):
        with pytest.raises(UsageError, match=f'"{name}" is not JSON'):
            parse_input("a", f"@{name}", "Anything", files.__getitem__)


def test_missing_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r'Input "a": ".*none\.json" cannot be read: No such file'):
        parse_input("a", f"@{tmp_path}/none.json")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["smoothing"], "slug=VALUE"),
        (["=1"], "slug=VALUE"),
        (["T1=1"], "lower-case"),
        (["a--b=1"], "single hyphens"),
        (["a=1", "a=2"], '"a" is given twice'),
        (["t1=../t1.mha"], "is of kind Image"),
        (["t1=./t1.mha"], "t1=@FILE"),
        (["t1=cases:../t1.mha"], 'contains ".."'),
        (["t1=cases:/t1.mha"], 'begins with "/"'),
        (["t1=cases:"], "is of kind Image"),
        (["t1=image:cases:latest:t1.mha"], "write image:NAME@sha256:DIGEST:PATH"),
        (["t1=job:first"], "write job:NAME/OUTPUT"),
        (["t1=import:a/b"], "write import:NAME"),
        (["t1=cases:a.mhd", "t1=other:a.raw"], '"t1" is given twice'),
        (["t1=@a.mhd", "t1=cases:a.raw"], '"t1" is given twice'),
        (["t1=cases:a.raw", "t1=@a.mhd"], "is of kind Image"),
    ],
)
def test_refused(given: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_inputs(given, {"t1": "Image"})


def test_a_key_without_json_is_no_value() -> None:
    for place in ("configmap:settings/mm", f"image:cases@sha256:{'0' * 64}:mm"):
        with pytest.raises(UsageError, match=r'Input "mm" is of kind Float: .* must end with \.json'):
            parse_input("mm", place, "Float")
        assert parse_input("mm", json.dumps(place), "Anything")["value"] == place
        assert parse_input("mm", place, "String")["value"] == place


def test_several_files_of_one_input() -> None:
    parsed = parse_inputs(["t1=cases:a.mhd", "t1=cases:a.raw", "s=1"], {"t1": "Image"})
    assert parsed.inputs == [
        {"slug": "t1", "store": {"name": "cases", "paths": ["a.mhd", "a.raw"]}},
        {"slug": "s", "value": 1},
    ]


def test_local_files_are_kept_for_the_upload() -> None:
    parsed = parse_inputs(["t1=@a.mhd", "t1=@b/a.raw", "n=1"], {"t1": "Image", "n": "Float"})
    assert parsed.local == {"t1": [Path("a.mhd"), Path("b/a.raw")]}
    assert parsed.inputs == [{"slug": "n", "value": 1}]


def test_terminal_codes_in_a_slug_are_escaped() -> None:
    with pytest.raises(UsageError) as caught:
        parse_inputs(["\x1b[2J=1"])
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cases:a/b.mha", Place("cases", "a/b.mha")),
        ("cases:", Place("cases", "")),
        ("cases:a/", Place("cases", "a/")),
        ("a.b-c:x:y", Place("a.b-c", "x:y")),
        ("t1.mha", None),
        ("Cases:x", None),
        ("./x:y", None),
    ],
)
def test_place(text: str, expected: Place | None) -> None:
    assert parse_place(text) == expected


def test_folders_are_written_with_a_slash() -> None:
    assert [Place("s", path).is_folder for path in ("", "a/", "a", "a/b")] == [True, True, False, False]
