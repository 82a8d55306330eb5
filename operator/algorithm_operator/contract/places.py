"""Whether the place that an input names fits its kind: how many paths, folders, and the ends of names. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from algorithm_operator.api.job import ConfigMapKey, ImagePath
from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.text import quoted
from algorithm_operator.contract.kinds import Form, Kind
from algorithm_operator.contract.outcome import Refused, invalid, refused
from algorithm_operator.contract.paths import check_store_path

IMAGE_SUFFIXES = (".mha", ".mhd", ".raw", ".zraw", ".nii", ".nii.gz", ".nrrd", ".tif", ".tiff", ".dcm")
"""What files of an image may end with besides DICOM's, which often have names that end with nothing known."""
_FOLDERS = (Form.IMAGE, Form.DICOM)
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")
"""Not of 1.2.840.113619.2.55, which is the name of a DICOM file."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def taken_suffixes(kind: Kind) -> tuple[str, ...]:
    """What the file of an input of that kind may end with, in lower case."""
    if kind.form is Form.IMAGE:
        return IMAGE_SUFFIXES
    return (*kind.suffixes, ".jpg") if kind.label == SocketKind.JPEG else kind.suffixes


def check_paths(slug: str, paths: Sequence[str], kind: Kind, of: str = "the DataStore") -> Refused | None:
    """Why an input of that kind cannot come from these paths below the root of `of`."""
    for path in paths:
        if why := check_store_path(path, of):
            return refused(Reason.PATH_INVALID, slug=slug, path=quoted(path), why=why)
        if problem := _check_name(slug, path, kind):
            return problem
    if kind.form in _FOLDERS:
        if twice := next((path for number, path in enumerate(paths) if path in paths[:number]), None):
            return invalid(slug, f"the path {quoted(twice)} stands there twice.")
    elif len(paths) > 1:
        return invalid(slug, f"kind {kind.label} takes one path, not {len(paths)}.")
    return None


def check_key(slug: str, place: ConfigMapKey, kind: Kind) -> Refused | None:
    """Why an input of that kind cannot come from this key of a ConfigMap."""
    if place.key == "." or place.key.startswith(".."):
        return invalid(slug, f"a ConfigMap has no key {quoted(place.key)}.")
    return _check_name(slug, place.key, kind)


def check_image(slug: str, place: ImagePath, kind: Kind) -> Refused | None:
    """Why an input of that kind cannot come from this path in an image."""
    if not _DIGEST.search(place.reference):
        return invalid(slug, f"image {quoted(place.reference)} is not named by its digest (NAME@sha256:…).")
    return check_paths(slug, [place.path], kind, "the image")


def _check_name(slug: str, path: str, kind: Kind) -> Refused | None:
    takes = f"kind {kind.label} takes {_taken(kind)}"
    if path.endswith("/"):
        return None if kind.form in _FOLDERS else invalid(slug, f"{takes}, and {quoted(path)} is a folder.")
    name = path.rsplit("/", 1)[-1]
    if name.lower().endswith(taken_suffixes(kind)) or (kind.form in _FOLDERS and not _SUFFIX.search(name)):
        return None
    return invalid(slug, f"{takes}, and {quoted(path)} is none.")


def _taken(kind: Kind) -> str:
    suffixes = " or ".join(", ".join(taken_suffixes(kind)).rsplit(", ", 1))
    if kind.form is Form.IMAGE:
        return f"files that end with {suffixes}, DICOM files without a suffix, or a folder of one image"
    if kind.form is Form.DICOM:
        return f"files that end with {suffixes} or have no suffix, or a folder of them"
    return f"one {suffixes} file"
