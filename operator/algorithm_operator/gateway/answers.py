"""Answers: JSON of exactly `application/json` (the clients take nothing else for JSON), and pages of lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import Depends, Request, Response
from pydantic import BaseModel

from algorithm_operator.gateway.errors import ApiError, invalid
from algorithm_operator.gateway.urls import origin

T = TypeVar("T")

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000


def answer(content: BaseModel | Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer. A value that was checked before may be in it as it is, unparsed (`orjson.Fragment`)."""
    body = content.model_dump() if isinstance(content, BaseModel) else content
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def refusal(error: ApiError) -> Response:
    """The answer that an error is."""
    response = answer(error.body, error.status)
    response.headers.update(error.headers)
    return response


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is asked for."""

    offset: int
    limit: int
    url: str
    """Of the list, with its filters, without offset and limit."""

    def part(self, found: list[T]) -> list[T]:
        """The window's part of a whole list."""
        return found[self.offset : self.offset + self.limit]

    def page(self, results: Sequence[BaseModel], count: int) -> Response:
        """The answer: `results` are the window's, `count` is the length of the whole list."""
        after, before = self.offset + self.limit, max(0, self.offset - self.limit)
        return answer(
            {
                "count": count,
                "next": self._at(after) if after < count else None,
                "previous": self._at(before) if self.offset > 0 else None,
                "results": [each.model_dump() for each in results],
            }
        )

    def _at(self, offset: int) -> str:
        glue = "&" if "?" in self.url else "?"
        return f"{self.url}{glue}{urlencode({'limit': self.limit, 'offset': offset})}"


def window(request: Request) -> Window:
    """`offset` and `limit` of a request; 100 by default, 1000 at most."""
    numbers = {}
    for name, default in (("offset", 0), ("limit", DEFAULT_LIMIT)):
        text = request.query_params.get(name, "")
        if text and not (text.isascii() and text.isdecimal() and len(text) <= 12):
            raise invalid(**{name: ["A valid integer is required."]})
        numbers[name] = int(text) if text else default
    rest = [(key, value) for key, value in request.query_params.multi_items() if key not in numbers]
    # Only the path: origin and namespace are the caller's own.
    url = f"{origin(request)}{request.url.path}" + (f"?{urlencode(rest)}" if rest else "")
    return Window(numbers["offset"], min(numbers["limit"] or DEFAULT_LIMIT, MAX_LIMIT), url)


Windowed = Annotated[Window, Depends(window)]
