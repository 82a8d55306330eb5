"""Inputs from DataStores: files, folders and JSON; and the plan itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from algorithm_operator.contract.plan import MAX_PLAN_BYTES, PlannedFile, PlannedInput
from algorithm_operator.steps.failures import StepError
from algorithm_operator.steps.inputs import Inputs
from algorithm_operator.steps.settings import PlanError, StepSettings, load_plan
from tests.unit.steps.attempt import Attempt, planned
from tests.unit.steps.mha import compressed, mha


@pytest.fixture
def mount(attempt: Attempt) -> Path:
    """Where the first path of the first input is mounted."""
    attempt.at("/stores/0").mkdir()
    return attempt.at("/stores/0/0")


def add(attempt: Attempt, kind: str, *paths: str) -> None:
    files = [
        PlannedFile(mount=f"/stores/0/{number}", path=path, store="cases", folder=path.endswith("/"))
        for number, path in enumerate(paths)
    ]
    attempt.plan.inputs.append(PlannedInput(socket=planned("given", kind), files=files))


def lay_out(attempt: Attempt) -> list[str]:
    """The staged files, below /input."""
    Inputs(attempt.plan, StepSettings(), attempt.roots).lay_out()
    root = attempt.at("/input")
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())


def refusal(attempt: Attempt) -> str:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StepError) as caught:
        lay_out(attempt)
    assert (caught.value.code, caught.value.slug) == (65, "given")
    # Fewer when a server of an earlier test ends meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    return caught.value.message


def test_a_folder_with_one_image(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "case/")
    (mount / "deep").mkdir(parents=True)
    (mount / "deep/t1.mha").write_bytes(compressed())
    image, _ = lay_out(attempt)
    assert image.startswith("images/given/")
    told = json.loads(attempt.at("/input/inputs.json").read_text())
    assert told[0]["image"]["name"] == "t1.mha"
    assert image == f"images/given/{told[0]['image']['pk']}.mha"


def test_a_folder_with_two_images(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "case/")
    mount.mkdir()
    for name in "ab":
        (mount / f"{name}.mha").write_bytes(mha())
    why = 'an input is exactly one image, but these are 2: "case/a.mha", "case/b.mha".'
    assert refusal(attempt) == f'Input "given" is not valid: {why}'


def test_a_folder_with_a_link(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "case/")
    mount.mkdir()
    (mount / "x.mha").symlink_to("/etc/passwd")
    assert "is a folder that holds x.mha: a symbolic link" in refusal(attempt)


def test_a_folder_that_is_a_file(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "t1.mha/")
    mount.write_bytes(mha())
    assert 'write it without the "/" at its end' in refusal(attempt)


def test_a_folder_that_is_not_there(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "case/")
    mount.mkdir()
    assert '"case/" does not exist in DataStore cases' in refusal(attempt)


def test_two_paths_for_one_image(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "a.mha", "b.mha")
    for number in range(2):
        (mount.parent / str(number)).write_bytes(mha())
    assert 'but these are 2: "a.mha", "b.mha"' in refusal(attempt)


def test_an_image_of_another_format(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "t1.mgz")
    mount.write_bytes(b"\x1f\x8b")
    assert '"t1.mgz": no image in a format that is read, which are MetaImage (.mha' in refusal(attempt)


def test_an_image_with_damaged_compression(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Image", "t1.mha")
    mount.write_bytes(compressed(bytes(23)))
    assert "hold 23 bytes of voxels; its header promises 24" in refusal(attempt)


def test_a_value_from_a_store(attempt: Attempt, mount: Path) -> None:
    add(attempt, "Float", "x.json")
    mount.write_text(" 1.50\n")
    assert lay_out(attempt) == ["given.json", "inputs.json"]
    assert attempt.at("/input/given.json").read_text() == " 1.50\n"
    assert json.loads(attempt.at("/input/inputs.json").read_text())[0]["value"] == 1.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"much"', "JSON does not fulfill schema"),
        ("{", "is not valid JSON"),
        ("NaN", "is not valid JSON: it contains NaN"),
        (" " * (17 << 20), "is too large; the limit is 16777216 bytes"),
    ],
)
def test_a_bad_value_from_a_store(attempt: Attempt, mount: Path, text: str, expected: str) -> None:
    add(attempt, "Float" if text != "NaN" else "Anything", "x.json")
    mount.write_text(text)
    message = refusal(attempt)
    assert message.startswith('Input "given" is not valid: "x.json" of DataStore cases')
    assert expected in message


def test_relative_paths_stay_below_input(attempt: Attempt) -> None:
    attempt.plan.inputs.append(PlannedInput(socket=planned("given", "Float", "../x.json"), value_json="1"))
    with pytest.raises(ValueError, match="relative path"):
        lay_out(attempt)
    assert not attempt.at("/x.json").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "cannot be read"),
        ("{", "not valid"),
        ('{"version": 2}', "not valid at version"),
        (" " * (MAX_PLAN_BYTES + 1), "larger than"),
    ],
)
def test_a_plan_that_is_none(attempt: Attempt, text: str | None, expected: str) -> None:
    if text is not None:
        Path(attempt.roots.plan).write_text(text)
    with pytest.raises(PlanError, match=expected):
        load_plan(attempt.roots)


def test_settings_of_the_plan(attempt: Attempt) -> None:
    attempt.plan.settings = {"maxOutputBytes": 5, "somethingNewer": 1}
    attempt.write_plan()
    assert load_plan(attempt.roots)[1].max_output_bytes == 5
    attempt.plan.settings = {"maxOutputBytes": 0}
    attempt.write_plan()
    with pytest.raises(PlanError, match="maxOutputBytes"):
        load_plan(attempt.roots)


def test_a_gate_that_cannot_look_is_tried_again(attempt: Attempt) -> None:
    attempt.plan.isolation.targets.clear()
    code, report = attempt.stage()
    assert (code, report.reason) == (75, "StagingFailed")
    assert report.message is not None
    assert "no target" in report.message


def test_staging_twice_does_not_write_over(attempt: Attempt) -> None:
    assert attempt.stage()[0] == 0
    assert attempt.stage()[0] == 75
    assert [file.name for file in attempt.at("/input").iterdir()] == ["inputs.json"]
