"""The store Pod's server, over real HTTP."""

from __future__ import annotations

import hashlib
import http.client
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.unit.steps.storeserver import Client

DATA = os.urandom(3_000_000)
SHA = hashlib.sha256(DATA).hexdigest()


def put(
    store: Client, path: str, body: bytes, offset: int = 0, total: int | None = None, sha: str = SHA
) -> tuple[int, dict[str, Any]]:
    query = urlencode({"offset": offset, "total": len(DATA) if total is None else total, "sha256": sha})
    return store.json("PUT", f"/v1/files/{quote(path)}?{query}", body)


def test_up_and_down(store: Client) -> None:
    store.root.chmod(0o2770)
    assert put(store, "case 1/t1.mha", DATA) == (
        201,
        {"path": "case 1/t1.mha", "size": len(DATA), "sha256": SHA},
    )
    file = store.root / "case 1/t1.mha"
    assert file.read_bytes() == DATA
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o2770
    assert [each.name for each in file.parent.iterdir()] == ["t1.mha"]
    status, body, headers = store.ask("GET", "/v1/files/case%201/t1.mha?stat=1")
    assert (status, body, headers["X-Sha256"]) == (200, DATA, SHA)
    status, found = store.json("GET", "/v1/stat?path=case+1/t1.mha&sha256=1")
    assert (status, found["type"], found["size"], found["sha256"]) == (200, "file", len(DATA), SHA)
    status, found = store.json("GET", "/v1/list?path=case+1/")
    assert [(entry["name"], entry["type"], entry["size"]) for entry in found["entries"]] == [
        ("t1.mha", "file", len(DATA))
    ]
    assert [entry["type"] for entry in store.json("GET", "/v1/list")[1]["entries"]] == ["folder"]


def test_without_a_group_everyone_may_read(store: Client) -> None:
    put(store, "x", DATA)
    assert stat.S_IMODE((store.root / "x").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=10-", (206, DATA[10:])),
        ("bytes=10-19", (206, DATA[10:20])),
        ("bytes=-5", (206, DATA[-5:])),
        ("bytes=0-", (200, DATA)),
    ],
)
def test_ranges(store: Client, wanted: str, expected: tuple[int, bytes]) -> None:
    (store.root / "x").write_bytes(DATA)
    assert store.ask("GET", "/v1/files/x", Range=wanted)[:2] == expected


def test_ranges_that_cannot_be(store: Client) -> None:
    (store.root / "x").write_bytes(DATA)
    assert store.ask("GET", "/v1/files/x", Range=f"bytes={len(DATA)}-")[0] == 416
    assert store.ask("GET", "/v1/files/x", Range="bytes=a-b")[0] == 400


def test_an_upload_is_resumed(store: Client) -> None:
    assert put(store, "x", DATA[:1000]) == (202, {"offset": 1000})
    assert not (store.root / "x").exists()
    assert store.json("GET", "/v1/stat?path=x")[1]["part"] == 1000
    status, found = put(store, "x", b"", offset=0)
    assert (status, found["offset"]) == (409, 1000)
    assert put(store, "x", DATA[1000:2000], offset=1000) == (202, {"offset": 2000})
    assert put(store, "x", DATA[2000:], offset=2000)[0] == 201
    assert (store.root / "x").read_bytes() == DATA


def test_an_upload_is_resumed_after_a_restart(store: Client) -> None:
    (store.root / "x.part").write_bytes(DATA[:1000])
    assert put(store, "x", DATA[1000:], offset=1000)[0] == 201
    assert (store.root / "x").read_bytes() == DATA


def test_a_connection_that_breaks_leaves_what_arrived(store: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", store.port)
    connection.putrequest("PUT", f"/v1/files/x?offset=0&total={len(DATA)}&sha256={SHA}")
    connection.putheader("Content-Length", str(len(DATA)))
    connection.endheaders(DATA[:500_000])
    connection.close()
    store.wait_part("x", 500_000)
    status, found = put(store, "x", b"", offset=len(DATA) - 1)
    assert (status, found["offset"]) == (409, 500_000)
    assert put(store, "x", DATA[500_000:], offset=500_000)[0] == 201


def test_a_hash_that_differs(store: Client) -> None:
    (store.root / "x").write_bytes(b"old")
    status, found = put(store, "x", DATA[:-1] + b"?")
    assert (status, found["offset"]) == (409, 0)
    assert (store.root / "x").read_bytes() == b"old"
    assert put(store, "x", DATA)[0] == 201


def test_another_file_begins_anew(store: Client) -> None:
    put(store, "x", DATA[:1000])
    other = b"other"
    assert put(store, "x", other, total=5, sha=hashlib.sha256(other).hexdigest())[0] == 201
    assert (store.root / "x").read_bytes() == other


def test_an_empty_file(store: Client) -> None:
    assert put(store, "x", b"", total=0, sha=hashlib.sha256(b"").hexdigest())[0] == 201
    assert (store.root / "x").read_bytes() == b""


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/passwd", "a//b", "./x", "a\0b", "a\\b", "link/x", "link", "pipe", "d/"],
)
def test_paths_that_lead_elsewhere(store: Client, path: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("secret")
    (store.root / "link").symlink_to(outside)
    (store.root / "d").mkdir()
    os.mkfifo(store.root / "pipe")
    os.mkfifo(store.root / "pipe.part")
    status, body, _ = store.ask("GET", f"/v1/files/{quote(path, safe='/.')}")
    assert status in (400, 404), body
    assert b"secret" not in body
    if path != "link":  # a name that is a link is replaced by the file, as rename does
        status, _ = put(store, path, DATA)
        assert status == 400
    assert [(file.name, file.read_text()) for file in outside.iterdir()] == [("x", "secret")]


@pytest.mark.parametrize(
    "query",
    ["total=1&sha256=x", "total=x&sha256=" + SHA, "sha256=" + SHA, f"total=1&sha256={SHA}&offset=9"],
    ids=["no hash", "no number", "no total", "offset after the end"],
)
def test_puts_that_make_no_sense(store: Client, query: str) -> None:
    status, found = store.json("PUT", f"/v1/files/x?{query}", b"12")
    assert status == 400
    assert found["error"]


def test_what_is_not_there(store: Client) -> None:
    for target in ("/v1/files/x", "/v1/stat?path=x", "/v1/list?path=x", "/v1/list?path=x/y", "/nothing"):
        assert store.json("GET", target)[0] == 404


def test_two_uploads_at_once(store: Client) -> None:
    first = http.client.HTTPConnection("127.0.0.1", store.port)
    first.putrequest("PUT", f"/v1/files/x?offset=0&total={len(DATA)}&sha256={SHA}")
    first.putheader("Content-Length", str(len(DATA)))
    first.endheaders(DATA[:2_000_000])
    store.wait_part("x", 1_000_000)
    status, found = put(store, "x", DATA)
    assert status == 409
    assert "another upload" in found["error"]
    first.send(DATA[2_000_000:])
    assert first.getresponse().status == 201
    first.close()
    assert (store.root / "x").read_bytes() == DATA
