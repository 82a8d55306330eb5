"""Archives and their items: what is kept of them, what a PATCH changes, and who may."""

from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.gateway import archiveitems, archivelimits, archives, sessions
from algorithm_operator.gateway.database.models import Upload
from algorithm_operator.gateway.importing import refresh_all
from algorithm_operator.gateway.shapes import Archive, ArchiveItem, ArchiveItemPosted
from algorithm_operator.kube.resources import ALGORITHMS, Body
from tests.gateway.fakes import Service
from tests.gateway.imaging import ended, image, later, upload, url
from tests.gateway.running import algorithm, given

LIKELIHOOD, CT, VIDEO = "prostate-cancer-likelihood", "ct-image", "endoscopic-robotic-surgery-video"
"""A float, an image and a file, of the common sockets."""


OUTPUTS = [{"slug": "score", "kind": "Float"}]


@pytest.fixture
def routers() -> list[APIRouter]:
    return [archiveitems.router, archives.router, sessions.router]


@pytest.fixture
def gateway(service: Service) -> Service:
    later(service, seconds=0)
    return service


async def an_archive(service: Service, title: str = "Cases") -> Body:
    answer = await service.post("archives/", {"title": title})
    assert answer.status == 201, answer.body
    body: Body = answer.json()
    return body


async def an_item(service: Service, archive: Body | None = None, **more: Any) -> str:
    """The pk of a new item."""
    archive = archive or await an_archive(service)
    answer = await service.post("archives/items/", {"archive": archive["api_url"], "values": [], **more})
    assert answer.status == 201, answer.body
    ArchiveItemPosted.model_validate(answer.json())
    pk: str = answer.json()["pk"]
    return pk


async def patched(service: Service, pk: str, *values: Body, **more: Any) -> Body:
    answer = await service.patch(f"archives/items/{pk}/", {"values": list(values), **more})
    assert answer.status == 200, answer.body
    body: Body = answer.json()
    ArchiveItemPosted.model_validate(body)
    return body


async def read(service: Service, pk: str) -> Body:
    answer = await service.get(f"archives/items/{pk}/")
    assert answer.status == 200, answer.body
    body: Body = answer.json()
    ArchiveItem.model_validate(body)
    return body


async def contents(service: Service, pk: str) -> dict[str, Any]:
    """Value, image or file of an item by socket."""
    return {
        each["interface"]["slug"]: next(
            (each[key] for key in ("value", "image", "file") if each[key] is not None), None
        )
        for each in (await read(service, pk))["values"]
    }


# --- archives


async def test_an_archive_is_made_and_found_again(gateway: Service) -> None:
    body = await an_archive(gateway, "Brains, 2026: größte Fälle")
    Archive.model_validate(body)
    assert body["slug"] == "brains-2026-grote-falle"
    assert (await gateway.get("archives/?slug=brains-2026-grote-falle")).json()["results"] == [body]
    assert (await gateway.get(f"archives/{body['pk']}/")).json() == body
    assert (await gateway.get("archives/?slug=other")).json()["count"] == 0


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        ({"title": " "}, {"title": ["This field may not be blank."]}),
        ({"title": "x" * 256}, {"title": ["Ensure this field has no more than 255 characters."]}),
        ({"title": "a\0b"}, {"title": ["Control characters are not allowed."]}),
        ({"title": "a", "description": "\x1b[2J"}, {"description": ["Control characters are not allowed."]}),
        ({"title": "a", "slug": "A b"}, "slug"),
        ({"title": "a", "slug": ""}, "slug"),
        ({"title": "a", "slug": "a/../b"}, "slug"),
        ({"title": "病例"}, "slug"),
        ({"title": "cases"}, {"slug": ["Archive with this slug already exists."]}),
    ],
    ids=["blank", "long", "NUL", "escape", "slug", "no slug", "path", "no ASCII", "twice"],
)
async def test_archives_that_cannot_be_made(gateway: Service, asked: Body, body: Any) -> None:
    await an_archive(gateway)
    answer = await gateway.post("archives/", asked)
    assert answer.status == 400
    if body == "slug":
        assert "A slug is lower-case letters" in answer.json()["slug"][0]
    else:
        assert answer.json() == body
    assert (await gateway.get("archives/")).json()["count"] == 1


async def test_half_of_a_surrogate_pair_is_refused(gateway: Service) -> None:
    sent = b'{"title": "a", "description": "\\ud800"}'
    answer = await gateway.request(
        "POST", "archives/", body=sent, headers={"content-type": "application/json"}
    )
    assert answer.status == 400


async def test_every_namespace_has_archives_of_its_own(gateway: Service) -> None:
    body = await an_archive(gateway)
    assert (await gateway.get(f"/other/api/v1/archives/{body['pk']}/")).status == 404
    assert (await gateway.get("/other/api/v1/archives/")).json()["count"] == 0
    assert (await gateway.post("/other/api/v1/archives/", {"title": "Cases"})).status == 201


# --- items


async def test_an_item_is_made_empty_and_then_gets_values(gateway: Service) -> None:
    archive = await an_archive(gateway)
    pk = await an_item(gateway, archive, title="Case 1")
    ct, video = await image(gateway), await upload(gateway, "a film.mp4", b"film")
    body = await patched(
        gateway,
        pk,
        given(LIKELIHOOD, value=0.5),
        given(CT, image=url("cases/images", ct)),
        given(VIDEO, user_upload=url("uploads", video)),
    )
    assert {each["interface"] for each in body["values"]} == {LIKELIHOOD, CT, VIDEO}
    assert await contents(gateway, pk) == {
        LIKELIHOOD: 0.5,
        CT: url("cases/images", ct),
        VIDEO: f"https://gateway.test/imaging/files/items/{pk}/{VIDEO}/a%20film.mp4",
    }
    shown = await read(gateway, pk)
    assert (shown["archive"], shown["title"]) == (archive["api_url"], "Case 1")
    assert [each["socket"] for each in shown["values"]] == [each["interface"] for each in shown["values"]]
    assert all(isinstance(each["pk"], int) for each in shown["values"])


async def test_a_patch_replaces_the_values_of_the_sockets_that_it_names_alone(gateway: Service) -> None:
    pk = await an_item(gateway, title="Case 1")
    ct = await image(gateway)
    await patched(gateway, pk, given(LIKELIHOOD, value=0.5), given(CT, image=url("cases/images", ct)))
    await patched(gateway, pk, given(LIKELIHOOD, value=0.25))
    assert await contents(gateway, pk) == {LIKELIHOOD: 0.25, CT: url("cases/images", ct)}
    await patched(gateway, pk, title="Case one")
    assert await contents(gateway, pk) == {LIKELIHOOD: 0.25, CT: url("cases/images", ct)}
    assert (await read(gateway, pk))["title"] == "Case one"
    answer = await gateway.patch(f"archives/items/{pk}/", {})
    assert answer.status == 200
    assert (await read(gateway, pk))["title"] == "Case one"


async def test_a_file_that_was_replaced_is_used_no_more(gateway: Service) -> None:
    pk = await an_item(gateway)
    first, second = await upload(gateway, "1.mp4"), await upload(gateway, "2.mp4")
    await patched(gateway, pk, given(VIDEO, user_upload=url("uploads", first)))
    await patched(gateway, pk, given(VIDEO, user_upload=url("uploads", first)))  # the client asks again
    await patched(gateway, pk, given(VIDEO, user_upload=url("uploads", second)))
    used = await gateway.database.run(
        lambda session: [session.get_one(Upload, each).used_by for each in (first, second)]
    )
    assert used == [None, f"item/{pk}"]


async def test_new_files_become_an_image(gateway: Service) -> None:
    pk = await an_item(gateway)
    files = [url("uploads", await upload(gateway, name)) for name in ("0.dcm", "1.dcm")]
    await patched(gateway, pk, given(CT, user_uploads=files))
    assert await contents(gateway, pk) == {CT: None}
    (key,) = [each for each in gateway.cluster.objects if each[0] == "imageimports"]
    uid = ended(gateway, key[2].removeprefix("gcapi-"))
    assert await contents(gateway, pk) == {CT: url("cases/images", uid)}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_session_of_its_own_gives_the_image(gateway: Service, when: str) -> None:
    """As gcapi 0.13 does: the session is opened first."""
    pk = await an_item(gateway)
    file = url("uploads", await upload(gateway))
    session = (await gateway.post("cases/upload-sessions/", {"uploads": [file]})).json()
    uid = ""
    if when == "before":
        uid = ended(gateway, session["pk"])
    await patched(gateway, pk, given(CT, upload_session=session["api_url"]))
    if when == "after":
        uid = ended(gateway, session["pk"])
    await refresh_all(gateway.gateway)
    assert await contents(gateway, pk) == {CT: url("cases/images", uid)}


@pytest.mark.parametrize("known", [True, False], ids=["already told", "just now"])
async def test_a_session_that_failed_gives_its_reason(gateway: Service, known: bool) -> None:
    pk = await an_item(gateway)
    file = url("uploads", await upload(gateway))
    session = (await gateway.post("cases/upload-sessions/", {"uploads": [file]})).json()
    ended(gateway, session["pk"], state="Failed", message="No pixels.")
    if known:
        await refresh_all(gateway.gateway)
    answer = await gateway.patch(
        f"archives/items/{pk}/", {"values": [given(CT, upload_session=session["api_url"])]}
    )
    assert answer.status == 400
    assert "No pixels." in answer.json()["values"][0]["upload_session"][0]
    assert await contents(gateway, pk) == {}


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ([given(LIKELIHOOD, value="much")], [{"value": "JSON does not fulfill schema"}]),
        (
            [given(LIKELIHOOD, value=1.0), given(LIKELIHOOD, value=2.0)],
            [{}, {"non_field_errors": "This socket is named twice"}],
        ),
        (
            [given(LIKELIHOOD, value=1.0), given("nothing", value=1)],
            [{}, {"interface": "Object with slug=nothing does not exist."}],
        ),
        ([{"value": 1}], [{"interface": "This field is required."}]),
        (
            [given(CT, image="https://gateway.test/imaging/api/v1/cases/images/nothing/")],
            [{"image": "Invalid hyperlink - Object does not exist."}],
        ),
        ([given(VIDEO)], [{"non_field_errors": "user_upload or file is required for interface kind MP4"}]),
        (
            [given(LIKELIHOOD, value=1.0), given(VIDEO, user_upload="UPLOAD"), given(CT, value=1)],
            [{}, {}, {"non_field_errors": "upload_session, user_uploads or image are required"}],
        ),
    ],
    ids=["schema", "twice", "no socket", "no interface", "no image", "nothing given", "the last one"],
)
async def test_all_values_are_put_or_none(
    gateway: Service, values: list[Body], problems: list[dict[str, str]]
) -> None:
    pk = await an_item(gateway)
    file = await upload(gateway, "film.mp4")
    sent = [
        {key: url("uploads", file) if text == "UPLOAD" else text for key, text in each.items()}
        for each in values
    ]
    answer = await gateway.patch(f"archives/items/{pk}/", {"values": sent, "title": "new"})
    assert answer.status == 400
    found = answer.json()["values"]
    assert [list(each) for each in found] == [list(each) for each in problems]
    for each, expected in zip(found, problems, strict=True):
        for field, text in expected.items():
            assert text in each[field][0]
    assert await contents(gateway, pk) == {}
    assert (await read(gateway, pk))["title"] == ""
    assert await gateway.database.run(lambda session: session.get_one(Upload, file).used_by) is None


async def test_a_file_that_something_else_uses(gateway: Service) -> None:
    first, second = await an_item(gateway), await an_item(gateway, await an_archive(gateway, "More"))
    file = given(VIDEO, user_upload=url("uploads", await upload(gateway, "film.mp4")))
    await patched(gateway, first, file)
    answer = await gateway.patch(f"archives/items/{second}/", {"values": [file]})
    assert answer.status == 400
    assert answer.json() == {"values": [{"user_upload": ["Invalid hyperlink - Object does not exist."]}]}


async def test_a_null_is_no_value(gateway: Service) -> None:
    """`value` is required of values: a null is none, as at Grand Challenge."""
    pk = await an_item(gateway)
    answer = await gateway.patch(f"archives/items/{pk}/", {"values": [given(LIKELIHOOD, value=None)]})
    assert answer.status == 400
    assert answer.json() == {"values": [{"non_field_errors": ["value is required for interface kind FLT"]}]}


async def test_lists_are_of_an_archive_and_in_pages(gateway: Service) -> None:
    one, two = await an_archive(gateway), await an_archive(gateway, "More")
    pks = []
    for number in range(3):
        later(gateway, seconds=number)
        pks.append(await an_item(gateway, one))
    other = await an_item(gateway, two)
    await patched(gateway, pks[1], given(LIKELIHOOD, value=0.5))
    page = (await gateway.get(f"archives/items/?archive={one['pk']}&limit=2")).json()
    assert ([each["pk"] for each in page["results"]], page["count"]) == (pks[:2], 3)
    assert page["results"][1]["values"][0]["value"] == 0.5
    rest = (await gateway.get(page["next"])).json()
    assert ([each["pk"] for each in rest["results"]], rest["next"]) == (pks[2:], None)
    assert (await gateway.get("archives/items/")).json()["count"] == 4
    assert (await gateway.get(f"archives/items/?archive={two['pk']}")).json()["results"][0]["pk"] == other


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        ({}, {"archive": ["This field is required."]}),
        ({"archive": "nothing"}, {"archive": ["Invalid hyperlink - Object does not exist."]}),
        (
            {"archive": url("archives", "nothing")},
            {"archive": ["Invalid hyperlink - Object does not exist."]},
        ),
        (
            {"archive": "ARCHIVE", "values": [given(LIKELIHOOD, value=1.0)]},
            {"non_field_errors": ["Values can only be added via update"]},
        ),
        ({"archive": "ARCHIVE", "title": "\0"}, {"title": ["Control characters are not allowed."]}),
    ],
    ids=["no archive", "no URL", "no such archive", "with values", "title"],
)
async def test_items_that_cannot_be_made(gateway: Service, asked: Body, body: Body) -> None:
    archive = (await an_archive(gateway))["api_url"]
    sent = {key: archive if text == "ARCHIVE" else text for key, text in asked.items()}
    answer = await gateway.post("archives/items/", sent)
    assert (answer.status, answer.json()) == (400, body)
    assert (await gateway.get("archives/items/")).json()["count"] == 0


async def test_items_of_other_namespaces_do_not_exist(gateway: Service) -> None:
    archive = await an_archive(gateway)
    pk = await an_item(gateway, archive)
    for path in (f"archives/items/{pk}/", f"archives/{archive['pk']}/"):
        assert (await gateway.get(f"/other/api/v1/{path}")).status == 404
    assert (await gateway.patch(f"/other/api/v1/archives/items/{pk}/", {"title": "x"})).status == 404
    assert (await gateway.get("/other/api/v1/archives/items/")).json()["count"] == 0
    answer = await gateway.post("/other/api/v1/archives/items/", {"archive": archive["api_url"]})
    assert answer.status == 400


@pytest.mark.parametrize(
    ("denied", "statuses"),
    [
        ({"create"}, [200, 200, 403, 201, 200]),
        ({"update"}, [200, 200, 201, 400, 403]),
        ({"get"}, [404, 404, 201, 201, 200]),
        ({"get", "create", "update"}, [404, 404, 404, 400, 404]),
    ],
    ids=["no create", "no update", "no get", "nothing"],
)
async def test_rights(gateway: Service, denied: set[str], statuses: list[int]) -> None:
    archive = await an_archive(gateway)
    pk = await an_item(gateway, archive)
    gateway.authorizer.denied = {(verb, "archives") for verb in denied}
    got = [
        await gateway.get(f"archives/{archive['pk']}/"),
        await gateway.get(f"archives/items/{pk}/"),
        await gateway.post("archives/", {"title": "Another"}),
        await gateway.post("archives/items/", {"archive": archive["api_url"]}),
        await gateway.patch(f"archives/items/{pk}/", {"title": "x"}),
    ]
    assert [each.status for each in got] == statuses


async def test_who_may_not_make_images_makes_none_by_an_item(gateway: Service) -> None:
    pk, file = await an_item(gateway), await upload(gateway)
    gateway.authorizer.denied = {("create", "images")}
    body = {"values": [given(CT, user_uploads=[url("uploads", file)])]}
    assert (await gateway.patch(f"archives/items/{pk}/", body)).status == 403
    assert not [each for each in gateway.cluster.objects if each[0] == "imageimports"]


@pytest.mark.parametrize(
    "schema", [{"$schema": "of the future"}, {"type": "of the future"}, {"minimum": "one"}], ids=str
)
async def test_a_schema_that_no_algorithm_may_have(gateway: Service, schema: Body) -> None:
    """Its Algorithm is not ready; a value for its socket is checked by what the kind says."""
    interface = {"inputs": [{"slug": "threshold", "kind": "Float", "schema": schema}], "outputs": []}
    gateway.cluster.add(
        ALGORITHMS, algorithm(interfaces=[{**interface, "name": "default", "outputs": OUTPUTS}])
    )
    pk = await an_item(gateway)
    await patched(gateway, pk, given("threshold", value=0.5))
    answer = await gateway.patch(f"archives/items/{pk}/", {"values": [given("threshold", value="x")]})
    assert answer.status == 400


@pytest.mark.parametrize("path", ["archives/", "archives/items/"])
async def test_who_may_not_list_sees_an_empty_list(gateway: Service, path: str) -> None:
    await an_item(gateway)
    gateway.authorizer.denied = {("list", "archives")}
    assert (await gateway.get(path)).json() == {"count": 0, "next": None, "previous": None, "results": []}


# --- what a namespace may have


async def test_how_many_archives_and_items(gateway: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archivelimits, "MAX_ARCHIVES", 2)
    monkeypatch.setattr(archivelimits, "MAX_ITEMS", 3)
    one, two = await an_archive(gateway), await an_archive(gateway, "More")
    answer = await gateway.post("archives/", {"title": "One more"})
    assert answer.status == 400
    assert "may have 2 archives" in answer.json()["non_field_errors"][0]
    for archive in (one, one, two):
        await an_item(gateway, archive)
    answer = await gateway.post("archives/items/", {"archive": one["api_url"], "values": []})
    assert answer.status == 400
    assert "may have 3 items" in answer.json()["non_field_errors"][0]
    files = {"uploads": [url("uploads", await upload(gateway))], "archive": one["slug"]}
    assert (await gateway.post("cases/upload-sessions/", files)).json() == answer.json()
    elsewhere = await gateway.post("/elsewhere/api/v1/archives/", {"title": "One more"})
    assert elsewhere.status == 201, "each namespace has room of its own"


async def test_how_large_the_values_of_a_namespace_are(
    gateway: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archivelimits, "MAX_BYTES", 10)
    one, two = await an_item(gateway), await an_item(gateway, await an_archive(gateway, "More"))
    await patched(gateway, one, given(LIKELIHOOD, value=0.125))  # 5 bytes
    video = await upload(gateway, "v.mp4")
    both = [given(LIKELIHOOD, value=0.1234), given(VIDEO, user_upload=url("uploads", video))]
    answer = await gateway.patch(f"archives/items/{two}/", {"values": both})
    assert answer.status == 400
    assert "values of 10 bytes together" in answer.json()["non_field_errors"][0]
    assert (await read(gateway, two))["values"] == []
    await patched(gateway, two, given(LIKELIHOOD, value=0.25), both[1])


async def test_a_page_has_a_size(gateway: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archivelimits, "MAX_PAGE_BYTES", 8)
    archive = await an_archive(gateway)
    for _ in range(3):
        await patched(gateway, await an_item(gateway, archive), given(LIKELIHOOD, value=0.25))
    answer = await gateway.get("archives/items/")
    assert answer.status == 400
    assert "ask for fewer items at once" in answer.json()["detail"]
    assert len((await gateway.get("archives/items/?limit=2")).json()["results"]) == 2
