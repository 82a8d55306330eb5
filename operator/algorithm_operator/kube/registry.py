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
    silence,
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
    """What lies behind aiohttp's errors, in the words that both ways of asking have."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return silence(error.certificate_error, REQUEST_TIMEOUT, os.strerror)
        case aiohttp.ClientConnectorError():
            return silence(error.os_error, REQUEST_TIMEOUT, os.strerror)
    return silence(error, REQUEST_TIMEOUT, os.strerror)


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
