"""What a request to the store Pod is made of: its bytes, its numbers, its range, its order in JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from pydantic import ValidationError

from algorithm_operator.api.base import Model
from algorithm_operator.api.text import shown
from algorithm_operator.contract.storing import MAX_ORDER_BYTES

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_Order = TypeVar("_Order", bound=Model)


class RequestError(Exception):
    """The request cannot be served; the sentence is for the person who made it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Body:
    """The bytes of a request. `want` is called before the first of them is read: the client waits for that."""

    def __init__(
        self, stream: io.BufferedIOBase, length: int, want: Callable[[], None] | None = None
    ) -> None:
        self._stream, self.left, self._want = stream, length, want

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end, or where the connection ended."""
        if self._want is not None:
            self._want()
            self._want = None
        count = self._stream.readinto(buffer[: self.left]) if self.left else 0
        self.left -= count
        return count

    def drain(self, most: int) -> None:
        """Read and forget up to `most` bytes, if they are under way."""
        if self._want is not None:
            return
        buffer = memoryview(bytearray(min(1 << 20, self.left)))
        most = min(most, self.left)
        while most > 0 and (count := self.readinto(buffer[:most])):
            most -= count


NO_BODY = Body(io.BytesIO(), 0)


def number(text: str | None, name: str) -> int:
    """A number of bytes."""
    if text is None or not re.fullmatch(r"[0-9]{1,18}", text):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} must be a number of bytes")
    return int(text)


def byte_range(text: str | None, size: int) -> tuple[int, int]:
    """First byte, and the one after the last, that a Range header asks of a file."""
    if text is None:
        return 0, size
    match = _RANGE.fullmatch(text.strip())
    if match is None or match.groups() == ("", ""):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the Range is not of the form bytes=first-last")
    first, last = match.groups()
    if first == "":
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise RequestError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"the file has {size} bytes")
    return start, end


def order(kind: type[_Order], body: Body) -> _Order:
    """A body that is JSON of the kind."""
    if body.left > MAX_ORDER_BYTES:
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_ORDER_BYTES} bytes of JSON")
    text = bytearray(body.left)
    view = memoryview(text)
    while view and (count := body.readinto(view)):
        view = view[count:]
    if view:
        raise ConnectionResetError("the connection ended early")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each) for each in first["loc"]) or "the body"
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{shown(place)}: {shown(first['msg'])}") from None
