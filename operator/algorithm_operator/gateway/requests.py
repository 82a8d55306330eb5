"""What requests may say: the keys of all versions of `gcapi` from 0.13 on, together. Most are sent as null."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MaxFiles, MaxValues = Field(max_length=10_000), Field(max_length=256)
"""Every list in a body has a greatest length: without one, a million wrong members would be a million errors."""


class Request(BaseModel):
    """A body; keys that are not known are ignored, as upstream does."""

    model_config = ConfigDict(extra="ignore")


class ValueRequest(Request):
    """A value that somebody sends; which keys were sent counts nothing, the clients send all of them."""

    interface: str | None = None
    value: Any = None
    file: str | None = None
    image: str | None = None
    upload_session: str | None = None
    user_upload: str | None = None
    user_uploads: Annotated[list[str], MaxFiles] | None = None
    image_name: str | None = None


class JobRequest(Request):
    """POST algorithms/jobs/."""

    algorithm: str
    inputs: Annotated[list[ValueRequest], MaxValues]


class UploadRequest(Request):
    """POST uploads/."""

    filename: str


class PartNumbersRequest(Request):
    """PATCH …/generate-presigned-urls/."""

    part_numbers: Annotated[list[int], MaxFiles]


class NamedPart(Request):
    """A part as its sender knows it; the ETag with or without its quotes."""

    ETag: str
    PartNumber: int


class CompleteRequest(Request):
    """PATCH …/complete-multipart-upload/; no parts make an empty file."""

    parts: Annotated[list[NamedPart], MaxFiles]


class UploadSessionRequest(Request):
    """POST cases/upload-sessions/; `archive` (a slug) or `archive_item` (a pk) and `interface` (a slug) say where the
    image goes then. The last two are refused: reader studies do not exist here.
    """

    uploads: Annotated[list[str], MaxFiles]
    archive: str | None = None
    archive_item: str | None = None
    interface: str | None = None
    answer: str | None = None
    display_set: str | None = None


class ArchiveRequest(Request):
    """POST archives/ (ours: upstream makes archives on its web pages)."""

    title: str
    slug: str | None = None
    description: str = ""


class ArchiveItemRequest(Request):
    """POST archives/items/ and PATCH archives/items/PK/."""

    archive: str | None = None
    values: Annotated[list[ValueRequest], MaxValues] | None = None
    title: str | None = None
