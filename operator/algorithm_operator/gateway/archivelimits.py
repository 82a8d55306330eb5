"""What the archives of a namespace may take of the tables: these are everybody's, and fill one volume."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from algorithm_operator.contract.values import dump_json
from algorithm_operator.gateway.database.models import Archive, ArchiveItem, ItemValue
from algorithm_operator.gateway.errors import ApiError, refused

MAX_ARCHIVES, MAX_ITEMS = 1000, 50_000
"""Of a namespace."""
MAX_BYTES = 64 << 20
"""Of all values of a namespace that are no files, as JSON. Images and files lie in its DataStore, and do not count."""
MAX_PAGE_BYTES = 16 << 20
"""Of those of one page of a list."""

_SIZE = func.length(cast(ItemValue.value, Text))


def check_archives(session: Session, namespace: str) -> None:
    """Raises 400 unless there is room for one more."""
    there = session.scalar(select(func.count()).select_from(Archive).where(Archive.namespace == namespace))
    if (there or 0) >= MAX_ARCHIVES:
        raise refused(f"A namespace may have {MAX_ARCHIVES} archives, and this one has as many.")


def check_items(session: Session, namespace: str) -> None:
    """Raises 400 unless there is room for one more."""
    items = select(func.count()).select_from(ArchiveItem).join(Archive).where(Archive.namespace == namespace)
    if (session.scalar(items) or 0) >= MAX_ITEMS:
        raise refused(f"The archives of a namespace may have {MAX_ITEMS} items, and those here have as many.")


def check_values(session: Session, namespace: str, new: Iterable[object]) -> None:
    """Raises 400 unless there is room for these values as well."""
    size = sum(len(dump_json(value)) for value in new)
    items = select(func.sum(_SIZE)).join(ArchiveItem, ArchiveItem.id == ItemValue.item_id).join(Archive)
    if size and (session.scalar(items.where(Archive.namespace == namespace)) or 0) + size > MAX_BYTES:
        raise refused(
            f"The archives of a namespace may have values of {MAX_BYTES} bytes together; larger ones are files."
        )


def check_page(session: Session, items: Iterable[str]) -> None:
    """Raises 400 if these items have more values than an answer holds."""
    size = session.scalar(select(func.sum(_SIZE)).where(ItemValue.item_id.in_(items))) or 0
    if size > MAX_PAGE_BYTES:
        why = f"The values of these items have {size} bytes together, more than {MAX_PAGE_BYTES}"
        raise ApiError(400, {"detail": f"{why}: ask for fewer items at once, with a lower limit."})
