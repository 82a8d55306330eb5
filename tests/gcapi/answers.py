"""Every kind of answer that the gateway gives, by the whole app, and which of gcapi's models it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from algorithm_operator.gateway import shapes
from algorithm_operator.kube.resources import Body
from tests.gateway import imaging, running
from tests.gateway.running import (
    GEOMETRY,
    JOBS,
    add_image,
    add_session,
    add_upload,
    asked,
    given,
    pk,
    put,
)
from tests.gateway.sending import Sending
from tests.gateway.test_records import PK as RECORDED
from tests.gateway.test_records import failure, manifest, write
from tests.gcapi.gateway import Whole

MODELS: Final[dict[type[shapes.Shape], str]] = {
    shapes.Versions: "GCAPIVersion",
    shapes.Socket: "ComponentInterface",
    shapes.AlgorithmInterface: "AlgorithmInterface",
    shapes.Algorithm: "Algorithm",
    shapes.AlgorithmImage: "AlgorithmImage",
    shapes.SocketValue: "HyperlinkedComponentInterfaceValue",
    shapes.Job: "HyperlinkedJob",
    shapes.PostedValue: "ComponentInterfaceValuePost",
    shapes.JobPosted: "JobPost",
    shapes.Upload: "UserUpload",
    shapes.UploadUrls: "UserUploadPresignedURLs",
    shapes.UploadPart: "Part",
    shapes.UploadParts: "UserUploadParts",
    shapes.UploadSession: "RawImageUploadSession",
    shapes.ImageFile: "ImageFile",
    shapes.Image: "HyperlinkedImage",
    shapes.Archive: "Archive",
    shapes.ArchiveItem: "ArchiveItem",
    shapes.ArchiveItemPosted: "ArchiveItemPost",
}
"""The class of gcapi.models that is made of a shape. A page of X is its Paginated…List."""

RUN: Final[Body] = {"algorithm": running.snapshot()}
OVER: Final[Body] = {
    "number": 1, "pod": "p-1", "reason": "NodeLost", "finishedAt": "2026-11-28T12:00:00Z"
}  # fmt: skip
SCORE: Final = b'{"a": [0.25, null]}\n'
STATUSES: Final[dict[str, Body]] = {
    "Validating inputs": {},
    "Queued": {"state": "Queued", **RUN},
    "Re-Queued": {"state": "Queued", **RUN, "attempts": [OVER]},
    "Provisioning": {"state": "Staging", **RUN},
    "Executing": {"state": "Running", **RUN, "startedAt": "2026-11-28T12:00:00Z"},
    "Parsing Outputs": {"state": "Collecting", **RUN},
    "Succeeded": running.succeeded(score=SCORE),
    "Failed": {"state": "Failed", **RUN, "blame": "algorithm", "exitCode": 1, "timing": {"ranSeconds": 5.0}},
    "Cancelled": {"state": "Cancelled"},
}
"""What an AlgorithmJob says, by Grand Challenge's label."""


FIRST: Final = 100
SUCCEEDED: Final = pk(FIRST + list(STATUSES).index("Succeeded"))
"""pks of jobs: `STATUSES` in their order, from FIRST on."""


def page_of(model: str) -> str:
    """The model of a page of a list."""
    return f"Paginated{model}List"


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, and the model that it is for."""

    what: str
    model: str
    body: Any


@dataclass
class Asking:
    """Asks the gateway, and keeps what it says."""

    service: Whole
    said: list[Said] = field(default_factory=list)

    async def send(
        self, method: str, path: str, model: str, what: str, json: Any = None, status: int = 200
    ) -> Any:
        """One request; the answer's body."""
        answer = await self.service.request(method, path, json=json)
        assert answer.status == status, f"{what}: {answer.status} {answer.body!r}"
        self.said.append(Said(f"{what} ({method} {path})", model, answer.json()))
        return answer.json()

    async def get(self, path: str, of: type[shapes.Shape], what: str) -> Any:
        """One of them."""
        return await self.send("GET", path, MODELS[of], what)

    async def pages(self, path: str, of: type[shapes.Shape], count: int) -> None:
        """A list: all of it, the last one alone, and what is after it. The client asks until a page is empty."""
        glue = "&" if "?" in path else "?"
        for offset, results in ((0, count), (count - 1, 1), (count, 0)):
            body = await self.send(
                "GET", f"{path}{glue}offset={offset}", page_of(MODELS[of]), f"from {offset}"
            )
            assert (body["count"], len(body["results"])) == (count, results), path

    async def post(self, path: str, json: Any, of: type[shapes.Shape], what: str) -> Any:
        """Make one."""
        return await self.send("POST", path, MODELS[of], what, json, 201)

    async def patch(self, path: str, json: Any, of: type[shapes.Shape], what: str) -> Any:
        """Change one."""
        return await self.send("PATCH", path, MODELS[of], what, json)


async def gather(service: Whole) -> list[Said]:
    """All of them."""
    service.clock = running.Clock()
    service.restart()
    asking = Asking(service)
    await asking.get("gcapi/", shapes.Versions, "the versions")
    await _algorithms(asking)
    await _images(asking)
    await _jobs(asking)
    await _records(asking)
    await _posted(asking)
    await _uploads(asking)
    await _sessions(asking)
    await _archives(asking)
    return asking.said


async def _algorithms(asking: Asking) -> None:
    plain = {"title": None, "description": None, "uid": pk(90), "ready": False}
    put(
        asking.service,
        running.algorithm(description="*Tissues* of the brain"),
        running.algorithm("plain", **plain),
        running.job("timed", uid=pk(91), status={"state": "Succeeded", "timing": {"ranSeconds": 61.5}}),
    )
    await asking.pages("algorithms/", shapes.Algorithm, 2)
    timed = await asking.get(f"algorithms/{running.ALGORITHM_UID}/", shapes.Algorithm, "a ready one")
    new = await asking.get(f"algorithms/{pk(90)}/", shapes.Algorithm, "one without a title that never ran")
    assert (timed["average_duration"], new["average_duration"]) == (61.5, None)
    await asking.pages("algorithms/images/", shapes.AlgorithmImage, 2)
    images = (await asking.service.get("algorithms/images/")).json()["results"]
    assert {each["import_status"] for each in images} == {"Completed", "Failed"}
    await asking.get(images[0]["api_url"], shapes.AlgorithmImage, "the image of an algorithm")
    sockets = (await asking.service.get("components/interfaces/?limit=1000")).json()["results"]
    await asking.pages("components/interfaces/?limit=1000", shapes.Socket, len(sockets))
    assert {each["super_kind"] for each in sockets} == {"Image", "File", "Value"}
    await asking.pages("components/interfaces/?slug=tissues", shapes.Socket, 1)
    socket = await asking.get(
        f"components/interfaces/{running.socket('tissues')}/", shapes.Socket, "a segmentation"
    )
    assert socket["overlay_segments"]


async def _images(asking: Asking) -> None:
    flat = {"size": [5, 4], "spacing": [0.5, 0.6], "origin": [0.0, 0.0], "direction": [1.0, 0.0, 0.0, 1.0]}
    in_time = {"size": [5, 4, 3, 2], "spacing": [1.0] * 4, "origin": [0.0] * 4, "direction": [0.0] * 16}
    geometries: dict[str, Body] = {
        "3D": GEOMETRY,
        "2D": {**GEOMETRY, **flat},
        "4D": {**GEOMETRY, **in_time},
        "RGB": {**GEOMETRY, "components": 3},
        "RGBA in 2D": {**GEOMETRY, **flat, "components": 4},
    }
    for number, (what, geometry) in enumerate(geometries.items(), start=1):
        url = await add_image(asking.service, number, geometry=geometry)
        await asking.get(url, shapes.Image, what)
    slide = {**geometries["2D"], "components": 3, "size": [90000, 80000]}
    url = await add_image(asking.service, 6, path="imports/i/6.tif", geometry=slide)
    assert (await asking.get(url, shapes.Image, "a slide"))["files"][0]["image_type"] == "TIFF"
    await asking.pages("cases/images/", shapes.Image, 6)


async def _jobs(asking: Asking) -> None:
    service = asking.service
    service.store.files["case-001/uid/1/score.json"] = SCORE
    image = {"store": "data", "path": "case-001/t1.mha"}
    await add_image(service, 10, **image)
    for number, (label, status) in enumerate(STATUSES.items(), start=FIRST):
        put(service, running.job(f"job-{number}", uid=pk(number), status=status))
        job = await asking.get(f"{JOBS}{pk(number)}/", shapes.Job, label)
        assert job["status"] == label
        assert job["inputs"][1]["image"] is not None
    outputs = (await service.get(f"{JOBS}{SUCCEEDED}/")).json()["outputs"]
    (url,) = [each["image"] for each in outputs if each["image"] is not None]
    await asking.get(url, shapes.Image, "an image that a job wrote")
    letter = {"slug": "letter", "store": {"name": "data", "paths": ["gateway/uploads/x/a b.pdf"]}}
    marks = {"slug": "marks", "job": {"name": "other", "output": "findings"}}
    made = {"slug": "marks", "job": "other", "output": "findings", "value": {"points": []}}
    inputs = [letter, marks]
    status = {"state": "Running", "algorithm": running.snapshot(1, inputs=[made])}
    others: dict[str, Body] = {
        "files": running.job("files", uid=pk(120), inputs=inputs, status=status),
        "an import that goes on": running.job(
            "imports",
            uid=pk(121),
            inputs=[
                {"slug": "t1-mri", "imageImport": {"name": "i"}},
                {"slug": "smoothing", "value": 1},
            ],
        ),
        "an algorithm that is gone": running.job("lost", uid=pk(122), algorithmRef={"name": "gone"}),
    }
    put(service, *others.values())
    for what, body in others.items():
        await asking.get(f"{JOBS}{body['metadata']['uid']}/", shapes.Job, what)
    await asking.pages(JOBS, shapes.Job, 1 + len(STATUSES) + len(others))


async def _records(asking: Asking) -> None:
    """Of jobs whose object is gone."""
    path = f"{JOBS}{RECORDED}/"
    write(asking.service, failure(), name="failure.json")
    assert (await asking.get(path, shapes.Job, "a record of a failure"))["status"] == "Failed"
    write(asking.service, manifest(attempt=2), attempt=2)
    assert (await asking.get(path, shapes.Job, "a record of a success"))["status"] == "Succeeded"


async def _posted(asking: Asking) -> None:
    service = asking.service
    smoothing = given("smoothing", value=1.5)
    files = [await add_upload(service, number, f"{number}.dcm") for number in (30, 31, 32, 33)]
    letter = await add_upload(service, 34, "letter.pdf")
    marks = await add_upload(service, 35, "marks.json")
    session = await add_session(service, 36, uploads=[])
    image = f"{running.URL}cases/images/{pk(1)}/"
    bodies = {
        "values": asked(given("question", value="Where?"), given("context", value={"a": [1, None]})),
        "an image that is there": asked(given("t1-mri", image=image), smoothing),
        "files": asked(given("t1-mri", user_uploads=files[:2]), smoothing),
        "a session": asked(given("t1-mri", upload_session=session), smoothing),
        "a DICOM image set": asked(given("series", user_uploads=files[2:], image_name="A series")),
        "other files": asked(given("letter", user_upload=letter), given("marks", user_upload=marks)),
    }
    for what, body in bodies.items():
        posted = await asking.post(JOBS, body, shapes.JobPosted, f"a job of {what}")
        again = await asking.post(JOBS, body, shapes.JobPosted, f"a job of {what}, once more")
        assert posted == again
        await asking.get(f"{JOBS}{posted['pk']}/", shapes.Job, f"a job of {what}")


async def _uploads(asking: Asking) -> None:
    before = (await asking.service.get("uploads/")).json()["count"]
    made = await asking.post("uploads/", {"filename": "a.mha"}, shapes.Upload, "a new upload")
    sending = Sending(asking.service, made["pk"], made["s3_upload_id"], made["api_url"])
    path = f"{sending.base}{sending.multipart_id}"
    numbers = {"part_numbers": [1, 2, 3, 4, 5]}
    urls = await asking.patch(f"{path}/generate-presigned-urls/", numbers, shapes.UploadUrls, "where to")
    assert list(urls["presigned_urls"]) == ["1", "2", "3", "4", "5"]
    parts = [await sending.put(number, b"voxels") for number in (1, 2)]
    listed = await asking.get(f"{path}/list-parts/", shapes.UploadParts, "two parts")
    assert len(listed["parts"]) == 2
    completed = await asking.patch(
        f"{path}/complete-multipart-upload/", {"parts": parts}, shapes.Upload, "a whole upload"
    )
    assert completed["status"] == "Completed"
    given_up = await asking.post("uploads/", {"filename": "b.mha"}, shapes.Upload, "one to give up")
    path = f"uploads/{given_up['pk']}/{given_up['s3_upload_id']}"
    aborted = await asking.patch(f"{path}/abort-multipart-upload/", None, shapes.Upload, "one given up")
    assert aborted["status"] == "Aborted"
    await asking.get(made["api_url"], shapes.Upload, "an upload")
    await asking.pages("uploads/", shapes.Upload, before + 2)


async def _sessions(asking: Asking) -> None:
    service = asking.service
    before = (await service.get("cases/upload-sessions/")).json()["count"]
    failed = {
        "state": "Failed",
        "message": "No file is an image.",
        "files": [{"name": "a.mha", "message": "It is empty."}],
    }
    states: dict[str, Body | None] = {
        "Queued": None,
        "Started": {"state": "Importing"},
        "Succeeded": {},
        "Failed": failed,
    }
    for label, status in states.items():
        url = imaging.url("uploads", await imaging.upload(service))
        made = await asking.post(
            "cases/upload-sessions/", {"uploads": [url]}, shapes.UploadSession, "a session"
        )
        if status is not None:
            imaging.ended(service, made["pk"], **status)
        session = await asking.get(made["api_url"], shapes.UploadSession, label)
        assert session["status"] == label
        assert bool(session["image_set"]) is (label == "Succeeded")
        assert bool(session["error_message"]) is (label == "Failed")
    await asking.pages("cases/upload-sessions/", shapes.UploadSession, before + len(states))


async def _archives(asking: Asking) -> None:
    service = asking.service
    made = await asking.post("archives/", {"title": "Cases"}, shapes.Archive, "an archive")
    await asking.get(made["api_url"], shapes.Archive, "an archive")
    await asking.pages("archives/?slug=cases", shapes.Archive, 1)
    empty = {"archive": made["api_url"], "values": [], "title": "Case 1"}
    item = await asking.post("archives/items/", empty, shapes.ArchiveItemPosted, "an empty item")
    path = f"archives/items/{item['pk']}/"
    await asking.get(path, shapes.ArchiveItem, "an empty item")
    letter = await add_upload(service, 40, "letter.pdf")
    pending = await add_upload(service, 41, "pending.mha")
    values = [
        given("smoothing", value=0.5),
        given("t1-mri", image=f"{running.URL}cases/images/{pk(1)}/"),
        given("letter", user_upload=letter),
        given("tissues", user_uploads=[pending]),
    ]
    await asking.patch(path, {"values": values}, shapes.ArchiveItemPosted, "an item with values")
    found = (await asking.get(path, shapes.ArchiveItem, "an item with values"))["values"]
    assert [sum(each[key] is not None for each in found) for key in ("value", "image", "file")] == [1, 1, 1]
    await asking.pages(f"archives/items/?archive={made['pk']}", shapes.ArchiveItem, 1)
