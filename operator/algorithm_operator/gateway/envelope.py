"""Around every request: a name for it, the headers that every answer has, a line in the log, and what nobody foresaw.

The log never has what a request carries: no token, query, body, or part of a path that somebody chose. Of an unforeseen
error it has the frames and kinds, but not the message, for that may quote a body.
"""

from __future__ import annotations

import logging
import time
import traceback
import uuid

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algorithm_operator.api.text import shown
from algorithm_operator.gateway.answers import answer
from algorithm_operator.gateway.bounds import PROBES

log = logging.getLogger(__name__)

HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""Where an answer says nothing else itself."""
MAX_TRACE = 4000


class Envelope:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, name = time.monotonic(), uuid.uuid4().hex
        status = received = sent = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body") or b"")
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", name.encode())]
                known = {key.lower() for key, _ in headers}
                headers += [each for each in HEADERS if each[0] not in known]
                message = {**message, "headers": headers}
            sent += len(message.get("body") or b"")
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        except ClientDisconnect:
            pass  # nobody is there to be told anything
        except Exception as error:
            log.error("request %s failed", name, extra={"request": name, "exception": trace(error)})
            if status:
                raise CutShort from None  # half an answer must not look whole: the connection ends
            await _unexpected(name)(scope, receive, counted_send)
        finally:
            # Of probes a line for those that went wrong is enough.
            if scope["path"] not in PROBES or status >= 400:
                _line(scope, name, status, received, sent, time.monotonic() - started)


class CutShort(Exception):  # noqa: N818 - says it better than "Error" would
    """Ends a connection in the middle of an answer; the error itself was logged."""


def _unexpected(name: str) -> Response:
    return answer(
        {"detail": f"An unexpected error occurred; the gateway's log has it under {name}."}, status=500
    )


def _line(scope: Scope, name: str, status: int, received: int, sent: int, seconds: float) -> None:
    """One line; status 0: the client was gone before there was an answer."""
    template = getattr(scope.get("route"), "path", "-")
    method = shown(scope["method"], 16)
    fields = {
        "request": name,
        "method": method,
        "route": template,
        "status": status,
        "milliseconds": round(1000 * seconds),
        "received": received,
        "sent": sent,
        "person": shown(scope.get("state", {}).get("username", "-"), 256),
    }
    log.info("%s %s %d", method, template, status, extra=fields)


def trace(error: BaseException) -> str:
    """Where an error and those behind it came from, without their messages; an OSError's number says enough."""
    parts: list[str] = []
    inner: BaseException | None = error
    while inner is not None and len(parts) < 8:
        number = f" {inner.strerror}" if isinstance(inner, OSError) and inner.strerror else ""
        frames = "".join(
            f"  {each.filename}:{each.lineno} {each.name}\n"
            for each in traceback.extract_tb(inner.__traceback__, limit=-20)
        )
        parts.append(f"{type(inner).__module__}.{type(inner).__qualname__}{number}\n{frames}")
        inner = inner.__cause__ or (None if inner.__suppress_context__ else inner.__context__)
    return "".join(parts)[:MAX_TRACE]
