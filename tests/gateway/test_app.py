"""The app around the resources: refusals in DRF's shape, headers, the log, what needs no token."""

import asyncio
import logging
import re
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import pytest
from fastapi import APIRouter, Query, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from starlette.responses import StreamingResponse

from algorithm_operator.gateway import health, schema
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.app import make_app
from algorithm_operator.gateway.authentication import NO_TOKEN, bearer
from algorithm_operator.gateway.bounds import Limits
from algorithm_operator.gateway.context import Caller, Calling, Gateway
from algorithm_operator.gateway.envelope import CutShort
from algorithm_operator.gateway.errors import refused
from algorithm_operator.gateway.handlers import MAX_INDEX, of_validation
from algorithm_operator.gateway.identity import Person, Rights
from algorithm_operator.gateway.requests import JobRequest
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.shapes import Job
from algorithm_operator.gateway.storage import StoreRefused, StoreUnavailable
from algorithm_operator.gateway.urls import Urls
from algorithm_operator.kube import errors as kube
from algorithm_operator.kube.client import JSON_LEVELS
from tests.gateway.fakes import Answer, FakeAuthorizer, FakeCluster, MemoryStores, asgi

SECRET = "eyJ-the-token"
BASE = "/imaging/api/v1"
router = APIRouter()


@router.get("/{namespace}/api/v1/algorithms/jobs/{pk}/", response_model=Job)
async def detail(caller: Calling, pk: str) -> Response:
    """One job."""
    return answer({"pk": pk, "username": caller.username})


@router.post("/{namespace}/api/v1/algorithms/jobs/")
async def post(caller: Calling, body: JobRequest) -> Response:
    return answer({"value": body.inputs[0].value if body.inputs else None}, 201)


@router.get("/{namespace}/api/v1/listed/")
async def listed(caller: Calling, window: Windowed) -> Response:
    return window.page([], 250)


@router.get("/{namespace}/api/v1/counted/")
async def counted(caller: Calling, count: Annotated[int, Query()]) -> Response:
    return answer({})


@router.patch("/{namespace}/api/v1/abort/")
async def abort(caller: Calling) -> Response:
    return answer({})


@router.get("/{namespace}/api/v1/raises/{what}/")
async def raises(caller: Calling, what: str) -> Response:
    raise RAISED[what]


@router.get("/{namespace}/files/{name}")
async def file(caller: Calling, name: str) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("of the volume")

    return StreamingResponse(pieces(), headers={"Cache-Control": "private", "Content-Length": "8"})


RAISED: dict[str, Exception] = {
    "refused": refused("You have too many active jobs, please try again after they have completed"),
    "store-gone": StoreUnavailable("The store Pod is not ready.", 7),
    "store-says": StoreRefused(507, "the volume is full\x1b[31m"),
    "unreachable": kube.Unreachable(0, "Unreachable", "GET /apis: refused"),
    "busy": kube.TooManyRequests(429, "TooManyRequests", "slow down"),
    "broken": kube.ApiError(503, "ServiceUnavailable", "etcd"),
    "forbidden": kube.Forbidden(403, "Forbidden", 'User "gw" cannot list resource "algorithms"'),
    "conflict": kube.Conflict(409, "Conflict", "the object has been modified"),
    "defect": ValueError("the body was: PATIENT-NAME"),
    "disk": OSError(28, "No space left on device", "PATIENT-NAME"),
}


async def person(request: Request) -> Caller:
    """Everybody with a token is alice."""
    bearer(request.headers.get("authorization", ""))
    request.state.username = "alice\n\x1b"
    namespace = request.path_params["namespace"]
    gateway = request.app.state.gateway
    return Caller(
        gateway, Rights(Person("alice"), namespace, FakeAuthorizer()), Urls("https://gw", namespace)
    )


class Readable(FakeCluster):
    """TokenReviews have no names."""

    async def create(self, resource: Any, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        self._called("create", resource)
        return {"status": {}}


class Tables:
    """A database that may be out of order."""

    error: Exception | None = None
    asked = 0

    async def run(self, work: Any) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error


class Service:
    """The app, and what it is made of."""

    def __init__(self) -> None:
        self.cluster, self.tables = Readable(), Tables()
        self.gateway = Gateway(Settings(), self.cluster, self.tables, MemoryStores())
        self.app = make_app(self.gateway, person, [router], Limits(json_bytes=200_000, small_bytes=1000))

    async def ask(
        self, method: str, path: str, body: bytes | Any = b"", token: str | None = SECRET, **headers: str
    ) -> Answer:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        sent = {"host": "gw"} | ({"content-type": "application/json"} if raw else {}) | headers
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        return await asgi(self.app, method, path, sent, raw)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def test_an_answer(service: Service) -> None:
    found = await service.ask("GET", f"{BASE}/algorithms/jobs/a/")
    assert (found.status, found.json()) == (200, {"pk": "a", "username": "alice"})
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f]{32}", found.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", f"{BASE}/nothing/", 404, "Not found."),
        ("GET", "/", 404, "Not found."),
        ("GET", f"{BASE}/algorithms/jobs/a", 404, "Not found."),
        ("POST", f"{BASE}/algorithms/jobs", 404, "Not found."),
        ("GET", f"{BASE}/docs", 404, "Not found."),
        ("GET", "/openapi.json", 404, "Not found."),
        ("DELETE", f"{BASE}/algorithms/jobs/a/", 405, 'Method "DELETE" not allowed.'),
        ("PUT", f"{BASE}/algorithms/jobs/", 405, 'Method "PUT" not allowed.'),
    ],
)
async def test_no_such_thing(service: Service, method: str, path: str, status: int, detail: str) -> None:
    found = await service.ask(method, path)
    assert (found.status, found.json()) == (status, {"detail": detail})
    assert ("allow" in found.headers) == (status == 405)


async def test_no_token(service: Service) -> None:
    found = await service.ask("GET", f"{BASE}/algorithms/jobs/a/", token=None)
    assert (found.status, found.json()) == (401, {"detail": NO_TOKEN})
    assert found.headers["www-authenticate"] == "Bearer"


DEEP = b'{"algorithm": "a", "inputs": [{"value": ' + b"[" * 9000 + b"]" * 9000 + b"}]}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", {"non_field_errors": ["No data provided"]}),
        (b"{", "JSON parse error - "),
        (b"\xff\xfe", None),
        (b'{"algorithm": NaN, "inputs": []}', "JSON parse error - "),
        (b'{"algorithm": "a", "inputs": [{"value": -Infinity}]}', "JSON parse error - "),
        (b'{"algorithm": "a", "inputs": [{"value": "\\ud800"}]}', "JSON parse error - "),
        (b'{"algorithm": "\xed\xa0\x80", "inputs": []}', "JSON parse error - "),
        ('{"algorithm": "\\ud800", "inputs": []}'.encode("utf-16"), "JSON parse error - "),
        ('{"algorithm": "\\ud800", "inputs": []}'.encode("utf-16-le"), "JSON parse error - "),
        (DEEP, "JSON parse error - "),
        (b"[" * 100_000, "There was an error parsing the body"),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        (b"1", {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]}),
        ({}, {"algorithm": ["This field is required."], "inputs": ["This field is required."]}),
        ({"algorithm": None, "inputs": "x"}, {
            "algorithm": ["This field may not be null."],
            "inputs": ['Expected a list of items but got type "str".'],
        }),
        ({"algorithm": 1, "inputs": []}, {"algorithm": ["Not a valid string."]}),
        ({"algorithm": "a", "inputs": [{}, {"interface": 1, "user_uploads": ["a", 2]}, 3]}, {
            "inputs": [
                {},
                {
                    "interface": ["Not a valid string."],
                    "user_uploads": [{}, {"non_field_errors": ["Not a valid string."]}],
                },
                {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]},
            ]
        }),
        ({"algorithm": "a", "inputs": [1] * 300}, {
            "inputs": ["Ensure this field has no more than 256 elements."]
        }),
    ],
    ids=[
        "empty", "cut off", "no UTF-8", "NaN", "Infinity", "lone surrogate", "a surrogate as bytes", "UTF-16",
        "UTF-16 without a mark", "more levels than we keep", "deep", "list", "number", "fields missing",
        "null and text", "no text", "in lists", "too many",
    ],
)  # fmt: skip
async def test_bodies_that_are_wrong(
    service: Service, request: pytest.FixtureRequest, body: Any, expected: Any
) -> None:
    request.addfinalizer(partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(JSON_LEVELS)
    found = await service.ask("POST", f"{BASE}/algorithms/jobs/", body)
    assert found.status == 400
    if isinstance(expected, dict):
        assert found.json() == expected
    else:
        assert found.json()["detail"].startswith(expected or "")


async def test_a_body_of_another_type(service: Service) -> None:
    found = await service.ask(
        "POST", f"{BASE}/algorithms/jobs/", {"algorithm": "a"}, **{"content-type": "text/plain"}
    )
    assert (found.status, list(found.json())) == (400, ["non_field_errors"])


async def test_bodies_that_are_right(service: Service) -> None:
    value = {"NaN": "Infinity", "nested": [1.5, None, "\N{GRINNING FACE}"]}
    body = {"algorithm": "a", "inputs": [{"interface": "x", "value": value}], "unknown": 1}
    found = await service.ask("POST", f"{BASE}/algorithms/jobs/", body)
    assert (found.status, found.json()) == (201, {"value": value})
    assert (await service.ask("PATCH", f"{BASE}/abort/")).status == 200


@pytest.mark.parametrize(("query", "status"), [("?count=3", 200), ("?count=x", 400), ("", 400)])
async def test_queries(service: Service, query: str, status: int) -> None:
    found = await service.ask("GET", f"{BASE}/counted/{query}")
    assert found.status == status
    if status == 400:
        assert list(found.json()) == ["count"]


async def test_pages_name_the_host_that_was_asked(service: Service) -> None:
    page = (await service.ask("GET", f"{BASE}/listed/?slug=a%26b&limit=10&offset=10", host="gw:30443")).json()
    url = f"https://gw:30443{BASE}/listed/?slug=a%26b"
    assert (page["next"], page["previous"]) == (f"{url}&limit=10&offset=20", f"{url}&limit=10&offset=0")
    assert (await service.ask("GET", f"{BASE}/listed/", host="evil/@")).json() == {
        "detail": "Invalid Host header"
    }


UNEXPECTED = re.compile(r"An unexpected error occurred; the gateway's log has it under ([0-9a-f]{32})\.")


@pytest.mark.parametrize(
    ("what", "status", "retry_after", "said"),
    [
        ("refused", 400, None, "too many active jobs"),
        ("store-gone", 503, "7", "store Pod is not ready"),
        ("store-says", 507, None, r"the volume is full\x1b[31m"),
        ("unreachable", 503, "2", "API server does not answer"),
        ("busy", 503, "2", "API server does not answer"),
        ("broken", 503, "2", "API server does not answer"),
        ("forbidden", 503, "30", "ServiceAccount lacks a right"),
        ("conflict", 500, None, "An unexpected error occurred"),
        ("defect", 500, None, "An unexpected error occurred"),
        ("disk", 500, None, "An unexpected error occurred"),
    ],
)
async def test_what_views_raise(
    service: Service, what: str, status: int, retry_after: str | None, said: str
) -> None:
    found = await service.ask("GET", f"{BASE}/raises/{what}/")
    assert (found.status, found.headers.get("retry-after")) == (status, retry_after)
    assert said in str(next(iter(found.json().values()))).replace("\\\\", "\\")


async def test_a_defect_is_found_in_the_log(service: Service, log: pytest.LogCaptureFixture) -> None:
    found = await service.ask("GET", f"{BASE}/raises/defect/")
    match = UNEXPECTED.fullmatch(found.json()["detail"])
    assert match
    assert found.headers["x-request-id"] == match[1]
    (error,) = [record for record in log.records if record.levelno == logging.ERROR]
    assert error.request == match[1]  # type: ignore[attr-defined]
    trace = str(error.exception)  # type: ignore[attr-defined]
    assert trace.startswith("builtins.ValueError\n")
    assert "test_app.py" in trace
    assert len(trace) <= 4000
    await service.ask("GET", f"{BASE}/raises/disk/")
    assert "OSError No space left on device" in str(log.records[-2].exception)  # type: ignore[attr-defined]
    assert "PATIENT-NAME" not in str([record.__dict__ for record in log.records])


async def test_half_an_answer_does_not_look_whole(service: Service, log: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CutShort):
        await service.ask("GET", "/imaging/files/x")
    assert [record.levelname for record in log.records if record.name.endswith("envelope")] == [
        "ERROR",
        "INFO",
    ]


async def test_the_access_log(service: Service, log: pytest.LogCaptureFixture) -> None:
    await service.ask("GET", f"{BASE}/algorithms/jobs/PATIENT/?token={SECRET}")
    await service.ask("GET", f"/no-such/{SECRET}/")
    await service.ask("POST", f"{BASE}/algorithms/jobs/", {"algorithm": "PATIENT", "inputs": "PATIENT"})
    await service.ask("POST", f"{BASE}/algorithms/jobs/", b"{PATIENT")
    await service.ask("GET", "/healthz")
    lines = [record for record in log.records if record.name.endswith("envelope")]
    found = [(each.method, each.route, each.status, each.person) for each in lines]  # type: ignore[attr-defined]
    assert found == [
        ("GET", "/{namespace}/api/v1/algorithms/jobs/{pk}/", 200, "alice\\x0a\\x1b"),
        ("GET", "-", 404, "-"),
        ("POST", "/{namespace}/api/v1/algorithms/jobs/", 400, "alice\\x0a\\x1b"),
        ("POST", "/{namespace}/api/v1/algorithms/jobs/", 400, "-"),
    ]
    assert lines[2].received > 20  # type: ignore[attr-defined]
    assert lines[0].sent > 20  # type: ignore[attr-defined]
    everything = str([record.__dict__ for record in log.records])
    assert SECRET not in everything
    assert "PATIENT" not in everything


async def test_the_versions_of_the_client(service: Service) -> None:
    found = await service.ask("GET", f"{BASE}/gcapi/", token=None)
    assert found.json() == {"latest_version": "0.16.1", "lowest_supported_version": "0.13.0"}


async def test_the_document(service: Service) -> None:
    found = (await service.ask("GET", f"{BASE}/schema/", token=None)).json()
    assert found["openapi"].startswith("3.")
    detail = found["paths"]["/{namespace}/api/v1/algorithms/jobs/{pk}/"]["get"]
    assert [each["name"] for each in detail["parameters"]] == ["namespace", "pk"]
    assert detail["security"] == [{"token": []}]
    assert found["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert found["paths"]["/{namespace}/api/v1/gcapi/"]["get"]["security"] == []
    assert "422" not in orjson.dumps(found).decode()
    assert "/healthz" not in found["paths"]
    for path, operations in found["paths"].items():
        for operation in operations.values():
            named = set(re.findall(r"\{(\w+)\}", path))
            assert named <= {each["name"] for each in operation["parameters"]}, path
    references = set(re.findall(r"#/components/schemas/(\w+)", orjson.dumps(found).decode()))
    assert references <= set(found["components"]["schemas"])


async def test_the_document_says_what_every_route_is_for() -> None:
    app = make_app(Gateway(Settings(), Readable(), Tables(), MemoryStores()), person)
    document = schema.document(app)
    described = {each["name"] for each in document["tags"]}
    operations = [each for operations in document["paths"].values() for each in operations.values()]
    for each in operations:
        assert len(each["tags"]) == 1, each
        assert each["description"], each
    assert {each["tags"][0] for each in operations} == described
    for unique in ("summary", "operationId"):
        assert len({each[unique] for each in operations}) == len(operations)


async def test_probes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await service.ask("GET", "/healthz", token=None)).json() == {"status": "ok"}
    answers = await asyncio.gather(*(service.ask("GET", "/readyz", token=None) for _ in range(20)))
    assert {(each.status, each.body) for each in answers} == {(200, b'{"status":"ok"}')}
    assert service.cluster.calls == [("create", "tokenreviews", "")]
    assert service.tables.asked == 1


@pytest.mark.parametrize("what", ["database", "API server", "hanging"])
async def test_not_ready(
    service: Service, what: str, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "WAIT_SECONDS", 0.05)
    if what == "database":
        service.tables.error = OperationalError("SELECT", {"name": "PATIENT"}, Exception())
    elif what == "API server":
        service.cluster.before = lambda *_: (_ for _ in ()).throw(
            kube.Unreachable(0, "Unreachable", "refused")
        )
    else:
        monkeypatch.setattr(service.tables, "run", lambda work: asyncio.sleep(1))
    found = await service.ask("GET", "/readyz", token=None)
    expected = "the API server does not answer" if what == "API server" else "the database does not answer"
    assert (found.status, found.json()) == (503, {"status": expected})
    assert (await service.ask("GET", "/healthz", token=None)).status == 200
    assert "PATIENT" not in str([record.__dict__ for record in log.records])


def test_settings_fill_the_limits(tmp_path: Path) -> None:
    cluster = FakeCluster()
    app = make_app(Gateway(Settings(json_bytes=7, requests=3), cluster, Tables(), MemoryStores()), person, [])
    (bounds,) = [each for each in app.user_middleware if "limits" in each.kwargs]
    limits: Any = bounds.kwargs["limits"]
    assert (limits.json_bytes, limits.requests) == (7, 3)


KEYS = st.lists(st.one_of(st.text(max_size=100), st.integers(0, 5000)), max_size=6)
ERRORS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["missing", "string_type", "list_type", "value_error", "model_type"]),
        "loc": KEYS.map(lambda keys: ("body", *keys)),
        "msg": st.text(),
        "input": st.one_of(st.none(), st.integers(), st.lists(st.integers())),
    }
)


@given(st.lists(ERRORS, min_size=1, max_size=40))
def test_whatever_pydantic_finds_is_told(errors: list[dict[str, Any]]) -> None:
    body = of_validation(errors).body
    assert body
    assert len(orjson.dumps(body)) < 32 * (6 * MAX_INDEX * 3 + 4000)
