"""The operator, as far as the gateway sees it: imports and jobs that are made end by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from algorithm_operator.api.reasons import Reason
from algorithm_operator.gateway import importing
from algorithm_operator.kube.resources import ALGORITHM_JOBS, IMAGE_IMPORTS, Body
from tests.gateway import imaging, running
from tests.gateway.fakes import NAMESPACE
from tests.gcapi.gateway import Whole

NO_IMAGE: Final = b"no image"
"""Files that begin so cannot be imported. That is found out once a job waits for it: sooner, the client that makes
session and job by two requests would be refused the job."""
OUTPUTS: Final = {
    "tissues": b"labels",
    "findings": b'{"name": "points", "points": [[1.0, 2.0, 3.0]]}',
    "results": b'{"ml": 883.3}',
    "score": b"0.25\n",
}
"""What jobs write, by socket."""
LOOK_SECONDS: Final = 0.05


@asynccontextmanager
async def operating(service: Whole) -> AsyncIterator[None]:
    """As long as the body takes; the gateway's own chore is done as well. Its errors are the body's."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_operate(service))
        yield
        task.cancel()


async def _operate(service: Whole) -> None:
    while True:
        for (plural, _, _), body in list(service.cluster.objects.items()):
            if body.get("status"):
                continue
            if plural == IMAGE_IMPORTS.plural:
                _import(service, body)
            elif plural == ALGORITHM_JOBS.plural:
                body["status"] = _ended(service, body)
        await importing.refresh_all(service.gateway)
        await asyncio.sleep(LOOK_SECONDS)


def _import(service: Whole, body: Body) -> None:
    """The image is the files, one behind the other."""
    session = body["metadata"]["labels"][importing.LABEL_SESSION]
    (folder,) = body["spec"]["source"]["paths"]
    files = {path: data for path, data in sorted(service.store.files.items()) if path.startswith(folder)}
    content, now = b"".join(files.values()), service.clock().isoformat()
    if content.startswith(NO_IMAGE):
        if body["metadata"]["name"] not in _waited_for(service):
            return
        told = [{"name": path.removeprefix(folder), "message": "It is no image."} for path in files]
        message = "No file is an image."
        imaging.ended(service, session, state="Failed", message=message, files=told, finishedAt=now)
        return
    imaging.ended(service, session, finishedAt=now)
    image = body["status"]["image"]
    image.update(bytes=len(content), sha256=running.sha256(content))
    service.store.files[image["path"]] = content


def _waited_for(service: Whole) -> set[str]:
    return {name for body in running.jobs_of(service) for name in _imports(body)}


def _imports(job: Body) -> list[str]:
    return [each["imageImport"]["name"] for each in job["spec"]["inputs"] if "imageImport" in each]


def _ended(service: Whole, body: Body) -> Body:
    """The status of a job that has been run."""
    imports = [service.cluster.objects[IMAGE_IMPORTS.plural, NAMESPACE, name] for name in _imports(body)]
    if any(each["status"]["state"] == "Failed" for each in imports):
        return {"state": "Failed", "reason": Reason.INPUT_INVALID, "blame": "input"}
    given = {each["slug"] for each in body["spec"]["inputs"]}
    (number,) = [
        number
        for number, interface in enumerate(running.INTERFACES)
        if {each["slug"] for each in interface["inputs"]} == given
    ]
    status = running.succeeded(f"{body['metadata']['name']}/uid/1", algorithm=running.snapshot(number))
    slugs = {each["slug"] for each in running.INTERFACES[number]["outputs"]}
    status["outputs"] = [each for each in status["outputs"] if each["slug"] in slugs]
    for output in status["outputs"]:
        content = OUTPUTS[output["slug"]]
        output.update(bytes=len(content), sha256=running.sha256(content))
        service.store.files[output["path"]] = content
    return status
