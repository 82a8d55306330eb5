"""The stored values of one DICOM frame: from the file if they lie there plainly, else through a decoder.

Compressed frames go to the GDCM inside SimpleITK, each in a file of its own (in memory) that says nothing but how to
decode it: measured on the files that pydicom ships, it reads what pydicom's freely licensed plugins read, and 12-bit
JPEG besides, and no further package is needed. But RLE goes to pydicom: GDCM mixes up colours of 16 and 32 bits.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
import SimpleITK
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, RLELossless

from algorithm_operator.steps.readers.dicom_form import GREY, JPEG, NATIVE, PALETTE, Form
from algorithm_operator.steps.readers.dicom_header import Header
from algorithm_operator.steps.readers.reading import Unreadable

sitk: Any = SimpleITK

_REPRESENTATIONS = ("OB", "OW", "OF", "OD", "OV", "UN")
_LONGEST_RUN = 64
"""Run length encoding makes at most so many bytes of one."""
_UNDEFINED = 0xFFFFFFFF
_ANY_UID = "1.2.3"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class Pixels:
    """The frames of one file, decoded one at a time."""

    def __init__(self, header: Header, form: Form, count: int) -> None:
        self._header, self._form, self._count = header, form, count

    def frame(self, index: int) -> Any:
        """Frame `index`: rows × columns (× 3, RGB), native byte order, unused bits cleared.

        :raises Unreadable: the pixels are damaged, or fewer than promised.
        """
        form = self._form
        if self._header.transfer_syntax in JPEG:
            values = self._decompressed(index)
        elif self._plain:
            values = self._lying_there(index)
        else:
            values = self._decoded(index)
        if values.shape != form.shape:
            raise Unreadable("its pixels are not as many as its header promises.")
        if form.photometric == PALETTE:
            return self._coloured(values)
        return values.astype(form.dtype, copy=False)

    @property
    def _planar(self) -> int:
        return self._header.number("PlanarConfiguration", at_most=1, default=0)

    @cached_property
    def _plain(self) -> bool:
        """Whether a frame is one run of bytes in the file that need no change but their order."""
        form, header = self._form, self._header
        return (
            header.transfer_syntax in NATIVE
            and form.bits_allocated >= 8
            and not (form.samples == 3 and self._planar)
            and form.photometric in (*GREY, PALETTE, "RGB")
            and (header.dataset.original_encoding[1] or form.bits_allocated > 8)
        )

    def check(self) -> None:
        """That the file is long enough for what its header promises, before anything is allocated.

        Frames of JPEG may be of any length; the sandbox bounds what becomes of them.

        :raises Unreadable: it is not.
        """
        form, syntax = self._form, self._header.transfer_syntax
        bits = form.rows * form.columns * form.samples * form.bits_allocated * self._count
        promised = bits // 8 * (2 if form.photometric == "YBR_FULL_422" else 3) // 3
        stored = self._value[1]
        if syntax in JPEG or promised <= stored * (_LONGEST_RUN if syntax == RLELossless else 1):
            return
        raise Unreadable(f"its header promises {promised} bytes of pixels, it has {stored}.")

    @cached_property
    def _value(self) -> tuple[int, int]:
        """Where the value of the pixel element begins in the file (if it is not inflated), and its length.

        :raises Unreadable: it is longer than the file, or of no length where it needs one.
        """
        header = self._header
        if header.inflated:
            return 0, len(header.dataset[header.pixels].value)
        start = os.pread(header.given.descriptor, 12, header.pixels_at)
        at, length = (12, start[8:12]) if self._representation else (8, start[4:8])
        size = int.from_bytes(length, "little" if header.dataset.original_encoding[1] else "big")
        at += header.pixels_at
        left = header.given.size - at
        if header.transfer_syntax.is_encapsulated:
            return at, left
        if size == _UNDEFINED or size > left:
            raise Unreadable(
                f"its pixels should be {size} bytes long, but {max(left, 0)} bytes follow its header."
            )
        return at, size

    def _lying_there(self, index: int) -> Any:
        form = self._form
        at, _ = self._value
        data = os.pread(self._header.given.descriptor, form.frame_bytes, at + index * form.frame_bytes)
        if len(data) < form.frame_bytes:
            raise Unreadable("its file ends within the pixels.")
        order = "<" if self._header.dataset.original_encoding[1] else ">"
        values = np.frombuffer(data, order + form.dtype)
        if order != ("<" if sys.byteorder == "little" else ">"):
            values = values.astype(form.dtype)
        return self._used_bits(values.reshape(form.shape))

    def _used_bits(self, values: Any) -> Any:
        """Without what old files keep in the bits that the values leave free."""
        form = self._form
        if form.bits_stored == form.bits_allocated:
            return values
        left = form.bits_allocated - 1 - form.high_bit
        return (values << left) >> (form.bits_allocated - form.bits_stored)

    @cached_property
    def _representation(self) -> str:
        """OB, OW, …, which says how bytes are swapped in big endian; nothing if the element does not say it.

        The element itself is asked: there are files whose transfer syntax promises it in vain.
        """
        header = self._header
        letters = os.pread(header.given.descriptor, 2, header.pixels_at + 4).decode("latin-1")
        return letters if letters in _REPRESENTATIONS else ""

    @cached_property
    def _loaded(self) -> Dataset:
        """The pixels of all frames and how to decode them, for pydicom."""
        header, dataset = self._header, self._described()
        keyword = header.pixels or ""
        if header.inflated:
            dataset[keyword] = header.dataset[keyword]
        else:
            at, size = self._value
            data = os.pread(header.given.descriptor, size, at)
            dataset.add_new(keyword, self._representation or "OW", data)
        dataset.NumberOfFrames = self._count
        return dataset

    def _described(self) -> Dataset:
        """How to decode the pixels, and nothing else of the header."""
        form, dataset = self._form, Dataset()
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = form.rows, form.columns, form.samples
        dataset.PhotometricInterpretation = form.photometric
        if form.samples == 3:
            dataset.PlanarConfiguration = self._planar
        dataset.BitsAllocated, dataset.BitsStored = form.bits_allocated, form.bits_stored
        dataset.HighBit, dataset.PixelRepresentation = form.high_bit, int(form.signed)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self._header.transfer_syntax
        return dataset

    def _decoded(self, index: int) -> Any:
        try:
            values, _ = get_decoder(self._header.transfer_syntax).as_array(self._loaded, index=index)
        except MemoryError:
            raise
        except Exception:
            raise Unreadable(
                "its pixels cannot be decoded; they are damaged or fewer than promised."
            ) from None
        return self._used_bits(values) if self._form.bits_allocated >= 8 else values

    @cached_property
    def _fragments(self) -> list[bytes]:
        at, size = self._value
        data = os.pread(self._header.given.descriptor, size, at)
        try:
            return list(generate_frames(data, number_of_frames=self._count))
        except MemoryError:
            raise
        except Exception:
            raise Unreadable("its compressed pixels are damaged.") from None

    def _decompressed(self, index: int) -> Any:
        if len(self._fragments) != self._count:
            raise Unreadable(f"it has {self._count} frame(s), but the pixels of {len(self._fragments)}.")
        descriptor = os.memfd_create("frame")
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(self._alone(self._fragments[index]))
            reader = sitk.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(f"/proc/self/fd/{descriptor}")
            return sitk.GetArrayFromImage(reader.Execute())[0]
        except RuntimeError as error:
            if "allocat" in str(error):
                raise MemoryError from error
            raise Unreadable("its compressed pixels cannot be decoded; they are damaged.") from None
        finally:
            os.close(descriptor)

    def _alone(self, fragment: bytes) -> bytes:
        """A DICOM file of one frame and of nothing else."""
        dataset = self._described()
        if self._form.photometric == PALETTE:
            dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.SOPClassUID, dataset.SOPInstanceUID = UID(_SECONDARY_CAPTURE), UID(_ANY_UID)
        dataset.PixelData = encapsulate([fragment], has_bot=False)
        dataset["PixelData"].VR = "OB"
        file = BytesIO()
        dcmwrite(file, dataset, enforce_file_format=True)
        return file.getvalue()

    def _coloured(self, values: Any) -> Any:
        try:
            return apply_color_lut(values, self._header.dataset)
        except MemoryError:
            raise
        except Exception:
            raise Unreadable("its colour palette is missing or damaged.") from None
