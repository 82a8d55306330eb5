"""Who asks, and what they may do: against an API server on loopback."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from fastapi import Request

from algorithm_operator.gateway import authentication, authorization
from algorithm_operator.gateway.authentication import Authentication, bearer, seconds_left
from algorithm_operator.gateway.authorization import Reviews
from algorithm_operator.gateway.context import Gateway
from algorithm_operator.gateway.errors import ApiError
from algorithm_operator.gateway.identity import Person, Resource, Verb
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.urls import origin
from tests.gateway.reviews import ACCESS, TOKENS, Reviewer, known, reviewer


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl"


@pytest.fixture
async def cluster() -> AsyncIterator[Reviewer]:
    async with reviewer() as server:
        server.people["good"] = known()
        yield server


@pytest.fixture
def authenticate(cluster: Reviewer) -> Authentication:
    gateway = Gateway(Settings(), cluster.client, None, None)  # type: ignore[arg-type]
    return Authentication(gateway, Reviews(cluster.client))


def request(
    header: str | None = "Bearer good", namespace: str = "imaging", host: str = "gw.example.org"
) -> Request:
    headers = [(b"host", host.encode())]
    if header is not None:
        headers.append((b"authorization", header.encode()))
    return Request({"type": "http", "headers": headers, "path_params": {"namespace": namespace}})


async def refusal(authenticate: Authentication, asked: Request) -> ApiError:
    with pytest.raises(ApiError) as error:
        await authenticate(asked)
    return error.value


@pytest.mark.parametrize("header", ["Bearer good", "BEARER good", "bearer  good", "BeArEr good "])
async def test_a_person(authenticate: Authentication, cluster: Reviewer, header: str) -> None:
    user = {"username": "alice", "uid": "u", "groups": ["g"], "extra": {"k": ["v", "w"]}}
    cluster.people["good"] = known(user=user)
    asked = request(header)
    caller = await authenticate(asked)
    assert caller.rights.person == Person("alice", "u", ("g",), {"k": ("v", "w")})
    assert (caller.namespace, caller.urls.base) == ("imaging", "https://gw.example.org/imaging/api/v1/")
    assert cluster.asked == [(TOKENS, {"token": "good", "audiences": ["algorithm-operator"]})]
    assert asked.state.username == "alice"


@pytest.mark.parametrize(
    ("header", "why", "asked"),
    [
        (None, "were not provided", 0),
        ("", "were not provided", 0),
        ("good", "must be `Bearer TOKEN`", 0),
        ("Token good", "must be `Bearer TOKEN`", 0),
        ("Basic Z29vZA==", "must be `Bearer TOKEN`", 0),
        ("Bearer", "must be `Bearer TOKEN`", 0),
        ("Bearer good bad", "must be `Bearer TOKEN`", 0),
        ("Bearer good\x00", "must be `Bearer TOKEN`", 0),
        ("Bearer ünicode", "must be `Bearer TOKEN`", 0),
        ("Bearer bad", "does not count here", 1),
    ],
)
async def test_no_person(
    authenticate: Authentication, cluster: Reviewer, header: str | None, why: str, asked: int
) -> None:
    error = await refusal(authenticate, request(header))
    assert error.status == 401
    assert error.headers == {"WWW-Authenticate": "Bearer"}
    assert why in error.body["detail"]
    assert "kubectl algorithm token" in error.body["detail"]
    assert len(cluster.asked) == asked


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False},
        {"authenticated": True, "user": {"username": "alice"}},
        known(audiences=["https://kubernetes.default.svc"]),
        known(audiences=None),
        known(authenticated="true"),
        known(user=None),
        known(user={"username": ""}),
    ],
    ids=["nothing", "no", "no audiences", "others", "null", "not a bool", "nobody", "no name"],
)
async def test_only_a_clear_yes_counts(
    authenticate: Authentication, cluster: Reviewer, status: dict[str, Any]
) -> None:
    cluster.people["good"] = status
    assert (await refusal(authenticate, request())).status == 401


@pytest.mark.parametrize("namespace", ["", "Imaging", "a.b", "-a", "a-", "a" * 64, "a\n", "ä", "..", "%2e"])
async def test_no_such_namespace(authenticate: Authentication, namespace: str) -> None:
    error = await refusal(authenticate, request(namespace=namespace))
    assert (error.status, error.body) == (404, {"detail": "Not found."})


async def test_only_the_served_namespaces(cluster: Reviewer) -> None:
    settings = replace(Settings(), namespaces=("imaging", "other"))
    served = Authentication(Gateway(settings, cluster.client, None, None), Reviews(cluster.client))  # type: ignore[arg-type]
    assert (await served(request())).namespace == "imaging"
    assert (await refusal(served, request(namespace="third"))).status == 404


@pytest.mark.parametrize(
    "host",
    [
        "gw",
        "gw.example.org",
        "GW.example.org:8443",
        "10.0.0.7:30443",
        "[fd00::1]",
        "[::ffff:10.0.0.1]:443",
        "a" * 255,
    ],
)
def test_hosts(host: str) -> None:
    assert origin(request(host=host)) == f"https://{host}"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a" * 256,
        "a/b",
        "a@b",
        "a:b",
        "a:",
        "a:123456",
        "a b",
        "a\tb",
        'a"',
        "a?b",
        "a#b",
        "[a",
        "user:p@a",
        "a,b",
        "ä",
    ],
)
def test_no_hosts(host: str) -> None:
    with pytest.raises(ApiError) as error:
        origin(request(host=host))
    assert (error.value.status, error.value.body) == (400, {"detail": "Invalid Host header"})


async def test_a_token_is_asked_about_once_a_minute(
    authenticate: Authentication, cluster: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(authenticate(request()) for _ in range(20)))
    assert cluster.count(TOKENS) == 1
    now = time.monotonic()
    monkeypatch.setattr(authenticate._tokens._known, "_clock", lambda: now + 59)
    await authenticate(request(namespace="other"))
    assert cluster.count(TOKENS) == 1
    monkeypatch.setattr(authenticate._tokens._known, "_clock", lambda: now + 61)
    await authenticate(request())
    assert cluster.count(TOKENS) == 2


async def test_a_wrong_token_is_asked_about_again_soon(
    authenticate: Authentication, cluster: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await refusal(authenticate, request("Bearer late"))
    assert cluster.count(TOKENS) == 1
    cluster.people["late"] = known()
    now = time.monotonic()
    monkeypatch.setattr(authenticate._tokens._known, "_clock", lambda: now + 6)
    await authenticate(request("Bearer late"))


async def test_no_token_outlives_its_own_end(
    authenticate: Authentication, cluster: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt(exp=time.time() + 10)
    cluster.people[token] = known()
    await authenticate(request(f"Bearer {token}"))
    cluster.people.clear()
    await authenticate(request(f"Bearer {token}"))
    now = time.monotonic()
    monkeypatch.setattr(authenticate._tokens._known, "_clock", lambda: now + 11)
    assert (await refusal(authenticate, request(f"Bearer {token}"))).status == 401


@pytest.mark.parametrize(
    ("token", "low", "high"),
    [
        (jwt(exp=time.time() + 1000), 900, 1000),
        (jwt(exp=1), float("-inf"), 0),
        ("opaque", float("inf"), float("inf")),
        ("a.b.c", float("inf"), float("inf")),
        ("a.W10.c", float("inf"), float("inf")),
        (jwt(exp="soon"), float("inf"), float("inf")),
        (jwt(exp=None), float("inf"), float("inf")),
        (jwt(exp=[]), float("inf"), float("inf")),
        (jwt(), float("inf"), float("inf")),
    ],
    ids=["later", "long ago", "opaque", "no base64", "no object", "no number", "null", "list", "without"],
)
def test_seconds_left(token: str, low: float, high: float) -> None:
    assert low <= seconds_left(token) <= high


@pytest.mark.parametrize(
    ("broken", "retry_after", "why"),
    [
        (500, "2", "API server does not answer"),
        (429, "2", "API server does not answer"),
        (403, "30", "the gateway cannot create reviews"),
    ],
)
async def test_an_api_server_that_fails_is_not_a_wrong_token(
    authenticate: Authentication,
    cluster: Reviewer,
    broken: int,
    retry_after: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("algorithm_operator.kube.client._BACKOFF_FIRST", 0.001)
    cluster.broken = broken
    error = await refusal(authenticate, request())
    assert (error.status, error.headers["Retry-After"]) == (503, retry_after)
    assert why in error.body["detail"]
    cluster.broken = 0
    assert (await authenticate(request())).username == "alice"


async def test_an_api_server_that_hangs(
    authenticate: Authentication, cluster: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorization, "REVIEW_SECONDS", 0.05)
    cluster.slow = 0.5
    assert (await refusal(authenticate, request())).status == 503


async def test_wrong_tokens_leave_room_for_other_requests(
    authenticate: Authentication, cluster: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.goes_on.clear()
    guesses = [asyncio.create_task(refusal(authenticate, request(f"Bearer x{n}"))) for n in range(60)]
    async with asyncio.timeout(10):
        for _ in range(authentication.REVIEWS_AT_ONCE):
            await cluster.arrivals.acquire()
    await asyncio.sleep(0.1)
    assert cluster.count(TOKENS) == authentication.REVIEWS_AT_ONCE
    cluster.goes_on.set()
    assert {error.status for error in await asyncio.gather(*guesses)} == {401}


ALICE = Person("alice", "u", ("g",), {"k": ("v",)})


async def test_rights(cluster: Reviewer) -> None:
    reviews = Reviews(cluster.client)
    cluster.allowed = {("alice", "create", None), ("alice", "get", "brain")}
    assert await reviews.may(ALICE, "imaging", Verb.CREATE, Resource.JOBS)
    assert await reviews.may(ALICE, "imaging", Verb.GET, Resource.ALGORITHMS, "brain")
    assert not await reviews.may(ALICE, "imaging", Verb.GET, Resource.ALGORITHMS, "lungs")
    assert not await reviews.may(Person("bob"), "imaging", Verb.CREATE, Resource.JOBS)
    attributes = {
        "namespace": "imaging",
        "verb": "create",
        "group": "algorithm-operator.dev",
        "resource": "algorithmjobs",
    }
    assert cluster.asked[0] == (
        ACCESS,
        {
            "user": "alice",
            "uid": "u",
            "groups": ["g"],
            "extra": {"k": ["v"]},
            "resourceAttributes": attributes,
        },
    )
    assert "uid" not in cluster.asked[3][1]


async def test_rights_are_asked_for_once_in_ten_seconds(
    cluster: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviews = Reviews(cluster.client)

    async def ask(name: str = "a", person: Person = ALICE) -> bool:
        return await reviews.may(person, "imaging", Verb.GET, Resource.JOBS, name)

    assert not any(await asyncio.gather(*(ask() for _ in range(10))))
    assert cluster.count(ACCESS) == 1
    for name, person in (("b", ALICE), ("a", replace(ALICE, groups=("h",))), ("a", replace(ALICE, extra={}))):
        await ask(name, person)
    assert cluster.count(ACCESS) == 4
    cluster.allowed = {("alice", "get", "a")}
    now = time.monotonic()
    monkeypatch.setattr(reviews._answers, "_clock", lambda: now + 11)
    assert await ask()


def test_what_a_token_may_look_like() -> None:
    assert bearer(f"Bearer {jwt(exp=1)}").startswith("ey")
    assert bearer("Bearer abc+/~_-.==") == "abc+/~_-.=="
