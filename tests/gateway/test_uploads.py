"""Uploads: begun, seen by their owner alone, completed once, aborted, used once, and swept when nothing uses them."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.gateway import uploads, uploaduse
from algorithm_operator.gateway.database.models import Upload, UploadPart
from algorithm_operator.gateway.errors import ApiError
from algorithm_operator.gateway.requests import NamedPart
from algorithm_operator.gateway.settings import Settings
from algorithm_operator.gateway.storage import StoreRefused, StoreUnavailable
from algorithm_operator.gateway.uploadrows import chosen
from tests.gateway import fakes
from tests.gateway.fakes import Service
from tests.gateway.running import Clock
from tests.gateway.sending import Part, Sending, begin, upload

DAY = timedelta(seconds=86400)


@pytest.fixture
def routers() -> list[APIRouter]:
    return [uploads.router]


async def row(service: Service, pk: str) -> Upload:
    return await service.database.run(lambda session: session.get_one(Upload, pk))


# --- begin


async def test_begin(service: Service) -> None:
    answer = await service.post("uploads/", {"filename": "a.mha"})
    assert answer.status == 201
    body = answer.json()
    assert len(body["s3_upload_id"]) == 64
    assert datetime.fromisoformat(body["created"]).tzinfo == UTC
    assert body == {
        "pk": body["pk"],
        "created": body["created"],
        "filename": "a.mha",
        "key": f"gateway/uploads/{body['pk']}/a.mha",
        "s3_upload_id": body["s3_upload_id"],
        "status": "Initialized",
        "api_url": f"https://gateway.test/imaging/api/v1/uploads/{body['pk']}/",
    }
    assert (await service.get(body["api_url"])).json() == body


@pytest.mark.parametrize(
    ("filename", "why"),
    [
        ("a/b.mha", "a/b.mha is not a valid filename"),
        ("/etc/passwd", "/etc/passwd is not a valid filename"),
        ("a/", "a/ is not a valid filename"),
        ("..", ".. is not a valid filename"),
        (".", ". is not a valid filename"),
        ("a\\b", "a\\b is not a valid filename"),
        ("a\nb", "a\\x0ab is not a valid filename"),
        ("a\x00", "a\\x00 is not a valid filename"),
        ("a\u2028", "a\\u2028 is not a valid filename"),
        ("é" * 128, "é" * 128 + " is not a valid filename"),
        ("x" * 129, "Ensure this field has no more than 128 characters."),
        ("", "This field may not be blank."),
        (" ", "This field may not be blank."),
    ],
    ids=lambda text: repr(text[:12]),
)
async def test_wrong_filenames(service: Service, filename: str, why: str) -> None:
    answer = await service.post("uploads/", {"filename": filename})
    assert (answer.status, answer.json()) == (400, {"filename": [why]})


@pytest.mark.parametrize(
    "filename",
    ["x" * 128, "…", ".hidden", "part-1", "parts", "a b'\"%2e%2e;$(id).dcm", "é" * 127, "-rf", "..."],
)
async def test_odd_filenames_are_kept_as_they_are(service: Service, filename: str) -> None:
    sending = await upload(service, b"one", b"two", filename=filename)
    assert service.store.files == {f"gateway/uploads/{sending.pk}/{filename}": b"onetwo"}
    assert (await service.get(sending.api_url)).json()["filename"] == filename


@given(st.text(st.characters(codec=None), max_size=140))
def test_a_filename_is_refused_or_one_segment_of_a_path(name: str) -> None:
    why = uploads.wrong_filename(name)
    if why is None:
        path = f"gateway/uploads/pk/{name}"
        assert check_store_path(path) is None
        assert path.split("/")[3:] == [name]
        assert name not in ("", ".", "..")
    else:
        json.dumps(why, ensure_ascii=False).encode()
        assert len(why) < 2000


async def test_a_namespace_without_a_store_takes_none(service: Service) -> None:
    service.stores.defaults[fakes.NAMESPACE] = None
    answer = await service.post("uploads/", {"filename": "a"})
    assert answer.status == 400
    assert answer.json()["non_field_errors"][0].startswith(
        "Namespace imaging has no DataStore that the gateway"
    )


# --- who sees what


async def test_a_list_has_ones_own(service: Service) -> None:
    mine = [(await begin(service, f"{number}")).pk for number in range(5)]
    service.username = "bob"
    assert (await service.get("uploads/")).json() == {
        "count": 0,
        "next": None,
        "previous": None,
        "results": [],
    }
    service.username = "alice"
    await begin(service, namespace="other")
    first = (await service.get("uploads/?limit=3")).json()
    second = (await service.get(first["next"])).json()
    assert (first["count"], second["count"], second["next"]) == (5, 5, None)
    assert [each["pk"] for each in first["results"] + second["results"]] == mine


async def everything(sending: Sending) -> dict[str, fakes.Answer]:
    return {
        "detail": await sending.service.get(sending.base),
        "list-parts": await sending.service.get(f"{sending.base}{sending.multipart_id}/list-parts/"),
        "generate": await sending.ask("generate-presigned-urls", {"part_numbers": [1]}),
        "complete": await sending.complete([]),
        "abort": await sending.abort(),
    }


@pytest.mark.parametrize(
    "what", ["another person", "another namespace", "another multipart id", "no such pk", "hostile pk"]
)
async def test_what_is_not_ones_own_does_not_exist(service: Service, what: str) -> None:
    sending = await begin(service)
    await sending.put(1, b"x")
    pk, multipart_id, namespace = sending.pk, sending.multipart_id, fakes.NAMESPACE
    match what:
        case "another person":
            service.username = "bob"
        case "another namespace":
            namespace = "other"
        case "another multipart id":
            multipart_id = "0" * 64
        case "no such pk":
            pk = "00000000-0000-4000-8000-000000000000"
        case "hostile pk":
            pk = "%00%ff' OR 1=1 --"
    answers = await everything(Sending(service, pk, multipart_id, "", namespace))
    if what == "another multipart id":
        del answers["detail"]
    assert {name: (each.status, each.json()) for name, each in answers.items()} == dict.fromkeys(
        answers, (404, {"detail": "Not found."})
    )
    service.username = "alice"
    assert await sending.status() == "Initialized"
    assert len(await sending.parts()) == 1


@pytest.mark.parametrize(
    ("denied", "statuses"),
    [
        ({"create"}, {"create": 403, "list": 200, "detail": 200, "generate": 200, "complete": 200}),
        ({"update"}, {"create": 201, "list": 200, "detail": 200, "generate": 403, "complete": 403}),
        ({"create", "update"}, {"create": 403, "list": 200, "detail": 200, "generate": 403, "complete": 403}),
        (
            {"get", "create", "update"},
            {"create": 404, "list": 200, "detail": 404, "generate": 404, "complete": 404},
        ),
    ],
    ids=lambda denied: "without " + " ".join(sorted(denied)),
)
async def test_rights(service: Service, denied: set[str], statuses: dict[str, int]) -> None:
    sending = await begin(service)
    service.authorizer.denied = {(verb, "uploads") for verb in denied}
    listed = await service.get("uploads/")
    answers = {
        "create": await service.post("uploads/", {"filename": "a"}),
        "list": listed,
        **await everything(sending),
    }
    assert {name: answers[name].status for name in statuses} == statuses
    assert bool(listed.json()["results"]) == ("get" not in denied)


# --- parts and the whole


@pytest.mark.parametrize(
    "contents",
    [(), (b"",), (b"x",), (b"one", b"two", b"three")],
    ids=["no part", "an empty part", "one", "three"],
)
async def test_an_upload(service: Service, contents: tuple[bytes, ...]) -> None:
    sending = await upload(service, *contents)
    whole = b"".join(contents)
    path = f"gateway/uploads/{sending.pk}/a.mha"
    assert service.store.files == {path: whole}
    assert await sending.status() == "Completed"
    stored = await row(service, sending.pk)
    assert (stored.size, stored.sha256, stored.path) == (len(whole), hashlib.sha256(whole).hexdigest(), path)
    assert await sending.parts() == []


async def test_list_parts(service: Service) -> None:
    sending = await begin(service)
    second, first = await sending.put(2, b"22"), await sending.put(1, b"1")
    found = await sending.parts()
    assert [{**part, "LastModified": ""} for part in found] == [
        {**first, "LastModified": "", "Size": 1},
        {**second, "LastModified": "", "Size": 2},
    ]
    assert all(datetime.fromisoformat(part["LastModified"]).tzinfo == UTC for part in found)


@pytest.mark.parametrize(
    ("numbers", "good"),
    [
        ([1, 2, 3, 4, 5], True),
        ([9996, 9997, 9998, 9999, 10000], True),
        ([7, 7], True),
        (list(range(1, 10001)), True),
        ([0], False),
        ([-1], False),
        ([10001], False),
        ([10**30], False),
        ([], False),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_part_numbers(service: Service, numbers: list[int], good: bool) -> None:
    sending = await begin(service)
    answer = await service.request(
        "PATCH",
        f"{sending.base}{sending.multipart_id}/generate-presigned-urls/",
        body=json.dumps({"part_numbers": numbers}).encode(),
        headers={"Content-Type": "application/json"},
    )
    if good:
        assert set(answer.json()["presigned_urls"]) == {str(number) for number in numbers}
        assert answer.json()["pk"] == sending.pk
    else:
        assert (answer.status, [*answer.json()]) == (400, ["part_numbers"])


def parts_of(*numbers: int) -> list[UploadPart]:
    return [UploadPart(number=number, etag=f"e{number}", size=1, path=f"p{number}") for number in numbers]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ([], []),
        ([(1, '"e1"')], [1]),
        ([(1, "e1"), (2, '"e2"')], [1, 2]),
        ([(1, "e1"), (3, "e3")], [1, 3]),
        ([(2, "e2"), (1, "e1")], "ascending order"),
        ([(1, "e1"), (1, "e1")], "ascending order"),
        ([(4, "e4")], "Part 4 has not arrived"),
        ([(1, "e2")], "Part 1 has not arrived with this ETag"),
        ([(1, "")], "Part 1 has not arrived with this ETag"),
        ([(0, "e1")], "from 1 to 10000"),
        ([(10001, "e1")], "from 1 to 10000"),
        ([(-(10**40), "e1"), (10**40, "e1")], "from 1 to 10000"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_which_parts_are_joined(named: list[tuple[int, str]], found: list[int] | str) -> None:
    given = [NamedPart(PartNumber=number, ETag=etag) for number, etag in named]
    if isinstance(found, list):
        assert [part.number for part in chosen(parts_of(1, 2, 3), given)] == found
        return
    with pytest.raises(ApiError) as error:
        chosen(parts_of(1, 2, 3), given)
    assert error.value.status == 400
    assert found in error.value.body["parts"][0]


@given(
    st.sets(st.integers(1, 20)),
    st.lists(
        st.tuples(st.integers(-5, 30), st.integers(-5, 30).map("e{}".format) | st.text(max_size=4)),
        max_size=12,
    ),
)
def test_joined_is_exactly_what_was_named(there: set[int], named: list[tuple[int, str]]) -> None:
    right = all(number in there and etag.strip('"') == f"e{number}" for number, etag in named)
    numbers = [number for number, _ in named]
    right &= numbers == sorted(set(numbers))
    given = [NamedPart(PartNumber=number, ETag=etag) for number, etag in named]
    try:
        found = [part.number for part in chosen(parts_of(*there), given)]
    except ApiError:
        assert not right
    else:
        assert right
        assert found == numbers


async def test_parts_that_are_not_named_are_left_out(service: Service) -> None:
    sending = await begin(service)
    first, _, third = [await sending.put(number, b"%d" % number) for number in (1, 2, 3)]
    assert (await sending.complete([first, third])).status == 200
    assert list(service.store.files.values()) == [b"13"]


async def test_ten_thousand_parts(service: Service) -> None:
    sending = await begin(service)
    now = service.gateway.now()
    numbers = range(1, 10001)
    for number in numbers:
        service.store.write(f"gateway/parts/{sending.pk}/{number}", b"%d " % number)
    await service.database.run(
        lambda session: session.add_all(
            UploadPart(
                upload_id=sending.pk,
                number=number,
                etag=f"e{number}",
                size=1,
                path=f"gateway/parts/{sending.pk}/{number}",
                modified=now,
            )
            for number in numbers
        )
    )
    answer = await sending.complete([{"PartNumber": number, "ETag": f'"e{number}"'} for number in numbers])
    assert answer.status == 200
    (whole,) = service.store.files.values()
    assert whole.split() == [b"%d" % number for number in numbers]


@pytest.mark.parametrize("repeated_with", ["the same", "anything"])
async def test_complete_may_be_repeated(service: Service, repeated_with: str) -> None:
    sending = await begin(service)
    parts = [await sending.put(1, b"a"), await sending.put(2, b"b")]
    first = await sending.complete(parts)
    again = await sending.complete(parts if repeated_with == "the same" else [])
    assert (again.status, again.json()) == (200, first.json())
    assert list(service.store.files.values()) == [b"ab"]


async def test_completes_at_the_same_time(service: Service) -> None:
    sending = await begin(service)
    parts = [await sending.put(1, b"a"), await sending.put(2, b"b")]
    answers = await asyncio.gather(*(sending.complete(parts) for _ in range(5)))
    assert {(each.status, each.body) for each in answers} == {(200, answers[0].body)}
    assert list(service.store.files.values()) == [b"ab"]


@pytest.mark.parametrize("at", ["compose", "delete", "composed"])
async def test_a_complete_that_was_cut_off_ends_well_when_repeated(service: Service, at: str) -> None:
    """The store is lost before it joins, after it, or the gateway dies before it writes that it has."""
    sending = await begin(service)
    parts = [await sending.put(1, b"a"), await sending.put(2, b"b"), await sending.put(3, b"c")][:2]

    def lost(method: str, path: str) -> None:
        if method == at:
            raise StoreUnavailable("lost")

    if at == "composed":
        await service.store.compose(
            f"gateway/uploads/{sending.pk}/a.mha", await sealed(service, sending, parts)
        )
    else:
        service.store.before = lost
        answer = await sending.complete(parts)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    service.store.before = lambda method, path: None
    service.restart()
    # From the first try on nothing else can become of it.
    assert (await sending.complete(parts[:1])).json() == {
        "parts": ["This upload is being completed with other parts."]
    }
    refused = await sending.ask("generate-presigned-urls", {"part_numbers": [1]})
    assert refused.json() == {"non_field_errors": ["This upload is being completed; begin another one."]}
    assert (await sending.complete(parts)).status == 200
    assert list(service.store.files.values()) == [b"ab"]
    assert await sending.status() == "Completed"


async def sealed(service: Service, sending: Sending, parts: list[Part]) -> list[str]:
    """As complete leaves it that dies right after the store has joined the parts; the parts' paths."""

    def lost(method: str, path: str) -> None:
        raise StoreUnavailable("lost")

    service.store.before = lost
    assert (await sending.complete(parts)).status == 503
    service.store.before = lambda method, path: None
    rows = select(UploadPart.path).where(UploadPart.upload_id == sending.pk).order_by(UploadPart.number)
    return await service.database.run(lambda session: list(session.scalars(rows)))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, ["This field is required."]),
        ({"parts": [{"PartNumber": 1}]}, [{"ETag": ["This field is required."]}]),
        (
            {"parts": [{"PartNumber": "one", "ETag": "e"}]},
            [{"PartNumber": ["A valid integer is required."]}],
        ),
        ({"parts": "all"}, ['Expected a list of items but got type "str".']),
    ],
    ids=str,
)
async def test_malformed_completes(service: Service, body: Any, problem: Any) -> None:
    sending = await begin(service)
    answer = await sending.ask("complete-multipart-upload", body)
    assert (answer.status, answer.json()) == (400, {"parts": problem})
    assert await sending.status() == "Initialized"


# --- abort


async def test_abort(service: Service) -> None:
    sending = await begin(service)
    part = await sending.put(1, b"x")
    first = await sending.abort()
    assert (first.status, first.json()["status"]) == (200, "Aborted")
    assert service.store.files == {}
    assert (await sending.abort()).json() == first.json()
    assert (await sending.complete([part])).json() == {
        "non_field_errors": ["This upload is aborted; begin another one."]
    }
    assert (await sending.ask("generate-presigned-urls", {"part_numbers": [1]})).status == 400
    assert await sending.parts() == []


async def test_a_completed_upload_can_be_aborted_unless_it_is_used(service: Service) -> None:
    used, unused = await upload(service, b"u"), await upload(service, b"n")
    await uploaduse.claim(service.gateway, [used.pk], "job/1")
    assert (await unused.abort()).status == 200
    answer = await used.abort()
    assert answer.json() == {"non_field_errors": ["This upload is in use and cannot be aborted."]}
    assert list(service.store.files.values()) == [b"u"]
    assert await used.status() == "Completed"


async def test_an_abort_without_the_store_is_done_by_the_sweep(service: Service) -> None:
    sending = await begin(service)
    await sending.put(1, b"x")
    service.store.down = True
    assert (await sending.abort()).status == 200
    service.store.down = False
    assert len(service.store.files) == 1
    service.clock = lambda: datetime.now(UTC) + timedelta(hours=2)
    service.restart()
    await uploaduse.sweep(service.gateway)
    assert service.store.files == {}
    assert await sending.status() == "gone"


async def test_aborted_while_it_is_being_completed(service: Service) -> None:
    sending = await begin(service)
    part = await sending.put(1, b"x")
    compose = service.store.compose

    async def slow(path: str, parts: Any) -> Any:
        stored = await compose(path, parts)
        assert (await sending.abort()).status == 200
        service.store.write(path, b"x")  # as if the abort had been before the store was done
        return stored

    service.store.compose = slow  # type: ignore[method-assign]
    answer = await sending.complete([part])
    assert answer.json() == {"non_field_errors": ["This upload is aborted; begin another one."]}
    assert service.store.files == {}


# --- limits


@pytest.fixture
def settings(tmp_path: Any, request: pytest.FixtureRequest) -> Settings:
    return fakes.settings(tmp_path, **getattr(request, "param", {}))


@pytest.mark.parametrize("settings", [{"uploads_per_user": 3}], indirect=True)
async def test_how_many_uploads(service: Service) -> None:
    first, second, third = await begin(service), await upload(service, b"2"), await begin(service)
    assert isinstance(third, Sending)
    answer = await service.post("uploads/", {"filename": "a"})
    # gcapi's documentation has people look for exactly one sentence of exactly this.
    assert (answer.status, answer.json()) == (
        400,
        {"non_field_errors": ["You have created too many uploads. Please try again later."]},
    )
    service.username = "bob"
    await begin(service)
    service.username = "alice"
    await begin(service, namespace="other")
    await first.abort()
    await begin(service)
    await uploaduse.claim(service.gateway, [second.pk], "job/1")
    await begin(service)
    assert (await service.post("uploads/", {"filename": "a"})).status == 400


@pytest.mark.parametrize("settings", [{"uploads_per_user": 2}], indirect=True)
async def test_how_many_may_be_aborted(service: Service) -> None:
    """They are remembered for an hour: who begins and aborts for ever must not fill the tables of all."""
    clock = Clock()
    service.gateway.clocks.append(clock)
    for _ in range(2 * 11):
        await (await begin(service)).abort()
    assert (await service.post("uploads/", {"filename": "a"})).status == 400
    clock.move(hours=2)
    await uploaduse.sweep(service.gateway)
    await begin(service)


@pytest.mark.parametrize("settings", [{"uploads_per_user": 3}], indirect=True)
async def test_how_many_uploads_at_once(service: Service) -> None:
    answers = await asyncio.gather(*(service.post("uploads/", {"filename": "a"}) for _ in range(8)))
    assert sorted(each.status for each in answers) == [201] * 3 + [400] * 5


@pytest.mark.parametrize("settings", [{"upload_bytes_per_user": 10}], indirect=True)
async def test_how_many_bytes(service: Service) -> None:
    completed, sending = await upload(service, b"12345"), await begin(service)
    url = await sending.url(2)
    await sending.put(1, b"12345")
    for answer in (
        await sending.ask("generate-presigned-urls", {"part_numbers": [2]}),
        await service.request("PUT", url, body=b"1"),
    ):
        assert (answer.status, answer.json()) == (403, {"detail": "Upload limit reached"})
    await uploaduse.claim(service.gateway, [completed.pk], "job/1")
    await sending.put(2, b"12345")
    await sending.abort()
    await upload(service, b"1234567890")
    service.username = "bob"
    await upload(service, b"1234567890")


# --- use


async def test_completed_uploads_in_their_order(service: Service) -> None:
    first, second = await upload(service, b"1"), await upload(service, b"2")
    for order in ([first, second], [second, first]):
        found = await uploaduse.completed_uploads(service.caller(), [each.api_url for each in order])
        assert [each.id for each in found] == [each.pk for each in order]


@pytest.mark.parametrize(
    "which",
    [
        "open",
        "aborted",
        "another's",
        "another namespace's",
        "used",
        "unknown",
        "no pk",
        "elsewhere",
        "surrogate",
    ],
)
async def test_uploads_that_cannot_be_used(service: Service, which: str) -> None:
    mine = await upload(service, b"1")
    caller = service.caller()
    url = mine.api_url
    match which:
        case "open":
            url = (await begin(service)).api_url
        case "aborted":
            await mine.abort()
        case "another's":
            caller = service.caller(username="bob")
        case "another namespace's":
            caller, url = service.caller("other"), url.replace("imaging", "other")
        case "used":
            await uploaduse.claim(service.gateway, [mine.pk], "job/1")
        case "unknown":
            url = url.replace(mine.pk, "00000000-0000-4000-8000-000000000000")
        case "no pk":
            url = url.replace(mine.pk, "x/../y")
        case "elsewhere":
            url = url.replace("gateway.test", "169.254.169.254")
        case "surrogate":
            url = url.replace(mine.pk, "\ud800")
    with pytest.raises(ApiError) as error:
        await uploaduse.completed_uploads(caller, [url])
    assert (error.value.status, error.value.body) == (
        400,
        {"uploads": ["Invalid hyperlink - Object does not exist."]},
    )


async def test_claims(service: Service) -> None:
    first, second = await upload(service, b"1"), await upload(service, b"2")
    await uploaduse.claim(service.gateway, [first.pk], "session/1")
    await uploaduse.claim(service.gateway, [first.pk], "session/1")
    for pks in ([second.pk, first.pk], [second.pk, "00000000-0000-4000-8000-000000000000"]):
        with pytest.raises(ApiError, match="Object does not exist"):
            await uploaduse.claim(service.gateway, pks, "session/2")
    assert (await row(service, second.pk)).used_by is None
    urls = [first.api_url, second.api_url]
    assert len(await uploaduse.completed_uploads(service.caller(), urls, used_by="session/1")) == 2
    with pytest.raises(ApiError):
        await uploaduse.completed_uploads(service.caller(), urls, used_by="session/2")


async def test_one_of_two_gets_it(service: Service) -> None:
    sending = await upload(service, b"1")
    claims = [uploaduse.claim(service.gateway, [sending.pk], f"job/{number}") for number in range(6)]
    ends = await asyncio.gather(*claims, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["ApiError"] * 5 + ["NoneType"]


# --- the sweep


async def test_the_sweep(service: Service) -> None:
    begun, done, used, aborted = [await upload(service, b"x") for _ in range(4)]
    begun = await begin(service)
    await begun.put(1, b"part")
    await uploaduse.claim(service.gateway, [used.pk], "job/1")
    await aborted.abort()
    service.username = "bob"
    bobs = await upload(service, b"bob")
    service.username = "alice"
    later = service.gateway.now() + DAY / 2
    for after, expected in [
        (timedelta(0), ["Initialized", "Completed", "Completed", "Aborted"]),
        (DAY / 2, ["Initialized", "Completed", "Completed", "gone"]),
        (DAY + timedelta(minutes=1), ["gone", "gone", "Completed", "gone"]),
    ]:
        service.clock = lambda after=after: later - DAY / 2 + after  # type: ignore[misc]
        service.restart()
        await uploaduse.sweep(service.gateway)
        assert [await each.status() for each in (begun, done, used, aborted)] == expected
    service.username = "bob"
    assert await bobs.status() == "gone"
    assert list(service.store.files.values()) == [b"x"]
    assert await service.database.run(lambda session: session.scalars(select(UploadPart.path)).all()) == []


@pytest.mark.parametrize("lost", ["unavailable", "refused"])
async def test_a_store_that_is_not_there_is_swept_next_time(service: Service, lost: str) -> None:
    here, there = await upload(service, b"x"), await begin(service, namespace="other")
    service.clock = lambda: datetime.now(UTC) + 2 * DAY
    service.restart()
    if lost == "unavailable":
        service.store.down = True
    else:

        def refuse(method: str, path: str) -> None:
            raise StoreRefused(403, "no")

        service.store.before = refuse
    await uploaduse.sweep(service.gateway)
    assert (await service.get(there.api_url)).status == 404
    assert await here.status() == "Aborted"
    with pytest.raises(ApiError):
        await uploaduse.completed_uploads(service.caller(), [here.api_url])
    service.store.down, service.store.before = False, lambda method, path: None
    await uploaduse.sweep(service.gateway)
    assert await here.status() == "gone"
    assert service.store.files == {}
