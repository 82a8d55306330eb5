"""The OpenAPI document: what FastAPI knows of the views, and what is the same for all of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

DESCRIPTION = """
The client is `gcapi` from PyPI, unchanged: `gcapi.Client(base_url="https://HOST/NAMESPACE/api/v1/", token=…)`;
`kubectl algorithm token` prints that line. A namespace is a tenant; an algorithm's slug is the name of its Algorithm.

What one may not see does not exist (404). A refusal says `{"detail": "…"}`, or by field `{"field": ["…"]}`, or
`{"non_field_errors": ["…"]}`. 429, 502, 503 and 504 are worth repeating, as the client does by itself; that makes no
second job.
"""
NAMESPACE = {
    "name": "namespace",
    "in": "path",
    "required": True,
    "description": "A Kubernetes namespace: the tenant.",
    "schema": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
}
TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A Kubernetes token of the audience `algorithm-operator`, as `kubectl algorithm token` prints it.",
}
REFUSAL = {
    "description": "A refusal: `detail`, or sentences by field.",
    "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
}
TAGS = {
    "algorithms": "What can be run.",
    "jobs": "Runs of algorithms.",
    "sockets": "What algorithms take and give, formerly component interfaces.",
    "uploads": "Files on their way in.",
    "images": "Images, and the upload sessions that make them of files.",
    "archives": "Collections of inputs, to be used again and again.",
    "files": "Bytes that answers name by URLs.",
    "client": "What the client asks first, and this document.",
}
OPEN = ("/api/v1/gcapi/", "/api/v1/schema/", "/parts/{number}/")
"""Paths, by their ends, that need no token; the last has a signature in its query."""


def document(app: FastAPI) -> dict[str, Any]:
    """Of the app as it is; made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=DESCRIPTION,
            routes=app.routes,
            tags=[{"name": name, "description": what} for name, what in TAGS.items()],
        )
        for path, operations in made["paths"].items():
            for operation in operations.values():
                _complete(path, operation)
        components = made.setdefault("components", {})
        components["securitySchemes"] = {"token": TOKEN}
        for unused in ("HTTPValidationError", "ValidationError"):
            components.get("schemas", {}).pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    parameters = [each for each in operation.get("parameters", ()) if each["name"] != NAMESPACE["name"]]
    operation["parameters"] = [NAMESPACE, *parameters]
    operation["responses"].pop("422", None)  # FastAPI's own way to refuse, which is not ours
    operation["responses"]["default"] = REFUSAL
    operation["security"] = [] if path.endswith(OPEN) else [{"token": []}]
