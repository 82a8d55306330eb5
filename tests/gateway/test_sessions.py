"""Upload sessions: which uploads make one, how they end, where their images go, and what happens twice or half."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter
from sqlalchemy import select

from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.gateway import archiveitems, archives, images, importing, jobs, outcomes, sessions
from algorithm_operator.gateway.database.models import Image, Upload, UploadSession
from algorithm_operator.gateway.errors import ApiError
from algorithm_operator.gateway.importing import KEPT_FOR, LOST_AFTER, refresh_all
from algorithm_operator.gateway.shapes import UploadSession as Shape
from algorithm_operator.gateway.storage import StoreUnavailable
from algorithm_operator.kube import errors
from algorithm_operator.kube.resources import ALGORITHM_JOBS, IMAGE_IMPORTS, Body
from tests.gateway import imaging, running
from tests.gateway.fakes import NAMESPACE, Answer, Service
from tests.gateway.imaging import NOW, ended, import_of, later, upload, url

SESSIONS = "cases/upload-sessions/"


@pytest.fixture
def routers() -> list[APIRouter]:
    return [sessions.router, images.router, archiveitems.router, archives.router, jobs.router]


@pytest.fixture
def gateway(service: Service) -> Service:
    """At NOW."""
    later(service, seconds=0)
    return service


async def opened(service: Service, *pks: str, **more: Any) -> Body:
    """A session of these uploads, or of a new one."""
    given = pks or (await upload(service),)
    answer = await service.post(SESSIONS, {"uploads": [url("uploads", pk) for pk in given], **more})
    assert answer.status == 201, answer.body
    body: Body = answer.json()
    Shape.model_validate(body)
    return body


async def read(service: Service, pk: str) -> Body:
    answer = await service.get(f"{SESSIONS}{pk}/")
    assert answer.status == 200
    body: Body = answer.json()
    return body


async def test_uploads_become_one_import(gateway: Service) -> None:
    first, second = await upload(gateway, "0.dcm", b"zero"), await upload(gateway, "1.dcm", b"one")
    body = await opened(gateway, first, second)
    pk = body["pk"]
    assert body == {
        "pk": pk,
        "creator": None,
        "status": "Queued",
        "error_message": None,
        "image_set": [],
        "api_url": url("cases/upload-sessions", pk),
        "user_uploads": [url("uploads", first), url("uploads", second)],
        "uploads": [url("uploads", first), url("uploads", second)],
    }
    assert gateway.store.files == {
        f"gateway/sessions/{pk}/0.dcm": b"zero",
        f"gateway/sessions/{pk}/1.dcm": b"one",
    }
    created = import_of(gateway, pk)
    assert created["metadata"]["labels"] == {"algorithm-operator.dev/session": pk}
    assert created["spec"] == {
        "source": {"name": "data", "paths": [f"gateway/sessions/{pk}/"]},
        "kind": "Image",
        "outputStore": {"name": "data"},
    }


async def test_the_same_uploads_again_are_the_same_session(gateway: Service) -> None:
    pk = await upload(gateway)
    first, second = await opened(gateway, pk), await opened(gateway, pk)
    assert first == second
    assert len([call for call in gateway.cluster.objects if call[0] == "imageimports"]) == 1


@pytest.mark.parametrize("ending", ["Succeeded", "Failed"])
async def test_a_session_that_has_ended_is_not_begun_again(gateway: Service, ending: str) -> None:
    file = await upload(gateway)
    pk = (await opened(gateway, file))["pk"]
    ended(gateway, pk, state=ending)
    await refresh_all(gateway.gateway)
    del gateway.cluster.objects["imageimports", NAMESPACE, f"gcapi-{pk}"]
    assert (await opened(gateway, file))["status"] == ending
    assert ("imageimports", NAMESPACE, f"gcapi-{pk}") not in gateway.cluster.objects


@pytest.mark.parametrize("dies_at", ["gather", "create", "answer"])
async def test_a_request_that_dies_half_way_is_taken_on_when_it_comes_again(
    gateway: Service, dies_at: str
) -> None:
    file = await upload(gateway)

    def die(called: str) -> None:
        if called == dies_at:
            raise errors.Unreachable(0, "Unreachable", "the gateway died")

    gateway.store.before = lambda method, path: die(method)
    gateway.cluster.before = lambda verb, plural, name: die(verb)
    if dies_at == "answer":  # all is done, the client never learns it
        await opened(gateway, file)
    else:
        lost = await gateway.post(SESSIONS, {"uploads": [url("uploads", file)]})
        assert lost.status == 503
    dies_at = ""
    gateway.restart()
    later(gateway, seconds=1)
    body = await opened(gateway, file)
    assert body["status"] == "Queued"
    assert import_of(gateway, body["pk"])["spec"]["kind"] == "Image"
    assert list(gateway.store.files) == [f"gateway/sessions/{body['pk']}/a.mha"]


async def refused(service: Service, uploads: list[str], **more: Any) -> Any:
    answer = await service.post(SESSIONS, {"uploads": uploads, **more})
    assert answer.status == 400, answer.body
    assert not [each for each in service.cluster.objects if each[0] == "imageimports"]
    return answer.json()


NO_OBJECT = {"uploads": ["Invalid hyperlink - Object does not exist."]}


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "mallory"},
        {"status": "Initialized"},
        {"status": "Aborted"},
        {"namespace": "other"},
        {"used_by": "job/1"},
        {"used_by": "session/other"},
    ],
    ids=str,
)
async def test_uploads_that_cannot_be_used_do_not_exist(gateway: Service, changes: dict[str, Any]) -> None:
    good, bad = await upload(gateway, "good"), await upload(gateway, "bad", **changes)
    assert await refused(gateway, [url("uploads", good), url("uploads", bad)]) == NO_OBJECT
    kept = await gateway.database.run(lambda session: session.get_one(Upload, good).used_by)
    assert kept is None


@pytest.mark.parametrize(
    "named",
    [
        "https://elsewhere.test/imaging/api/v1/uploads/X/",
        "https://gateway.test/other/api/v1/uploads/X/",
        "https://gateway.test/imaging/api/v1/cases/images/X/",
        "X",
        "",
        "../X",
    ],
)
async def test_urls_that_are_no_upload_of_ours(gateway: Service, named: str) -> None:
    pk = await upload(gateway)
    assert await refused(gateway, [named.replace("X", pk)]) == NO_OBJECT


@pytest.mark.parametrize(
    ("names", "stores", "body"),
    [
        ([], [], {"uploads": ["This list may not be empty."]}),
        (["a", "a"], ["data"] * 2, {"non_field_errors": ["Filenames must be unique"]}),
        (
            ["a", "b"],
            ["data", "old"],
            {
                "non_field_errors": [
                    "The files were sent to different DataStores, as the default changed meanwhile: send them again."
                ]
            },
        ),
    ],
    ids=["none", "same names", "two stores"],
)
async def test_uploads_that_are_no_image_together(
    gateway: Service, names: list[str], stores: list[str], body: Body
) -> None:
    pks = [await upload(gateway, name, store=store) for name, store in zip(names, stores, strict=True)]
    assert await refused(gateway, [url("uploads", pk) for pk in pks]) == body


async def test_one_upload_twice(gateway: Service) -> None:
    pk = await upload(gateway)
    assert await refused(gateway, [url("uploads", pk)] * 2) == {
        "non_field_errors": ["Filenames must be unique"]
    }


async def test_too_many_files(gateway: Service) -> None:
    body = await refused(gateway, [url("uploads", str(UUID(int=number))) for number in range(2001)])
    assert body == {
        "non_field_errors": ["Too many files uploaded. A maximum of 2000 files may be uploaded per session."]
    }


async def test_somebody_elses_import_of_that_name_is_not_taken_for_ours(gateway: Service) -> None:
    file = await upload(gateway)
    name = f"gcapi-{importing.session_pk([file])}"
    gateway.cluster.add(IMAGE_IMPORTS, {"metadata": {"name": name}, "spec": {"source": {"name": "secret"}}})
    answer = await gateway.post(SESSIONS, {"uploads": [url("uploads", file)]})
    assert answer.status == 400
    assert f'another ImageImport "{name}"' in answer.json()["non_field_errors"][0]


@pytest.mark.parametrize(
    ("status", "label", "error"),
    [
        (None, "Queued", None),
        ({}, "Queued", None),
        ({"state": "Pending", "message": "DataStore missing"}, "Queued", None),
        ({"state": "Importing"}, "Started", None),
        ({"state": "Succeeded"}, "Queued", None),  # without an image: half of a status is none
        ({"state": "Failed", "message": "Out of memory."}, "Failed", "Out of memory."),
        ({"state": "Failed"}, "Failed", "The files could not be imported."),
        (
            {
                "state": "Failed",
                "message": "2 files could not be imported.",
                "files": [
                    {"name": "a\n.dcm", "message": "no\u202epixels"},
                    {"name": "b", "message": "empty"},
                ],
            },
            "Failed",
            '2 files could not be imported.\n"a\\x0a.dcm": no\\u202epixels\n"b": empty',
        ),
    ],
    ids=["no status", "empty", "pending", "importing", "half", "failed", "mute", "by file"],
)
async def test_how_far_it_is(gateway: Service, status: Body | None, label: str, error: str | None) -> None:
    pk = (await opened(gateway))["pk"]
    if status is not None:
        import_of(gateway, pk)["status"] = status
    body = await read(gateway, pk)
    assert (body["status"], body["error_message"], body["image_set"]) == (label, error, [])
    Shape.model_validate(body)


async def test_success_gives_an_image_and_deletes_what_was_uploaded(gateway: Service) -> None:
    pk = (await opened(gateway))["pk"]
    uid = ended(gateway, pk)
    body = await read(gateway, pk)
    assert (body["status"], body["image_set"]) == ("Succeeded", [url("cases/images", uid)])
    assert gateway.store.files == {}
    found = await gateway.database.run(lambda session: session.get_one(Image, uid))
    assert (found.namespace, found.name, found.store, found.size) == (NAMESPACE, "a.mha", "data", 6)
    assert found.geometry == imaging.VOLUME
    assert (await gateway.get(f"cases/images/{uid}/")).status == 200
    assert await read(gateway, pk) == body


async def test_an_image_is_there_the_moment_its_import_has_ended(gateway: Service) -> None:
    """Whoever has its pk from elsewhere (a job) need not wait for the background."""
    pk = (await opened(gateway))["pk"]
    uid = ended(gateway, pk)
    assert (await gateway.get(f"cases/images/{uid}/")).json()["pk"] == uid


async def test_files_of_a_store_that_is_down_go_later(gateway: Service) -> None:
    pk = (await opened(gateway))["pk"]
    ended(gateway, pk)
    gateway.store.down = True
    assert (await read(gateway, pk))["status"] == "Succeeded"
    gateway.store.down = False
    later(gateway, seconds=KEPT_FOR.total_seconds() + 1)
    await refresh_all(gateway.gateway)
    assert gateway.store.files == {}
    assert not [each for each in gateway.cluster.objects if each[0] == "imageimports"]


@pytest.mark.parametrize(
    ("age", "label"), [(LOST_AFTER - timedelta(seconds=1), "Queued"), (LOST_AFTER, "Failed")]
)
async def test_an_import_that_somebody_deleted(gateway: Service, age: timedelta, label: str) -> None:
    pk = (await opened(gateway))["pk"]
    gateway.cluster.objects.clear()
    later(gateway, seconds=age.total_seconds())
    await refresh_all(gateway.gateway)
    body = await read(gateway, pk)
    assert body["status"] == label
    assert bool(gateway.store.files) is (label == "Queued")
    if label == "Failed":
        assert body["error_message"] == (
            f'ImageImport "gcapi-{pk}" is gone: somebody deleted it before it had ended. Send the files again.'
        )


async def test_an_import_that_never_was_leaves_no_file(gateway: Service) -> None:
    """The store went away before the files were gathered, and the client has given up."""
    file = await upload(gateway)

    def lost(method: str, path: str) -> None:
        if method == "gather":
            raise StoreUnavailable("The store Pod is not ready.")

    gateway.store.before = lost
    assert (await gateway.post(SESSIONS, {"uploads": [url("uploads", file)]})).status == 503
    assert gateway.store.files
    later(gateway, seconds=LOST_AFTER.total_seconds())
    await refresh_all(gateway.gateway)
    assert gateway.store.files == {}


def a_job(name: str, import_name: str, **status: str) -> Body:
    inputs = [{"slug": "value", "value": 1}, {"slug": "ct", "imageImport": {"name": import_name}}]
    return {"metadata": {"name": name}, "spec": {"inputs": inputs}, "status": status}


@pytest.mark.parametrize("ending", ["Succeeded", "Failed"])
@pytest.mark.parametrize(
    ("age", "job", "kept"),
    [
        (timedelta(0), {"acceptedAt": "x"}, True),
        (KEPT_FOR, {"acceptedAt": "x"}, True),
        (KEPT_FOR + timedelta(seconds=1), {"acceptedAt": "x"}, False),
        (KEPT_FOR + timedelta(seconds=1), {}, True),
        (KEPT_FOR + timedelta(seconds=1), {"state": "Pending"}, True),
        (KEPT_FOR + timedelta(seconds=1), {"state": "Failed"}, False),
    ],
    ids=["young", "not yet", "old", "a new job waits", "a job waits", "a job was refused"],
)
async def test_imports_go_once_nobody_needs_them(
    gateway: Service, ending: str, age: timedelta, job: dict[str, str], kept: bool
) -> None:
    pk = (await opened(gateway))["pk"]
    other = (await opened(gateway))["pk"]
    ended(gateway, pk, state=ending)
    gateway.cluster.add(ALGORITHM_JOBS, a_job("job", f"gcapi-{pk}", **job))
    await refresh_all(gateway.gateway)
    later(gateway, seconds=age.total_seconds())
    await refresh_all(gateway.gateway)
    assert (("imageimports", NAMESPACE, f"gcapi-{pk}") in gateway.cluster.objects) is kept
    assert ("imageimports", NAMESPACE, f"gcapi-{other}") in gateway.cluster.objects
    assert any(pk in path for path in gateway.store.files) is (kept and ending == "Failed")
    assert any(other in path for path in gateway.store.files)
    deleted = {path for method, path in gateway.store.calls if method == "delete"}
    assert any(path.startswith("gateway/uploads/") for path in deleted) is not kept  # empty folders by now
    assert (await read(gateway, pk))["status"] == ending


@pytest.mark.parametrize(
    "labels",
    [{}, {"algorithm-operator.dev/session": "nobody"}, {"algorithm-operator.dev/session": "PK"}],
    ids=["no label", "no session", "the label of another"],
)
async def test_imports_of_others_stay(gateway: Service, labels: dict[str, str]) -> None:
    pk = (await opened(gateway))["pk"]
    ended(gateway, pk)
    await refresh_all(gateway.gateway)
    labels = {key: value.replace("PK", pk) for key, value in labels.items()}
    status = {"state": "Succeeded", "finishedAt": NOW.isoformat()}
    gateway.cluster.add(
        IMAGE_IMPORTS,
        {
            "metadata": {"name": "mine", "labels": labels},
            "spec": {"source": {"name": "data", "paths": ["x/"]}},
            "status": status,
        },
    )
    later(gateway, days=2)
    await refresh_all(gateway.gateway)
    assert [each for each in gateway.cluster.objects if each[0] == "imageimports"] == [
        ("imageimports", NAMESPACE, "mine")
    ]


async def test_one_that_cannot_be_read_stops_no_other(
    gateway: Service, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = (await opened(gateway))["pk"], (await opened(gateway))["pk"]
    import_of(gateway, bad)["status"] = {"state": "Sideways"}
    uid = ended(gateway, good)
    await refresh_all(gateway.gateway)
    assert await gateway.database.run(lambda session: session.get(Image, uid)) is not None
    assert f"gcapi-{bad}" in caplog.text


async def test_an_api_server_that_is_away_is_asked_another_time(gateway: Service) -> None:
    pk = (await opened(gateway))["pk"]
    ended(gateway, pk)

    def away(*called: str) -> None:
        raise errors.Unreachable(0, "Unreachable", "no route")

    gateway.cluster.before = away
    await refresh_all(gateway.gateway)
    gateway.cluster.before = lambda *called: None
    await refresh_all(gateway.gateway)
    assert (await read(gateway, pk))["status"] == "Succeeded"


async def test_of_two_that_look_the_first_counts(gateway: Service) -> None:
    pk = (await opened(gateway))["pk"]
    uid = ended(gateway, pk)
    row = await gateway.database.run(lambda session: session.get_one(UploadSession, pk))
    await importing.refresh_session(gateway.gateway, row)
    row = await gateway.database.run(lambda session: outcomes.failed(session, pk, "too late"))
    assert (row.image_id, row.error) == (uid, None)


async def test_files_that_stay_as_they_are_are_gathered_and_not_imported(gateway: Service) -> None:
    first = await upload(gateway, "0.dcm")
    pk = await importing.open_session(gateway.caller(), [first], SocketKind.DICOM_IMAGE_SET)
    assert list(gateway.store.files) == [f"{importing.folder(pk)}/0.dcm"]
    assert not gateway.cluster.objects
    later(gateway, days=2)
    await refresh_all(gateway.gateway)
    assert (await read(gateway, pk))["status"] == "Succeeded"
    assert list(gateway.store.files) == [f"{importing.folder(pk)}/0.dcm"]
    with pytest.raises(ApiError, match='These files were sent as "DICOM Image Set"'):
        await importing.open_session(gateway.caller(), [first])


# --- rights


@pytest.mark.parametrize(
    ("denied", "post", "get", "count"),
    [
        ({("create", "images")}, 403, 200, 1),
        ({("get", "images")}, 201, 404, 0),
        ({("create", "images"), ("get", "images")}, 404, 404, 0),
    ],
    ids=["no create", "no get", "nothing"],
)
async def test_rights(
    gateway: Service, denied: set[tuple[str, ...]], post: int, get: int, count: int
) -> None:
    pk = (await opened(gateway))["pk"]
    file = await upload(gateway)
    gateway.authorizer.denied = denied
    assert (await gateway.post(SESSIONS, {"uploads": [url("uploads", file)]})).status == post
    assert (await gateway.get(f"{SESSIONS}{pk}/")).status == get
    assert (await gateway.get(SESSIONS)).json()["count"] == count


@pytest.mark.parametrize("who", ["mallory", "another namespace"])
async def test_sessions_of_others_do_not_exist(gateway: Service, who: str) -> None:
    pk = (await opened(gateway))["pk"]
    if who == "mallory":
        gateway.username = who
        answer: Answer = await gateway.get(f"{SESSIONS}{pk}/")
        assert (await gateway.get(SESSIONS)).json()["count"] == 0
    else:
        answer = await gateway.get(f"/other/api/v1/{SESSIONS}{pk}/")
    assert answer.status == 404


# --- where images go


async def an_item(service: Service) -> tuple[str, str]:
    """The pks of an archive and of an item in it."""
    archive = (await service.post("archives/", {"title": "Cases"})).json()
    item = (await service.post("archives/items/", {"archive": archive["api_url"]})).json()
    return archive["pk"], item["pk"]


async def values(service: Service, pk: str) -> dict[str, str | None]:
    """The images of an item by socket."""
    body = (await service.get(f"archives/items/{pk}/")).json()
    return {value["interface"]["slug"]: value["image"] for value in body["values"]}


async def test_an_image_goes_to_an_item(gateway: Service) -> None:
    _, item = await an_item(gateway)
    pk = (await opened(gateway, archive_item=item, interface="ct-image"))["pk"]
    assert await values(gateway, item) == {"ct-image": None}
    uid = ended(gateway, pk)
    assert await values(gateway, item) == {"ct-image": url("cases/images", uid)}


async def test_the_kind_is_that_of_the_socket(gateway: Service) -> None:
    _, item = await an_item(gateway)
    body = await opened(gateway, archive_item=item, interface="melanoma-tissue-mask-segmentation")
    assert import_of(gateway, body["pk"])["spec"]["kind"] == "Segmentation"


@pytest.mark.parametrize("ending", ["Succeeded", "Failed"])
async def test_an_image_is_replaced_only_by_one_that_is_there(gateway: Service, ending: str) -> None:
    _, item = await an_item(gateway)
    before = ended(gateway, (await opened(gateway, archive_item=item, interface="ct-image"))["pk"])
    await refresh_all(gateway.gateway)
    pk = (await opened(gateway, archive_item=item, interface="ct-image"))["pk"]
    assert await values(gateway, item) == {"ct-image": url("cases/images", before)}
    after = ended(gateway, pk, state=ending)
    await refresh_all(gateway.gateway)
    expected = after if ending == "Succeeded" else before
    assert await values(gateway, item) == {"ct-image": url("cases/images", expected)}


@pytest.mark.parametrize("ending", ["Succeeded", "Failed"])
async def test_an_image_becomes_an_item_of_an_archive(gateway: Service, ending: str) -> None:
    archive, _ = await an_item(gateway)
    file = await upload(gateway)
    pk = (await opened(gateway, file, archive="cases", interface="ct-image"))["pk"]
    assert (await opened(gateway, file, archive="cases", interface="ct-image"))["pk"] == pk
    uid = ended(gateway, pk, state=ending)
    await refresh_all(gateway.gateway)
    await opened(gateway, file, archive="cases", interface="ct-image")
    page = (await gateway.get(f"archives/items/?archive={archive}")).json()
    shown = [value["image"] for each in page["results"] for value in each["values"]]
    assert (page["count"], shown) == ((2, [url("cases/images", uid)]) if ending == "Succeeded" else (1, []))


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (
            {"archive": "cases", "archive_item": "ITEM"},
            {"non_field_errors": ["Only one of archive, archive item, answer or reader study can be set"]},
        ),
        (
            {"interface": "ct-image"},
            {
                "non_field_errors": [
                    "An interface can only be defined for archive, archive item or display set uploads."
                ]
            },
        ),
        (
            {"archive_item": "ITEM"},
            {"non_field_errors": ["An interface needs to be defined to upload to an archive item."]},
        ),
        (
            {"archive_item": "nothing", "interface": "ct-image"},
            {"archive_item": ['Invalid pk "nothing" - object does not exist.']},
        ),
        (
            {"archive": "nothing", "interface": "ct-image"},
            {"archive": ["Object with slug=nothing does not exist."]},
        ),
        (
            {"archive": "cases", "interface": "nothing"},
            {"interface": ["Object with slug=nothing does not exist."]},
        ),
        (
            {"archive": "cases"},
            {"interface": ["Name the socket of the image: its slug at an Algorithm of this namespace."]},
        ),
        (
            {"archive_item": "ITEM", "interface": "prostate-cancer-likelihood"},
            {
                "interface": [
                    'Socket "prostate-cancer-likelihood" is for "Float": it takes no imported image.'
                ]
            },
        ),
        (
            {"display_set": "1", "interface": "ct-image"},
            {"display_set": ["There are no reader studies here: send images to archives or jobs."]},
        ),
        (
            {"answer": "1"},
            {"answer": ["There are no reader studies here: send images to archives or jobs."]},
        ),
    ],
    ids=lambda each: " ".join(each),
)
async def test_targets_that_are_none(gateway: Service, target: Body, body: Body) -> None:
    _, item = await an_item(gateway)
    file = await upload(gateway)
    named = {key: value.replace("ITEM", item) for key, value in target.items()}
    assert await refused(gateway, [url("uploads", file)], **named) == body
    assert await gateway.database.run(lambda session: session.get_one(Upload, file).used_by) is None


@pytest.mark.parametrize(
    "target", [{"archive": "cases"}, {"archive_item": "ITEM"}], ids=lambda each: next(iter(each))
)
async def test_what_one_may_not_change_does_not_exist(gateway: Service, target: Body) -> None:
    _, item = await an_item(gateway)
    file = await upload(gateway)
    gateway.authorizer.denied = {("update", "archives")}
    named = {key: value.replace("ITEM", item) for key, value in target.items()}
    body = await refused(gateway, [url("uploads", file)], interface="ct-image", **named)
    assert "does not exist" in next(iter(body.values()))[0]


async def test_no_image_is_made_twice(gateway: Service) -> None:
    pk = (await opened(gateway))["pk"]
    ended(gateway, pk)
    await refresh_all(gateway.gateway)
    await refresh_all(gateway.gateway)
    assert len(await gateway.database.run(lambda session: list(session.scalars(select(Image))))) == 1


async def test_a_job_that_took_an_import_over_shows_its_image_at_once(gateway: Service) -> None:
    """It may be over before the gateway's next look at its sessions."""
    session = (await opened(gateway))["pk"]
    name = import_of(gateway, session)["metadata"]["name"]
    uid = ended(gateway, session)
    inputs = [{"slug": "t1-mri", "imageImport": {"name": name}}, {"slug": "smoothing", "value": 1}]
    running.put(
        gateway,
        running.algorithm(),
        body := running.job("case-001", inputs=inputs, status=running.succeeded("case-001")),
    )
    answer = await gateway.get(f"algorithms/jobs/{body['metadata']['uid']}/")
    shown = {each["interface"]["slug"]: each["image"] for each in answer.json()["inputs"]}
    assert shown["t1-mri"] == url("cases/images", uid)
