"""Uploads and downloads against the server that store Pods run."""

import hashlib
import http.client
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli import store as store_module
from algorithm_operator.cli.errors import CliError, UsageError
from algorithm_operator.cli.inputs import Place
from algorithm_operator.cli.store import PresentOffsetError, Stat, StoreClient, StoreError
from algorithm_operator.cli.transfer import (
    DifferenceError,
    Source,
    Wanted,
    download,
    file_sha256,
    sources,
    upload,
)

BIG = 5 * 1024 * 1024 + 17


@pytest.fixture
def big(tmp_path: Path) -> Source:
    file = tmp_path / "big.mha"
    file.write_bytes(os.urandom(BIG))
    return Source(file, "cases/001/big.mha", BIG)


class Breaking(http.client.HTTPConnection):
    """A connection that is lost after so many bytes of a body; -1: never. Not before the first have `arrived`."""

    sent_until = -1
    arrived: Callable[[], bool] = staticmethod(lambda: True)

    def send(self, data: Any) -> None:
        if self.sent_until < 0 or len(data) < 1000:  # heads are short
            super().send(data)
            return
        super().send(data[: self.sent_until])
        self.sent_until -= len(data)
        if self.sent_until <= 0:
            until = time.monotonic() + 10
            while not self.arrived() and time.monotonic() < until:
                time.sleep(0.01)
            raise ConnectionResetError("lost")


def breaking(client: StoreClient, limits: list[int], part: Path) -> StoreClient:
    """The same store, by connections that break after `limits` bytes of body, one after the other; then no more."""
    port = client._connect().port

    def connect() -> http.client.HTTPConnection:
        connection = Breaking("127.0.0.1", port, timeout=10)
        connection.sent_until = limits.pop(0) if limits else -1
        connection.arrived = lambda: part.exists() and part.stat().st_size > 0
        return connection

    return StoreClient(client.name, connect)


def test_upload_and_again(store: StoreClient, volume: Path, big: Source) -> None:
    sha256, told = file_sha256(big.file), list[int]()
    assert upload(store, big, sha256, told.append)
    assert (volume / big.path).read_bytes() == big.file.read_bytes()
    assert told[-1] == BIG
    assert told == sorted(told)
    assert not upload(store, big, sha256)
    assert store.stat(big.path, sha256=True) == Stat(BIG, False, sha256)


def test_other_bytes_of_the_same_size_are_sent(store: StoreClient, volume: Path, big: Source) -> None:
    (volume / "cases/001").mkdir(parents=True)
    (volume / big.path).write_bytes(bytes(BIG))
    assert upload(store, big, file_sha256(big.file))
    assert file_sha256(volume / big.path) == file_sha256(big.file)


@pytest.mark.parametrize("size", [0, 1])
def test_small_files(store: StoreClient, volume: Path, tmp_path: Path, size: int) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x" * size)
    assert upload(store, Source(file, "x", size), file_sha256(file))
    assert (volume / "x").read_bytes() == b"x" * size
    download(store, Wanted("x", tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"x" * size


def test_interrupted_upload_goes_on(store: StoreClient, volume: Path, big: Source) -> None:
    told: list[int] = []
    limits = [2_000_000, 1_500_000]
    assert upload(
        breaking(store, limits, volume / f"{big.path}.part"), big, file_sha256(big.file), told.append
    )
    assert file_sha256(volume / big.path) == file_sha256(big.file)
    assert limits == [], "no connection was lost"
    assert 0 not in told[1:], "it began again instead of going on"


def test_another_command_goes_on(store: StoreClient, volume: Path, big: Source) -> None:
    sha256 = file_sha256(big.file)
    with big.file.open("rb") as stream:
        store.write(big.path, stream, 0, BIG, sha256, length=3_000_000)
    assert store.stat(big.path) is None, "half a file is none"
    told: list[int] = []
    assert upload(store, big, sha256, told.append)
    assert told[0] == 3_000_000
    assert file_sha256(volume / big.path) == sha256


def test_rest_of_another_file_is_given_up(store: StoreClient, volume: Path, big: Source) -> None:
    part = volume / (big.path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"z" * 1_000_000)
    assert upload(store, big, file_sha256(big.file))
    assert file_sha256(volume / big.path) == file_sha256(big.file)


def test_a_file_that_changes_meanwhile_is_not_taken(store: StoreClient, volume: Path, big: Source) -> None:
    with pytest.raises(StoreError, match="sha256 of what arrived differs"):
        upload(store, big, hashlib.sha256(b"what it was").hexdigest())
    assert not (volume / big.path).exists()


def test_offset_of_the_store(store: StoreClient, big: Source) -> None:
    with big.file.open("rb") as stream:
        store.write(big.path, stream, 0, BIG, "a" * 64, length=100)
        with pytest.raises(PresentOffsetError) as caught:
            store.write(big.path, stream, 7, BIG, "a" * 64, length=0)
    assert caught.value.offset == 100


def test_refusals_are_passed_on(store: StoreClient, volume: Path, big: Source) -> None:
    (volume / "cases").write_bytes(b"")
    with pytest.raises(StoreError, match="not a folder"):
        upload(store, big, file_sha256(big.file))


def test_the_empty_folder_of_a_missing_input_gives_way(store: StoreClient, volume: Path, big: Source) -> None:
    """The kubelet makes one where a job names a file that does not exist; the advice is to upload that file."""
    (volume / big.path).mkdir(parents=True)
    assert upload(store, big, file_sha256(big.file))
    assert file_sha256(volume / big.path) == file_sha256(big.file)


def test_a_folder_with_files_stays(store: StoreClient, volume: Path, big: Source) -> None:
    (volume / big.path / "inner").mkdir(parents=True)
    with pytest.raises(StoreError, match="there is a folder of that name"):
        upload(store, big, file_sha256(big.file))
    assert (volume / big.path / "inner").is_dir()


def test_download(store: StoreClient, volume: Path, tmp_path: Path, big: Source) -> None:
    (volume / "out").write_bytes(big.file.read_bytes())
    target, sha256 = tmp_path / "new" / "out.mha", file_sha256(big.file)
    assert download(store, Wanted("out", target, BIG, sha256)) == sha256
    assert target.read_bytes() == big.file.read_bytes()
    assert [each.name for each in target.parent.iterdir()] == ["out.mha"]
    download(store, Wanted("out", target, BIG, sha256))  # it is there already


@pytest.mark.parametrize(
    ("content", "size", "said"),
    [
        (b"other bytes", 11, "its sha256 is"),
        (b"too short", 11, "it has 9 bytes, it should have 11"),
        (b"far too many bytes", 11, "it has more than 11 bytes"),
    ],
)
def test_difference_is_named_and_nothing_kept(
    store: StoreClient, volume: Path, tmp_path: Path, content: bytes, size: int, said: str
) -> None:
    (volume / "tissues.mha").write_bytes(content)
    target = tmp_path / "new" / "tissues.mha"
    with pytest.raises(DifferenceError, match=f'"tissues.mha" of DataStore cases .*{said}'):
        download(store, Wanted("tissues.mha", target, size, hashlib.sha256(b"right bytes").hexdigest()))
    assert list(target.parent.iterdir()) == []
    # The connection is usable again.
    (volume / "next").write_bytes(b"next")
    download(store, Wanted("next", tmp_path / "next"))


def test_lost_download_goes_on(
    store: StoreClient, volume: Path, tmp_path: Path, big: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    (volume / "out").write_bytes(big.file.read_bytes())
    offsets: list[int] = []
    read: Callable[..., Any] = StoreClient.read

    def lossy(self: StoreClient, path: str, offset: int = 0) -> Any:
        offsets.append(offset)
        for number, piece in enumerate(read(self, path, offset)):
            if number == 2 and len(offsets) < 3:
                raise ConnectionError("lost")
            yield piece

    monkeypatch.setattr(StoreClient, "read", lossy)
    download(store, Wanted("out", tmp_path / "out", BIG, file_sha256(big.file)))
    assert offsets == [0, 2 * store_module.PIECE, 4 * store_module.PIECE]
    assert file_sha256(tmp_path / "out") == file_sha256(big.file)


def test_lost_for_good(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    (volume / "x").write_bytes(b"x")

    def refuse() -> http.client.HTTPConnection:
        raise ConnectionError("no way")

    with pytest.raises(StoreError, match=r'lost 6 times at "x": no way'):
        download(StoreClient("cases", refuse), Wanted("x", tmp_path / "y"))
    assert not (tmp_path / "y").exists()


def test_another_local_file_is_not_overwritten(store: StoreClient, volume: Path, tmp_path: Path) -> None:
    (volume / "x").write_bytes(b"x")
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(CliError, match="exists and is another file"):
        download(store, Wanted("x", tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"mine"


def test_missing_file(store: StoreClient, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match='"none" does not exist'):
        download(store, Wanted("none", tmp_path / "none"))


def test_listing(store: StoreClient, volume: Path) -> None:
    for path in ("a/1", "a/b/2", "c"):
        (volume / path).parent.mkdir(parents=True, exist_ok=True)
        (volume / path).write_bytes(b"")
    assert store.files("") == ["a/1", "a/b/2", "c"]
    assert store.files("a/") == ["a/1", "a/b/2"]
    assert store.files("none") == []


@pytest.mark.parametrize(
    ("names", "to", "expected"),
    [
        (["a.mha"], "case/t1.mha", ["case/t1.mha"]),
        (["a.mha"], "case/", ["case/a.mha"]),
        (["a.mha"], "", ["a.mha"]),
        (["a.mha", "b.mha"], "case", ["case/a.mha", "case/b.mha"]),
        (["folder"], "case", ["case/x", "case/y/z"]),
        (["folder"], "case/", ["case/folder/x", "case/folder/y/z"]),
    ],
)
def test_where_files_go(tmp_path: Path, names: list[str], to: str, expected: list[str]) -> None:
    for name in ("a.mha", "b.mha", "folder/x", "folder/y/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = sources([tmp_path / name for name in names], Place("cases", to))
    assert [source.path for source in found] == expected


def test_sources_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"")
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(UsageError, match="holds no files"):
        sources([tmp_path / "empty"], Place("cases", "x"))
    with pytest.raises(UsageError, match="no file or folder"):
        sources([tmp_path / "none"], Place("cases", "x"))
    with pytest.raises(UsageError, match='Two of the files would become "x"'):
        sources([tmp_path / "x", tmp_path / "a" / ".." / "x"], Place("cases", ""))
