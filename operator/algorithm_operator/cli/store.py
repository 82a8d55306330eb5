"""The HTTP API of a store Pod, from the people's side (the other side is steps/store.py)."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.errors import CliError

PIECE = 1024 * 1024
_MAX_ANSWER = 16 * 1024 * 1024

Connect = Callable[[], http.client.HTTPConnection]


class Readable(Protocol):
    """What a body is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""


class StoreError(CliError):
    """The store Pod refused or failed."""


@dataclass(frozen=True, slots=True)
class Stat:
    """A file or folder of a store; sizes in bytes."""

    size: int
    folder: bool = False
    sha256: str | None = None


class PresentOffsetError(Exception):
    """The store has another number of bytes of the file (`offset`) than the sender thought."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(why)
        self.offset = offset


class StoreClient:
    """One store Pod. Methods raise ConnectionError where the way was lost, and StoreError where the Pod said no."""

    def __init__(self, name: str, connect: Connect) -> None:
        self.name = name
        self._connect = connect
        self._connection: http.client.HTTPConnection | None = None

    def stat(self, path: str, *, sha256: bool = False) -> Stat | None:
        """What is there, with its hash if asked for; None if nothing."""
        query = {"path": path} | ({"sha256": "1"} if sha256 else {})
        status, answer = self._json("GET", f"/v1/stat?{urlencode(query)}")
        if status == 404 or answer.get("type") == "part":  # an upload that is not finished is no file
            return None
        self._expect(status, answer, path)
        return Stat(int(answer["size"]), answer.get("type") == "folder", answer.get("sha256"))

    def files(self, folder: str) -> list[str]:
        """The paths of all files below a folder, sorted; none if there is no such folder."""
        status, answer = self._json("GET", f"/v1/list?{urlencode({'path': folder})}")
        if status == 404:
            return []
        self._expect(status, answer, folder)
        found: list[str] = []
        for entry in answer["entries"]:
            path = f"{folder.rstrip('/')}/{entry['name']}".lstrip("/")
            if entry["type"] == "folder":
                found += self.files(path)
            elif entry["type"] == "file":
                found.append(path)
        return sorted(found)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a file from `offset` on, in pieces."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._request("GET", _file(path), headers=headers)
        if answer.status not in (200, 206) or (offset and answer.status != 206):
            body = self._body(answer)
            self._expect(answer.status if answer.status >= 400 else 500, body, path)
        left = answer.length
        if left is None:
            raise StoreError(f"DataStore {self.name}: {quoted(path)} came without a length.")
        try:
            while left:
                piece = answer.read(min(PIECE, left))
                if not piece:
                    raise ConnectionError("the store Pod ended the connection")
                left -= len(piece)
                yield piece
        except (http.client.HTTPException, OSError) as error:
            raise ConnectionError(str(error) or type(error).__name__) from error
        finally:
            if left:  # what is still on its way would be taken for the next answer
                self.close()

    def write(
        self, path: str, source: Readable, offset: int, total: int, sha256: str, length: int | None = None
    ) -> None:
        """Append `length` bytes of `source` (its position is `offset`); without `length`, all up to `total`.

        When `total` is reached the store has checked the hash.

        :raises PresentOffsetError: the store has more or fewer bytes of it already.
        """
        query = urlencode({"offset": offset, "total": total, "sha256": sha256})
        count = total - offset if length is None else length
        headers = {"Content-Length": str(count)}
        answer = self._request("PUT", f"{_file(path)}?{query}", body=_Exactly(source, count), headers=headers)
        body = self._body(answer)
        if answer.status == 409 and isinstance(body.get("offset"), int):
            raise PresentOffsetError(body["offset"], str(body.get("error") or ""))
        self._expect(answer.status, body, path)

    def present(self, path: str, total: int, sha256: str, guess: int = 0) -> int:
        """How many bytes of an unfinished file of that size and hash the store has."""
        try:
            self.write(path, io.BytesIO(), guess, total, sha256, length=0)
        except PresentOffsetError as error:
            return error.offset
        return guess

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _json(self, method: str, target: str) -> tuple[int, dict[str, Any]]:
        answer = self._request(method, target)
        return answer.status, self._body(answer)

    def _body(self, answer: http.client.HTTPResponse) -> dict[str, Any]:
        """The JSON of an answer, whole: a port-forward can lose what comes right before the end of a connection."""
        try:
            length = answer.length or 0
            body = answer.read(_MAX_ANSWER)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise ConnectionError(str(error) or type(error).__name__) from error
        if len(body) < min(length, _MAX_ANSWER):
            self.close()
            raise ConnectionError("the answer was cut off")
        return _parsed(body)

    def _request(
        self, method: str, target: str, body: Readable | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.blocksize = PIECE
        try:
            self._connection.request(method, target, body=body, headers=headers or {})
            return self._connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise ConnectionError(str(error) or type(error).__name__) from error

    def _expect(self, status: int, answer: dict[str, Any], path: str) -> None:
        if status < 400:
            return
        why = shown(str(answer.get("error") or f"HTTP status {status}"), 500)
        raise StoreError(f"DataStore {self.name}, {quoted(path)}: {why}")


class _Exactly:
    """So many bytes of a file, whatever happens to it meanwhile: a body must be as long as was said."""

    def __init__(self, source: Readable, count: int) -> None:
        self._source, self._left = source, count

    def read(self, size: int = -1, /) -> bytes:
        piece = self._source.read(min(size, self._left)) if self._left else b""
        if self._left and not piece:
            raise ConnectionError("the file became shorter while it was sent")
        self._left -= len(piece)
        return piece


def _file(path: str) -> str:
    return "/v1/files/" + quote(path)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {"error": body[:500].decode("utf-8", "replace")}
    return found if isinstance(found, dict) else {}
