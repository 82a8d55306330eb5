"""What a hostile model may hold: refused in words, nothing outside is touched, memory stays bounded."""

from __future__ import annotations

import errno
import gzip
import os
import socket
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.plan import PlannedModel
from algorithm_operator.steps import tree as tree_module
from algorithm_operator.steps.failures import StepError
from algorithm_operator.steps.tree import Bounds, Tree, TreeError
from tests.unit.steps.attempt import Attempt
from tests.unit.steps.models import Archive, Mounts

LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
PEAK = 24 * 1024**2


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    made = Mounts(tmp_path / "pod")
    (tmp_path / "secret").write_bytes(b"secret")
    return made


def refused(mounts: Mounts, planned: PlannedModel, **bounds: int) -> str:
    """The words of the refusal; nothing beside the target has changed."""
    root = mounts.target.parents[3]
    before = sorted(path for path in root.rglob("*") if mounts.target not in path.parents)
    with pytest.raises(StepError) as caught:
        mounts.unpack(planned, **bounds)
    assert (caught.value.code, caught.value.reason) == (65, Reason.MODEL_INVALID), caught.value
    assert sorted(path for path in root.rglob("*") if mounts.target not in path.parents) == before
    assert (root / "secret").read_bytes() == b"secret"
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (Archive().add("/etc/x", b"x"), '"/etc/x" is not allowed: it begins with "/"'),
        (Archive().add("../x", b"x"), 'it contains ".."'),
        (Archive().add("a/../../x", b"x"), 'it contains ".."'),
        (Archive().add("./../x", b"x"), 'it contains ".."'),
        (Archive().add("..", type_=tarfile.DIRTYPE), 'it contains ".."'),
        (Archive().add("a//b", b"x"), "empty segment"),
        (Archive().add("a\\..\\b", b"x"), "backslash"),
        (Archive().add("a\x1b[2J\nb", b"x"), '"a\\x1b[2J\\x0ab" is not allowed: it contains a control character'),
        (Archive().add("a\udcff", b"x"), "control character"),
        (Archive().add("a" * 300, b"x"), "longer than 255 bytes"),
        (Archive().add("a/" * 600 + "b", b"x"), "longer than 1024 bytes"),
        (Archive().add("a/" * 40 + "b", b"x"), "more than 32 folders deep"),
        (Archive().add("a", b"1").add("a", b"2"), '"a" is there twice'),
        (Archive().add("a", b"1").add("a", type_=tarfile.DIRTYPE), '"a" is there twice'),
        (Archive().add("a", b"1").add("a/b", b"2"), '"a/b" lies below "a", which is a file'),
        (Archive().add("a", type_=LINK, linkname="/etc").add("a/passwd", b"x"), "absolute path"),
        (Archive().add("a", type_=LINK, linkname="b").add("a/x", b"x"), 'lies below "a", which is a link'),
        (Archive().add("a", type_=LINK, linkname="b").add("a", b"x"), '"a" is there twice'),
        (Archive().add("f", b"x").add("a", type_=LINK, linkname="../x"), '"../x", which lies outside'),
        (Archive().add("f", b"x").add("d/a", type_=LINK, linkname="../../x"), "which lies outside"),
        (Archive().add("f", b"x").add("a", type_=LINK, linkname="x/../../secret"), "which lies outside"),
        (
            # Each alone stays inside; one through the other does not.
            Archive().add("d/e/f", b"x").add("d/e/up", type_=LINK, linkname="../..")
            .add("a", type_=LINK, linkname="d/e/up/../secret"),
            'link to "d/e/up/../secret", which lies outside',
        ),
        (
            Archive().add("f", b"x").add("a", type_=LINK, linkname="b").add("b", type_=LINK, linkname="a"),
            "in a circle",
        ),
        (Archive().add("f", b"x").add("a", type_=LINK, linkname="x\x1b[2J"), "no plain path"),
        (Archive().add("a", type_=HARD, linkname="/etc/passwd"), "which is no file before it"),
        (Archive().add("a", type_=HARD, linkname="../secret"), "which is no file before it"),
        (
            Archive().add("l", type_=LINK, linkname="x").add("a", type_=HARD, linkname="l"),
            "which is no file before it",
        ),
        (Archive().add("a", type_=HARD, linkname="b").add("b", b"x"), "which is no file before it"),
        (Archive().add("a", type_=tarfile.FIFOTYPE), '"a" is a named pipe'),
        (Archive().add("a", type_=tarfile.CHRTYPE, devmajor=1, devminor=3), '"a" is a device'),
        (Archive().add("a", type_=tarfile.BLKTYPE), '"a" is a device'),
        (Archive(tarfile.GNU_FORMAT).add("a", b"x", type_=tarfile.GNUTYPE_SPARSE), '"a" is a sparse file'),
        (Archive().add("a", b"x", pax_headers={"GNU.sparse.size": "1099511627776"}), "a sparse file"),
        (Archive().add("a", b"x", type_=b"Z"), "neither a file nor a folder nor a link|a sparse"),
    ],
)  # fmt: skip
def test_a_member_that_may_not_be(mounts: Mounts, archive: Archive, words: str) -> None:
    said = refused(mounts, mounts.file(archive.data))
    assert any(word in said for word in words.split("|")), said
    assert said.startswith("Could not set up model: Tarfile could not be extracted: ")


def test_a_bomb_is_stopped_at_its_bound(mounts: Mounts) -> None:
    bomb = Archive().add("a", bytes(30_000_000)).data
    assert len(bomb) < 200_000
    assert "more than 1000000 bytes in all" in refused(mounts, mounts.file(bomb), max_model_bytes=1_000_000)
    assert sum(path.stat().st_size for path in mounts.target.rglob("*")) <= 1_000_000


def test_too_many_entries(mounts: Mounts) -> None:
    archive = Archive()
    for number in range(300):
        archive.add(f"{number}/x")
    assert "more than 100 entries" in refused(mounts, mounts.file(archive.data), max_entries=100)


def test_the_volume_is_never_filled(mounts: Mounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "_FREE_SHARE", 1 - 1e-12)
    with pytest.raises(OSError, match="no room for it") as caught:  # the storage's, so it is tried again
        mounts.unpack(mounts.file(Archive().add("a", bytes(3_000_000)).data))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("kind", ["name", "records", "global", "many", "map"])
def test_headers_take_no_memory(mounts: Mounts, kind: str) -> None:
    huge = 64 * 1024**2
    match kind:
        case "name":
            archive = Archive(tarfile.GNU_FORMAT).add("././@LongLink", b"a" * huge, type_=b"L")
        case "records":
            archive = Archive().add("x", b"%d a=%s\n" % (huge, b"b" * (huge - 12)), type_=b"x")
        case "global":
            archive = Archive().add("x", b"%d a=%s\n" % (huge, b"b" * (huge - 12)), type_=b"g")
        case "many":
            archive = Archive()
            for number in range(100):
                archive.add("x", b"11 a%02d=bcd\n" % number, type_=b"g").add(f"f{number}", b"x")
        case _:
            records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}
            archive = Archive().add("x", b"100000000\n" + b"0\n" * (huge // 2), pax_headers=records)
    planned = mounts.file(archive.data)
    tracemalloc.start()
    said = refused(mounts, planned)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "header of more than 65536 bytes" in said or "global records" in said
    assert peak < PEAK


def test_an_endless_chain_of_headers(mounts: Mounts) -> None:
    archive = Archive()
    for _ in range(5000):
        archive.add("x", b"", type_=b"g")
    assert "header of more than" in refused(mounts, mounts.file(archive.add("a", b"a").data))


def test_too_much_behind_the_end(mounts: Mounts) -> None:
    data = gzip.compress(Archive().add("a", b"a").plain + bytes(40_000_000))
    assert "too much follows its end" in refused(mounts, mounts.file(data))


def test_memory_of_a_whole_stage(attempt: Attempt) -> None:
    """As a process, with a model larger than what it may allocate."""
    attempt.at("/model").write_bytes(Archive().add("big", bytes(400_000_000)).data)
    attempt.plan.model = PlannedModel(mount="/model", path="m.tgz", store="weights")
    attempt.write_plan()
    done = subprocess.run(
        [*attempt.measured(2 * 1024**3), sys.executable, "-m", "algorithm_operator.steps", "stage"],
        env=attempt.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert attempt.at("/opt/ml/model/big").stat().st_size == 400_000_000
    assert attempt.peak_bytes < 128 * 1024**2


@pytest.mark.parametrize("kind", ["fifo", "socket", "outside", "absolute", "deep", "many", "name", "itself"])
def test_a_folder(mounts: Mounts, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, bounds = mounts.folder({"a": b"a"}), {}
    match kind:
        case "fifo":
            os.mkfifo(mounts.source / "x")
        case "socket":
            monkeypatch.chdir(mounts.source)  # the whole path is too long for a socket
            socket.socket(socket.AF_UNIX).bind("x")
        case "outside":
            (mounts.source / "x").symlink_to("../secret")
        case "absolute":
            (mounts.source / "x").symlink_to(tmp_path / "secret")
        case "deep":
            (mounts.source / ("d/" * 40)).mkdir(parents=True)
        case "many":
            for number in range(100):
                (mounts.source / str(number)).touch()
            bounds = {"max_entries": 50}
        case "name":
            (mounts.source / "a\x1b[31mb").touch()
        case _:
            mounts.source.rename(tmp_path / "elsewhere")
            mounts.source.symlink_to(tmp_path / "elsewhere")
    said = refused(mounts, planned, **bounds)
    words = {
        "fifo": '"x" is refused: a named pipe',
        "socket": '"x" is refused: a socket',
        "outside": '"x" is a link to "../secret", which lies outside',
        "absolute": "absolute path",
        "deep": "folders deep",
        "many": "more than 50 entries",
        "name": '"a\\x1b[31mb"',
        "itself": "a symbolic link; name a folder or a .tar.gz",
    }
    assert words[kind] in said


@pytest.mark.parametrize("path", ["../x.tgz", "a/../../x.tgz", "/a/./x.tgz", "link/x.tgz", "link", "a\nb"])
def test_a_path_in_an_image(mounts: Mounts, path: str) -> None:
    planned = mounts.image(path)
    (mounts.source / "link").symlink_to("/etc")
    said = refused(mounts, planned)
    assert "is not allowed" in said or "a symbolic link" in said


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "é", "\x00", "\udc80", "c" * 256]), max_size=5)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(
        st.tuples(st.sampled_from(["file", "folder", "link", "hard"]), NAMES, NAMES), min_size=1, max_size=8
    )
)
def test_whatever_the_names_are_nothing_gets_out(
    members: list[tuple[str, list[str], list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("names")
    (root / "t").mkdir()
    tree = Tree(str(root / "t"), Bounds(100, 8, 1000))
    try:
        for kind, parts, others in members:
            name, other = "/".join(parts), "/".join(others)
            match kind:
                case "file":
                    with tree.file(name, executable=False) as target:
                        tree.write(target, b"x")
                case "folder":
                    tree.folder(name)
                case "link":
                    tree.link(name, other)
                case _:
                    tree.hard_link(name, other)
        tree.finish()
    except TreeError:
        pass
    finally:
        tree.close()
    assert [path.name for path in root.iterdir()] == ["t"]
    inside = os.path.realpath(root / "t")
    for folder, folders, files in os.walk(root / "t"):
        for name in (*folders, *files):
            where = os.path.realpath(Path(folder) / name)
            assert where == inside or where.startswith(f"{inside}/"), (folder, name)
