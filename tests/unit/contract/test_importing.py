"""The answer of an import's Pod: it always fits into a termination message, and says what it leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.api.imageimport import MAX_FILES
from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.importing import MAX_ANSWER_BYTES, Imported, ImportReport, encode, refusal

GEOMETRY = ImageGeometry(
    size=[2**31] * 4,
    spacing=[0.123456789012345] * 4,
    origin=[-123456.789012345] * 4,
    direction=[-0.123456789012345] * 16,
    pixel_type="float64",
)
TEXTS = st.text(max_size=3000)


def decoded(report: ImportReport) -> ImportReport:
    raw = encode(report)
    assert len(raw) <= MAX_ANSWER_BYTES
    return ImportReport.model_validate_json(raw)


def test_a_small_answer_is_told_as_it_is() -> None:
    report = ImportReport(message="they are none.", files=["a.txt", "b.txt"])
    assert decoded(report) == report


@given(message=TEXTS, files=st.lists(TEXTS, max_size=200))
def test_every_refusal_fits_and_every_file_is_counted(message: str, files: list[str]) -> None:
    answer = decoded(refusal(message, files))
    assert len(answer.files) <= MAX_FILES
    assert len(answer.files) + answer.more == len(files)


def test_a_name_that_is_no_text_is_told_escaped() -> None:
    assert decoded(refusal("no.", ["a\udcff\n.dcm"])).files == ["a\\udcff\\x0a.dcm"]


@pytest.mark.parametrize("count", [63, 64, 65, 500])
def test_short_names_are_listed_up_to_the_bound(count: int) -> None:
    names = [f"{number}.dcm" for number in range(count)]
    answer = decoded(refusal("no.", names))
    assert answer.files == names[:MAX_FILES]
    assert answer.more == max(0, count - MAX_FILES)


@given(name=st.text(max_size=256), notes=st.lists(st.text(max_size=256), max_size=8))
def test_every_image_fits_and_only_notes_are_left_out(name: str, notes: list[str]) -> None:
    image = Imported(suffix=".mha", bytes=2**40, sha256="a" * 64, name=name, geometry=GEOMETRY, notes=notes)
    found = decoded(ImportReport(image=image)).image
    assert found is not None
    assert (found.bytes, found.sha256, found.geometry) == (2**40, "a" * 64, GEOMETRY)
    assert len(found.notes) <= len(notes)
    if all(len(note) < 200 and note.isascii() and note.isprintable() for note in notes):
        assert found.notes == notes
