"""Every row of docs/contract.md through the real collect and stage code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.api.kinds import SEGMENTED_KINDS, SocketKind
from algorithm_operator.contract.kinds import KINDS, Form, SuperKind
from algorithm_operator.contract.paths import check_relative_path
from algorithm_operator.contract.plan import PlannedFile, PlannedInput, PlannedSocket
from algorithm_operator.steps.failures import StepError
from algorithm_operator.steps.inputs import Inputs
from algorithm_operator.steps.settings import StepSettings
from tests.contract_cases import PATHS, ROWS, Case, Row
from tests.contract_table import main
from tests.unit.steps.attempt import Attempt, planned
from tests.unit.steps.inspected import inspected

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OUTPUTS = {kind: row for kind, row in ROWS.items() if KINDS[kind].form is not Form.DICOM}
SUFFIXES = {kind: KINDS[kind].suffixes[0] for kind in SocketKind}


def socket(kind: SocketKind) -> PlannedSocket:
    segments = [OverlaySegment(name="CSF", voxel_value=1)] if kind in SEGMENTED_KINDS else None
    return planned("a", kind, overlay_segments=segments)


def write(folder: Path, path: str, case: Case) -> None:
    for name, data in case.files.items():
        file = folder / path / name if name else folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def stage(attempt: Attempt, kind: SocketKind, case: Case) -> list[str]:
    """The files below /input, but for inputs.json."""
    is_folder = "" not in case.files
    write(attempt.at("/stores"), "0/0", case)
    path = "case/" if is_folder else f"a{SUFFIXES[kind]}"
    files = [PlannedFile(mount="/stores/0/0", path=path, store="cases", folder=is_folder)]
    attempt.plan.inputs.append(PlannedInput(socket=socket(kind), files=files))
    Inputs(attempt.plan, StepSettings(), attempt.roots).lay_out()
    root = attempt.at("/input")
    found = sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())
    return [UUID.sub("{uuid}", path) for path in found if path != "inputs.json"]


@pytest.mark.parametrize(("kind", "row"), OUTPUTS.items(), ids=lambda value: getattr(value, "name", ""))
def test_an_output_that_is_taken(tmp_path: Path, kind: SocketKind, row: Row) -> None:
    write(tmp_path, socket(kind).relative_path, row.taken)
    assert inspected(tmp_path, socket(kind)).findings == {}


@pytest.mark.parametrize(("kind", "row"), OUTPUTS.items(), ids=lambda value: getattr(value, "name", ""))
def test_an_output_that_is_refused(tmp_path: Path, kind: SocketKind, row: Row) -> None:
    write(tmp_path, socket(kind).relative_path, row.refused)
    assert inspected(tmp_path, socket(kind)).message == row.refused.says


@pytest.mark.parametrize(("kind", "row"), ROWS.items(), ids=lambda value: getattr(value, "name", ""))
def test_an_input_that_is_taken(attempt: Attempt, kind: SocketKind, row: Row) -> None:
    assert ", ".join(stage(attempt, kind, row.taken)) == row.staged


@pytest.mark.parametrize(("kind", "row"), ROWS.items(), ids=lambda value: getattr(value, "name", ""))
def test_an_input_that_is_refused(attempt: Attempt, kind: SocketKind, row: Row) -> None:
    with pytest.raises(StepError) as refused:
        stage(attempt, kind, row.refused)
    message = refused.value.message
    assert message.startswith('Input "a" is not valid: ')
    if KINDS[kind].form is Form.DICOM:
        assert message == row.refused.says
    else:
        _, _, why = row.refused.says.partition(" is not valid. ")
        assert message.lower().endswith(why.lower())


@pytest.mark.parametrize(("given", "says"), PATHS.items(), ids=[path for _, path in PATHS])
def test_a_path_that_is_refused(given: tuple[SocketKind, str], says: str) -> None:
    kind, path = given
    image = KINDS[kind].super_kind is SuperKind.IMAGE
    assert check_relative_path(path, image=image, suffixes=KINDS[kind].suffixes) == says


def test_the_table_in_the_docs_is_current(capsys: Any) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
