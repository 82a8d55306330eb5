"""HTTP over the frames of a port-forward."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import kubernetes
import pytest
from websocket import ABNF, WebSocketConnectionClosedException

from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.portforward import PodConnection, PodSocket, pod_socket


@dataclass
class Frame:
    data: bytes


@dataclass
class FakeWebSocket:
    """Says its frames one after the other, then that the connection is closed."""

    frames: list[tuple[int, bytes]]
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False

    def recv_data_frame(self, control_frame: bool) -> tuple[int, Frame]:
        if not self.frames:
            raise WebSocketConnectionClosedException("over")
        opcode, data = self.frames.pop(0)
        return opcode, Frame(data)

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self, timeout: float) -> None:
        self.closed = True


PORTS = [(ABNF.OPCODE_BINARY, b"\x00\x90\x1f"), (ABNF.OPCODE_BINARY, b"\x01\x90\x1f")]


def data(payload: bytes, channel: int = 0) -> tuple[int, bytes]:
    return ABNF.OPCODE_BINARY, bytes([channel]) + payload


def connection(*frames: tuple[int, bytes]) -> tuple[PodConnection, FakeWebSocket]:
    fake = FakeWebSocket([*PORTS, *frames])
    return PodConnection(lambda: PodSocket(fake)), fake


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize(
    "split",
    [
        lambda text: [text],
        lambda text: [text[i : i + 1] for i in range(len(text))],
        lambda text: [text[:40], text[40:]],
    ],
)
def test_frames_are_a_stream(split: Callable[[bytes], list[bytes]]) -> None:
    noise = [(ABNF.OPCODE_PING, b"ping"), data(b"")]
    frames = [frame for piece in split(OK) for frame in (data(piece), *noise)]
    one, _ = connection(*frames)
    one.request("GET", "/")
    assert one.getresponse().read() == b"hello"


def test_requests_share_a_connection() -> None:
    one, fake = connection(data(OK), data(OK))
    for _ in range(2):
        one.request("GET", "/")
        assert one.getresponse().read() == b"hello"
    assert not fake.closed
    one.close()
    assert fake.closed


def test_bodies_are_cut_into_frames() -> None:
    one, fake = connection(data(OK))
    body = bytes(range(256)) * 4096
    one.request("PUT", "/", body=body)
    assert one.getresponse().status == 200
    assert {frame[0] for frame in fake.sent} == {0}
    assert max(len(frame) for frame in fake.sent) <= 256 * 1024 + 1
    assert b"".join(frame[1:] for frame in fake.sent).endswith(body)


@pytest.mark.parametrize("end", [[], [(ABNF.OPCODE_CLOSE, b"")]])
def test_an_end_in_the_middle_is_seen(end: list[Any]) -> None:
    one, _ = connection(data(OK[:-2]), *end)
    one.request("GET", "/")
    assert one.getresponse().read(10) == b"hel"


def test_the_kubelets_words_are_passed_on() -> None:
    one, _ = connection(data(b"connection refused", channel=1))
    one.request("GET", "/")
    with pytest.raises(ConnectionError, match="connection refused"):
        one.getresponse()


REFUSED = 'pods "cases-store" is forbidden: rita may not reach the files of DataStore imaging/cases: \x1b[31m'


@pytest.mark.parametrize(
    ("code", "error"), [(403, CliError), (401, CliError), (404, ConnectionError), (500, ConnectionError)]
)
def test_a_refusal_is_told_in_the_servers_words(code: int, error: type[Exception]) -> None:
    """Want of a right is final; all else may do better in a moment. What the server says is escaped."""

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"kind": "Status", "message": REFUSED}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configuration: Any = kubernetes.client.Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    api: Any = kubernetes.client.ApiClient(configuration)
    try:
        with pytest.raises(error) as refused:
            pod_socket(api, "imaging", "cases-store", 8080)
    finally:
        server.shutdown()
    assert str(refused.value) == REFUSED.replace("\x1b", "\\x1b")
