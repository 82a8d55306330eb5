"""The files of an input from each place: what is read, and what is said of what is not there or not as it was."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from algorithm_operator.contract.plan import PlannedFile
from algorithm_operator.steps.failures import StepError
from algorithm_operator.steps.sources import opened
from algorithm_operator.steps.walk import Limits
from tests.unit.steps.attempt import Attempt

REFERENCE = "registry.example.org/cases@sha256:" + "a" * 64


def in_image(path: str) -> PlannedFile:
    return PlannedFile(mount="/image/0", path=path, image=REFERENCE, folder=path.endswith("/"))


KEY = PlannedFile(mount="/config-map/0", path="one.json", config_map="settings")


def content(attempt: Attempt, *files: PlannedFile) -> dict[str, bytes]:
    """What the files hold, by the path that their owner knows."""
    with opened("given", files, attempt.roots, Limits()) as found:
        return {source.path: os.pread(source.descriptor, source.size + 1, 0) for source in found}


def refusal(attempt: Attempt, *files: PlannedFile) -> tuple[str, str]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StepError) as caught:
        content(attempt, *files)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    return str(caught.value.reason), caught.value.message


@pytest.fixture
def image(attempt: Attempt) -> Path:
    """The file system of an image with a case in it."""
    root = attempt.at("/image/0")
    (root / "cases/001").mkdir(parents=True)
    (root / "cases/001/t1.mha").write_bytes(b"voxels")
    return root


@pytest.fixture
def keys(attempt: Attempt) -> Path:
    """A ConfigMap as the kubelet lays it out: the keys are links to where the link ..data leads."""
    root = attempt.at("/config-map/0")
    (root / "..2026_11_28").mkdir(parents=True)
    (root / "..2026_11_28/one.json").write_bytes(b"1")
    (root / "..data").symlink_to("..2026_11_28")
    (root / "one.json").symlink_to("..data/one.json")
    return root


def test_files_and_folders_of_an_image(attempt: Attempt, image: Path) -> None:
    assert content(attempt, in_image("cases/001/t1.mha")) == {"cases/001/t1.mha": b"voxels"}
    os.link(image / "cases/001/t1.mha", image / "cases/001/same.mha")  # as layers have it
    assert set(content(attempt, in_image("cases/"))) == {"cases/001/same.mha", "cases/001/t1.mha"}


def test_a_key_of_a_config_map(attempt: Attempt, keys: Path) -> None:
    assert content(attempt, KEY) == {"one.json": b"1"}


def test_all_paths_together_in_the_order_of_names(attempt: Attempt, image: Path, keys: Path) -> None:
    for name in ("b", "a"):
        (image / "cases/001" / name).write_bytes(name.encode())
    found = content(attempt, KEY, in_image("cases/001/"))
    assert list(found) == ["one.json", "cases/001/a", "cases/001/b", "cases/001/t1.mha"]


def _link_to_a_secret(image: Path) -> None:
    (image / "cases/001/t1.mha").unlink()
    (image / "cases/001/t1.mha").symlink_to("/etc/passwd")


def _linked_folder(image: Path) -> None:
    (image / "linked").symlink_to("/etc")


IMAGES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "not there": (
        lambda _: None,
        "cases/002/t1.mha",
        "InputNotFound",
        '"cases/002/t1.mha" does not exist in image',
    ),
    "below a file": (lambda _: None, "cases/001/t1.mha/x", "InputNotFound", "does not exist in image"),
    "a link": (_link_to_a_secret, "cases/001/t1.mha", "InputInvalid", "is a symbolic link"),
    "a link in a folder": (_link_to_a_secret, "cases/", "InputInvalid", "holds 001/t1.mha: a symbolic link"),
    "below a link": (_linked_folder, "linked/passwd", "InputInvalid", "is a symbolic link"),
    "a folder without its slash": (
        lambda _: None,
        "cases/001",
        "InputInvalid",
        "is a folder; name a file in it",
    ),
    "a file with one": (lambda _: None, "cases/001/t1.mha/", "InputInvalid", "is a file; write it without"),
    "an empty folder": (lambda image: (image / "none").mkdir(), "none/", "InputNotFound", "does not exist"),
}


@pytest.mark.parametrize(("spoil", "path", "reason", "says"), IMAGES.values(), ids=IMAGES)
def test_what_an_image_does_not_have(
    attempt: Attempt, image: Path, spoil: Callable[[Path], object], path: str, reason: str, says: str
) -> None:
    spoil(image)
    found, message = refusal(attempt, in_image(path))
    assert found == reason
    assert says in message


def test_a_config_map_or_key_that_is_not_there(attempt: Attempt, keys: Path) -> None:
    (keys / "..2026_11_28/one.json").unlink()
    expected = ("InputNotFound", '"one.json" does not exist in ConfigMap settings')
    reason, message = refusal(attempt, KEY)
    assert (reason, expected[1] in message) == (expected[0], True)
    for name in ("one.json", "..data"):  # the kubelet's folder of a ConfigMap that does not exist
        (keys / name).unlink()
    assert refusal(attempt, KEY) == (reason, message)


def test_links_of_a_config_map_lead_nowhere_else(attempt: Attempt, keys: Path) -> None:
    (keys / "..2026_11_28/one.json").unlink()
    (keys / "..2026_11_28/one.json").symlink_to("/etc/passwd")
    assert "is a symbolic link" in refusal(attempt, KEY)[1]
    (keys / "..data").unlink()
    (keys / "..data").symlink_to("../../stores")
    assert refusal(attempt, KEY)[0] == "InputInvalid"


def of_another_job(attempt: Attempt, sha256: str) -> PlannedFile:
    (attempt.at("/stores/0")).mkdir(exist_ok=True)
    attempt.at("/stores/0/0").write_bytes(b"made")
    return PlannedFile(mount="/stores/0/0", path="a/out.mha", store="results", sha256=sha256, job="first")


def test_a_file_of_another_job_is_what_its_status_says(attempt: Attempt) -> None:
    known = of_another_job(attempt, hashlib.sha256(b"made").hexdigest())
    assert content(attempt, known) == {"a/out.mha": b"made"}
    attempt.at("/stores/0/0").write_bytes(b"mad!")
    reason, message = refusal(attempt, known)
    assert reason == "InputInvalid"
    assert (
        '"a/out.mha" of DataStore results is not what the status of job "first" says; it was changed since'
        in message
    )


@pytest.fixture
def _few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_few_descriptors")
def test_more_files_than_a_process_may_open_at_first(attempt: Attempt, image: Path) -> None:
    for number in range(400):
        (image / "cases/001" / f"{number:04}").touch()
    assert len(content(attempt, in_image("cases/001/"))) == 401
