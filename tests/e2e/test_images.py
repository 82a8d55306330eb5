"""The images that people have: every form of ENTRYPOINT, CMD, WORKDIR and USER, and images with next to nothing.

images/shapes/Dockerfile has one target for each. All of them run the same static program, which writes how it was
started, and as whom.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.cluster.settings import PROJECT
from tests.e2e.conftest import HERE, cluster_command
from tests.e2e.harness import RESULTS, Job, Namespace

SHAPES: Final = HERE / "images" / "shapes"
HOME: Final = "/home/algorithm"
THREADS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """How an image's program finds itself started."""

    argv: list[str]
    ids: tuple[int, int]
    home: str = HOME
    cwd: str = "/"


EXPECTED: Final = {
    "static": Expected(["/report", "static"], (4321, 4322), home="/tmp"),
    "distroless": Expected(["/bin/report", "distroless", "glibc"], (65532, 65532), home="/tmp"),
    "alpine": Expected(["/bin/report", "alpine", "musl"], (1001, 1002)),
    "entrypoint-shell": Expected(["report", "hello world", "hello", "world", "42"], (1001, 1002)),
    "cmd-exec": Expected(["report", "cmd"], (1001, 1003)),
    "cmd-shell": Expected(["report", "4321"], (4321, 0), home="/tmp"),
    "workdir": Expected(["report", "./run.sh", "workdir"], (1001, 1002), cwd="/opt/app"),
    "literal": Expected(
        [
            *(
                "report",
                "$(GREETING)",
                "$$(GREETING)",
                "$$",
                "${GREETING}",
                "$GREETING",
                "",
                "two words",
                "é",
            ),
        ],
        (1001, 1001),
    ),
    "group-zero": Expected(["/bin/report", "group-zero", "musl"], (1001, 0)),
}


@pytest.fixture(scope="module")
def images(operator: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A reference for each shape."""
    folder = tmp_path_factory.mktemp("images") / "shapes"
    shutil.copytree(SHAPES, folder)
    flags = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(folder / "report"))
    subprocess.run(
        [PROJECT / "scripts/go", "build", *flags, "report.go"],
        cwd=folder,
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )
    return {
        shape: cluster_command("build", f"algorithm-operator/{shape}", str(folder), "--target", shape)
        for shape in EXPECTED
    }


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, images: dict[str, str]) -> dict[str, Job]:
    """A job for each shape, all started together. It waits for its Algorithm by itself."""
    for shape, image in images.items():
        module_namespace.algorithm(
            shape,
            image=image,
            inputs=[{"slug": "note", "kind": "String"}],
            outputs=[{**RESULTS, "storeInStatus": True}],
            ready=False,
        )
    note = {"slug": "note", "value": "none"}
    return {shape: module_namespace.job(shape, algorithm=shape, inputs=[note]) for shape in images}


def _report(jobs: dict[str, Job], shape: str) -> dict[str, Any]:
    """What the program of that image saw."""
    status = jobs[shape].wait("Succeeded", timeout=150)
    (output,) = status["outputs"]
    seen: dict[str, Any] = output["value"]
    return seen


@pytest.mark.parametrize("shape", EXPECTED)
def test_an_image_of_that_shape_is_started_as_docker_would(jobs: dict[str, Job], shape: str) -> None:
    seen, expected = _report(jobs, shape), EXPECTED[shape]

    argv = [word.partition(" ")[0] if word.startswith("glibc ") else word for word in seen["argv"]]
    assert argv == expected.argv
    assert seen["cwd"] == expected.cwd
    assert (seen["uid"], seen["gid"]) == expected.ids
    assert seen["environment"]["HOME"] == expected.home
    assert set(seen["groups"]) <= {seen["gid"]}, "groups of the node, or of the platform"


def test_the_platforms_variables_do_not_reach_the_program_and_the_images_own_do(
    jobs: dict[str, Job],
) -> None:
    environment = _report(jobs, "literal")["environment"]

    prefixes = ("grand_challenge_", "kubernetes_")
    assert [name for name in environment if name.casefold().startswith(prefixes)] == []
    assert environment["GREETING"] == "hello"


def test_threads_are_as_many_as_processors_unless_the_image_says_otherwise(jobs: dict[str, Job]) -> None:
    # 100m of a processor are one thread, on a node of any size.
    other, own = _report(jobs, "alpine")["environment"], _report(jobs, "literal")["environment"]

    assert {name: other.get(name) for name in THREADS} == dict.fromkeys(THREADS, "1")
    assert {name: own.get(name) for name in THREADS} == {
        **dict.fromkeys(THREADS, "1"),
        "OMP_NUM_THREADS": "3",
    }
