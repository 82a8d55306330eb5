"""What a reader is given and what it gives back: the files of one input, and the one image that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.api.text import quoted


class Unreadable(ValueError):  # noqa: N818 - it is what the files are, and no fault of ours
    """The files are not one image that can be staged; the message is for their owner and safe to show.

    `files`: those that it is about; none: all of them.
    """

    def __init__(self, message: str, files: Sequence[Given] = ()) -> None:
        super().__init__(message)
        self.files = tuple(files)


@dataclass(frozen=True, slots=True)
class Given:
    """One open regular file of an input and its size in bytes.

    `name`: its path as the owner wrote it, untrusted; what lies in a folder has the folder before it.
    """

    name: str
    descriptor: int
    size: int

    def __str__(self) -> str:
        return quoted(self.name)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is staged byte for byte, as a `.mha` or `.tif`; `header` comes before it (of a .mhd, its own)."""

    file: Given
    suffix: str
    geometry: ImageGeometry
    header: bytes = b""


@dataclass(frozen=True, slots=True)
class Read:
    """One image, of 2 to 4 dimensions.

    `image` is a `SimpleITK.Image` (size, spacing in mm, origin and direction as the files have them, in LPS), or the
    file that can stay as it is. `format`: DICOM, NIfTI, NRRD, MetaImage or TIFF; `reader`: who read it, with its
    version; `notes`: what was not simply carried over, display-safe sentences.
    """

    image: Any | Kept
    format: str
    reader: str
    notes: tuple[str, ...] = ()
