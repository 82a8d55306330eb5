"""What the API refuses, in the shape of Django REST framework, as Grand Challenge's clients know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

from algorithm_operator.api.text import shown

NON_FIELD = "non_field_errors"
NO_OBJECT = "Invalid hyperlink - Object does not exist."
REQUIRED = "This field is required."
BLANK = "This field may not be blank."


class ApiError(HTTPException):
    """A refusal: HTTP status, JSON body, headers. `gcapi` repeats 429, 502, 503 and 504; all others are final to it.

    One of Starlette's own: FastAPI lets those alone through where it reads a body.
    """

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, str(body))
        self.status, self.body = status, body
        self.headers: dict[str, str] = dict(headers or {})


def invalid(**fields: Any) -> ApiError:
    """400: what is wrong, by field: a list of sentences, or for lists of objects a list of such bodies."""
    return ApiError(400, fields)


def refused(*sentences: str) -> ApiError:
    """400 that is about no field: limits, interfaces, duplicates."""
    return ApiError(400, {NON_FIELD: list(sentences)})


def unauthenticated(why: str) -> ApiError:
    """401: no token, or none that counts here."""
    return ApiError(401, {"detail": why}, {"WWW-Authenticate": "Bearer"})


def forbidden(why: str = "You do not have permission to perform this action.") -> ApiError:
    """403: what is asked for may be seen but not done."""
    return ApiError(403, {"detail": why})


def not_found(why: str = "Not found.") -> ApiError:
    """404: it does not exist, or may not be seen."""
    return ApiError(404, {"detail": why})


def unavailable(why: str, retry_after: int = 2) -> ApiError:
    """503: it will do in a moment; the client repeats the request by itself."""
    return ApiError(503, {"detail": why}, {"Retry-After": str(retry_after)})


def no_slug(slug: str) -> str:
    """What is said of a slug that nothing has."""
    return f"Object with slug={shown(slug, 128)} does not exist."


def too_long(limit: int) -> str:
    """What is said of a text of more characters."""
    return f"Ensure this field has no more than {limit} characters."
