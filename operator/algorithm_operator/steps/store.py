"""The store Pod's server: people's files in and out of one DataStore, on loopback, reached by pods/portforward alone.

    GET  /v1/files/<path>        the bytes; Range is understood; with ?stat=1 also X-Sha256
    GET  /v1/list?path=<folder>  {"path", "entries": [{"name", "type", "size", "modified"}], "more"}
    GET  /v1/stat?path=<path>    {"path", "type", "size", "modified", "part"}; &sha256=1 adds "sha256"
    PUT  /v1/files/<path>?offset=N&total=T&sha256=HEX
         bytes N to at most T of the file, into <path>.part; when T is reached the hash is checked and the file gets its
         name. 201 {"path", "size", "sha256"} when done, 202 {"offset"} when more is to come, 409 {"error", "offset"}
         when the upload stands elsewhere: go on from there.

Of the gateway, below gateway/ alone; each may be repeated (`steps/gateway_files.py`, bodies in `contract/storing.py`):
    PUT    /v1/files/<path>?total=T   a whole file, hashed here: 201 {"path", "size", "sha256"}
    POST   /v1/compose {"path", "parts": [path]}              parts become one file: 201 {"path", "size", "sha256"}
    POST   /v1/gather {"folder", "files": [{"path", "name"}]} files move into one folder: 200 {"folder"}
    DELETE /v1/files/<path>           a file, or a folder with all in it: 204

Errors are {"error": sentence}. `part` and `offset` are the bytes that an unfinished upload has so far.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from algorithm_operator.contract.storing import Compose, Gather
from algorithm_operator.core import names
from algorithm_operator.steps.failures import os_message
from algorithm_operator.steps.gateway_files import GatewayFiles, MissingError
from algorithm_operator.steps.request import NO_BODY, Body, RequestError, byte_range, number, order
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.storage import ConflictError, Storage
from algorithm_operator.steps.volume import StorageError, Volume, size_and_hash

FILES = "/v1/files/"
_SHA256 = re.compile(r"[0-9a-f]{64}")
IDLE_SECONDS = 300
MAX_DRAINED = 1 << 24


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = names.OPERATOR
    sys_version = ""
    timeout = IDLE_SECONDS
    rbufsize = 1 << 20
    # Head and body of an answer leave in one piece: a port-forward can lose what comes right before a connection's end.
    wbufsize = 1 << 16
    volume: Volume
    storage: Storage
    gateway_files: GatewayFiles
    _body: Body = NO_BODY
    _expected = False

    def do_GET(self) -> None:
        """Serve a file, a listing or what is known of a path."""
        self._serve(self._get)

    def do_PUT(self) -> None:
        """Take a file, or a part of it."""
        self._serve(self._put)

    def do_POST(self) -> None:
        """Make files and folders of files that are there."""
        self._serve(self._post)

    def do_DELETE(self) -> None:
        """Remove a file or a folder."""
        self._serve(self._delete)

    def handle_expect_100(self) -> bool:
        """A client that waits until its body is wanted hears that when it is read: a refusal spares it the body."""
        self._expected = True
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Paths are people's data: they are not logged."""

    def parse_request(self) -> bool:
        """Read the head of a request."""
        self._expected = False
        return super().parse_request()

    def _serve(self, method: Callable[[], None]) -> None:
        self._body = NO_BODY
        try:
            method()
        except RequestError as error:
            self._answer(error.status, {"error": error.message})
        except ConflictError as error:
            self._answer(HTTPStatus.CONFLICT, {"error": str(error), "offset": error.offset})
        except MissingError as error:
            self._answer(HTTPStatus.NOT_FOUND, {"error": str(error)})
        except StorageError as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except FileNotFoundError:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is no such file or folder"})
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        except PermissionError as error:
            self._answer(
                HTTPStatus.FORBIDDEN, {"error": f"the volume does not allow it: {os_message(error)}"}
            )
        except OSError as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"the volume says: {os_message(error)}"})

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        if status >= HTTPStatus.BAD_REQUEST and self._has_rest():
            self.close_connection = True  # it would be taken for the next request
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _has_rest(self) -> bool:
        """Whether bytes of the request are unread. A short rest is read: closing on bytes that are under way would
        take the answer away from the client."""
        if self._body is NO_BODY:
            return self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        self._body.drain(MAX_DRAINED)
        return self._body.left > 0

    def _query(self) -> dict[str, str]:
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.path).query).items()}

    def _file_path(self) -> str:
        try:
            return unquote(urlsplit(self.path).path.removeprefix(FILES), errors="strict")
        except UnicodeDecodeError:
            raise RequestError(HTTPStatus.BAD_REQUEST, "the path is not UTF-8") from None

    def _get(self) -> None:
        query, path = self._query(), urlsplit(self.path).path
        if path == "/v1/list":
            self._answer(HTTPStatus.OK, self.storage.list(query.get("path", "")))
        elif path == "/v1/stat":
            found = self.storage.stat(query.get("path", ""), with_hash=query.get("sha256") == "1")
            self._answer(HTTPStatus.OK, found)
        elif path.startswith(FILES):
            self._send_file(self._file_path(), with_hash=query.get("stat") == "1")
        else:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is no such resource")

    def _send_file(self, path: str, *, with_hash: bool) -> None:
        with self.volume.open(path) as file:
            size = os.fstat(file.fileno()).st_size
            start, end = byte_range(self.headers.get("Range"), size)
            partial = (start, end) != (0, size)
            self.send_response(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(end - start))
            self.send_header("Accept-Ranges", "bytes")
            if partial:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            if with_hash:
                self.send_header("X-Sha256", size_and_hash(file)[1])
            self.end_headers()
            self.wfile.flush()
            try:
                # Waits for room; os.sendfile would not, as a timeout makes the socket non-blocking.
                sent = self.connection.sendfile(file, start, end - start) if start < end else 0
            except OSError:
                sent = -1  # an answer now would be taken for the file's bytes
            if sent != end - start:
                self.close_connection = True  # the client sees too few bytes

    def _put(self) -> None:
        length = self._begin_body()
        if not urlsplit(self.path).path.startswith(FILES):
            raise RequestError(HTTPStatus.NOT_FOUND, "files are put below /v1/files/")
        query, path = self._query(), self._file_path()
        offset = number(query.get("offset", "0"), "offset")
        total = number(query.get("total"), "total")
        if offset + length > total:
            raise RequestError(HTTPStatus.BAD_REQUEST, "offset and length together are more than total")
        if "sha256" not in query:
            if length < total:
                raise RequestError(HTTPStatus.BAD_REQUEST, "without sha256 a file is put as a whole")
            self._answer(HTTPStatus.CREATED, self.gateway_files.put(path, self._body, total).wire())
            return
        digest = query["sha256"]
        if not _SHA256.fullmatch(digest):
            raise RequestError(HTTPStatus.BAD_REQUEST, "sha256 must be 64 hexadecimal digits")
        reached = self.storage.put(path, self._body, offset=offset, total=total, sha256=digest)
        if reached < total:
            self._answer(HTTPStatus.ACCEPTED, {"offset": reached})
        else:
            self._answer(HTTPStatus.CREATED, {"path": path, "size": total, "sha256": digest})

    def _post(self) -> None:
        self._begin_body()
        match urlsplit(self.path).path:
            case "/v1/compose":
                compose = order(Compose, self._body)
                stored = self.gateway_files.compose(compose.path, compose.parts)
                self._answer(HTTPStatus.CREATED, stored.wire())
            case "/v1/gather":
                gather = order(Gather, self._body)
                self.gateway_files.gather(gather.folder, gather.files)
                self._answer(HTTPStatus.OK, {"folder": gather.folder})
            case _:
                raise RequestError(HTTPStatus.NOT_FOUND, "there is no such resource")

    def _delete(self) -> None:
        if not urlsplit(self.path).path.startswith(FILES):
            raise RequestError(HTTPStatus.NOT_FOUND, "files are deleted below /v1/files/")
        self.gateway_files.delete(self._file_path())
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def _begin_body(self) -> int:
        """How many bytes the request has."""
        length = number(self.headers.get("Content-Length"), "Content-Length")
        self._body = Body(self.rfile, length, self._want_body if self._expected else None)
        return length

    def _want_body(self) -> None:
        self.send_response_only(HTTPStatus.CONTINUE)
        self.end_headers()
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """Threads end with the process."""

    daemon_threads = True
    request_queue_size = 64


def make_server(root: str, port: int = names.STORE_PORT) -> Server:
    """A server of the volume at `root`, on loopback only."""

    class Bound(Handler):
        volume = Volume(root)
        storage = Storage(volume)
        gateway_files = GatewayFiles(volume)

    return Server(("127.0.0.1", port), Bound)


def run(roots: Roots) -> int:
    """Serve until SIGTERM."""
    server = make_server(roots.store)

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        signal.signal(each, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    server.serve_forever()
    return 0
