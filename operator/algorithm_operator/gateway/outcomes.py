"""How upload sessions end: what an ImageImport that has ended means for the tables."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.api.imageimport import ImageImportStatus, ImportedImage
from algorithm_operator.api.kinds import PANIMG_KINDS
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.gateway.database.models import ArchiveItem, Image, ItemValue, Upload, UploadSession
from algorithm_operator.kube.resources import Body

_MAX_ERROR = 8192


def item_pk(session: str) -> str:
    """The archive item that is made for the image of a session."""
    return str(uuid5(UUID(session), "item"))


def reasons(status: ImageImportStatus) -> str:
    """Why the files are no image: what the operator says, and a line for each file."""
    lines = [shown(status.message or "The files could not be imported.", 1024)]
    lines += [f"{quoted(each.name)}: {shown(each.message, 512)}" for each in status.files]
    return "\n".join(lines)[:_MAX_ERROR]


def image_of(row: UploadSession, body: Body, image: ImportedImage, now: datetime) -> Image:
    """The image of an ImageImport, as the tables keep it."""
    return Image(
        id=str(body["metadata"]["uid"]),
        namespace=row.namespace,
        name=image.name[:255],
        store=image.store,
        path=image.path,
        size=image.bytes,
        sha256=image.sha256,
        geometry=image.geometry.wire(),
        created=now,
    )


def pending(session: Session, namespace: str) -> list[UploadSession]:
    """The sessions of the namespace that have no result yet."""
    asked = select(UploadSession).where(
        UploadSession.namespace == namespace,
        UploadSession.image_id.is_(None),
        UploadSession.error.is_(None),
        UploadSession.kind.in_(PANIMG_KINDS),
    )
    return list(session.scalars(asked))


def succeeded(session: Session, pk: str, made: Image) -> UploadSession:
    """The image, and all values that waited for it. A session that has its result keeps it, whoever looks twice."""
    row = session.get_one(UploadSession, pk)
    if row.image_id is not None or row.error is not None:
        return row
    first = session.get(Upload, row.uploads[0])
    if first is not None:  # as Grand Challenge does it; all that the import knows is the session's folder
        made.name = first.filename
    session.add(made)
    session.flush()
    row.image_id = made.id
    for value in session.scalars(select(ItemValue).where(ItemValue.session_id == pk)):
        value.image_id, value.session_id = made.id, None
    return row


def failed(session: Session, pk: str, why: str) -> UploadSession:
    """A value that was to be replaced stays as it was; an item that was made for the image goes."""
    row = session.get_one(UploadSession, pk)
    if row.image_id is not None or row.error is not None:
        return row
    row.error = why
    for value in session.scalars(select(ItemValue).where(ItemValue.session_id == pk)):
        if value.image_id is not None:
            value.session_id = None
    item = session.get(ArchiveItem, item_pk(pk))
    if item is not None and all(value.session_id == pk and value.image_id is None for value in item.values):
        session.delete(item)
    return row
