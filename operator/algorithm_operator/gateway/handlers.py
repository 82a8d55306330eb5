"""What was raised, as an answer in the shape of Django REST framework."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from algorithm_operator.api.text import shown
from algorithm_operator.gateway.answers import refusal
from algorithm_operator.gateway.errors import NON_FIELD, REQUIRED, ApiError, too_long, unavailable
from algorithm_operator.gateway.storage import StoreRefused, StoreUnavailable
from algorithm_operator.kube import errors as kube

log = logging.getLogger(__name__)

MAX_ERRORS, MAX_INDEX = 32, 1000
"""Of one body, in one answer; an error far down a list is said of an earlier place."""


def handle(app: FastAPI) -> None:
    """Have the app answer so. What is raised beside is a defect, for envelope.py to log."""

    def on(kind: type[Exception], turn: Any) -> None:
        async def handler(request: Request, error: Exception) -> Response:
            return refusal(turn(request, error))

        app.add_exception_handler(kind, handler)

    on(ApiError, lambda request, error: error)
    on(HTTPException, of_http)
    on(RequestValidationError, lambda request, error: of_validation(error.errors()))
    on(StoreUnavailable, lambda request, error: unavailable(error.sentence, error.retry_after))
    on(StoreRefused, lambda request, error: ApiError(error.status, {"detail": shown(error.sentence, 500)}))
    on(kube.ApiError, lambda request, error: of_cluster(error))


def of_http(request: Request, error: HTTPException) -> ApiError:
    """Of Starlette's and FastAPI's own: no such route, wrong method, a body that cannot be read."""
    match error.status_code:
        case 404:
            why = "Not found."
        case 405:
            why = f'Method "{shown(request.method, 16)}" not allowed.'
        case _:
            why = str(error.detail)
    return ApiError(error.status_code, {"detail": why}, error.headers)


def of_cluster(error: kube.ApiError) -> ApiError:
    """Of the API server: what may pass is worth another try; of all else the modules know what it means."""
    if isinstance(error, kube.Forbidden):
        log.error("the gateway's ServiceAccount lacks a right: %s", shown(error.message, 1000))
        return unavailable(f"The gateway's own ServiceAccount lacks a right: {shown(error.message, 500)}", 30)
    if isinstance(error, kube.Unreachable | kube.TooManyRequests) or error.status >= 500:
        log.warning("the API server: %s", shown(str(error), 1000))
        return unavailable("The cluster's API server does not answer just now. Try again in a moment.")
    raise error


def of_validation(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Of a body, path or query that is not as the view takes it; pydantic's errors, by field as DRF has them."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return malformed(str(first["ctx"]["error"]))
    if first["loc"][0] == "path":
        return ApiError(404, {"detail": "Not found."})
    found: Any = {}
    for error in errors[:MAX_ERRORS]:
        found = _placed(found, list(error["loc"][1:]), sentence(error))
    return ApiError(400, found)


def malformed(why: str) -> ApiError:
    """400 of a body that is no JSON."""
    return ApiError(400, {"detail": f"JSON parse error - {shown(why, 200)}"})


def _placed(found: Any, where: list[int | str], text: str) -> Any:
    """`found` with the sentence in its place: {field: [sentence]}; in a list of objects {} is one that is well."""
    if not where:
        if isinstance(found, dict):
            return found | {NON_FIELD: [*found.get(NON_FIELD, []), text]}
        return [*(found if isinstance(found, list) else []), text]
    key, *rest = where
    if isinstance(key, int):
        items: list[Any] = list(found) if isinstance(found, list) else []
        index = min(key, MAX_INDEX)
        items += [{} for _ in range(index + 1 - len(items))]
        items[index] = _placed(items[index], rest, text)
        return items
    known = dict(found) if isinstance(found, dict) else {}
    name = shown(key, 64)
    known[name] = _placed(known.get(name, {} if rest else []), rest, text)
    return known


def sentence(error: Mapping[str, Any]) -> str:
    """What DRF says of such a value."""
    kind, given, context = error["type"], error.get("input"), error.get("ctx") or {}
    name = type(given).__name__
    if given is None and kind != "missing":
        return "This field may not be null."
    match kind:
        case "missing":
            return REQUIRED if len(error["loc"]) > 1 else "No data provided"
        case "string_type":
            return "Not a valid string."
        case "int_type" | "int_parsing" | "int_from_float":
            return "A valid integer is required."
        case "float_type" | "float_parsing":
            return "A valid number is required."
        case "bool_type" | "bool_parsing":
            return "Must be a valid boolean."
        case "list_type":
            return f'Expected a list of items but got type "{name}".'
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"Invalid data. Expected a dictionary, but got {name}."
        case "string_too_long":
            return too_long(context["max_length"])
        case "string_too_short":
            return f"Ensure this field has at least {context['min_length']} characters."
        case "too_long":
            return f"Ensure this field has no more than {context['max_length']} elements."
        case _:
            return shown(str(error["msg"]), 200) + "."
