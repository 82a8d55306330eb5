"""What a hostile algorithm may leave in /output: each is refused in words, nothing is kept, memory stays bounded."""

from __future__ import annotations

import os
import socket
import time
import zlib
from pathlib import Path

import pytest

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.contract.reports import CollectReport
from tests.unit.steps.attempt import Attempt, planned
from tests.unit.steps.mha import compressed, header, mha

ADDRESS_SPACE = 2 * 1024**3
"""SimpleITK maps 0.4 GB by being imported; anything that allocates by an image's or a file's own claims hits this."""
PEAK = 256 * 1024**2
SECRET = b"the secret of another case"
SEGMENTS = [OverlaySegment(name="Lesion", voxel_value=1)]


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
    attempt.plan.outputs.append(planned("tissues", "Segmentation", overlay_segments=SEGMENTS))
    folder = attempt.at("/output/images/tissues")
    folder.mkdir(parents=True)
    return folder / "x.mha"


def test_symbolic_link(attempt: Attempt, json_output: Path) -> None:
    json_output.symlink_to("/etc/passwd")
    assert message(attempt) == (
        'results: The output "results.json" is a symbolic link; outputs must be regular files'
    )


def test_symbolic_link_above(attempt: Attempt, image_output: Path, secret: Path) -> None:
    image_output.parent.rmdir()
    image_output.parent.symlink_to(secret.parent)
    assert message(attempt) == (
        'tissues: The output "images/tissues" is a symbolic link; outputs must be regular files'
    )


def test_symbolic_link_beside(attempt: Attempt, json_output: Path) -> None:
    json_output.write_text("1")
    (json_output.parent / "latest").symlink_to("/proc/1/environ")
    assert message(attempt) == (
        '(undeclared): The output "latest" is a symbolic link; outputs must be regular files'
    )


def test_hard_link(attempt: Attempt, json_output: Path, secret: Path) -> None:
    json_output.hardlink_to(secret)
    assert "a hard link (2 names for one file)" in message(attempt)


def test_named_pipe(attempt: Attempt, json_output: Path) -> None:
    os.mkfifo(json_output)
    began = time.monotonic()
    assert 'The output "results.json" is a named pipe' in message(attempt)
    assert time.monotonic() - began < 5


def test_socket(attempt: Attempt, json_output: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(json_output.parent)  # an address has no room for the whole path
        listener.bind("results.json")
        os.chdir(here)
        assert 'The output "results.json" is a socket' in message(attempt)


def test_folder_for_a_file(attempt: Attempt, json_output: Path) -> None:
    json_output.mkdir()
    assert 'The output "results.json" is a folder' in message(attempt)


def test_sparse_file_of_one_tebibyte(attempt: Attempt, json_output: Path) -> None:
    json_output.touch()
    os.truncate(json_output, 1 << 40)
    began = time.monotonic()
    assert 'The output file "results.json" is too large' in message(attempt)
    assert time.monotonic() - began < 5


def test_sparse_image_of_one_tebibyte(attempt: Attempt, image_output: Path) -> None:
    image_output.write_bytes(header(DimSize="65536 65536 256"))
    os.truncate(image_output, image_output.stat().st_size + (1 << 40))
    assert 'The output file "images/tissues/x.mha" is too large' in message(attempt)


@pytest.mark.parametrize(
    "target", ["../../secret", "/etc/passwd", "LIST", "x%03d.raw 1 9 1", "local", "LOCAL x"]
)
def test_image_that_names_other_files(attempt: Attempt, image_output: Path, target: str) -> None:
    image_output.write_bytes(mha(ElementDataFile=target))
    found = message(attempt)
    assert found.startswith('tissues: No output images could be imported from "images/tissues"')
    assert f'(ElementDataFile = "{target}"); only LOCAL is allowed' in found


def test_image_with_detached_data(attempt: Attempt, image_output: Path) -> None:
    image_output.with_suffix(".mhd").write_bytes(header(ElementDataFile="x.raw"))
    assert '"x.mhd" is no .mha file' in message(attempt)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(DimSize="400000 400000 1"), "promises 160000000000 bytes of voxels; the limit is"),
        (header(DimSize="4 3 99999999999999999999"), "must be 3 whole number(s)"),
        (header(DimSize="-4 3 -2"), "must be 3 whole number(s)"),
        (mha(ElementNumberOfChannels="1000000000"), "promises 24000000000 bytes of voxels, but 24 follow"),
        (mha(bytes(25)), "promises 24 bytes of voxels, but 25 follow it"),
        (mha(ElementSpacing="nan 1 1"), "must be 3 finite number(s)"),
        (mha(ElementSpacing="1e999 1 1"), "must be 3 finite number(s)"),
        (mha(ElementSpacing="0 1 1"), "must be more than 0"),
        (mha(TransformMatrix="1 0 0 1 0 0 0 0 1"), "at right angles"),
        (mha(HeaderSize="100000"), "HeaderSize is set"),
        (b"A = " + b"x" * (1 << 20), "does not begin with a MetaImage header"),
        (b"A = x\n" + b"B = \xff\n", "line 2 of its header is not"),
        (bytes(1 << 20), "does not begin with a MetaImage header"),
        (b"", "does not begin with a MetaImage header"),
        (mha(DimSize="4 3 2\nDimSize = 4 3 2"), 'sets "DimSize" twice'),
        (mha(Position="1 2 3"), 'sets "Offset" twice'),
    ],
)
def test_image_header(attempt: Attempt, image_output: Path, data: bytes, expected: str) -> None:
    image_output.write_bytes(data)
    assert expected in message(attempt)


def test_zlib_bomb(attempt: Attempt, image_output: Path) -> None:
    bomb = zlib.compressobj(9)
    data = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(512)) + bomb.flush()
    image_output.write_bytes(header(CompressedData="True", CompressedDataSize=str(len(data))) + data)
    assert "its compressed data hold more than the 24 bytes promised" in message(attempt)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (compressed(bytes(23)), "hold 23 bytes of voxels; its header promises 24"),
        (compressed()[:-3], "CompressedDataSize is"),
        (compressed(CompressedDataSize=None)[:-3], "hold 24 bytes of voxels|are damaged"),
        (compressed(CompressedDataSize=None) + b"more", "bytes follow the end of its compressed data"),
        (header(CompressedData="True") + b"no zlib at all", "are damaged"),
    ],
)
def test_damaged_compression(attempt: Attempt, image_output: Path, data: bytes, expected: str) -> None:
    image_output.write_bytes(data)
    found = message(attempt)
    assert any(words in found for words in expected.split("|")), found


def test_voxel_values_that_are_no_segments(attempt: Attempt, image_output: Path) -> None:
    image_output.write_bytes(mha(bytes([0, 1, 7, 9] * 6)))
    assert "The valid voxel values for this segmentation are: {0, 1}" in message(attempt)


def test_too_many_segments(attempt: Attempt, image_output: Path) -> None:
    voxels = b"".join(value.to_bytes(2, "little") for value in range(60_000))
    image_output.write_bytes(mha(voxels, DimSize="100 600 1", ElementType="MET_USHORT"))
    assert "contains no more than 256 segments" in message(attempt)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "is not valid json"),
        (b"", "is not valid json. It is empty"),
        (b"\xff\xfe1", "is not valid json. It is not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "is not valid json. It is nested deeper than"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "is not valid json. It is nested deeper than"),
        (b"9" * 5000, "is not valid json. It contains a whole number of more than 64 bits"),
        (b'{"a": 1, "a": 2}', 'is not valid json. It contains the key "a" twice'),
        (b'"\\ud800"', "is not valid json. It contains half of a surrogate pair"),
        (b"[" + b"[]," * 6_000_000 + b"1]", "is too large"),
        (b"[" + b"[]," * 5_000_000 + b"1]", "is too large"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_json(attempt: Attempt, json_output: Path, text: bytes, expected: str) -> None:
    json_output.write_bytes(text)
    assert f'results: The output file "results.json" {expected}' in message(attempt)


def test_json_of_too_many_values_is_not_held_against_a_limit_that_it_keeps(
    attempt: Attempt, json_output: Path
) -> None:
    json_output.write_bytes(b"[" + b"[]," * 5_000_000 + b"1]")
    assert message(attempt) == 'results: The output file "results.json" is too large'


def test_nan_for_a_number(attempt: Attempt) -> None:
    attempt.plan.outputs.append(planned("volume", "Float"))
    attempt.output("volume.json", "NaN")
    assert 'The output file "volume.json" is not valid. JSON does not fulfill schema' in message(attempt)


def test_deep_tree(attempt: Attempt, json_output: Path) -> None:
    json_output.write_text("1")
    descriptor = os.open(json_output.parent, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert "it is more than 32 folders deep" in message(attempt)


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


def test_names_are_escaped(attempt: Attempt, json_output: Path) -> None:
    json_output.write_text("1")
    name = os.fsdecode(b"bad\xff\n\x1b[31m\xe2\x80\xae name")
    (json_output.parent / name).symlink_to("/etc/passwd")
    found = message(attempt)
    assert "bad\\udcff\\x0a\\x1b[31m\\u202e name" in found
    assert found.isprintable()


def test_image_names_are_escaped(attempt: Attempt, image_output: Path) -> None:
    Path(os.fsdecode(os.fsencode(image_output.parent) + b"/\xff\n.mha")).write_bytes(b"no image")
    found = message(attempt)
    assert "\\xff\\x0a.mha" in found
    assert found.isprintable()


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
