"""What a tenant may try with the store Pod's server: it serves whoever may forward a port, with the volume's rights."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm_operator.core.names import attempt_folder, import_folder
from algorithm_operator.steps import storage
from algorithm_operator.steps.store import make_server
from algorithm_operator.steps.volume import Volume

UID = "c0866790-c30f-43e2-88f8-64353186a78a"
DATA, OTHER = b"the whole file", b"another"


class Bytes(io.BytesIO):
    """A body that has arrived."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return super().readinto(buffer)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The volume."""
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.fixture
def port(root: Path) -> Iterator[int]:
    """Where its server listens."""
    server = make_server(str(root), 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def ask(port: int, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """One request as it stands, nothing quoted or normalised."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def put(port: int, path: str, data: bytes) -> tuple[int, str]:
    """Upload `data`; status and error."""
    query = f"total={len(data)}&sha256={hashlib.sha256(data).hexdigest()}"
    status, body = ask(port, "PUT", f"/v1/files/{path}?{query}", data)
    return status, str(json.loads(body).get("error", ""))


@pytest.mark.parametrize(
    "path", ["%2e%2e/x", "..%2fx", "a/%2e%2e/%2e%2e/x", "%2fetc%2fpasswd", "x%00", "x%0a", "%ff", "x%5cy", ""]
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_paths_as_nobody_writes_them(port: int, root: Path, method: str, path: str) -> None:
    """Each is refused with a sentence: an answer that does not come is one that the CLI asks for again."""
    (root.parent / "x").write_text("secret")
    if method == "PUT":
        status, error = put(port, path, DATA)
    else:
        status, body = ask(port, "GET", f"/v1/files/{path}")
        error = str(json.loads(body)["error"])
    assert status == 400
    assert error
    assert (root.parent / "x").read_text() == "secret"
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=" + "9" * 40 + "-",
        "bytes=-0",
        "bytes=9-1",
        "bytes=0-0,2-3",
        "bytes=-",
        "lines=1-2",
        "x" * 60_000,
    ],
)
def test_absurd_ranges(port: int, root: Path, wanted: str) -> None:
    (root / "x").write_bytes(DATA)
    status, body = ask(port, "GET", "/v1/files/x", Range=wanted)
    assert status in (400, 416)
    assert DATA not in body
    assert ask(port, "GET", "/v1/files/x") == (200, DATA)


def test_images_of_imports_are_read_only(port: int, root: Path) -> None:
    """The same of what an import has made, or is about to."""
    folder = import_folder("series", UID)
    for path in (folder, f"{folder}/{UID}.mha", f"{folder}/{UID}.tif", f"{folder}/a/b"):
        status, error = put(port, path, OTHER)
        assert status == 400
        assert "only the import itself writes" in error
    assert list(root.rglob("*")) == []
    assert put(port, "imports/t1.mha", DATA)[0] == 201, "people may call a folder so"


def test_results_of_jobs_are_read_only(port: int, root: Path) -> None:
    """Who may upload can neither change what a job has kept nor be there before it."""
    folder = attempt_folder("case-1", UID, 1)
    kept = root / folder / "manifest.json"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(DATA)
    for path in (
        f"{folder}/manifest.json",
        f"{folder}/logs/x",
        attempt_folder("case-1", UID, 2),
        f"{folder}/a/b",
    ):
        status, error = put(port, path, OTHER)
        assert status == 400
        assert "only the job itself writes" in error
    assert sorted(str(each.relative_to(root)) for each in root.rglob("*") if each.is_file()) == [
        f"{folder}/manifest.json"
    ]
    assert kept.read_bytes() == DATA
    assert put(port, f"cases/{UID}/t1.mha", DATA)[0] == 201, "inputs may be called by a UUID"


def test_a_file_that_looks_like_an_unfinished_upload(port: int, root: Path) -> None:
    (root / "x.part").write_bytes(OTHER)
    status, error = put(port, "x.part", DATA)
    assert status == 400
    assert "unfinished uploads" in error


def test_an_upload_that_ends_between_open_and_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loser of that race holds the winner's finished file: it must not cut it down to its own beginning."""
    volume = storage.Storage(Volume(str(root)))
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        volume.put("x", Bytes(DATA), offset=0, total=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(storage.ConflictError):
        volume.put("x", Bytes(OTHER), offset=0, total=len(OTHER), sha256=hashlib.sha256(OTHER).hexdigest())
    assert (root / "x").read_bytes() == DATA


def test_uploads_of_one_path_at_once(port: int, root: Path) -> None:
    """Whatever the order: a whole file of one of them, or none; never a mixture."""
    contents = [bytes([number]) * (1000 + number) for number in range(8)]
    for _ in range(20):
        threads = [threading.Thread(target=put, args=(port, "x", data)) for data in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not (root / "x").exists() or (root / "x").read_bytes() in contents
