"""What the gateway asks of the store Pod's server, over real HTTP: each of it once, twice, and by somebody hostile."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm_operator.contract.storing import MAX_GATHERED, MAX_ORDER_BYTES, MAX_PARTS, Gathered
from algorithm_operator.steps.gateway_files import GatewayFiles
from algorithm_operator.steps.volume import StorageError, Volume, size_and_hash
from tests.unit.steps.storeserver import Client, serving

DATA = os.urandom(3_000_000)
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def stored(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def put(store: Client, path: str, data: bytes) -> tuple[int, dict[str, Any]]:
    return store.json("PUT", f"/v1/files/{quote(path)}?total={len(data)}", data)


def post(store: Client, what: str, **order: Any) -> tuple[int, dict[str, Any]]:
    return store.json("POST", f"/v1/{what}", json.dumps(order).encode())


def delete(store: Client, path: str) -> tuple[int, bytes]:
    return store.ask("DELETE", f"/v1/files/{quote(path)}")[:2]


def tree(root: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_hashed_while_it_is_written(store: Client) -> None:
    store.root.chmod(0o2770)
    for data in (DATA, b"another", b""):
        assert put(store, "gateway/uploads/1/part-1", data) == (201, stored("gateway/uploads/1/part-1", data))
        assert tree(store.root) == {"gateway/uploads/1/part-1": data}
    assert (store.root / "gateway/uploads/1/part-1").stat().st_mode & 0o7777 == 0o640


def test_a_put_that_ends_early_leaves_nothing(store: Client) -> None:
    put(store, "gateway/a/x", b"before")
    with socket.create_connection(("127.0.0.1", store.port), timeout=20) as connection:
        head = f"PUT /v1/files/gateway/a/x?total={len(DATA)} HTTP/1.1\r\nContent-Length: {len(DATA)}\r\n\r\n"
        connection.sendall(head.encode() + DATA[:1_000_000])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert tree(store.root) == {"gateway/a/x": b"before"}
    assert put(store, "gateway/a/x", DATA)[0] == 201


def test_a_body_may_wait_until_it_is_wanted(store: Client) -> None:
    with socket.create_connection(("127.0.0.1", store.port), timeout=20) as connection:
        head = "PUT /v1/files/gateway/x?total=1 HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"1")
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")


def test_two_puts_of_one_file(store: Client) -> None:
    """The first one's connection was lost, which its thread has not noticed yet: the second need not wait for it."""
    lost = http.client.HTTPConnection("127.0.0.1", store.port)
    lost.putrequest("PUT", f"/v1/files/gateway/x?total={len(DATA)}")
    lost.putheader("Content-Length", str(len(DATA)))
    lost.endheaders(DATA[:1000])
    assert put(store, "gateway/x", DATA) == (201, stored("gateway/x", DATA))
    lost.close()


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("gateway/x?total=3", b"12"),
        ("gateway/x?total=2&offset=1", b"1"),
        ("gateway/x", b"12"),
        ("gateway/x?total=1", b"12"),
    ],
    ids=["too short", "offset", "no total", "too long"],
)
def test_a_put_without_hash_is_whole(store: Client, target: str, body: bytes) -> None:
    status, found = store.json("PUT", f"/v1/files/{target}", body)
    assert (status, tree(store.root)) == (400, {}), found


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_parts_become_a_file(store: Client, count: int) -> None:
    pieces = [DATA[i * 400_000 : (i + 1) * 400_000] for i in range(count)]
    parts = [f"gateway/uploads/1/part-{i}" for i in range(count)]
    for path, data in zip(parts, pieces, strict=True):
        put(store, path, data)
    whole = b"".join(pieces)
    for _ in range(2):  # the answer was lost
        answer = post(store, "compose", path="gateway/uploads/1/scan.mha", parts=parts)
        assert answer == (201, stored("gateway/uploads/1/scan.mha", whole))
        assert tree(store.root) == {"gateway/uploads/1/scan.mha": whole}


def test_a_compose_that_died_in_the_middle_is_finished(store: Client) -> None:
    """The file has its name, and some of its parts are there still."""
    put(store, "gateway/u/scan", b"abc")
    put(store, "gateway/u/part-2", b"bc")
    assert post(store, "compose", path="gateway/u/scan", parts=["gateway/u/part-1", "gateway/u/part-2"]) == (
        201,
        stored("gateway/u/scan", b"abc"),
    )
    assert tree(store.root) == {"gateway/u/scan": b"abc"}


def test_what_a_store_pod_left_that_ended_while_it_composed_goes(store: Client) -> None:
    """Its temporary file is as large as what was uploaded."""
    parts = ["gateway/u/1", "gateway/u/2"]
    for part in parts:
        put(store, part, DATA)
    code = (
        "import os, signal, sys\n"
        "from algorithm_operator.steps import gateway_files, volume\n"
        "gateway_files.put_in_place = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "gateway_files.GatewayFiles(volume.Volume(sys.argv[1])).compose('gateway/f/scan', sys.argv[2:])\n"
    )
    died = subprocess.run([sys.executable, "-c", code, str(store.root), *parts], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(tree(store.root)) == 3
    assert post(store, "compose", path="gateway/f/scan", parts=parts)[0] == 201
    assert tree(store.root) == {"gateway/f/scan": DATA + DATA}


def test_a_part_that_is_missing_is_named(store: Client) -> None:
    put(store, "gateway/u/part-1", b"a")
    parts = ["gateway/u/part-1", "gateway/u/part-2"]
    status, found = post(store, "compose", path="gateway/u/scan", parts=parts)
    assert (status, found["error"]) == (404, '"gateway/u/part-2" is not there')
    assert tree(store.root) == {"gateway/u/part-1": b"a"}


def test_a_kernel_that_copies_nothing_between_files(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    put(store, "gateway/a", DATA)
    put(store, "gateway/b", b"end")
    assert post(store, "compose", path="gateway/c", parts=["gateway/a", "gateway/b"]) == (
        201,
        stored("gateway/c", DATA + b"end"),
    )


def test_two_composes_at_once(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request repeated while the first one still works waits for it, and others do not."""
    hashing, go_on = threading.Event(), threading.Event()
    of_file = size_and_hash

    def slow(file: Any) -> tuple[int, str]:
        hashing.set()
        assert go_on.wait(20)
        return of_file(file)

    monkeypatch.setattr("algorithm_operator.steps.gateway_files.size_and_hash", slow)
    put(store, "gateway/part", DATA)
    answers: list[tuple[int, dict[str, Any]]] = []

    def compose() -> None:
        answers.append(post(store, "compose", path="gateway/file", parts=["gateway/part"]))

    threads = [threading.Thread(target=compose) for _ in range(2)]
    threads[0].start()
    assert hashing.wait(20)
    threads[1].start()
    assert put(store, "gateway/other", b"1")[0] == 201
    assert answers == []
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == [(201, stored("gateway/file", DATA))] * 2


def test_files_are_gathered(store: Client) -> None:
    put(store, "gateway/uploads/1/a", b"1")
    put(store, "gateway/uploads/2/a", b"2")
    files = [
        {"path": "gateway/uploads/1/a", "name": "1.dcm"},
        {"path": "gateway/uploads/2/a", "name": "2 ü.dcm"},
    ]
    for _ in range(2):
        assert post(store, "gather", folder="gateway/sessions/1", files=files)[0] == 200
        assert tree(store.root) == {"gateway/sessions/1/1.dcm": b"1", "gateway/sessions/1/2 ü.dcm": b"2"}
    put(store, "gateway/uploads/3/a", b"3")
    files.append({"path": "gateway/uploads/3/a", "name": "3.dcm"})
    assert post(store, "gather", folder="gateway/sessions/1/", files=files)[0] == 200
    assert sorted(tree(store.root)) == [f"gateway/sessions/1/{name}.dcm" for name in ("1", "2 ü", "3")]


def test_a_file_to_gather_that_is_missing_is_named_and_nothing_moves(store: Client) -> None:
    put(store, "gateway/a", b"1")
    files = [{"path": "gateway/a", "name": "a"}, {"path": "gateway/\u202eb", "name": "b"}]
    status, found = post(store, "gather", folder="gateway/s", files=files)
    assert (status, found["error"]) == (404, '"gateway/\\u202eb" is not there')
    assert tree(store.root) == {"gateway/a": b"1"}


def test_what_is_deleted_is_gone_and_nothing_else(store: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("kept")
    put(store, "gateway/u/1/a", b"1")
    put(store, "gateway/u/1/deep/er/b", b"1")
    put(store, "gateway/u/2", b"2")
    (store.root / "gateway/u/1/link").symlink_to(outside)
    (store.root / "gateway/link").symlink_to(outside)
    os.mkfifo(store.root / "gateway/u/1/pipe")
    for path in ("gateway/u/1", "gateway/u/1/", "gateway/link", "gateway/never/was"):
        assert delete(store, path) == (204, b"")
    assert delete(store, "gateway/u/2/below-a-file")[0] == 400
    assert sorted(path.name for path in store.root.rglob("*")) == ["2", "gateway", "u"]
    assert (outside / "x").read_text() == "kept"


def test_a_connection_lives_on_after_a_deletion(store: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=20)
    for _ in range(2):
        connection.request("DELETE", "/v1/files/gateway/x")
        assert connection.getresponse().read() == b""
    connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "x",
        "gateway",
        "gateway/",
        "gatewayx/y",
        "gateway/../cases/x",
        "/gateway/x",
        "gateway//x",
        f"gateway/{UUID}",
        f"gateway/{UUID}/",
        f"gateway/{UUID}/1/manifest.json",
        f"case/{UUID}/1/manifest.json",
    ],
)
def test_only_the_gateways_own_folder_is_touched(store: Client, path: str) -> None:
    """A job may be called "gateway": its results lie there, too."""
    before = {
        "x": b"x",
        "cases/x": b"x",
        f"gateway/{UUID}/1/manifest.json": b"{}",
        f"case/{UUID}/1/manifest.json": b"{}",
        "gateway/a": b"1",
        "gateway/b": b"2",
    }
    for name, data in before.items():
        (store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name).write_bytes(data)
    answers = [
        put(store, path, b"evil"),
        delete(store, path),
        post(store, "compose", path=path, parts=["gateway/a"]),
        post(store, "compose", path="gateway/new", parts=["gateway/a", path]),
        post(store, "compose", path="gateway/new", parts=[path]),
        post(store, "gather", folder=path, files=[{"path": "gateway/a", "name": "a"}]),
        post(store, "gather", folder="gateway/f", files=[{"path": path, "name": "a"}]),
    ]
    assert [status for status, _ in answers] == [400] * len(answers), answers
    assert tree(store.root) == before


@pytest.mark.parametrize("special", ["link", "hard", "pipe", "folder"])
def test_only_plain_files_are_taken(store: Client, tmp_path: Path, special: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    made = store.root / "gateway"
    made.mkdir()
    (made / "link").symlink_to(secret)
    (made / "hard").hardlink_to(secret)
    (made / "folder").mkdir()
    os.mkfifo(made / "pipe")
    put(store, "gateway/a", b"1")
    answers = [
        post(store, "compose", path="gateway/new", parts=[f"gateway/{special}"]),
        post(store, "compose", path="gateway/new", parts=["gateway/a", f"gateway/{special}"]),
        post(store, "gather", folder="gateway/f", files=[{"path": f"gateway/{special}", "name": "a"}]),
    ]
    assert [status for status, _ in answers] == [400] * 3, answers
    assert secret.read_text() == "secret"
    assert (made / "a").exists()


@pytest.mark.parametrize(
    ("what", "order"),
    [
        ("compose", {"path": "gateway/a", "parts": ["gateway/a"]}),
        ("compose", {"path": "gateway/n", "parts": ["gateway/a", "gateway/a"]}),
        ("compose", {"path": "gateway/n/", "parts": ["gateway/a"]}),
        ("compose", {"path": "gateway/n"}),
        ("compose", {"path": "gateway/n", "parts": ["gateway/x"] * (MAX_PARTS + 1)}),
        ("gather", {"folder": "gateway", "files": [{"path": "gateway/a", "name": "b"}]}),
        ("gather", {"folder": "gateway/f", "files": [{"path": "gateway/a", "name": "b/c"}]}),
        ("gather", {"folder": "gateway/f", "files": [{"path": "gateway/a", "name": ".."}]}),
        ("gather", {"folder": "gateway/f", "files": [{"path": "gateway/f/a", "name": "b"}]}),
        (
            "gather",
            {
                "folder": "gateway/f",
                "files": [{"path": "gateway/a", "name": "b"}, {"path": "gateway/c", "name": "b"}],
            },
        ),
        (
            "gather",
            {
                "folder": "gateway/f",
                "files": [{"path": "gateway/a", "name": str(i)} for i in range(MAX_GATHERED + 1)],
            },
        ),
        ("gather", []),
        ("compose", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_orders_that_make_no_sense(store: Client, what: str, order: Any) -> None:
    put(store, "gateway/a", b"1")
    status, found = store.json("POST", f"/v1/{what}", json.dumps(order).encode())
    assert status == 400
    assert found["error"]
    assert tree(store.root) == {"gateway/a": b"1"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 500_000, 400),
        (b'{"path": "gateway/\\ud800", "parts": []}', 400),
        (b'{"path": "gateway/a\\u0000b", "parts": []}', 400),
        (b" " * (MAX_ORDER_BYTES + 1), 413),
    ],
    ids=["nothing", "cut", "no UTF-8", "deep", "surrogate", "null", "large"],
)
def test_bodies_that_are_no_order(store: Client, body: bytes, status: int) -> None:
    assert store.json("POST", "/v1/compose", body)[0] == status
    assert tree(store.root) == {}


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """One server for many examples."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as port:
        yield Client(Path(folder), port)


SEGMENT = st.sampled_from(
    ["gateway", "..", ".", "", "a", "secret", UUID, "link", "\u202e", "ü", "a\\b", "x" * 256]
)
PATHS = st.one_of(st.text(max_size=40), st.lists(SEGMENT, max_size=5).map("/".join))


@settings(max_examples=150, deadline=None)
@given(path=PATHS, other=PATHS, name=st.one_of(st.text(max_size=10), SEGMENT))
def test_whatever_the_paths_are(
    tmp_path_factory: pytest.TempPathFactory, path: str, other: str, name: str
) -> None:
    """Nothing outside the gateway's folder is read, made or removed, and nobody hears more than a sentence."""
    place = Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    root = place / "volume"
    for file in ("volume/secret", "volume/a/secret", f"volume/gateway/{UUID}/1/x", "secret"):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(b"secret")
    (root / "gateway/a").mkdir()
    (root / "gateway/a/secret").write_bytes(b"1")
    (root / "gateway/link").symlink_to(place)
    files, said = GatewayFiles(Volume(str(root))), ""
    for act in (
        lambda: files.gather(path, [Gathered(path=other, name=name)]),
        lambda: files.compose(path, [other]),
        lambda: files.delete(path),
        lambda: files.compose(other, []),
    ):
        try:
            act()
        except (StorageError, FileNotFoundError) as error:
            said += str(error)
    assert "\n" not in said
    assert (
        tree(place).items()
        >= {
            "volume/secret": b"secret",
            "volume/a/secret": b"secret",
            f"volume/gateway/{UUID}/1/x": b"secret",
            "secret": b"secret",
        }.items()
    )
    below = {path for path in tree(place) if not path.startswith("volume/gateway/")}
    assert below == {"volume/secret", "volume/a/secret", "secret"}
    shutil.rmtree(place)


@settings(max_examples=60, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(st.none() | st.text() | st.integers(), st.lists).map(
            lambda v: json.dumps({"path": v, "parts": v, "folder": v, "files": v}).encode()
        ),
    )
)
@pytest.mark.parametrize("what", ["compose", "gather"])
def test_whatever_the_body_is(shared: Client, what: str, body: bytes) -> None:
    status, found = shared.json("POST", f"/v1/{what}", body)
    assert status == 400
    assert 0 < len(found["error"]) < 1000
    assert found["error"].isprintable()
