"""What the operator hands to the Pod of an ImageImport, and what that answers in its termination message. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from algorithm_operator.api.base import Model
from algorithm_operator.api.imageimport import MAX_FILE_NAME, MAX_FILES, MAX_NOTE, MAX_NOTES
from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.api.text import shown
from algorithm_operator.contract.messages import MAX_REFUSAL
from algorithm_operator.contract.plan import PlannedFile

MAX_ANSWER_BYTES = 4096
"""What a kubelet keeps of a termination message."""
_SHORTER = (MAX_REFUSAL, 512, 256, 128, 64)
MHA = ".mha"


class ImportPlan(Model):
    """The files and the kind of image that they are to be. It travels as the plan of a run Pod does."""

    version: Literal[1] = 1
    name: str
    """The file that is written, without its suffix: the import's uid."""
    kind: str
    files: list[PlannedFile]
    settings: dict[str, Any] = {}


class Imported(Model):
    """The image that lies in the import's folder."""

    suffix: Literal[".mha", ".tif"]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: Annotated[str, Field(max_length=MAX_FILE_NAME)]
    geometry: ImageGeometry
    notes: Annotated[list[Annotated[str, Field(max_length=MAX_NOTE)]], Field(max_length=MAX_NOTES)] = []


class ImportReport(Model):
    """The answer: an image, or why there is none. Texts are display-safe.

    `files`: those that `message` is about, if it is the files' fault; `more`: how many are not listed.
    """

    v: Literal[1] = 1
    image: Imported | None = None
    message: str | None = None
    files: Annotated[list[str], Field(max_length=MAX_FILES)] = []
    more: Annotated[int, Field(ge=0)] = 0


def refusal(message: str, files: Sequence[str] = ()) -> ImportReport:
    """Why there is no image, and the files (their paths, untrusted) that this is about."""
    told = [shown(each, MAX_FILE_NAME) for each in files[:MAX_FILES]]
    return ImportReport(message=message, files=told, more=len(files) - len(told))


def encode(report: ImportReport) -> bytes:
    """`report` as a termination message: texts cut, and files and notes left out from the end, until it fits."""
    bare = report.model_copy(update={"files": [], "more": report.more + len(report.files)})
    if bare.image is not None:
        notes = list(bare.image.notes)
        while notes and not _fits(_with_notes(bare, notes)):
            notes.pop()
        bare = _with_notes(bare, notes)
    for limit in _SHORTER:
        if _fits(bare):
            break
        bare = _cut(bare, limit)
    listed = bare
    for count in range(1, len(report.files) + 1):
        left = len(report.files) - count
        longer = bare.model_copy(update={"files": report.files[:count], "more": report.more + left})
        if not _fits(longer):
            break
        listed = longer
    return _wire(listed)


def _wire(report: ImportReport) -> bytes:
    return report.model_dump_json(by_alias=True, exclude_none=True).encode()


def _fits(report: ImportReport) -> bool:
    return len(_wire(report)) <= MAX_ANSWER_BYTES


def _with_notes(report: ImportReport, notes: list[str]) -> ImportReport:
    if report.image is None:
        return report
    return report.model_copy(update={"image": report.image.model_copy(update={"notes": notes})})


def _cut(report: ImportReport, limit: int) -> ImportReport:
    update: dict[str, object] = {}
    if report.message is not None:
        update["message"] = shown(report.message, limit)
    if report.image is not None:
        update["image"] = report.image.model_copy(
            update={"name": shown(report.image.name, min(limit, MAX_FILE_NAME))}
        )
    return report.model_copy(update=update)
