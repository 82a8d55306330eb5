"""The values of archive items, as they are kept and shown.

A value that is to be replaced by an image that is still imported stays what it was until that image is there, and for
good if the import fails: as at Grand Challenge. One that is new is shown without its image until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.contract.inputs_json import position
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.gateway import shapes
from algorithm_operator.gateway.catalogue import value_shape
from algorithm_operator.gateway.database.models import ArchiveItem, ItemValue, Upload, UploadSession
from algorithm_operator.gateway.urls import Urls


@dataclass(frozen=True, slots=True)
class NewValue:
    """What a socket of an item gets: one of an image, a session that gives one, an upload, and else `value`."""

    slug: str
    value: Any = None
    image_id: str | None = None
    session_id: str | None = None
    upload_id: str | None = None


@dataclass(frozen=True, slots=True)
class SeenItem:
    """An item as it was read: its values, and the names of those that are files, by upload."""

    item: ArchiveItem
    values: Sequence[ItemValue]
    filenames: Mapping[str, str]


def put(session: Session, item_id: str, new: NewValue) -> None:
    """Give the socket that value, in place of the one that it had. Doing it again changes nothing."""
    of_socket = select(ItemValue).where(ItemValue.item_id == item_id, ItemValue.slug == new.slug)
    kept = session.scalar(of_socket)
    if kept is None:
        kept = ItemValue(item_id=item_id, slug=new.slug)
        session.add(kept)
    if new.session_id is not None:
        imported = session.get_one(UploadSession, new.session_id)
        if imported.image_id is None:
            kept.session_id = None if imported.error else new.session_id
            return
        new = NewValue(new.slug, image_id=imported.image_id)
    if kept.upload_id not in (None, new.upload_id):
        # Nothing else can use the old file: it goes as if it had never been used.
        session.get_one(Upload, kept.upload_id).used_by = None
    kept.value, kept.session_id = new.value, None
    kept.image_id, kept.upload_id = new.image_id, new.upload_id


def seen_items(session: Session, items: Sequence[ArchiveItem]) -> list[SeenItem]:
    """The items with all that is shown of them."""
    of_items = select(ItemValue).where(ItemValue.item_id.in_([item.id for item in items]))
    values: dict[str, list[ItemValue]] = {item.id: [] for item in items}
    for value in session.scalars(of_items.order_by(ItemValue.id)):
        values[value.item_id].append(value)
    uploads = {value.upload_id for found in values.values() for value in found if value.upload_id is not None}
    rows = session.execute(select(Upload.id, Upload.filename).where(Upload.id.in_(uploads)))
    names = {row.id: row.filename for row in rows}
    return [SeenItem(item, values[item.id], names) for item in items]


def item_shape(each: SeenItem, sockets: Mapping[str, PlannedSocket], urls: Urls) -> shapes.ArchiveItem:
    """An item as the API shows it. A value of a socket that no Algorithm has any more is kept, and not shown."""
    known = [value for value in each.values if value.slug in sockets]
    return shapes.ArchiveItem(
        pk=each.item.id,
        archive=urls.archive(each.item.archive_id),
        title=each.item.title,
        values=[
            value_shape(sockets[value.slug], value.id, **_content(each, value, urls))
            for value in sorted(known, key=lambda value: position(sockets[value.slug]))
        ],
    )


def posted_shape(each: SeenItem, urls: Urls) -> shapes.ArchiveItemPosted:
    """An item as the answer to POST and PATCH shows it."""
    return shapes.ArchiveItemPosted(
        pk=each.item.id,
        archive=urls.archive(each.item.archive_id),
        title=each.item.title,
        values=[
            shapes.PostedValue(interface=value.slug, pk=value.id, **_content(each, value, urls))
            for value in each.values
        ],
    )


def _content(each: SeenItem, value: ItemValue, urls: Urls) -> dict[str, Any]:
    name = each.filenames.get(value.upload_id or "")
    return {
        "value": value.value,
        "image": urls.image(value.image_id) if value.image_id else None,
        "file": urls.item_file(each.item.id, value.slug, name) if name is not None else None,
    }
