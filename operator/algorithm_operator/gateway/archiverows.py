"""Archives and their items in the tables, and the texts that people give them: what their modules share."""

from __future__ import annotations

import unicodedata

from sqlalchemy.orm import Session

from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.database.models import Archive, ArchiveItem
from algorithm_operator.gateway.errors import too_long

MAX_TITLE = 255


def text_problem(text: str, limit: int) -> str | None:
    """Why a text that people wrote cannot be kept, or None."""
    if len(text) > limit:
        return too_long(limit)
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\r\t" for char in text):
        return "Control characters are not allowed."
    return None


async def archive_row(caller: Caller, pk: str) -> Archive | None:
    """An archive of the caller's namespace."""

    def read(session: Session) -> Archive | None:
        row = session.get(Archive, pk)
        return row if row is not None and row.namespace == caller.namespace else None

    return await caller.gateway.database.run(read)


def item_row(session: Session, namespace: str, pk: str) -> ArchiveItem | None:
    """An item of an archive of the namespace."""
    row = session.get(ArchiveItem, pk)
    return row if row is not None and row.archive.namespace == namespace else None
