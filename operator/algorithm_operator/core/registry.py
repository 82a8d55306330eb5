"""How a registry is asked, without the asking: a generator of requests that is sent the answers. Pure.

The operator (anonymously, kube/registry.py) and the inspect Pod (with pull secrets, steps/inspection.py) are the two
that carry requests out. What a registry answers is hostile until checked: everything is bounded, bytes count only if
their digest fits, redirects are followed for blobs alone, and plain HTTP is spoken to registries that the
installation names. Credentials go to the registry that their Secret names, and to the token service which that
very registry names; redirects and mirrors of other names get nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

from algorithm_operator.api.text import shown
from algorithm_operator.contract.fetching import MAX_FETCH_BYTES, Endpoint, Order, Outcome
from algorithm_operator.core.reference import DIGEST, DOCKER_HUB, Reference

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
MAX_REDIRECTS = 3
MAX_LOGINS = 4
NO_CERTIFICATES = "registries.ca of the installation holds no certificates in PEM"
_MAX_TOKEN_BYTES = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"\\]{0,2048})"')


@dataclass(frozen=True, slots=True)
class Request:
    """One GET; at most `limit` bytes of its answer are of use, and a redirect is an answer like any other."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    limit: int


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `challenges`: every WWW-Authenticate header."""

    status: int
    body: bytes = b""
    location: str | None = None
    challenges: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials of a Secret for one registry."""

    secret: str
    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


class RegistryError(Exception):
    """The registry did not give what it was asked for. `why` is ours and display-safe; it never holds credentials."""

    def __init__(self, outcome: Outcome, why: str, refused: str | None = None) -> None:
        super().__init__(why)
        self.outcome = outcome
        self.why = why
        self.refused = refused
        """The Secret whose credentials it did not take."""


Exchange = Generator[Request, Response, bytes]
"""Yields requests, is sent their answers (or thrown a RegistryError where there is none), returns the bytes."""
Logins = Callable[[Endpoint], Sequence[Login]]


def silence(error: object, seconds: float, strerror: Callable[[int], str]) -> str:
    """Why there is no answer, after at most `seconds`: without a word of what was sent, nor the address that a name
    stands for, which is the cluster's and not the author's. `strerror`: the system's words for an errno."""
    # ssl.SSLCertVerificationError, without importing ssl.
    if why := getattr(error, "verify_message", None):
        return f"its certificate is not trusted ({why})"
    match error:
        case TimeoutError():
            return f"no answer within {seconds:g} s"
        case OSError(errno=int(number)) if number > 0:
            return strerror(number)
        case OSError():  # names that are not found have numbers of their own
            return error.strerror or type(error).__name__
    return type(error).__name__


def unreachable(why: str) -> RegistryError:
    """No usable answer: another try may do better."""
    return RegistryError(Outcome.UNREACHABLE, shown(why))


def endpoints(reference: Reference, insecure: frozenset[str], mirrors: Mapping[str, str]) -> list[Endpoint]:
    """Where to ask for `reference`: the installation's mirror of its registry, if there is one, then the registry."""
    found = []
    if (mirror := mirrors.get(reference.registry)) is not None:
        host, _, prefix = mirror.partition("/")
        repository = f"{prefix}/{reference.repository}" if prefix else reference.repository
        found.append(Endpoint(host=host, repository=repository, insecure=host in insecure))
    host = reference.host
    return [*found, Endpoint(host=host, repository=reference.repository, insecure=host in insecure)]


def fetch(order: Order, logins: Logins = lambda endpoint: ()) -> Exchange:
    """The exchange for an order. Raises RegistryError, of the registry itself where no mirror had it."""
    passed: list[str] = []
    for endpoint in order.endpoints[:-1]:
        try:
            return (yield from _ask(order, endpoint, logins(endpoint)))
        except RegistryError as error:
            passed.append(f"mirror {shown(endpoint.host)}: {error.why}")
    try:
        return (yield from _ask(order, order.endpoints[-1], logins(order.endpoints[-1])))
    except RegistryError as error:
        why = "; ".join([error.why, *passed])
        raise RegistryError(error.outcome, why, error.refused) from None


def _ask(order: Order, endpoint: Endpoint, logins: Sequence[Login]) -> Exchange:
    refused: RegistryError | None = None
    for login in logins[:MAX_LOGINS] or (None,):
        try:
            return (yield from _Session(endpoint, login).get(order.kind, order.version))
        except RegistryError as error:
            if error.outcome is not Outcome.UNAUTHORIZED:
                raise
            refused = error
    assert refused is not None  # noqa: S101
    raise refused


class _Session:
    """The requests to one endpoint, with one login or none."""

    def __init__(self, endpoint: Endpoint, login: Login | None) -> None:
        self._endpoint = endpoint
        self._login = login
        self._base = f"{'http' if endpoint.insecure else 'https'}://{endpoint.host}/v2/{endpoint.repository}/"
        self._authorization: str | None = None

    def get(self, kind: str, version: str) -> Exchange:
        url = f"{self._base}{kind}/{version}"
        headers = {"Accept": ", ".join((*INDEXES, *MANIFESTS))} if kind == "manifests" else {}
        response = yield from self._request(url, headers)
        if response.status == 401 and self._authorization is None:
            yield from self._log_in(response.challenges)
            response = yield from self._request(url, headers)
        for _ in range(MAX_REDIRECTS if kind == "blobs" else 0):
            if response.status not in _REDIRECTS or response.location is None:
                break
            url = self._joined(url, response.location)
            self._check_scheme(url)
            response = yield from self._request(url, headers)
        if response.status == 404:
            raise RegistryError(Outcome.NOT_FOUND, "it has no such image")
        if response.status in (401, 403):
            raise self._unauthorized()
        if response.status != 200:
            raise unreachable(f"it answers HTTP {response.status}")
        if DIGEST.fullmatch(version) and digest_of(response.body) != version:
            raise unreachable(f"it answers with other bytes than {version}")
        return response.body

    def _request(self, url: str, headers: Mapping[str, str]) -> Generator[Request, Response, Response]:
        if self._authorization is not None and url.startswith(self._base):
            headers = {**headers, "Authorization": self._authorization}
        response = yield Request(url, headers, MAX_FETCH_BYTES)
        if len(response.body) > MAX_FETCH_BYTES:
            raise too_large(MAX_FETCH_BYTES)
        return response

    def _log_in(self, challenges: Sequence[str]) -> Generator[Request, Response, None]:
        schemes = {(words := each.strip().partition(" "))[0].lower(): words[2] for each in challenges}
        if "bearer" in schemes:
            # The first of a name counts: another scheme's parameters may follow in the same header.
            yield from self._fetch_token(dict(reversed(_PARAMETER.findall(schemes["bearer"]))))
        elif "basic" in schemes and self._login is not None:
            self._authorization = self._login.basic
        else:
            raise self._unauthorized()

    def _fetch_token(self, parameters: Mapping[str, str]) -> Generator[Request, Response, None]:
        realm = parameters.get("realm")
        if realm is None:
            raise self._unauthorized()
        self._check_scheme(realm)
        query = {"scope": f"repository:{self._endpoint.repository}:pull"}
        if service := parameters.get("service"):
            query["service"] = service
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"
        headers = {"Authorization": self._login.basic} if self._login is not None else {}
        response = yield Request(url, headers, _MAX_TOKEN_BYTES)
        if response.status in (401, 403):
            raise self._unauthorized()
        token = _token(response.body) if response.status == 200 else None
        if token is None:
            raise unreachable(f"its token service answers HTTP {response.status} without a token")
        self._authorization = f"Bearer {token}"

    def _unauthorized(self) -> RegistryError:
        if self._login is None:
            return RegistryError(Outcome.UNAUTHORIZED, "it does not let anonymous readers in")
        return RegistryError(Outcome.UNAUTHORIZED, "it refuses the credentials", self._login.secret)

    @staticmethod
    def _joined(url: str, location: str) -> str:
        try:
            return urljoin(url, location)
        except ValueError:
            raise unreachable("it refers to what is no URL") from None

    def _check_scheme(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            hostname, plain = parts.hostname, "@" not in parts.netloc
        except ValueError:
            raise unreachable("it refers to what is no URL") from None
        same_insecure = (
            self._endpoint.insecure and parts.scheme == "http" and parts.netloc == self._endpoint.host
        )
        if not plain or not (same_insecure or (parts.scheme == "https" and hostname)):
            raise unreachable(f"it refers to {parts.scheme}://{hostname}, which is not https")


def too_large(limit: int) -> RegistryError:
    """An answer of more than `limit` bytes."""
    return unreachable(f"its answer is larger than {limit} bytes")


def digest_of(body: bytes) -> str:
    """As registries write it."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _token(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found.isascii() and found.isprintable() else None


def is_docker_hub(host: str) -> bool:
    """Whether a registry's name, or the host of its API, is Docker Hub's."""
    return host in (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
