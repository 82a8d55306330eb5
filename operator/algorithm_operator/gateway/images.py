"""Images: those that were imported, and the outputs of jobs. Their bytes: files.py."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid5

from fastapi import APIRouter, Response
from sqlalchemy import select

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.context import Calling
from algorithm_operator.gateway.database import models
from algorithm_operator.gateway.database.listing import listed
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.importing import image_row
from algorithm_operator.gateway.shapes import Image, ImageFile, Page
from algorithm_operator.gateway.storage import suffix_of
from algorithm_operator.gateway.urls import API, Urls

router = APIRouter(prefix=f"{API}/cases/images", tags=["images"])

_COLOURS: dict[int, Literal["RGB", "RGBA"]] = {3: "RGB", 4: "RGBA"}
"""By the numbers a voxel; all else is GRAY, also what is no colour at all."""


def image_shape(row: models.Image, urls: Urls) -> Image:
    """An image as the API shows it. Shapes are in the order of arrays: (time,) (z,) y, x (, components)."""
    geometry = ImageGeometry.model_validate(row.geometry)
    size, spacing = geometry.size, geometry.spacing
    along = [int(side) for side in reversed(size)]
    suffix = suffix_of(row.path)
    return Image(
        pk=row.id,
        name=row.name,
        files=[
            ImageFile(
                pk=str(uuid5(UUID(row.id), "file")),
                image=urls.image(row.id),
                file=urls.image_file(row.id, suffix),
                image_type="TIFF" if suffix == ".tif" else "MHD",
            )
        ],
        width=size[0],
        height=size[1],
        depth=size[2] if len(size) > 2 else None,
        color_space=_COLOURS.get(geometry.components, "GRAY"),
        shape_without_color=along,
        shape=along + ([geometry.components] if geometry.components > 1 else []),
        voxel_width_mm=spacing[0],
        voxel_height_mm=spacing[1],
        voxel_depth_mm=spacing[2] if len(spacing) > 2 else None,
        api_url=urls.image(row.id),
    )


@router.get("/", response_model=Page[Image])
async def list_images(
    caller: Calling, window: Windowed, name: str | None = None, origin: str | None = None
) -> Response:
    """The images of the namespace, oldest first; `name` is the whole name, `origin` the pk of an upload session."""
    if not await caller.rights.may(Verb.GET, Resource.IMAGES):
        return window.page([], 0)
    asked = select(models.Image).where(models.Image.namespace == caller.namespace)
    if name is not None:
        asked = asked.where(models.Image.name == name)
    if origin is not None:
        made = select(models.UploadSession.image_id).where(
            models.UploadSession.id == origin, models.UploadSession.namespace == caller.namespace
        )
        asked = asked.where(models.Image.id.in_(made))
    asked = asked.order_by(models.Image.created, models.Image.id)
    rows, count = await caller.gateway.database.run(lambda session: listed(session, asked, window))
    return window.page([image_shape(row, caller.urls) for row in rows], count)


@router.get("/{pk:uuid}/", response_model=Image)
async def get_image(caller: Calling, pk: UUID) -> Response:
    """Size, spacing and the URL of the file; 404 also for images of other namespaces."""
    await caller.rights.see(Resource.IMAGES)
    return answer(image_shape(await image_row(caller, str(pk)), caller.urls))
