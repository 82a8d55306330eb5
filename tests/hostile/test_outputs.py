"""What a hostile algorithm may leave in /output and is no entry of the corpus (test_corpus.py has those)."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from pathlib import Path

import pytest

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.contract.exits import CollectReport
from tests.hostile.canary import Canary
from tests.hostile.runs import ADDRESS_SPACE
from tests.unit.steps.attempt import Attempt, planned
from tests.unit.steps.mha import header

PEAK = 256 * 1024**2
SECRET = b"the secret of another case"


def collect(attempt: Attempt) -> CollectReport:
    """Run collect under a memory limit after an algorithm that ended well, and check what always holds."""
    attempt.start_collect(*attempt.measured(ADDRESS_SPACE))
    attempt.connect()
    attempt.say_exit()
    code, report = attempt.end_collect()
    assert code == 65, (report, attempt.stderr)
    assert attempt.peak_bytes < PEAK
    assert attempt.stdout == "", "no manifest"
    assert set(attempt.stored()) == {"failure.json"}
    assert not any(SECRET in data for data in attempt.stored().values())
    return report


def message(attempt: Attempt) -> str:
    """The one finding."""
    report = collect(attempt)
    assert report.findings == 1, report
    assert report.message is not None
    return report.message


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of somebody else."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return file


@pytest.fixture
def json_output(attempt: Attempt) -> Path:
    """Where the one declared output, a JSON file, belongs."""
    attempt.plan.outputs.append(planned("results", "Anything"))
    return attempt.at("/output/results.json")


@pytest.fixture
def image_output(attempt: Attempt) -> Path:
    """Where the one declared output, a segmentation, belongs."""
    attempt.plan.outputs.append(
        planned("tissues", "Segmentation", overlay_segments=[OverlaySegment(name="Lesion", voxel_value=1)])
    )
    folder = attempt.at("/output/images/tissues")
    folder.mkdir(parents=True)
    return folder / "x.mha"


def test_json_of_too_many_values_is_not_held_against_a_limit_that_it_keeps(
    attempt: Attempt, json_output: Path
) -> None:
    json_output.write_bytes(b"[" + b"[]," * 5_000_000 + b"1]")
    assert message(attempt) == 'results: The output file "results.json" is too large'


def test_many_files(attempt: Attempt, json_output: Path) -> None:
    attempt.plan.settings["maxEntries"] = 1000
    attempt.plan.outputs.append(planned("never-listed", "Anything"))  # not called missing: nobody looked
    json_output.write_text("1")
    for number in range(1200):
        (json_output.parent / str(number)).touch()
    assert message(attempt) == (
        '(undeclared): The output "/output" cannot be taken: it has more than 1000 entries in all'
    )


def test_many_links_are_counted(attempt: Attempt, json_output: Path) -> None:
    json_output.write_text("1")
    for number in range(200):
        (json_output.parent / f"link{number}").symlink_to("/etc/passwd")
    assert collect(attempt).findings == 65
    assert "136 more entries" in attempt.failure()["findings"][-1]["message"]


def test_all_outputs_together(attempt: Attempt) -> None:
    attempt.plan.settings["maxOutputBytes"] = 40
    attempt.plan.outputs += [planned("a", "Anything"), planned("b", "Anything")]
    attempt.output("a.json", '"' + "a" * 30 + '"')
    attempt.output("b.json", '"' + "b" * 30 + '"')
    assert "All outputs together have 64 bytes, more than the limit of 40" in message(attempt)


def test_logs_replaced_by_links(attempt: Attempt, json_output: Path, secret: Path) -> None:
    attempt.at("/.algorithm-operator/logs/stdout.log").symlink_to(secret)
    os.mkfifo(attempt.at("/.algorithm-operator/logs/stderr.log"))
    assert "was not produced" in message(attempt)


def test_a_large_good_image_takes_little_memory(attempt: Attempt, image_output: Path) -> None:
    with image_output.open("wb") as file:
        file.write(header(DimSize="1024 1024 512"))
        for _ in range(512):
            file.write(bytes(1 << 20))
    attempt.start_collect(*attempt.measured(ADDRESS_SPACE))
    attempt.connect()
    attempt.say_exit()
    code, _ = attempt.end_collect()
    assert code == 0, attempt.stderr
    assert attempt.peak_bytes < PEAK


def test_what_is_swapped_while_it_is_read(attempt: Attempt, json_output: Path) -> None:
    """In a Pod everybody is dead by then; whatever is found must be whole all the same, and nothing outside is read."""
    canary = Canary(attempt.root / "outside")
    contents = [b"[%s]" % b",".join([b"%d" % number] * 50_000) for number in range(3)]
    stop = threading.Event()

    def swap() -> None:
        beside = json_output.parent / "next"
        for turn in itertools.count():
            if stop.is_set():
                return
            if turn % 2:
                beside.symlink_to(canary.folder / "secret")
            else:
                beside.write_bytes(contents[turn // 2 % len(contents)])
            beside.replace(json_output)

    json_output.write_bytes(contents[0])
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        attempt.start_collect(*attempt.measured(ADDRESS_SPACE))
        attempt.connect()
        attempt.say_exit()
        code, report = attempt.end_collect()
    finally:
        stop.set()
        swapper.join()
        opened = canary.seen()
        canary.close()
    assert opened == 0
    stored = attempt.stored()
    assert not canary.is_in(*stored.values(), attempt.stdout.encode(), attempt.stderr.encode())
    if code == 0:
        (output,) = attempt.manifest().outputs
        assert output.file is not None
        assert stored["results.json"] in contents
        assert hashlib.sha256(stored["results.json"]).hexdigest() == output.file.sha256
    else:
        assert report.message
        assert "results.json" not in stored
