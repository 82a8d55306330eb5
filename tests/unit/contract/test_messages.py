"""What is said about outputs: Grand Challenge's words, with the path quoted and made safe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.contract import messages

HOSTILE = 'a\u202e\n"{0}%s'
SAFE = r'"a\u202e\x0a\"{0}%s"'

SAID = {
    "missing": (messages.file_missing(HOSTILE), f"Output file {SAFE} was not produced"),
    "empty": (messages.folder_empty(HOSTILE), f"Output directory {SAFE} is empty"),
    "many": (messages.too_many_files(HOSTILE), f"Too many files produced in {SAFE}"),
    "no image": (messages.no_image(HOSTILE), f"No output images could be imported from {SAFE}"),
    "two images": (
        messages.one_image_only(HOSTILE, 2),
        f"Only 1 image should be produced in {SAFE}, we found 2",
    ),
    "large file": (messages.file_too_large(HOSTILE), f"The output file {SAFE} is too large"),
    "not json": (messages.not_json(HOSTILE), f"The output file {SAFE} is not valid json"),
    "not json, why": (
        messages.not_json(HOSTILE, "it is empty."),
        f"The output file {SAFE} is not valid json. It is empty.",
    ),
    "other kind": (
        messages.file_invalid(HOSTILE, "JSON does not fulfill schema: instance is not a number."),
        f"The output file {SAFE} is not valid. JSON does not fulfill schema: instance is not a number.",
    ),
    "bad image": (
        messages.image_invalid(HOSTILE, "line\nfeed"),
        rf"The image produced in {SAFE} is not valid. Line\x0afeed",
    ),
    "link": (
        messages.not_a_file(HOSTILE, "a symbolic link"),
        f"The output {SAFE} is a symbolic link; outputs must be regular files",
    ),
    "segments": (
        messages.segments_unknown([1, 2], [7, 1]),
        "The valid voxel values for this segmentation are: {0, 1, 2}. This segmentation is invalid as it contains "
        "the voxel values: {1, 7}.",
    ),
}


@pytest.mark.parametrize(("said", "expected"), SAID.values(), ids=SAID)
def test_words(said: str, expected: str) -> None:
    assert said == expected


def test_findings_are_all_named_where_there_is_room() -> None:
    assert messages.findings([("a", "x"), ("b", "y")], 100) == "a: x; b: y"


def test_sentences_follow_each_other() -> None:
    assert messages.together(["A is bad.", "B is bad."], 100) == "A is bad. B is bad."


def test_what_does_not_fit_is_counted() -> None:
    assert (
        messages.findings([("a", "x" * 20), ("b", "y" * 20), ("c", "z")], 45) == f"a: {'x' * 20} (and 2 more)"
    )


@given(
    st.lists(st.tuples(st.text("ab", max_size=5), st.text("xyz", max_size=60)), max_size=30),
    st.integers(80, 300),
)
def test_findings_fit(found: list[tuple[str, str]], limit: int) -> None:
    assert len(messages.findings(found, limit)) <= limit
