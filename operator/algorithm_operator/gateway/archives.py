"""Archives: collections of items, which archiveitems.py is about."""

from __future__ import annotations

import re
import unicodedata
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from algorithm_operator.gateway import archivelimits
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.archiverows import MAX_TITLE, archive_row, text_problem
from algorithm_operator.gateway.context import Calling
from algorithm_operator.gateway.database import models
from algorithm_operator.gateway.database.listing import listed
from algorithm_operator.gateway.errors import BLANK, invalid, not_found
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.requests import ArchiveRequest
from algorithm_operator.gateway.shapes import Archive, Page
from algorithm_operator.gateway.urls import API, Urls

router = APIRouter(prefix=f"{API}/archives", tags=["archives"])

MAX_DESCRIPTION, MAX_SLUG = 16384, 63
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def archive_shape(row: models.Archive, urls: Urls) -> Archive:
    """An archive as the API shows it. It has no page of its own."""
    url = urls.archive(row.id)
    return Archive(
        pk=row.id, slug=row.slug, title=row.title, description=row.description, api_url=url, url=url
    )


@router.get("/", response_model=Page[Archive])
async def list_archives(caller: Calling, window: Windowed, slug: str | None = None) -> Response:
    """The archives of the namespace, oldest first."""
    if not await caller.rights.may(Verb.LIST, Resource.ARCHIVES):
        return window.page([], 0)
    asked = select(models.Archive).where(models.Archive.namespace == caller.namespace)
    if slug is not None:
        asked = asked.where(models.Archive.slug == slug)
    asked = asked.order_by(models.Archive.created, models.Archive.id)
    rows, count = await caller.gateway.database.run(lambda session: listed(session, asked, window))
    return window.page([archive_shape(row, caller.urls) for row in rows], count)


@router.get("/{pk:uuid}/", response_model=Archive)
async def get_archive(caller: Calling, pk: UUID) -> Response:
    """Title, slug and description."""
    await caller.rights.see(Resource.ARCHIVES)
    row = await archive_row(caller, str(pk))
    if row is None:
        raise not_found()
    return answer(archive_shape(row, caller.urls))


@router.post("/", response_model=Archive, status_code=201)
async def create_archive(caller: Calling, asked: ArchiveRequest) -> Response:
    """At Grand Challenge this is a web page. Without a slug it is made of the title."""
    await caller.rights.act(Verb.CREATE, Resource.ARCHIVES)
    slug = asked.slug if asked.slug is not None else _slug_of(asked.title)
    problems: dict[str, list[str]] = {}
    if not asked.title.strip():
        problems["title"] = [BLANK]
    elif why := text_problem(asked.title, MAX_TITLE):
        problems["title"] = [why]
    if why := text_problem(asked.description, MAX_DESCRIPTION):
        problems["description"] = [why]
    if not problems and (len(slug) > MAX_SLUG or not _SLUG.fullmatch(slug)):
        problems["slug"] = [
            f"A slug is lower-case letters, digits and single hyphens between them, {MAX_SLUG} characters at most."
        ]
    if problems:
        raise invalid(**problems)
    row = models.Archive(
        id=str(uuid4()),
        namespace=caller.namespace,
        slug=slug,
        title=asked.title,
        description=asked.description,
        created=caller.gateway.now(),
    )

    def add(session: Session) -> bool:
        same = (models.Archive.namespace == caller.namespace, models.Archive.slug == slug)
        if session.scalar(select(models.Archive.id).where(*same)) is not None:
            return False
        archivelimits.check_archives(session, caller.namespace)
        session.add(row)
        return True

    if not await caller.gateway.database.run(add):
        raise invalid(slug=["Archive with this slug already exists."])
    return answer(archive_shape(row, caller.urls), 201)


def _slug_of(title: str) -> str:
    """ASCII letters and digits of the title, with hyphens between its words."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", plain))[:MAX_SLUG].strip("-")
