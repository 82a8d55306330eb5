"""`sockets`: the catalogue and the kinds, without a cluster."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Socket
from algorithm_operator.cli.authoring import app
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.contract.kinds import KINDS


def listed(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["sockets", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_catalogue_for_programs_is_what_an_algorithm_may_have() -> None:
    rows = json.loads(listed("-o", "json"))
    assert {row["slug"] for row in rows} == set(CATALOGUE)
    assert [Socket.model_validate(row).wire() for row in rows] == rows


def test_the_kinds_for_programs() -> None:
    rows = json.loads(listed("--kinds", "-o", "json"))
    assert [row["kind"] for row in rows] == list(KINDS)
    point = next(row for row in rows if row["code"] == "POIN")
    assert point["schema"]["properties"]["type"] == {"const": "Point"}
    assert point["example"]["type"] == "Point"
    assert "schema" not in next(row for row in rows if row["code"] == "PDF")


@pytest.mark.parametrize("kind", ["Heat Map", "heat map", "HMAP"])
def test_one_kind(kind: str) -> None:
    rows = json.loads(listed("--kind", kind, "-o", "json"))
    assert {row["slug"] for row in rows} == {"cspca-detection-map", "pdac-detection-map"}


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    listed_by_print("--kind", "Float")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SLUG", "KIND", "PATH", "TITLE"]
    assert lines[1].split() == [
        "overall-survival-years",
        "Float",
        "overall-survival-years.json",
        "Overall",
        "survival",
        "years",
    ]
    listed_by_print("--kinds")
    assert "Newick tree-format file" in capsys.readouterr().out


def listed_by_print(*arguments: str) -> None:
    """Tables go to the console that show.py has made, past the runner."""
    app(["sockets", *arguments], standalone_mode=False)


WRONG = {
    "a kind that is none": (["--kind", "Hologram"], 'There is no kind "Hologram"'),
    "an output that is none": (["-o", "yaml"], "--output is table or json"),
    "both": (["--kinds", "--kind", "Float"], "leave --kind out"),
}


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG)
def test_wrong_use(arguments: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        CliRunner().invoke(app, ["sockets", *arguments], catch_exceptions=False)
