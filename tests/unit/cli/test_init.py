"""The starter project passes unchanged: lint, its own tests, its scripts with a docker that only takes notes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from algorithm_operator.cli.authoring import app
from algorithm_operator.cli.errors import UsageError


def init(folder: Path, inputs: list[str], outputs: list[str], *more: str, name: str = "lesions") -> Path:
    options = [word for each in inputs for word in ("--input", each)]
    options += [word for each in outputs for word in ("--output", each)]
    told = CliRunner().invoke(app, ["init", name, str(folder), *options, *more], catch_exceptions=False)
    assert told.exit_code == 0
    return folder


NOTES = """\
#!/bin/sh
echo "$@" >> "$NOTES"
if [ "$1 $2" = "volume create" ]; then echo scratch; fi
if [ "$1" = save ]; then echo image; fi
if [ -n "$FAIL" ] && [ "$1" = run ] && [ "$2 $3 $4 $5" != "" ]; then
    case "$*" in *entrypoint*) ;; *) exit 3 ;; esac
fi
"""


def start(project: Path, script: str, *arguments: str, fail: str = "") -> tuple[int, list[str]]:
    """A script of the project: its exit code, and what it asked docker for."""
    docker, notes = project.parent / "docker", project.parent / "notes"
    docker.write_text(NOTES)
    docker.chmod(0o755)
    environment = {**os.environ, "DOCKER": str(docker), "NOTES": str(notes), "FAIL": fail}
    done = subprocess.run(
        [project / script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, notes.read_text().splitlines()


def test_the_local_run_has_grand_challenges_flags(tmp_path: Path) -> None:
    project = init(tmp_path / "p", [], [], "--no-gpu")
    code, asked = start(project, "test_run.sh", "--build-arg", "BASE_IMAGE=x")

    assert code == 0
    assert asked[0] == "build --platform=linux/amd64 --tag lesions --build-arg BASE_IMAGE=x ."
    (run,) = [each for each in asked if each.startswith("run") and "--entrypoint" not in each]
    assert run == (
        "run --rm --platform=linux/amd64 --network none "
        f"--volume {project}/test/input/default:/input:ro --volume {project}/test/output/default:/output "
        f"--volume scratch:/tmp --volume {project}/model:/opt/ml/model:ro lesions"
    )
    assert asked[-1] == "volume rm scratch"
    assert (project / "test/output/default").stat().st_mode & 0o007 == 0o007


def test_a_failed_run_is_a_failed_script_and_leaves_no_volume(tmp_path: Path) -> None:
    code, asked = start(init(tmp_path / "p", [], []), "test_run.sh", fail="yes")
    assert (code, asked[-1]) == (3, "volume rm scratch")


def test_what_save_writes(tmp_path: Path) -> None:
    project = init(tmp_path / "p", [], [])
    code, asked = start(project, "save.sh")
    assert (code, asked[-1]) == (0, "save lesions")
    assert len(list(project.glob("lesions_*.tar.gz"))) == 1
    assert (project / "model.tar.gz").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Lesions"], "is no name for an Algorithm"),
        (["a\nb"], "is no name for an Algorithm"),
        (["a" * 64], "at most 63"),
        (["a", "--input", "T1"], '"T1" is no slug'),
        (["a", "--input", "t1'); import os #"], "is no slug"),
        (["a", "--input", "a" * 64], "is no slug"),
        (["a", "--input", "t1:image sgementation"], "there is no kind"),
        (["a", "--input", "t1:Segmentaton"], "did you mean Segmentation?"),
        (["a", "--output", "t1:PDF file"], "init has no code to begin with for kind PDF file"),
        (["a", "--input", "x", "--output", "x"], '"x" is there twice'),
    ],
)
def test_refusals(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["init", *arguments])
    assert isinstance(told.exception, UsageError)
    assert says in str(told.exception)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "inference.py").write_text("mine")
    told = CliRunner().invoke(app, ["init", "a", str(tmp_path)])
    assert "is not empty" in str(told.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["inference.py"]


def test_the_lock_is_of_what_the_code_imports(tmp_path: Path) -> None:
    project = init(tmp_path / "p", [], [])
    lock = (project / "requirements.txt").read_text().lower()
    assert "simpleitk==" in lock
    assert "numpy==" in lock
    assert "--hash=sha256:" in lock
