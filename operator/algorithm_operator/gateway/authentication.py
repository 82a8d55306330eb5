"""Who asks, where: bearer tokens by TokenReview, the namespace in the path, the host that answers are to name."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request

from algorithm_operator.core.names import AUDIENCE
from algorithm_operator.gateway.authorization import review
from algorithm_operator.gateway.context import Caller, Gateway
from algorithm_operator.gateway.errors import not_found, unauthenticated
from algorithm_operator.gateway.identity import Authorizer, Person, Rights
from algorithm_operator.gateway.remembered import Remembered
from algorithm_operator.gateway.urls import Urls, origin
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.resources import TOKEN_REVIEWS

GOOD_SECONDS, BAD_SECONDS = 60.0, 5.0
"""How long what was said of a token holds."""
REVIEWS_AT_ONCE = 16
"""Whoever sends one wrong token after the other keeps others' requests from the API server no longer than that."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

NO_TOKEN = "Authentication credentials were not provided. Get a token by `kubectl algorithm token`."
NOT_BEARER = "The Authorization header must be `Bearer TOKEN`. Get a token by `kubectl algorithm token`."
NOT_HERE = (
    f"This token does not count here: it has ended, is of another cluster, or is not of the audience {AUDIENCE}. "
    "Get one by `kubectl algorithm token`."
)


class Authentication:
    """`authenticate` of app.py."""

    def __init__(self, gateway: Gateway, authorizer: Authorizer) -> None:
        self._gateway, self._authorizer = gateway, authorizer
        self._tokens = Tokens(gateway.cluster)

    async def __call__(self, request: Request) -> Caller:
        """Whoever sends the request; 401 for a token that does not count, 404 for a namespace that is not served."""
        person = await self._tokens.person(bearer(request.headers.get("authorization", "")))
        request.state.username = person.username  # for the access log
        namespace = str(request.path_params.get("namespace", ""))
        served = self._gateway.settings.namespaces
        if not _LABEL.fullmatch(namespace) or (served and namespace not in served):
            raise not_found()
        rights = Rights(person, namespace, self._authorizer)
        return Caller(self._gateway, rights, Urls(origin(request), namespace))


def bearer(header: str) -> str:
    """The token of an Authorization header; gcapi writes the scheme in capitals."""
    if not header:
        raise unauthenticated(NO_TOKEN)
    scheme, _, token = header.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        raise unauthenticated(NOT_BEARER)
    return token


class Tokens:
    """Whose tokens they are. Only their hashes are remembered."""

    def __init__(self, cluster: Client) -> None:
        self._cluster = cluster
        self._known: Remembered[Person | None] = Remembered()
        self._at_once = asyncio.Semaphore(REVIEWS_AT_ONCE)

    async def person(self, token: str) -> Person:
        """Whom it belongs to; 401 if to nobody here."""

        async def ask() -> tuple[Person | None, float]:
            async with self._at_once:
                spec = {"token": token, "audiences": [AUDIENCE]}
                person = person_of(await review(self._cluster, TOKEN_REVIEWS, spec))
            return person, BAD_SECONDS if person is None else min(GOOD_SECONDS, seconds_left(token))

        found = await self._known.get(hashlib.sha256(token.encode()).digest(), ask)
        if found is None:
            raise unauthenticated(NOT_HERE)
        return found


def person_of(status: Mapping[str, Any]) -> Person | None:
    """The person of a TokenReview's status. An API server that knows no audiences says none: then nobody is let in."""
    user = status.get("user")
    known = status.get("authenticated") is True and AUDIENCE in (status.get("audiences") or [])
    if not known or not isinstance(user, dict) or not user.get("username"):
        return None
    return Person(
        username=user["username"],
        uid=user.get("uid") or None,
        groups=tuple(user.get("groups") or ()),
        extra={key: tuple(values) for key, values in (user.get("extra") or {}).items()},
    )


def seconds_left(token: str) -> float:
    """Until the `exp` of a JWT that the API server has taken; without end for any other token."""
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - time.time()
    except (IndexError, KeyError, TypeError, ValueError):
        return float("inf")
