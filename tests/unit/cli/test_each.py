"""Many cases: which, under what names, and that running again means the same jobs."""

from pathlib import Path

import pytest

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.interface import Interface
from algorithm_operator.cli.each import cases_of_csv, cases_of_folder, job_name
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.inputs import Place
from algorithm_operator.cli.jobs import Wish, check_name
from tests.unit.cli.conftest import algorithm

WISH = Wish("brain-tissue", "imaging")
KINDS = {"t1-mri": "Image", "smoothing": "Float"}
SMOOTHING = {"slug": "smoothing", "value": 1.5}
PLACE = Place("imaging", "cases/")


@pytest.fixture
def interfaces() -> list[Interface]:
    return AlgorithmSpec.model_validate(algorithm(*KINDS.items())["spec"]).interfaces


def test_csv() -> None:
    text = "name,t1-mri,smoothing\nCase 1,imaging:1/t1.mha,1.5\nCase 2,imaging:2/t1.mha,2\n"
    first, second = cases_of_csv(text, WISH, (), KINDS)
    assert first.name == "Case 1"
    assert first.inputs == (
        SMOOTHING,
        {"slug": "t1-mri", "store": {"name": "imaging", "paths": ["1/t1.mha"]}},
    )
    assert first.job.startswith("brain-tissue-case-1-")
    assert second.job.startswith("brain-tissue-case-2-")


def test_csv_again_is_the_same() -> None:
    text = "t1-mri\nimaging:1/t1.mha\n"
    again = text + "imaging:2/t1.mha\n"
    assert (
        cases_of_csv(text, WISH, (SMOOTHING,), KINDS)[0] == cases_of_csv(again, WISH, (SMOOTHING,), KINDS)[0]
    )


def test_what_goes_in_makes_the_name() -> None:
    same = job_name(WISH, "one", [SMOOTHING])
    others = [
        job_name(Wish("brain-tissue", "other"), "one", [SMOOTHING]),
        job_name(Wish("brain-tissue", "imaging", time_limit_seconds=60), "one", [SMOOTHING]),
        job_name(WISH, "one", [{"slug": "smoothing", "value": 2}]),
        job_name(WISH, "two", [SMOOTHING]),
    ]
    assert job_name(Wish("brain-tissue", "imaging", attempts=1), "one", [SMOOTHING]) == same
    assert len({same, *others}) == 5


@pytest.mark.parametrize("case", ["x" * 200, "Ünïcode / Ω", "", "-", "a.b_c"])
def test_names_are_accepted(case: str) -> None:
    check_name(job_name(Wish("a" * 60), case, [SMOOTHING]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no cases"),
        ("t1-mri\n", "no cases"),
        ("t1-mri,t1-mri\na:b,a:c\n", "every column"),
        ("t1-mri,\na:b,c\n", "every column"),
        ("t1-mri,smoothing\nimaging:1.mha\n", "Line 2"),
        ("t1-mri,smoothing\nimaging:1.mha,\n", "Line 2"),
        ("t1-mri\nimaging:1.mha\nimaging:1.mha\n", '"line 3" and "line 2" are the same case'),
        ("t1-mri\n1.mha\n", "of kind Image"),
    ],
)
def test_csv_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cases_of_csv(text, WISH, (), KINDS)


def test_column_and_option() -> None:
    with pytest.raises(UsageError, match='"smoothing" is a column of the list and an --input'):
        cases_of_csv("smoothing\n1\n", WISH, (SMOOTHING,), KINDS)


def test_a_file_a_case(tmp_path: Path, interfaces: list[Interface]) -> None:
    (tmp_path / "b.mha").write_bytes(b"b")
    (tmp_path / "a.mha").write_bytes(b"a")
    (tmp_path / ".hidden").write_bytes(b"")
    first, second = cases_of_folder(tmp_path, WISH, (SMOOTHING,), interfaces, PLACE)
    assert (first.name, second.name) == ("a", "b")
    upload = first.uploads[0]
    # sha256 of "a"
    assert upload.source.path == "cases/a/ca978112ca1b/t1-mri.mha"
    assert first.inputs[1] == {"slug": "t1-mri", "store": {"name": "imaging", "paths": [upload.source.path]}}
    assert cases_of_folder(tmp_path, WISH, (SMOOTHING,), interfaces, PLACE) == [first, second]
    (tmp_path / "a.mha").write_bytes(b"changed")
    assert cases_of_folder(tmp_path, WISH, (SMOOTHING,), interfaces, PLACE)[0].job != first.job


def test_a_folder_a_case(tmp_path: Path, interfaces: list[Interface]) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "t1-mri.mha").write_bytes(b"a")
    (tmp_path / "one" / "smoothing.json").write_bytes(b"1.5")
    (case,) = cases_of_folder(tmp_path, WISH, (), interfaces, PLACE)
    assert [each["slug"] for each in case.inputs] == ["smoothing", "t1-mri"]
    (tmp_path / "one" / "notes.txt").write_bytes(b"")
    with pytest.raises(UsageError, match=r"notes.txt.* is for no input"):
        cases_of_folder(tmp_path, WISH, (), interfaces, PLACE)


def test_a_folder_of_an_image_in_a_folder_of_a_case(tmp_path: Path, interfaces: list[Interface]) -> None:
    series = tmp_path / "case/t1-mri"
    series.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm"):
        (series / name).write_text(name)
    (case,) = cases_of_folder(tmp_path, WISH, (SMOOTHING,), interfaces, PLACE)
    (path,) = case.inputs[1]["store"]["paths"]
    assert path.startswith("cases/case/")
    assert path.endswith("/t1-mri/")
    assert [upload.source.path for upload in case.uploads] == [f"{path}1.dcm", f"{path}2.dcm"]
    (series / "2.dcm").write_text("other")
    (other,) = cases_of_folder(tmp_path, WISH, (SMOOTHING,), interfaces, PLACE)
    assert other.job != case.job


def test_the_one_image_is_meant(tmp_path: Path, interfaces: list[Interface]) -> None:
    (tmp_path / "a.mha").write_bytes(b"a")
    (case,) = cases_of_folder(tmp_path, WISH, (), interfaces, PLACE)
    assert case.uploads[0].source.path.endswith("/t1-mri.mha")
    with pytest.raises(UsageError, match="no input"):
        cases_of_folder(tmp_path, WISH, (SMOOTHING, {"slug": "t1-mri", "value": 0}), interfaces, PLACE)


def test_empty_folder(tmp_path: Path, interfaces: list[Interface]) -> None:
    with pytest.raises(UsageError, match="no cases"):
        cases_of_folder(tmp_path, WISH, (), interfaces, PLACE)
