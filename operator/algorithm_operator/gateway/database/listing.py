"""Lists: the rows of a page, and how many rows there are in all."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from algorithm_operator.gateway.answers import Window

Row = TypeVar("Row")


def listed(session: Session, rows: Select[Row], window: Window) -> tuple[list[Row], int]:
    """The window's part of `rows`, which are in order, and the length of the whole list."""
    whole: Select[Any] = rows.order_by(None)
    count = session.scalars(select(func.count()).select_from(whole.subquery())).one()
    return list(session.scalars(rows.offset(window.offset).limit(window.limit))), count
