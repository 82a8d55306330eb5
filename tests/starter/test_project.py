"""The starter project passes unchanged: lint has nothing to say, and its own tests pass, whatever its sockets are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from algorithm_operator.cli.__main__ import app
from algorithm_operator.cli.project.sockets import KNOWN
from tests.unit.cli.test_init import init

PYTHON_WORDS = ["json", "class", "none", "read-image", "1a", "sitk", "inputs"]
EVERY_KIND = [f"k{number}:{kind}" for number, kind in enumerate(KNOWN)]
PROJECTS = {
    "docs/authoring.md": (["t1-mri", "threshold:Float"], ["lesions:Segmentation", "results"]),
    "the catalogue": (["ct-image"], ["results-json-file"]),
    "values alone": (["a:Float", "b:String"], ["c:bool", "results"]),
    "no image to lay on": (["a:Integer"], ["s:Segmentation", "h:Heat Map", "i:Image"]),
    "several images": ([*PYTHON_WORDS, "b:Segmentation"], ["s:Segmentation", "h:heat map", "i:Image"]),
    "every kind in": (EVERY_KIND, ["results"]),
    "every kind out": (["a"], EVERY_KIND),
}


@pytest.mark.parametrize(("inputs", "outputs"), PROJECTS.values(), ids=PROJECTS)
def test_a_project_passes_unchanged(tmp_path: Path, inputs: list[str], outputs: list[str]) -> None:
    project = init(tmp_path / "p", inputs[:32], outputs[:32])

    linted = CliRunner().invoke(app, ["lint", str(project)])
    assert (linted.exit_code, linted.stdout) == (0, "")
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "t"),
    ]
    tested = subprocess.run(tests, cwd=project, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    if inputs[: len(PYTHON_WORDS)] == PYTHON_WORDS:
        segmentation = yaml.safe_load((project / "algorithm.yaml").read_text())["spec"]["interfaces"][0][
            "outputs"
        ][0]
        assert segmentation["overlayOf"] == "json"
