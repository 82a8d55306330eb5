"""The inputs of a job as its AlgorithmJob names them."""

from __future__ import annotations

from algorithm_operator.contract.kinds import KINDS, Form
from algorithm_operator.gateway import importing
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.database.models import Image, Upload, UploadSession
from algorithm_operator.gateway.values import UNSET, Given
from algorithm_operator.kube.resources import Body


async def job_input(caller: Caller, given: Given, store: str) -> Body:
    """One input, after `settle`; `store`: the DataStore that the gateway uses."""
    if given.value is not UNSET:
        return {"slug": given.slug, "value": given.value}
    database = caller.gateway.database
    if given.image_id is not None:
        image = await database.run(lambda session: session.get_one(Image, given.image_id))
        return _stored(given, image.store, image.path)
    if given.upload_id is not None:
        upload = await database.run(lambda session: session.get_one(Upload, given.upload_id))
        return _stored(given, upload.store, upload.path or "")
    opened = await database.run(lambda session: session.get_one(UploadSession, given.session_id))
    if KINDS[given.socket.kind].form is Form.DICOM:
        return _stored(given, store, f"{importing.folder(opened.id)}/")
    if opened.image_id is None:
        return {"slug": given.slug, "imageImport": {"name": opened.import_name}}
    image = await database.run(lambda session: session.get_one(Image, opened.image_id))
    return _stored(given, image.store, image.path)


def _stored(given: Given, store: str, path: str) -> Body:
    return {"slug": given.slug, "store": {"name": store, "paths": [path]}}
