"""The client against a small API server: what is sent, what is retried, and which error it becomes."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from algorithm_operator.kube import client as client_module
from algorithm_operator.kube import errors
from algorithm_operator.kube.client import JSON_LEVELS, Client, decode
from algorithm_operator.kube.resources import LEASES, NODES, PODS, Resource, segment
from tests.unit.kube.fake_api import FakeApi, answers, fake_api, hangs_up

POD = {"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_FIRST", 0.001)


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with fake_api() as server:
        yield server


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(api.connection()) as made:
        yield made


@pytest.mark.parametrize(
    ("resource", "address", "path"),
    [
        (PODS, ("ns", "a", "log"), "/api/v1/namespaces/ns/pods/a/log"),
        (PODS, (None, None, None), "/api/v1/pods"),
        (NODES, ("ignored", "n", None), "/api/v1/nodes/n"),
        (LEASES, ("ns", None, None), "/apis/coordination.k8s.io/v1/namespaces/ns/leases"),
    ],
)
def test_paths(resource: Resource, address: tuple[Any, Any, Any], path: str) -> None:
    assert resource.path(*address) == path


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a%2fb", "a?b", "a b", "ä", "a\n"])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes object name"):
        segment(name)


async def test_create_get_delete(api: FakeApi, client: Client) -> None:
    created = await client.create(PODS, "ns", POD)
    assert created["kind"] == "Pod"
    assert await client.get(PODS, "ns", "a") == created
    with pytest.raises(errors.AlreadyExists):
        await client.create(PODS, "ns", POD)
    with pytest.raises(errors.Conflict):
        await client.delete(PODS, "ns", "a", uid="another")
    assert await client.delete(PODS, "ns", "a", uid=created["metadata"]["uid"], grace_seconds=0) is True
    assert orjson.loads(api.requests[-1][3])["gracePeriodSeconds"] == 0
    assert await client.delete(PODS, "ns", "a") is False
    assert await client.get(PODS, "ns", "a") is None


async def test_lists_are_paged_and_selected(api: FakeApi, client: Client) -> None:
    for number in range(5):
        labels = {"odd": str(number % 2)}
        await client.create(PODS, "ns", {"metadata": {"name": f"p{number}", "labels": labels}, "spec": {}})
    items, version = await client.list(PODS, "ns", limit=2)
    assert [item["metadata"]["name"] for item in items] == ["p0", "p1", "p2", "p3", "p4"]
    assert version == "99"
    assert api.calls("GET") == 3
    items, _ = await client.list(PODS, "ns", label_selector="odd=1", metadata_only=True)
    assert [set(item) for item in items] == [{"kind", "metadata"}] * 2


async def test_a_list_whose_token_expired_starts_again(api: FakeApi, client: Client) -> None:
    for number in range(3):
        await client.create(PODS, "ns", {"metadata": {"name": f"p{number}"}, "spec": {}})
    api.faults = [None, answers(410, "Expired", "continue token too old")]
    items, _ = await client.list(PODS, "ns", limit=2)
    assert len(items) == 3
    api.faults = [answers(410, "Expired"), answers(410, "Expired")]
    with pytest.raises(errors.Gone):
        await client.list(PODS, "ns")


@pytest.mark.parametrize(
    ("most", "asked"),
    [
        pytest.param(100_000, [8, 8], id="all fit"),
        pytest.param(10_000, [8, 4, 4, 4, 4], id="four fit"),
        pytest.param(10, [8, 4, 2, *[1] * 16], id="one at a time, whatever it has"),
    ],
)
async def test_pages_that_are_too_large_become_smaller(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch, most: int, asked: list[int]
) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGE_BYTES", most)
    names = [f"p{number:02}" for number in range(16)]
    for name in names:
        await client.create(PODS, "ns", {"metadata": {"name": name}, "spec": {"x": "x" * 2000}})
    items, _ = await client.list(PODS, "ns", limit=8)
    assert [item["metadata"]["name"] for item in items] == names
    assert [int(request[2]["limit"]) for request in api.requests if request[0] == "GET"] == asked


async def test_what_is_kept_of_a_list(api: FakeApi, client: Client) -> None:
    for number in range(3):
        await client.create(PODS, "ns", {"metadata": {"name": f"p{number}"}, "spec": {}})

    def odd(body: dict[str, Any]) -> int | None:
        number = int(body["metadata"]["name"][1:])
        return number if number % 2 else None

    api.faults = [answers(410, "Expired", "continue token too old")]
    assert await client.collect(PODS, "ns", odd) == [1]


async def test_apply_is_server_side_apply(api: FakeApi, client: Client) -> None:
    await client.create(PODS, "ns", POD)
    await client.apply(PODS, "ns", "a", {"status": {"x": 1}}, field_manager="me")
    method, path, query, body = api.requests[-1]
    assert (method, path) == ("PATCH", "/api/v1/namespaces/ns/pods/a")
    assert query == {"fieldManager": "me", "force": "true"}
    assert api.headers[-1]["Content-Type"] == "application/apply-patch+yaml"
    assert orjson.loads(body) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "status": {"x": 1},
    }


@pytest.mark.parametrize("text", ["\x7f", "\x85", "\x9b31m", "a\u2028b", "\ufeff", "\uffff", 'é😀 \n\t"\\'])
async def test_an_apply_is_yaml_whatever_its_values_hold(api: FakeApi, client: Client, text: str) -> None:
    await client.create(PODS, "ns", POD)
    await client.apply(PODS, "ns", "a", {"status": {"x": text, text: 1}}, field_manager="me")
    sent = api.requests[-1][3]
    assert orjson.loads(sent)["status"] == {"x": text, text: 1}
    if "😀" not in text:
        assert yaml.safe_load(sent)["status"] == {"x": text, text: 1}
    else:  # outside the basic plane nothing is escaped: YAML takes no surrogates
        assert "😀" in sent.decode()


async def test_a_patch_of_another_uid_is_a_conflict(client: Client) -> None:
    await client.create(PODS, "ns", POD)
    with pytest.raises(errors.Conflict):
        await client.patch(PODS, "ns", "a", {"metadata": {"uid": "another"}})


async def test_bodies_of_the_caller_are_left_alone(client: Client) -> None:
    body: dict[str, Any] = {"metadata": {"labels": {}}}
    await client.create(PODS, "ns", POD)
    await client.apply(PODS, "ns", "a", body, field_manager="me")
    assert body == {"metadata": {"labels": {}}}


async def test_faults_pass(api: FakeApi, client: Client) -> None:
    await client.create(PODS, "ns", POD)
    api.faults = [hangs_up, answers(503), answers(429, "TooManyRequests", headers={"Retry-After": "0"})]
    assert await client.get(PODS, "ns", "a") is not None
    assert api.calls("GET") == 4


async def test_a_create_that_got_through_unheard_shows_as_already_exists(
    api: FakeApi, client: Client
) -> None:
    async def stores_and_hangs_up(request: Any) -> None:
        api._create(request, orjson.loads(await request.read()))
        await hangs_up(request)

    api.faults = [stores_and_hangs_up]
    with pytest.raises(errors.AlreadyExists):
        await client.create(PODS, "ns", POD)


async def test_a_json_patch_is_not_repeated(api: FakeApi, client: Client) -> None:
    api.faults = [answers(500, "InternalError")]
    with pytest.raises(errors.ApiError) as caught:
        await client.patch(PODS, "ns", "a", [{"op": "remove", "path": "/x"}], content_type="json")
    assert caught.value.status == 500
    assert len(api.requests) == 1


async def test_giving_up(api: FakeApi, client: Client) -> None:
    api.faults = [answers(503)] * client_module.MAX_TRIES
    with pytest.raises(errors.ApiError):
        await client.get(PODS, "ns", "a")
    assert len(api.requests) == client_module.MAX_TRIES
    api.faults = [answers(429, headers={"Retry-After": "0"})] * client_module.MAX_TRIES
    with pytest.raises(errors.TooManyRequests):
        await client.get(PODS, "ns", "a")


async def test_no_server_is_unreachable() -> None:
    async with fake_api() as api:
        connection = api.connection()
    async with Client(connection) as client:
        with pytest.raises(errors.Unreachable) as caught:
            await client.get(PODS, "ns", "a")
    assert caught.value.status == 0


async def test_refusals_keep_the_servers_words(api: FakeApi, client: Client) -> None:
    quota = 'pods "a" is forbidden: exceeded quota: gpu, requested: requests.nvidia.com/gpu=1'
    security = 'pods "a" is forbidden: violates PodSecurity "restricted:latest"'
    api.faults = [answers(403, "Forbidden", quota), answers(403, "Forbidden", security)]
    with pytest.raises(errors.Forbidden) as first:
        await client.create(PODS, "ns", POD)
    with pytest.raises(errors.Forbidden) as second:
        await client.create(PODS, "ns", POD)
    assert (first.value.message, first.value.is_quota) == (quota, True)
    assert (second.value.message, second.value.is_quota) == (security, False)
    assert len(api.requests) == 2


async def test_redirects_are_not_followed(api: FakeApi, client: Client) -> None:
    api.faults = [answers(302, headers={"Location": f"{api.url}/api/v1/namespaces/ns/pods/other"})]
    with pytest.raises(errors.ApiError):
        await client.get(PODS, "ns", "a")
    assert len(api.requests) == 1


async def test_a_renewed_token_is_read_again(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    api.tokens = {"old"}
    async with Client(api.connection(token_file=file)) as client:
        await client.list(PODS)
        file.write_text("new")
        api.tokens = {"new"}
        await client.list(PODS)
        api.tokens = set()
        before = len(api.requests)
        with pytest.raises(errors.ApiError) as caught:
            await client.list(PODS)
    assert caught.value.status == 401
    assert len(api.requests) == before + 2


async def test_logs_are_bounded_and_may_be_gone(api: FakeApi, client: Client) -> None:
    async def floods(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000)

    api.faults = [floods]
    assert await client.pod_log("ns", "a", "c", limit_bytes=10, tail_lines=3) == b"x" * 10
    assert api.requests[-1][2] == {"container": "c", "limitBytes": "10", "tailLines": "3"}
    api.faults = [answers(400, "BadRequest", "container is waiting to start"), answers(404, "NotFound")]
    assert await client.pod_log("ns", "a", "c", limit_bytes=10) is None
    assert await client.pod_log("ns", "a", "c", limit_bytes=10) is None


async def test_every_answer_is_counted(api: FakeApi) -> None:
    counted: list[tuple[str, int]] = []
    api.faults = [hangs_up, hangs_up, answers(503)]  # aiohttp itself repeats a GET once
    async with Client(api.connection(), lambda verb, code, seconds: counted.append((verb, code))) as client:
        await client.get(PODS, "ns", "a")
    assert counted == [("get", 0), ("get", 503), ("get", 404)]


@pytest.mark.parametrize("levels", [1, 1024, 9990])
def test_deep_json_is_decoded(levels: int) -> None:
    """The API server stores up to 10,000 levels; the process raises Python's limit before it reads any."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(JSON_LEVELS)
    try:
        found, seen = decode(b"[" * levels + b"]" * levels), 1
        while found:
            found, seen = found[0], seen + 1
    finally:
        sys.setrecursionlimit(before)
    assert seen == levels


def test_json_beyond_every_limit_is_an_error_and_no_crash() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        decode(b"[" * 100_000 + b"]" * 100_000)
