"""The walk of a hostile tree."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm_operator.steps import sandbox, walk
from algorithm_operator.steps.walk import Limits, Problem, RefusedError


@contextmanager
def root_of(path: Path) -> Iterator[int]:
    descriptor = walk.open_root(str(path))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_lists_files_and_refuses_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("xyz")
    (tmp_path / "a/link").symlink_to("b")
    os.mkfifo(tmp_path / "a/b/pipe")
    (tmp_path / "one").touch()
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    before = open_descriptors()
    with root_of(tmp_path) as root:
        tree = walk.scan(root, Limits())
    assert open_descriptors() <= before
    assert [(file.path, file.size) for file in tree.files] == [(b"a/b/file", 3)]
    assert tree.folders == {b"a", b"a/b"}
    assert {refused.path for refused in tree.refused} == {b"a/link", b"a/b/pipe", b"one", b"two"}
    assert tree.refused_at(b"a/link/x")
    assert tree.refused_at(b"a/b")
    assert not tree.refused_at(b"a/b/file")


def test_bounds(tmp_path: Path) -> None:
    deep = tmp_path / "/".join("abcdef")
    deep.mkdir(parents=True)
    (deep / "x").touch()
    (tmp_path / "big").write_bytes(bytes(11))
    with root_of(tmp_path) as root:
        tree = walk.scan(root, Limits(max_depth=3, max_file_bytes=10))
        assert {(refused.path, refused.problem) for refused in tree.refused} == {
            (b"a/b/c", Problem.TREE),
            (b"big", Problem.TOO_LARGE),
        }
        before = open_descriptors()
        tree = walk.scan(root, Limits(max_entries=2))
        assert open_descriptors() <= before
        assert tree.entries == 2
        assert tree.refused[-1].path == b""


def test_long_paths_are_not_kept_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_PATHS", 1000)
    for number in range(6):
        (tmp_path / f"{number}{'x' * 199}").touch()
    with root_of(tmp_path) as root:
        tree = walk.scan(root, Limits())
    assert len(tree.files) == 5
    assert "have more than 1000 bytes in all" in tree.refused[-1].why
    assert tree.refused_at(b"images/out")


def test_opens_only_plain_files_below_the_root(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "folder").mkdir(parents=True)
    outside.write_text("secret")
    (inside / "folder/file").write_text("text")
    (inside / "up").symlink_to("..")
    (inside / "link").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    before = open_descriptors()
    with root_of(inside) as root:
        descriptor = walk.open_file(root, b"folder/file")
        assert os.read(descriptor, 10) == b"text"
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
        for path in (
            b"link",
            b"up/outside",
            b"../outside",
            b"folder/../folder/file",
            b"pipe",
            b"folder",
            b"",
            b"/etc/passwd",
        ):
            with pytest.raises(RefusedError):
                walk.open_file(root, path)
        with pytest.raises(FileNotFoundError):
            walk.open_file(root, b"nothing")
        with pytest.raises((RefusedError, NotADirectoryError)):
            walk.open_file(root, b"folder/file/x")
    assert open_descriptors() <= before


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_what_the_algorithm_itself_may_not_read(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    (tmp_path / "file").touch(0)
    tmp_path.chmod(0o755)

    def as_nobody() -> list[str]:
        with root_of(tmp_path) as root:
            os.setuid(65534)
            tree = walk.scan(root, Limits())
            try:
                walk.open_file(root, b"file")
            except PermissionError:
                return [refused.why for refused in tree.refused]
            return []

    outcome = sandbox.run(as_nobody, sandbox.Bounds(1 << 28, 10))
    assert outcome.value == ["the algorithm's own user may not list it"]


NAMES = (
    st.binary(min_size=1, max_size=12)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"0"))
    .filter(lambda name: name not in (b".", b".."))
)
TREES = st.recursive(
    st.sampled_from(["file", "link", "pipe"]),
    lambda below: st.dictionaries(NAMES, below, max_size=4),
    max_leaves=12,
)


def build(
    folder: bytes, tree: dict[bytes, object], files: set[bytes], others: set[bytes], below: bytes = b""
) -> None:
    for name, what in tree.items():
        path, inner = folder + b"/" + name, below + name
        if isinstance(what, dict):
            Path(os.fsdecode(path)).mkdir()
            build(path, what, files, others, inner + b"/")
        elif what == "file":
            os.close(os.open(path, os.O_CREAT))
            files.add(inner)
        else:
            if what == "link":
                Path(os.fsdecode(path)).symlink_to("/etc/passwd")
            else:
                os.mkfifo(path)
            others.add(inner)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=5))
def test_any_tree(tree: dict[bytes, object]) -> None:
    files: set[bytes] = set()
    others: set[bytes] = set()
    with tempfile.TemporaryDirectory() as folder:
        build(os.fsencode(folder), tree, files, others)
        with root_of(Path(folder)) as root:
            found = walk.scan(root, Limits())
            assert {file.path for file in found.files} == files
            assert {refused.path for refused in found.refused} == others
            for path in files:
                os.close(walk.open_file(root, path))
            for path in others:
                with pytest.raises(RefusedError):
                    walk.open_file(root, path)
