"""Files by the URLs that answers name: which bytes, under which name and type, and for whom."""

from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway import archiveitems, archives, files, images
from algorithm_operator.gateway.jobids import job_name
from algorithm_operator.kube.resources import ALGORITHM_JOBS, Body
from tests.gateway.fakes import NAMESPACE, ORIGIN, Answer, Service
from tests.gateway.imaging import image, later, upload, url

PK = "0d2e9f2a-6f2e-5d0e-8a4f-9a3f6f2f7c01"
SHA256 = "4f2bf0e7c7c1d7b0e5f4ac8a6a6b6e4ba8b6f6c0cf1a1a63f5ae0e6fb0a0c0de"


@pytest.fixture
def routers() -> list[APIRouter]:
    return [files.router, images.router, archiveitems.router, archives.router]


@pytest.fixture
def gateway(service: Service) -> Service:
    later(service, seconds=0)
    return service


def path(*parts: str) -> str:
    return f"/{NAMESPACE}/files/" + "/".join(parts)


# --- images


async def test_an_image_is_given_as_its_answer_says(gateway: Service) -> None:
    pk = await image(gateway, b"the voxels", path="imports/a/b/x.tif")
    (file,) = (await gateway.get(f"cases/images/{pk}/")).json()["files"]
    got = await gateway.get(file["file"])
    assert (got.status, got.body) == (200, b"the voxels")
    assert got.headers["content-type"] == "application/octet-stream"
    assert f'filename="{pk}.tif"' in got.headers["content-disposition"]


@pytest.mark.parametrize("name", ["PK.tif", "PK", "other.mha", "PK.mha.tif", "..%2FPK.mha"])
async def test_an_image_has_one_name(gateway: Service, name: str) -> None:
    pk = await image(gateway)
    assert (await gateway.get(path("images", pk, name.replace("PK", pk)))).status == 404


async def test_a_wrong_image_is_not_given(gateway: Service) -> None:
    pk = await image(gateway, b"voxels", path="imports/x.mha")
    gateway.store.files["imports/x.mha"] = b"vowels"
    assert (await gateway.get(path("images", pk, f"{pk}.mha"))).status == 500


# --- items


async def an_item_with(service: Service, slug: str, filename: str, content: bytes) -> tuple[str, str]:
    """The pk of an item with a file, and the file's URL."""
    archive = (await service.post("archives/", {"title": "Cases"})).json()["api_url"]
    pk = (await service.post("archives/items/", {"archive": archive})).json()["pk"]
    given = {"interface": slug, "user_upload": url("uploads", await upload(service, filename, content))}
    answer = await service.patch(f"archives/items/{pk}/", {"values": [given]})
    assert answer.status == 200, answer.body
    return pk, answer.json()["values"][0]["file"]


@pytest.mark.parametrize(
    ("slug", "filename", "media_type"),
    [
        ("endoscopic-robotic-surgery-video", "film.mp4", "application/octet-stream"),
        ("endoscopic-robotic-surgery-video", "größe µ&?#;'.mp4", "application/octet-stream"),
        ("detected-lymphocytes", "points.json", "application/json"),
    ],
)
async def test_a_file_of_an_item(gateway: Service, slug: str, filename: str, media_type: str) -> None:
    _, file = await an_item_with(gateway, slug, filename, b'{"a": 1}')
    got = await gateway.get(file)
    assert (got.status, got.body) == (200, b'{"a": 1}')
    assert got.headers["content-type"] == media_type
    assert got.headers["content-disposition"].startswith("attachment;")
    assert file.startswith(f"{ORIGIN}/{NAMESPACE}/files/items/")
    assert file.endswith(filename[-4:])


async def test_other_names_and_sockets_of_an_item_are_none(gateway: Service) -> None:
    pk, _ = await an_item_with(gateway, "endoscopic-robotic-surgery-video", "film.mp4", b"film")
    for rest in (
        ("endoscopic-robotic-surgery-video", "other.mp4"),
        ("ct-image", "film.mp4"),
        ("nothing", "film.mp4"),
    ):
        assert (await gateway.get(path("items", pk, *rest))).status == 404
    assert (
        await gateway.get(path("items", "nothing", "endoscopic-robotic-surgery-video", "film.mp4"))
    ).status == 404


# --- jobs


def socket(slug: str, kind: str) -> Body:
    return {"slug": slug, "kind": kind}


def a_job(inputs: list[Body], taken: list[Body] = [], outputs: list[Body] = [], **run: Any) -> Body:  # noqa: B006
    """A job that ended well, as the operator writes it."""
    interface = {
        "name": "default",
        "inputs": [
            socket("report", "PDF file"),
            socket("points", "Multiple points"),
            socket("t1", "Image"),
            socket("age", "Integer"),
        ],
        "outputs": [socket("table", "CSV file"), socket("found", "Multiple points"), socket("n", "Integer")],
    }
    return {
        "metadata": {"name": job_name(PK), "labels": {LABEL_PK: PK}},
        "spec": {"algorithmRef": {"name": "a"}, "inputs": inputs},
        "status": {
            "state": "Succeeded",
            "algorithm": {
                "name": "a",
                "uid": "u",
                "generation": 1,
                "image": "i",
                "imageDigest": "d",
                "interface": interface,
                "inputs": taken,
                "resources": {},
                "timeLimitSeconds": 60,
                "collectSeconds": 60,
                "network": "None",
                "outputStore": "results",
                **run,
            },
            "outputs": outputs,
        },
    }


def given(slug: str, store: str, *paths: str) -> Body:
    return {"slug": slug, "store": {"name": store, "paths": list(paths)}}


@pytest.fixture
def job(gateway: Service) -> Service:
    """With a job whose inputs and outputs lie in two DataStores."""
    outputs = [
        {"slug": "table", "kind": "CSV file", "path": "j/u/1/table.csv", "bytes": 5},
        {"slug": "found", "kind": "Multiple points", "path": "j/u/1/found.json", "bytes": 2},
        {"slug": "n", "kind": "Integer", "value": 3},
    ]
    inputs = [
        given("report", "data", "case/report.pdf"),
        {"slug": "points", "job": {"name": "before", "output": "points"}},
        given("t1", "data", "case/", "other/"),
        {"slug": "age", "value": 41},
    ]
    taken = [
        {
            "slug": "points",
            "job": "before",
            "output": "points",
            "store": "results",
            "path": "b/u/1/points.json",
            "sha256": SHA256,
        }
    ]
    gateway.cluster.add(ALGORITHM_JOBS, a_job(inputs, taken, outputs))
    gateway.store.files["case/report.pdf"] = b"%PDF"
    gateway.stores.of(name="results").files |= {
        "j/u/1/table.csv": b"a,b,c",
        "j/u/1/found.json": b"{}",
        "b/u/1/points.json": b"[1]",
    }
    return gateway


@pytest.mark.parametrize(
    ("direction", "slug", "name", "content", "media_type"),
    [
        ("outputs", "table", "table.csv", b"a,b,c", "application/octet-stream"),
        ("outputs", "found", "found.json", b"{}", "application/json"),
        ("inputs", "report", "report.pdf", b"%PDF", "application/octet-stream"),
    ],
)
async def test_a_file_of_a_job(
    job: Service, direction: str, slug: str, name: str, content: bytes, media_type: str
) -> None:
    got = await job.get(path("jobs", PK, direction, slug, name))
    assert (got.status, got.body) == (200, content)
    assert got.headers["content-type"] == media_type
    assert got.headers["content-length"] == str(len(content))


async def test_what_another_job_made_must_still_be_what_it_was(job: Service) -> None:
    got = await job.get(path("jobs", PK, "inputs", "points", "points.json"))
    assert got.status == 500
    assert "not what was stored" in got.json()["detail"]


async def test_an_upload_that_a_job_got_has_its_hash(gateway: Service) -> None:
    pk = await upload(gateway, "report.pdf", b"%PDF-1.7")
    gateway.cluster.add(ALGORITHM_JOBS, a_job([given("report", "data", f"gateway/uploads/{pk}/report.pdf")]))
    got = await gateway.get(path("jobs", PK, "inputs", "report", "report.pdf"))
    assert (got.status, got.body) == (200, b"%PDF-1.7")
    assert len(got.headers["etag"]) == 66


@pytest.mark.parametrize(
    "rest",
    [
        ("outputs", "table", "table.json"),
        ("outputs", "table", "table"),
        ("outputs", "n", "n.json"),
        ("outputs", "report", "report.pdf"),
        ("outputs", "nothing", "a.csv"),
        ("inputs", "t1", "t1.mha"),
        ("inputs", "age", "age.json"),
        ("inputs", "table", "table.csv"),
    ],
    ids="/".join,
)
async def test_what_is_no_file_of_the_job(job: Service, rest: tuple[str, ...]) -> None:
    assert (await job.get(path("jobs", PK, *rest))).status == 404


async def test_there_are_no_other_directions(job: Service) -> None:
    assert (await job.get(path("jobs", PK, "logs", "table", "table.csv"))).status == 404


async def test_a_job_that_a_later_version_wrote_has_no_files_here(job: Service) -> None:
    body = job.cluster.objects[ALGORITHM_JOBS.plural, NAMESPACE, job_name(PK)]
    body["status"]["algorithm"]["interface"]["inputs"][0]["kind"] = "Hologram"
    assert (await job.get(path("jobs", PK, "outputs", "table", "table.csv"))).status == 404


# --- rights


@pytest.mark.parametrize("resource", ["images", "algorithmjobs", "archives"])
async def test_rights(job: Service, resource: str) -> None:
    of_image = await image(job)
    _, of_item = await an_item_with(job, "endoscopic-robotic-surgery-video", "film.mp4", b"film")
    paths = {
        "images": path("images", of_image, f"{of_image}.mha"),
        "algorithmjobs": path("jobs", PK, "outputs", "table", "table.csv"),
        "archives": of_item,
    }
    job.authorizer.denied = {("get", resource)}
    got: dict[str, Answer] = {each: await job.get(found) for each, found in paths.items()}
    assert {each: answer.status for each, answer in got.items()} == {
        each: 404 if each == resource else 200 for each in paths
    }


async def test_files_of_other_namespaces_do_not_exist(job: Service) -> None:
    pk = await image(job)
    _, file = await an_item_with(job, "endoscopic-robotic-surgery-video", "film.mp4", b"film")
    for found in (
        path("images", pk, f"{pk}.mha"),
        path("jobs", PK, "outputs", "table", "table.csv"),
        file.removeprefix(ORIGIN),
    ):
        assert (await job.get(found)).status == 200
        assert (await job.get(found.replace(NAMESPACE, "other", 1))).status == 404
