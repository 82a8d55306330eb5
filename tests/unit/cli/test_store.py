"""The store's HTTP client: whole answers or none, and connections that live through refusals."""

import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from algorithm_operator.cli.store import StoreClient, StoreError


@contextmanager
def answering(answer: bytes) -> Iterator[StoreClient]:
    """A server that says `answer` to the first request, whatever it is, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = StoreClient(
        "cases", lambda: http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=5)
    )
    try:
        yield client
    finally:
        client.close()
        listener.close()
        thread.join()


def head(status: int, length: int) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("status", [200, 409, 500])
@pytest.mark.parametrize("body", [b"", b'{"offset": 1'])
def test_an_answer_that_was_cut_off_is_a_lost_connection(status: int, body: bytes) -> None:
    with answering(head(status, 40) + body) as client, pytest.raises(ConnectionError):
        client.stat("x")
    with answering(head(status, 40) + body) as client, pytest.raises(ConnectionError):
        client.write("x", io.BytesIO(), 0, 10, "a" * 64, length=0)


def test_a_file_that_was_cut_off_is_a_lost_connection() -> None:
    with answering(head(200, 10) + b"12345") as client, pytest.raises(ConnectionError):
        list(client.read("x"))


def test_a_range_that_was_ignored_is_refused() -> None:
    body = b"0123456789"
    with answering(head(200, len(body)) + body) as client, pytest.raises(StoreError):
        list(client.read("x", offset=5))


def test_errors_are_one_safe_line() -> None:
    body = json.dumps({"error": "no\x1b[2J\nway"}).encode()
    with answering(head(400, len(body)) + body) as client, pytest.raises(StoreError) as caught:
        client.stat("a\nb")
    assert str(caught.value) == r'DataStore cases, "a\x0ab": no\x1b[2J\x0away'


def test_a_refusal_leaves_the_connection(store: StoreClient) -> None:
    """A port-forward can lose an answer that comes right before the end of a connection."""
    opened = 0
    connect = store._connect

    def counting() -> http.client.HTTPConnection:
        nonlocal opened
        connection = connect()
        real = connection.connect

        def connect_and_count() -> None:
            nonlocal opened
            opened += 1
            real()

        connection.connect = connect_and_count  # type: ignore[method-assign]
        return connection

    client = StoreClient("cases", counting)
    client.write("x", io.BytesIO(b"abc"), 0, 10, "a" * 64, length=3)
    for _ in range(3):
        assert client.stat("none") is None
        assert client.present("x", 10, "a" * 64) == 3
    client.close()
    assert opened == 1
