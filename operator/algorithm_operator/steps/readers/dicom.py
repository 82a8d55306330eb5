"""A DICOM series as one image: files opened by descriptor, sorted by geometry, values as the header scales them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import pydicom
import SimpleITK

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.steps.readers import dicom_header
from algorithm_operator.steps.readers.dicom_form import Form, form
from algorithm_operator.steps.readers.dicom_header import DICOMDIR, Header, is_dicom, naming, read_header
from algorithm_operator.steps.readers.dicom_series import Frame, arrange
from algorithm_operator.steps.readers.dicom_volume import build
from algorithm_operator.steps.readers.reading import Given, Read, Unreadable

__all__ = ["instances", "is_dicom", "read"]

MAX_VOXEL_BYTES = 64 * 1024**3
_LISTED = 8
"""How many files or series a message lists."""
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_MAX_UID = 64
READER = f"pydicom {pydicom.__version__}, SimpleITK {SimpleITK.__version__}"  # type: ignore[attr-defined]


def read(files: Sequence[Given], max_voxel_bytes: int = MAX_VOXEL_BYTES) -> Read:
    """One series, in several files or in one, as an image of 3 dimensions, or 4 if it has time points.

    :raises Unreadable: they are not one series, are no images, or make no regular grid; it says which and why.
    """
    headers = _images(files)
    _check_one_series(headers)
    common = _common_form(headers)
    frames: list[Frame] = []
    for number, header in enumerate(headers):
        with naming(header.given):
            frames += dicom_header.frames(header, number)
    arranged = arrange(frames)
    notes = [_sources(headers, frames), *arranged.notes]
    if any("ModalityLUTSequence" in header.dataset for header in headers):
        notes.append("It has a modality table that is no straight line; it was not applied.")
    image = build(headers, common, arranged, max_voxel_bytes, notes)
    return Read(image, "DICOM", READER, tuple(notes))


def instances(files: Sequence[Given]) -> list[tuple[Given, str]]:
    """The files of a DICOM image set, each with its SOPInstanceUID, which names it from then on.

    An image set is one series, as at Grand Challenge.

    :raises Unreadable: a file is no DICOM image, has no proper uid, or the uid of another one.
    """
    headers = _images(files)
    _check_one_series(headers)
    found: dict[str, Given] = {}
    for header in headers:
        uid = header.text("SOPInstanceUID")
        if len(uid) > _MAX_UID or not _UID.fullmatch(uid):
            raise Unreadable(f"{header.given}: its SOPInstanceUID is {quoted(uid, 80)}, which is no uid.")
        if uid in found:
            raise Unreadable(f"{header.given} and {found[uid]} have the same SOPInstanceUID; give each once.")
        found[uid] = header.given
    return [(given, uid) for uid, given in found.items()]


def _images(files: Sequence[Given]) -> list[Header]:
    """The headers of all files; every one is an image, but for a DICOMDIR, which is left out."""
    other = [given for given in files if not is_dicom(given.descriptor)]
    if other:
        raise Unreadable(f"{_listed(other)}: no DICOM, which has DICM after 128 bytes; leave it out.", other)
    headers = []
    for given in files:
        with naming(given):
            headers.append(read_header(given))
    headers = [header for header in headers if header.sop_class != DICOMDIR]
    if not headers:
        raise Unreadable("there is no DICOM image; a DICOMDIR only lists others.")
    blank = [header for header in headers if header.pixels is None]
    if blank:
        kinds = ", ".join(sorted({header.words for header in blank})[:_LISTED])
        files = [header.given for header in blank]
        raise Unreadable(f"{_listed(files)}: no image but {kinds}, without pixels.", files)
    return headers


def _check_one_series(headers: Sequence[Header]) -> None:
    series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        with naming(header.given):
            series[header.text("SeriesInstanceUID")].append(header)
    if len(series) == 1:
        return
    told = [
        f"{_described(members[0], uid)}: {len(members)} file(s), such as {members[0].given}"
        for uid, members in sorted(series.items(), key=lambda item: -len(item[1]))
    ]
    more = f"; and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    raise Unreadable(
        f"the files are of {len(told)} series; give those of one: {'; '.join(told[:_LISTED])}{more}."
    )


def _described(header: Header, uid: str) -> str:
    """The series by its uid, and by what the scanner calls it, if it does."""
    text = header.text("SeriesDescription")
    return f"{quoted(text, 64)} ({shown(uid, _MAX_UID)})" if text else shown(uid, _MAX_UID)


def _common_form(headers: Sequence[Header]) -> Form:
    forms = []
    for header in headers:
        with naming(header.given):
            forms.append(form(header))
            if forms[-1] != forms[0]:
                raise Unreadable(
                    f"its pixels are {forms[-1]}, but those of {headers[0].given} {forms[0]}; give files of one form."
                )
    return forms[0]


def _sources(headers: Sequence[Header], frames: Sequence[Frame]) -> str:
    if len(headers) > 1:
        return f"{len(frames)} frames of {len(headers)} files, sorted by position."
    return f"{len(frames)} frames of one file." if len(frames) > 1 else "One frame of one file."


def _listed(files: Sequence[Given]) -> str:
    names = ", ".join(str(given) for given in files[:_LISTED])
    return f"{names} and {len(files) - _LISTED} more" if len(files) > _LISTED else names
