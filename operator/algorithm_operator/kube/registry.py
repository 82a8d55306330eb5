"""Asking a registry from the operator itself: anonymously, as core/registry.py says, over aiohttp."""

from __future__ import annotations

import asyncio
import os
import ssl

import aiohttp

from algorithm_operator import __version__
from algorithm_operator.contract.fetching import Order
from algorithm_operator.core.registry import (
    NO_CERTIFICATES,
    Exchange,
    RegistryError,
    Request,
    Response,
    fetch,
    too_large,
    unreachable,
)

REQUEST_TIMEOUT = 15.0
FETCH_TIMEOUT = 45.0


async def fetch_anonymously(order: Order) -> bytes:
    """The bytes that `order` asks for; RegistryError if the registry does not give them to everybody."""
    trust: ssl.SSLContext | bool = True
    if order.ca is not None:
        trust = ssl.create_default_context()
        try:
            trust.load_verify_locations(cadata=order.ca)
        except (ssl.SSLError, ValueError) as error:
            raise unreachable(NO_CERTIFICATES) from error
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
        headers={"User-Agent": f"algorithm-operator/{__version__}", "Accept-Encoding": "identity"},
        connector=aiohttp.TCPConnector(ssl=trust),
        trust_env=True,  # clusters behind a proxy
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
    try:
        async with asyncio.timeout(FETCH_TIMEOUT), session:
            return await _drive(fetch(order), session)
    except TimeoutError as error:
        raise unreachable(f"no answer within {FETCH_TIMEOUT:g} s") from error


async def _drive(exchange: Exchange, session: aiohttp.ClientSession) -> bytes:
    try:
        request = next(exchange)
        while True:
            try:
                response = await _send(request, session)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                request = exchange.throw(unreachable(_why(error)))
            except RegistryError as error:
                request = exchange.throw(error)
            else:
                request = exchange.send(response)
    except StopIteration as end:
        body: bytes = end.value
        return body


def _why(error: Exception) -> str:
    """Why there is no answer, without the address that a name stands for: it is the cluster's and not the author's."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case TimeoutError():
            return f"no answer within {REQUEST_TIMEOUT:g} s"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({cause.verify_message})"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case OSError():  # names that are not found have numbers of their own
            return cause.strerror or type(cause).__name__
    return type(cause).__name__


async def _send(request: Request, session: aiohttp.ClientSession) -> Response:
    async with session.get(request.url, headers=request.headers, allow_redirects=False) as response:
        body = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            if len(body) > request.limit:
                raise too_large(request.limit)
        return Response(
            response.status,
            bytes(body),
            response.headers.get("Location"),
            response.headers.getall("WWW-Authenticate", []),
        )
