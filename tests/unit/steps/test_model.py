"""Models as people make them: laid out read-only, hashed, and refused in words where they are not what was said."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.plan import PlannedModel
from algorithm_operator.steps import walk
from algorithm_operator.steps.failures import StepError
from tests.unit.steps.attempt import Attempt, planned, with_value
from tests.unit.steps.models import Archive, Mounts

FILES = {"config.json": b"{}", "weights/a.bin": b"\0" * 300_000, "weights/b.bin": b"b", "über.txt": b"u"}
SHA256SUMS = (
    "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"  # as in docs
)


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    return Mounts(tmp_path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def refused(mounts: Mounts, given: PlannedModel, reason: Reason = Reason.MODEL_INVALID) -> str:
    with pytest.raises(StepError) as caught:
        mounts.unpack(given)
    assert (caught.value.code, caught.value.reason) == (65, reason)
    assert caught.value.message.startswith("Could not set up model: ")
    return caught.value.message


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_archive_is_unpacked(mounts: Mounts, format_: int) -> None:
    archive = Archive(format_).add("./", type_=tarfile.DIRTYPE)
    deep = "deep/" * 25 + "x" * 120
    for name, data in {**FILES, deep: b"d"}.items():
        archive.add(f"./{name}", data, mode=0o6644)
    archive.add("run.sh", b"#!", mode=0o755).add("empty", type_=tarfile.DIRTYPE, mode=0o777)
    data = archive.data
    found = mounts.unpack(mounts.file(data, "unet/v3.tar.gz"))
    assert mounts.files() == {**FILES, deep: b"d", "run.sh": b"#!"}
    assert (found.source, found.sha256) == ("store:weights/unet/v3.tar.gz", sha256(data))
    assert (found.files, found.bytes) == (6, sum(map(len, FILES.values())) + 3)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in mounts.target.rglob("*")}
    assert (modes["a.bin"], modes["run.sh"], modes["weights"], modes["empty"]) == (0o444, 0o555, 0o555, 0o555)


def test_as_tar_makes_it(mounts: Mounts, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/w.bin").write_bytes(b"w" * 100_000)
    (folder / "same.bin").hardlink_to(folder / "sub/w.bin")
    (folder / "latest").symlink_to("sub")
    subprocess.run(["tar", "-czf", tmp_path / "m.tgz", "-C", folder, "."], check=True)
    data = (tmp_path / "m.tgz").read_bytes()
    assert mounts.unpack(mounts.file(data, "m.tgz")).sha256 == sha256(data)
    assert mounts.files()["same.bin"] == b"w" * 100_000
    assert (mounts.target / "latest").readlink() == Path("sub")
    assert (mounts.target / "latest/w.bin").read_bytes() == b"w" * 100_000


def test_parts_that_gzip_joined_are_one_archive(mounts: Mounts) -> None:
    plain = Archive().add("a", b"a" * 2000).plain
    data = gzip.compress(plain[:700]) + gzip.compress(plain[700:])
    mounts.unpack(mounts.file(data))
    assert mounts.files() == {"a": b"a" * 2000}


def test_the_cache_of_a_hub_keeps_its_links(mounts: Mounts) -> None:
    archive = Archive().add("models--x/blobs/abc", b"weights")
    archive.add("models--x/snapshots/1/model.bin", type_=tarfile.SYMTYPE, linkname="../../blobs/abc")
    archive.add("models--x/refs/main", type_=tarfile.SYMTYPE, linkname="../snapshots/1")
    mounts.unpack(mounts.file(archive.data))
    assert (mounts.target / "models--x/refs/main/model.bin").read_bytes() == b"weights"


@pytest.mark.parametrize("of_image", [False, True])
def test_a_folder_is_copied(mounts: Mounts, of_image: bool) -> None:
    given = mounts.image("/m") if of_image else mounts.folder(FILES)
    if of_image:
        shutil.copytree(Mounts(mounts.target.parent / "other").target.parent, mounts.source / "x")
        for name, data in FILES.items():
            (mounts.source / "m" / name).parent.mkdir(parents=True, exist_ok=True)
            (mounts.source / "m" / name).write_bytes(data)
    found = mounts.unpack(given)
    assert mounts.files() == FILES
    folder = mounts.source / "m" if of_image else mounts.source
    said = subprocess.run(["sh", "-c", SHA256SUMS], cwd=folder, capture_output=True, text=True, check=True)
    assert found.sha256 == said.stdout.split()[0]
    assert found.source == ("image:registry/weights@sha256:0/m" if of_image else "store:weights/m")
    assert (found.files, found.bytes) == (4, sum(map(len, FILES.values())))


def test_a_file_that_only_root_may_read(mounts: Mounts, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    given = mounts.folder({"a.bin": b"a"})
    monkeypatch.setattr(walk, "open_file", denied)
    assert f'"a.bin" may not be read by uid {os.getuid()} (Permission denied)' in refused(mounts, given)


def test_a_folder_keeps_links_inside_and_they_count(mounts: Mounts) -> None:
    given = mounts.folder({"blobs/abc": b"w"})
    before = mounts.unpack(given).sha256
    other = Mounts(mounts.target.parent / "other")
    given = other.folder({"blobs/abc": b"w"})
    (other.source / "model.bin").symlink_to("blobs/abc")
    (other.source / "same").hardlink_to(other.source / "blobs/abc")
    found = other.unpack(given)
    assert other.files() == {"blobs/abc": b"w", "model.bin": b"w", "same": b"w"}
    assert (other.target / "model.bin").readlink() == Path("blobs/abc")
    assert found.sha256 != before


def test_a_whole_image_and_an_archive_in_one(mounts: Mounts) -> None:
    given = mounts.image()
    data = Archive().add("w", b"w").data
    (mounts.source / "m.tar.gz").write_bytes(data)
    assert mounts.unpack(given).source == "image:registry/weights@sha256:0"
    assert mounts.files() == {"m.tar.gz": data}
    other = Mounts(mounts.target.parent / "other")
    given = other.image("sub/m.tar.gz")
    (other.source / "sub").mkdir()
    (other.source / "sub/m.tar.gz").write_bytes(data)
    assert other.unpack(given).sha256 == sha256(data)
    assert other.files() == {"w": b"w"}


def test_a_pin_holds(mounts: Mounts) -> None:
    data = Archive().add("w", b"w").data
    mounts.unpack(mounts.file(data, sha256=sha256(data)))
    other = Mounts(mounts.target.parent / "other")
    said = refused(other, other.file(data, sha256="0" * 64))
    assert sha256(data) in said
    assert "0" * 64 in said
    assert "spec.model.sha256" in said


def test_not_there(mounts: Mounts) -> None:
    said = refused(mounts, mounts.folder({}, "unet/v9.tar.gz"), Reason.MODEL_NOT_FOUND)
    assert 'there is no "unet/v9.tar.gz" in DataStore weights' in said
    other = Mounts(mounts.target.parent / "other")
    given = other.image("opt/none/m.tar.gz")
    (other.source / "opt").write_bytes(b"a file")
    said = refused(other, given, Reason.MODEL_NOT_FOUND)
    assert 'no "opt/none/m.tar.gz" in image registry/weights@sha256:0' in said


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (b"GGUF", "m.bin", "neither a folder nor a .tar.gz"),
        (b"PK\3\4", "m.tar.gz", "not a valid .tar.gz file"),
        (b"", "m.tar.gz", "cut off|empty"),
        (gzip.compress(b""), "m.tar.gz", "damaged"),
        (gzip.compress(b"no tar" * 200), "m.tar.gz", "damaged"),
        (Archive().data, "m.tar.gz", "holds no files"),
        (Archive().add("a", b"a" * 5000).data[:-40], "m.tar.gz", "cut off"),
        (gzip.compress(Archive().add("a", b"a" * 5000).plain[:3000]), "m.tar.gz", "cut off"),
    ],
    ids=[
        "name",
        "zip",
        "empty file",
        "gzip of nothing",
        "no tar",
        "no member",
        "gzip cut off",
        "tar cut off",
    ],
)
def test_no_archive(mounts: Mounts, data: bytes, path: str, words: str) -> None:
    said = refused(mounts, mounts.file(data, path))
    assert any(word in said for word in words.split("|")), said


def test_a_flipped_bit_is_seen(mounts: Mounts) -> None:
    data = bytearray(gzip.compress(Archive().add("a", os.urandom(5000)).plain, 0))
    data[2000] ^= 1
    assert "CRC check failed" in refused(mounts, mounts.file(bytes(data)))


def test_a_broken_header_is_not_the_end(mounts: Mounts) -> None:
    plain = bytearray(Archive().add("a", b"a").add("b", b"b").plain)
    second = plain.index(b"b\0\0\0")
    plain[second] ^= 1
    assert "a header is broken" in refused(mounts, mounts.file(gzip.compress(bytes(plain))))


def test_stage_tells_and_collect_keeps_it(attempt: Attempt) -> None:
    mounts = Mounts.__new__(Mounts)
    mounts.roots, mounts.source = attempt.roots, attempt.at("/model")
    data = Archive().add("w", b"w").data
    attempt.plan.inputs.append(with_value(planned("age", "Integer"), 3))
    attempt.plan.outputs.append(planned("results", "Anything"))
    attempt.plan.model = mounts.file(data)
    code, _ = attempt.stage()
    assert code == 0, attempt.stderr
    assert attempt.at("/opt/ml/model/w").read_bytes() == b"w"
    attempt.output("results.json", "1")
    code, _ = attempt.collect()
    assert code == 0, attempt.stderr
    manifest = attempt.manifest()
    assert manifest.model is not None
    assert manifest.model.sha256 == sha256(data)
    line = f'{{"image":"sha256:0","inputs":[{{"sha256":"{sha256(b"3")}","slug":"age"}}],"model":"{sha256(data)}"}}'
    assert manifest.identity == sha256(line.encode())


def test_stage_fails_by_the_algorithms_fault(attempt: Attempt) -> None:
    attempt.at("/model").write_bytes(b"x")
    attempt.plan.model = PlannedModel(mount="/model", path="m.tar.gz", store="weights")
    code, report = attempt.stage()
    assert (code, report.ok, report.reason) == (65, False, "ModelInvalid")
    assert report.message is not None
    assert (
        "Could not set up model: Tarfile could not be extracted: it is not a valid .tar.gz" in report.message
    )
    assert report.message.endswith('("m.tar.gz" of DataStore weights).')
