"""`steps inspect`: one fetch from a registry with the pull secrets that are mounted here; its bytes go to the log.

This container has network and credentials, so it looks into nothing that the registry serves but what logging in
needs: a challenge, and a token. The operator, who has no credentials, reads the bytes from the log and parses them.
"""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import FrameType
from typing import Any

from pydantic import ValidationError

from algorithm_operator import __version__
from algorithm_operator.contract import frames
from algorithm_operator.contract.fetching import (
    FETCH_OK,
    FETCH_REFUSED,
    ORDER_VARIABLE,
    FetchReport,
    Order,
    Outcome,
)
from algorithm_operator.core import names
from algorithm_operator.core.registry import (
    NO_CERTIFICATES,
    Exchange,
    Logins,
    RegistryError,
    Request,
    Response,
    fetch,
    silence,
    unreachable,
)
from algorithm_operator.steps import dockerconfig
from algorithm_operator.steps.roots import Roots

REQUEST_SECONDS = 15.0
ALL_SECONDS = 45
"""For all requests: a registry that answers byte by byte holds nobody up."""


def run(roots: Roots, environment: Mapping[str, str]) -> int:
    """Fetch, print and report; the exit code."""
    try:
        order = Order.model_validate_json(environment.get(ORDER_VARIABLE, ""))
    except ValidationError:
        print(f"{ORDER_VARIABLE} is not an order", file=sys.stderr)
        return 2
    mounts = {
        name: os.path.join(roots.at(names.SECRETS_MOUNT), str(i)) for i, name in enumerate(order.secrets)
    }
    keyring = dockerconfig.read(mounts)
    report = FetchReport(outcome=Outcome.FETCHED, missing=keyring.missing, unusable=keyring.unusable)
    try:
        body = _within(ALL_SECONDS, order, keyring.logins)
    except RegistryError as error:
        report = report.model_copy(
            update={"outcome": error.outcome, "why": error.why, "refused": error.refused}
        )
    else:
        for line in frames.encode(body):
            print(line)
        sys.stdout.flush()
    with open(roots.termination_log, "w", encoding="utf-8") as file:
        file.write(report.model_dump_json(by_alias=True, exclude_none=True))
    return FETCH_OK if report.outcome is Outcome.FETCHED else FETCH_REFUSED


class _Late(Exception):  # noqa: N818 - of no mirror's making, so no RegistryError
    """The time for all requests is over."""


def _within(seconds: int, order: Order, logins: Logins) -> bytes:
    def late(number: int, frame: FrameType | None) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        return _drive(fetch(order, logins), _opener(order.ca))
    except _Late:
        raise unreachable(f"no answer within {seconds} s") from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _drive(exchange: Exchange, opener: urllib.request.OpenerDirector) -> bytes:
    try:
        request = next(exchange)
        while True:
            try:
                response = _send(request, opener)
            except RegistryError as error:
                request = exchange.throw(error)
            else:
                request = exchange.send(response)
    except StopIteration as end:
        body: bytes = end.value
        return body


def _send(request: Request, opener: urllib.request.OpenerDirector) -> Response:
    headers = {**request.headers, "User-Agent": f"algorithm-operator/{__version__}"}
    try:
        try:
            answer = opener.open(
                urllib.request.Request(request.url, headers=headers),  # noqa: S310 - the scheme was checked
                timeout=REQUEST_SECONDS,
            )
        except urllib.error.HTTPError as refusal:
            answer = refusal  # an answer like any other
        with answer:
            body = answer.read(request.limit + 1)
            return Response(
                answer.status,
                body,
                answer.headers.get("Location"),
                answer.headers.get_all("WWW-Authenticate") or [],
            )
    except urllib.error.URLError as error:
        raise unreachable(silence(error.reason, REQUEST_SECONDS, os.strerror)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(silence(error, REQUEST_SECONDS, os.strerror)) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Where a redirect leads is for core/registry.py to judge."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(ca: str | None) -> urllib.request.OpenerDirector:
    trust = ssl.create_default_context()
    try:
        if ca is not None:
            trust.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise unreachable(NO_CERTIFICATES) from None
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=trust))
