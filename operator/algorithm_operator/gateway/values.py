"""What somebody gives for a socket: a value, an image or files, for a job or for an item of an archive.

Two steps, as nothing that was uploaded may be used up by a request that is refused: `resolve` checks and changes
nothing; `settle` makes what has to be made (the session of an image's files), once everything else is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from algorithm_operator.api.kinds import PANIMG_KINDS
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.contract.customschemas import is_bounded
from algorithm_operator.contract.kinds import KINDS, Form, Kind, SuperKind
from algorithm_operator.contract.places import check_paths
from algorithm_operator.contract.plan import MAX_VALUES_BYTES, PlannedSocket
from algorithm_operator.contract.values import JsonError, check_value, depth_problem, dump_json, parse_json
from algorithm_operator.gateway import importing, uploaduse
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.database.models import UploadSession
from algorithm_operator.gateway.errors import NO_OBJECT, ApiError, invalid, refused
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.requests import ValueRequest
from algorithm_operator.gateway.shapes import PostedValue
from algorithm_operator.gateway.urls import Urls, pk_in

_NO_JSON = "Value must be valid JSON."
_ONE_OF = "['image', 'value', 'file', 'user_upload', 'upload_session', ('image_name', 'user_uploads')]"


class Unset(Enum):
    """null is a value; this is none."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Given:
    """What is given for a socket: exactly one of them. `upload_ids`: of an image, until `settle` makes a session."""

    slug: str
    socket: PlannedSocket
    value: Any = UNSET
    image_id: str | None = None
    session_id: str | None = None
    upload_id: str | None = None
    upload_ids: tuple[str, ...] = ()
    image_name: str | None = None

    @property
    def identity(self) -> Any:
        """What makes it the same as another one, as JSON."""
        value = None if self.value is UNSET else [self.value]
        return [value, self.image_id, self.session_id, self.upload_id, self.upload_ids]


def named(urls: Urls, socket: PlannedSocket, request: ValueRequest) -> Given:
    """What the request says, without a look at whether it exists. Raises ApiError."""
    sent = {
        key: value for key, value in request.model_dump(exclude={"interface"}).items() if value is not None
    }
    if len(sent) > 1 and set(sent) != {"image_name", "user_uploads"}:
        raise refused(f"You can only provide one of {_ONE_OF} for each socket.")
    kind, given = KINDS[socket.kind], Given(socket.slug, socket)
    if kind.super_kind is SuperKind.VALUE:
        if "value" not in sent:
            raise refused(f"value is required for interface kind {kind.code}")
        return replace(given, value=sent["value"])
    if kind.super_kind is SuperKind.FILE:
        if "file" in sent:
            raise invalid(file=["The submitted data was not a file: upload it, and give its user_upload."])
        if "user_upload" not in sent:
            raise refused(f"user_upload or file is required for interface kind {kind.code}")
        return replace(given, upload_id=_pk(sent["user_upload"], urls.upload, "user_upload"))
    return _named_image(urls, kind, given, sent)


def _named_image(urls: Urls, kind: Kind, given: Given, sent: dict[str, Any]) -> Given:
    is_dicom = kind.form is Form.DICOM
    if "image" in sent:
        return replace(given, image_id=_pk(sent["image"], urls.image, "image"))
    if sent.get("user_uploads") and (sent.get("image_name") or not is_dicom):
        pks = tuple(_pk(url, urls.upload, "user_uploads") for url in sent["user_uploads"])
        return replace(given, upload_ids=pks, image_name=sent.get("image_name"))
    if is_dicom:
        raise refused(
            f"either user_uploads with image_name, or image are required for interface kind {kind.code}"
        )
    if "upload_session" in sent:
        return replace(given, session_id=_pk(sent["upload_session"], urls.session, "upload_session"))
    raise refused(f"upload_session, user_uploads or image are required for interface kind {kind.code}")


async def resolve(
    caller: Caller, socket: PlannedSocket, request: ValueRequest, used_by: str | None = None
) -> Given:
    """What is given, checked. Raises ApiError 400 with the body of this one value. Changes nothing.

    `used_by`: what may use the upload already (`Upload.used_by`), besides nobody.
    """
    return await checked(caller, named(caller.urls, socket, request), used_by)


async def checked(caller: Caller, given: Given, used_by: str | None = None) -> Given:
    """The second half of `resolve`."""
    if given.value is not UNSET:
        # In a thread: others are answered meanwhile.
        if why := await asyncio.to_thread(value_problem, given.socket, given.value):
            raise invalid(value=[why])
        return given
    if given.image_id is not None:
        await _check_image(caller, given, given.image_id)
        return given
    if given.session_id is not None:
        await _check_session(caller, given.session_id)
        return given
    if given.upload_id is not None:
        await _check_file(caller, given, given.upload_id, used_by)
        return given
    await _check_files(caller, given.upload_ids)
    return given


async def settle(caller: Caller, given: Given) -> Given:
    """`given` with its uploads made into a session, if it is an image that is not there yet."""
    if not given.upload_ids:
        return given
    session = await importing.open_session(caller, given.upload_ids, given.socket.kind)
    return replace(given, session_id=session)


def value_problem(socket: PlannedSocket, value: Any) -> str | None:
    """Why it is no value of the socket, or None. A schema that might take long is left to the job's own check."""
    if why := depth_problem(value):
        return why
    try:
        data = dump_json(value).encode()
        parse_json(data, len(data), allow_nan=False)
    except JsonError as error:
        return f"{_NO_JSON[:-1]}: {error}"
    except ValueError:  # NaN, or half of a surrogate pair
        return _NO_JSON
    if len(data) > MAX_VALUES_BYTES:
        return sentence(Reason.INPUT_TOO_LARGE, bytes=len(data), limit=MAX_VALUES_BYTES)
    schema = socket.schema_ if socket.schema_ and is_bounded(socket.schema_, value) else None
    return check_value(KINDS[socket.kind], value, schema)


async def _check_image(caller: Caller, given: Given, pk: str) -> None:
    try:
        if not await caller.rights.may(Verb.GET, Resource.IMAGES):
            raise invalid(image=[NO_OBJECT])
        await importing.image_row(caller, pk)
    except ApiError as error:
        if error.status != 404:
            raise
        raise invalid(image=[NO_OBJECT]) from None
    if KINDS[given.socket.kind].form is Form.DICOM:  # no row of `images` is one
        raise invalid(image=["Image must be DICOM"])


async def _check_session(caller: Caller, pk: str) -> None:
    row = await caller.gateway.database.run(lambda session: session.get(UploadSession, pk))
    if row is None or (row.namespace, row.username) != (caller.namespace, caller.username):
        raise invalid(upload_session=[NO_OBJECT])
    if row.kind not in PANIMG_KINDS:
        raise invalid(upload_session=["Image may not be DICOM"])
    if row.error is not None:
        raise invalid(upload_session=[f"The import of this session failed: {row.error}"])


async def _check_files(caller: Caller, pks: tuple[str, ...]) -> None:
    """The files of an image: new ones, or those of a session that has not failed."""
    try:
        await importing.usable_uploads(caller, pks)
    except ApiError as error:
        raise invalid(user_uploads=error.body["uploads"]) if "uploads" in error.body else error from None
    pk = importing.session_pk(pks)
    row = await caller.gateway.database.run(lambda session: session.get(UploadSession, pk))
    if row is not None and row.error is not None:
        raise invalid(user_uploads=[f"The import of these files failed: {row.error}"])


async def _check_file(caller: Caller, given: Given, pk: str, used_by: str | None) -> None:
    url = caller.urls.upload(pk)
    (row,) = await uploaduse.completed_uploads(caller, [url], used_by=used_by, field="user_upload")
    if problem := check_paths(given.slug, [row.path or ""], KINDS[given.socket.kind]):
        raise invalid(user_upload=[problem.message])


def posted(caller: Caller, given: Given, pk: int) -> PostedValue:
    """A value in the answer to a POST or PATCH; `pk` of the value."""
    return PostedValue(
        interface=given.slug,
        value=None if given.value is UNSET else given.value,
        image=None if given.image_id is None else caller.urls.image(given.image_id),
        pk=pk,
        image_name=given.image_name,
    )


def _pk(url: str, url_of: Callable[[str], str], field: str) -> str:
    """The pk in a URL of ours. Raises ApiError."""
    if (pk := pk_in(url, url_of)) is None:
        raise invalid(**{field: [NO_OBJECT]})
    return pk
