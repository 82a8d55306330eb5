"""The way to one API server: sessions with its TLS and our token, for requests and for WebSockets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

import aiohttp
import orjson

from algorithm_operator import __version__
from algorithm_operator.kube import errors
from algorithm_operator.kube.connection import Connection

REQUEST_TIMEOUT = 15.0
_TOKEN_AGE = 60.0
_GOODBYE = 1.0
"""Seconds that the other side of a WebSocket has to say it, too."""
_REFUSAL_BYTES = 65536

WebSocket = aiohttp.ClientWebSocketResponse[bool]


class Transport:
    """Connections to one API server, opened when they are needed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._requests: aiohttp.ClientSession | None = None
        self._websockets: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._token_read = float("-inf")

    async def close(self) -> None:
        """End all connections."""
        for session in (self._requests, self._websockets):
            if session is not None:
                await session.close()
        self._requests = self._websockets = None

    def forget_token(self) -> None:
        """The token was renewed under us: read it again."""
        self._token_read = float("-inf")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """One request, of REQUEST_TIMEOUT at most."""
        if self._requests is None:
            self._requests = self._session(limit=64)
        return self._requests.request(
            method,
            self._connection.server + path,
            params=query,
            headers={**headers, **self._authorization()},
            data=body,
            allow_redirects=False,  # our token goes to the API server and nowhere else
        )

    async def websocket(self, path: str, query: Mapping[str, str], protocol: str) -> WebSocket:
        """A WebSocket of that subprotocol.

        :raises ApiError: the server answered something else.
        """
        if (
            self._websockets is None
        ):  # of their own, as they stay: they must not take the requests' connections
            self._websockets = self._session(limit=0, response_class=_Handshake)
        return await self._websockets.ws_connect(
            self._connection.server + path,
            params=query,
            protocols=(protocol,),
            headers=self._authorization(),
            timeout=aiohttp.ClientWSTimeout(ws_close=_GOODBYE),
        )

    def _authorization(self) -> dict[str, str]:
        if time.monotonic() - self._token_read > _TOKEN_AGE:
            self._token = self._connection.read_token()
            self._token_read = time.monotonic()
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}

    def _session(
        self, *, limit: int, response_class: type[aiohttp.ClientResponse] = aiohttp.ClientResponse
    ) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
            connector=aiohttp.TCPConnector(limit=limit, ssl=self._connection.ssl_context() or True),
            headers={"User-Agent": f"algorithm-operator/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=response_class,
        )


class _Handshake(aiohttp.ClientResponse):
    """The answer to a WebSocket's request. aiohttp would forget the words of a refusal, and follow a redirection."""

    async def start(self, connection: Any) -> Self:
        await super().start(connection)
        if self.status != 101:
            raise errors.from_status(self.status, decoded(await self.content.read(_REFUSAL_BYTES)))
        return self


def decoded(answer: bytes) -> object:
    """The JSON of an answer that is no success; its text if it is none."""
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer.decode("utf-8", "replace")
