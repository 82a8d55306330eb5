"""One DICOM file's header, read through its descriptor up to the pixels, with bounds; pydicom takes it apart.

Only the elements that are used are kept: private ones, overlays and what says who the patient is never leave the file.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.steps.readers.dicom_series import Frame
from algorithm_operator.steps.readers.reading import Given, Unreadable

MAX_HEADER = 64 * 1024**2
MAX_FRAMES = 100_000
_FIRST_LOOK = 64 * 1024
_MAGIC_AT, _MAGIC = 128, b"DICM"
_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_PALETTE = [
    f"{part}{colour}PaletteColorLookupTable{what}"
    for colour in ("Red", "Green", "Blue")
    for part, what in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
]
_KEPT: Any = [Tag(keyword) for keyword in (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "SpacingBetweenSlices", "SliceThickness", "TemporalPositionIdentifier", "TemporalPositionIndex",
    "RescaleSlope", "RescaleIntercept", "DoseGridScaling", "GridFrameOffsetVector", "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", *_PALETTE,
)]  # fmt: skip
_GROUP_OF = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "TemporalPositionIndex": "FrameContentSequence",
}
"""The functional group that says it of one frame, or of all, in a file of several."""
_DEFLATED = re.compile(re.escape(DeflatedExplicitVRLittleEndian.encode()) + rb"(?![0-9.])")
DICOMDIR = UID("1.2.840.10008.1.3.10")
# What is used of a value is checked here; pydicom would only warn of it, and of all the others, to nobody.
config.settings.reading_validation_mode = config.IGNORE


@dataclass(frozen=True, slots=True)
class Header:
    """What is used of one file. `pixels`: the keyword of its pixel element or None, whose tag is at `pixels_at`.

    A deflated file is inflated as a whole: then `inflated` is its dataset, pixels and all, and `pixels_at` is 0.
    """

    given: Given
    dataset: Any
    transfer_syntax: UID
    pixels: str | None
    pixels_at: int
    inflated: bool = False

    @property
    def sop_class(self) -> UID:
        """What kind of object it is."""
        return UID(
            self.text("SOPClassUID") or str(_value(self.dataset.file_meta, "MediaStorageSOPClassUID") or "")
        )

    def text(self, keyword: str) -> str:
        """An element as text, nothing if it is missing.

        :raises Unreadable: it is damaged.
        """
        value = _value(self.dataset, keyword)
        return "" if value is None else str(value)

    def number(
        self, keyword: str, *, at_least: int = 0, at_most: int = 65535, default: int | None = None
    ) -> int:
        """A whole number.

        :raises Unreadable: it is missing, no number, or out of bounds.
        """
        value = _value(self.dataset, keyword)
        if value is None:
            if default is None:
                raise Unreadable(f"{keyword} is missing.")
            return default
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise Unreadable(f"{keyword} is {quoted(str(value), 64)}; it must be a whole number.") from None
        if not at_least <= number <= at_most:
            raise Unreadable(f"{keyword} is {number}; it must be {at_least} to {at_most}.")
        return number

    @property
    def words(self) -> str:
        """What it is, for people: `CT Image Storage`."""
        sop_class = self.sop_class
        return shown(sop_class.name.removesuffix(" Storage") or "object without a class", 80)


@contextmanager
def naming(given: Given) -> Iterator[None]:
    """Says of which file an error is."""
    try:
        yield
    except Unreadable as error:
        raise Unreadable(f"{given}: {error}", [given]) from None


def is_dicom(descriptor: int) -> bool:
    """Whether an open file says that it is DICOM. One without the preamble says nothing, and is not guessed at."""
    return os.pread(descriptor, len(_MAGIC), _MAGIC_AT) == _MAGIC


def read_header(given: Given) -> Header:
    """The header of an open DICOM file.

    :raises Unreadable: it is damaged, or longer than MAX_HEADER.
    """
    look = _FIRST_LOOK
    while True:
        data = os.pread(given.descriptor, look, 0)
        whole = len(data) >= given.size
        if _may_be_deflated(data) and (inflated := _inflated(given)) is not None:
            return inflated
        stream = BytesIO(data)
        try:
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_KEPT)
            at = stream.tell()
            keyword = _pixels_at(data, at, little=bool(dataset.original_encoding[1]))
            if keyword or whole:
                syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or ""))
                return Header(given, dataset, syntax, keyword, at)
        except MemoryError:
            raise
        except Exception:  # whatever hostile bytes make pydicom raise
            if whole:
                raise Unreadable("its DICOM header is damaged.") from None
        if look >= MAX_HEADER:
            raise Unreadable(f"its DICOM header is longer than {MAX_HEADER} bytes.")
        look *= 8


def _may_be_deflated(data: bytes) -> bool:
    return _DEFLATED.search(data[_MAGIC_AT:1024]) is not None


def _inflated(given: Given) -> Header | None:
    """The header and all the rest of a deflated file; None if it is not deflated after all."""
    if given.size > MAX_HEADER:
        raise Unreadable(f"it is deflated and larger than {MAX_HEADER} bytes; store it without that.")
    try:
        dataset = pydicom.dcmread(BytesIO(os.pread(given.descriptor, given.size, 0)))
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        keyword = next((keyword for keyword in _PIXELS.values() if keyword in dataset), None)
    except MemoryError:
        raise
    except Exception:
        raise Unreadable("its deflated content is damaged.") from None
    if syntax != DeflatedExplicitVRLittleEndian:
        return None
    return Header(given, dataset, UID(syntax), keyword, 0, inflated=True)


def _pixels_at(data: bytes, at: int, *, little: bool) -> str | None:
    order = "little" if little else "big"
    group = int.from_bytes(data[at : at + 2], order)  # type: ignore[arg-type]
    element = int.from_bytes(data[at + 2 : at + 4], order)  # type: ignore[arg-type]
    return _PIXELS.get(group << 16 | element)


def frames(header: Header, number: int) -> Iterator[Frame]:
    """The frames of file `number`: what its header, or its functional groups, say of each.

    :raises Unreadable: a number is none, or there are too many frames.
    """
    dataset = header.dataset
    count = header.number("NumberOfFrames", at_least=1, at_most=MAX_FRAMES, default=1)
    shared = (_value(dataset, "SharedFunctionalGroupsSequence") or [None])[0]
    per_frame = _value(dataset, "PerFrameFunctionalGroupsSequence") or []
    if per_frame and len(per_frame) != count:
        raise Unreadable(f"it has {count} frames, but {len(per_frame)} descriptions of frames.")
    offsets = _numbers(dataset, "GridFrameOffsetVector", count) if count > 1 else None
    for index in range(count):
        groups = [group for group in (per_frame[index] if per_frame else None, shared) if group is not None]
        frame = _frame(header, number, index, groups)
        if offsets and frame.position and frame.orientation:
            frame = _shifted(frame, offsets[index] - offsets[0])
        elif count > 1 and not per_frame:
            frame = replace(frame, position=None)  # what is said once is the place of one of them
        yield frame


def _frame(header: Header, number: int, index: int, groups: list[Any]) -> Frame:
    def told(keyword: str, count: int = 1) -> tuple[float, ...] | None:
        return _told(header.dataset, groups, keyword, count)

    spacing = told("PixelSpacing", 2) or told("ImagerPixelSpacing", 2)
    if spacing and min(spacing) <= 0:
        raise Unreadable(f"its pixel spacing is {spacing[0]:g} by {spacing[1]:g} mm; it must be positive.")
    distance = told("SpacingBetweenSlices") or told("SliceThickness")
    slope = told("RescaleSlope") or told("DoseGridScaling")
    intercept = told("RescaleIntercept")
    time = told("TemporalPositionIndex") or told("TemporalPositionIdentifier")
    return Frame(
        file=number,
        index=index,
        name=header.given.name,
        position=told("ImagePositionPatient", 3),
        orientation=told("ImageOrientationPatient", 6),
        spacing=(spacing[1], spacing[0]) if spacing else None,
        slice_distance=abs(distance[0]) if distance and distance[0] else None,
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        time=int(time[0]) if time else None,
    )


def _shifted(frame: Frame, distance: float) -> Frame:
    """A frame of a dose grid: its header says how far along the normal it lies."""
    orientation, position = np.array(frame.orientation), np.array(frame.position)
    normal = np.cross(orientation[:3], orientation[3:])
    return replace(frame, position=tuple(float(each) for each in position + distance * normal))


def _told(dataset: Any, groups: list[Any], keyword: str, count: int) -> tuple[float, ...] | None:
    """From the first functional group that says it, else from the file's own elements."""
    for group in groups if keyword in _GROUP_OF else ():
        items = _value(group, _GROUP_OF[keyword])
        if items and (found := _numbers(items[0], keyword, count)):
            return found
    return _numbers(dataset, keyword, count)


def _numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, None if the element is missing or empty.

    :raises Unreadable: it is something else.
    """
    value = _value(dataset, keyword)
    if value is None or value == "":
        return None
    values = list(value) if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]
    if not values:
        return None
    try:
        numbers = tuple(float(each) for each in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise Unreadable(f"{keyword} is {quoted(str(value), 64)}; it must be {count} finite number(s).")
    return numbers


def _value(dataset: Any, keyword: str) -> Any:
    """The value of an element, None if there is none.

    :raises Unreadable: pydicom cannot read it.
    """
    try:
        return dataset.get(keyword)
    except MemoryError:
        raise
    except Exception:
        raise Unreadable(f"its {keyword} is damaged.") from None
