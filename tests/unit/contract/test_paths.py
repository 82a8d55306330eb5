"""Paths below a DataStore's root, and below /input and /output."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.contract.paths import check_relative_path, check_store_path

ALLOWED = [
    "a",
    "case-001/t1.mha",
    "a/",
    "a/b/",
    ".hidden/x",
    "a..b/..c",
    "Größe/脳.mha",
    "with blank",
    "a" * 255,
]


@pytest.mark.parametrize("path", ALLOWED)
def test_store_path(path: str) -> None:
    assert check_store_path(path) is None


REFUSED = {
    "": "empty",
    "..": '".."',
    "../a": '".."',
    "a/../b": '".."',
    "a/..": '".."',
    "a/../": '".."',
    "/etc/passwd": 'begins with "/"',
    "/": 'begins with "/"',
    ".": '"."',
    "./a": '"."',
    "a/./b": '"."',
    "a//b": "empty segment",
    "a//": "empty segment",
    "a\\b": "backslash",
    "a\nb": "control character",
    "a\x00b": "control character",
    "a\u2028b": "control character",
    "a\ud800b": "control character",
    "a" * 256: "255 bytes",
    "ä" * 128: "255 bytes",
    "a/" * 513: "1024 bytes",
}


@pytest.mark.parametrize(("path", "says"), REFUSED.items(), ids=[ascii(path)[:20] for path in REFUSED])
def test_store_path_that_is_refused(path: str, says: str) -> None:
    assert says in (check_store_path(path) or "")


@given(
    st.lists(st.sampled_from(["a", "..", ".", "", "/", "\\", "b.mha", "\x7f", " "]), max_size=8).map("/".join)
)
def test_an_allowed_path_is_its_own_shortest_form_below_the_root(path: str) -> None:
    if check_store_path(path) is None:
        assert posixpath.normpath(posixpath.join("/store", path)) == f"/store/{path.removesuffix('/')}"


@given(st.text(max_size=30))
def test_any_text_is_judged(path: str) -> None:
    why = check_store_path(path)
    assert why is None or (why.isprintable() and why.endswith("."))


UUID = "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11"
RELATIVE = {
    "image": ("images/t1-mri", True, None),
    "image in a folder": ("images/brain/t1", True, None),
    "file": ("smoothing.json", False, None),
    "file in a folder": ("a/b.json", False, None),
    "slash before": ("/a.json", False, "Path must not begin or end with '/'"),
    "slash after": ("images/a/", True, "Path must not begin or end with '/'"),
    "parent": ("images/../../a", True, "Relative paths are not allowed."),
    "empty segment": ("a//b.json", False, "Relative paths are not allowed."),
    "reserved": ("INPUTS.json", False, "This relative path is reserved"),
    "uuid": (f"a/{UUID}.json", False, "UUID"),
    "capital uuid": (f"images/{UUID.upper()}", True, "UUID"),
    "wrong suffix": ("a.txt", False, "Relative path should end with .json"),
    "image elsewhere": ("t1", True, "Images should be a directory"),
    "image with a suffix": ("images/a.mha", True, "Images should be a directory"),
    "file among images": ("images/a.json", False, "Only images"),
    "line feed": ("a\n.json", False, "control character"),
}


@pytest.mark.parametrize(("path", "image", "says"), RELATIVE.values(), ids=RELATIVE)
def test_relative_path(path: str, image: bool, says: str | None) -> None:
    why = check_relative_path(path, image=image, suffixes=(".mha",) if image else (".json",))
    if says is None:
        assert why is None
    else:
        assert says in (why or "")
