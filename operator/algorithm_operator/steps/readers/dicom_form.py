"""What the frames of a DICOM file are before they are decoded: size, samples, bits. Only what can be decoded passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.steps.readers.dicom_header import Header
from algorithm_operator.steps.readers.reading import Unreadable

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
JPEG = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_FLOATS = {"FloatPixelData": ("f4", 32), "DoubleFloatPixelData": ("f8", 64)}


@dataclass(frozen=True, slots=True)
class Form:
    """What the frames of a file are, before they are decoded. All files of an image have the same."""

    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    dtype: str
    """Of the stored values, as numpy names it, in this machine's byte order."""

    @property
    def frame_bytes(self) -> int:
        """Of one frame of stored values; of frames of single bits, unpacked."""
        return self.rows * self.columns * self.samples * np.dtype(self.dtype).itemsize

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame: rows × columns, and colours last if it has them."""
        return (self.rows, self.columns, 3) if self.samples == 3 else (self.rows, self.columns)

    def __str__(self) -> str:
        size, bits = f"{self.columns} × {self.rows}", f"{self.bits_stored} bits in {self.bits_allocated}"
        return f"{size}, {self.photometric}, {'' if self.signed else 'un'}signed, {bits}"

    @property
    def colour(self) -> bool:
        """Whether a pixel of the image is red, green and blue."""
        return self.samples == 3 or self.photometric == PALETTE


def form(header: Header) -> Form:
    """The form of a file that has pixels.

    :raises Unreadable: it makes no sense, or nothing here reads it.
    """
    syntax = header.transfer_syntax
    if not header.inflated and syntax not in {*NATIVE, *JPEG, RLELossless}:
        name = shown(syntax.name or "none", 80)
        raise Unreadable(
            f"its transfer syntax ({name}) cannot be read; store it as Explicit VR Little Endian."
        )
    samples = header.number("SamplesPerPixel", at_least=1, at_most=3, default=1)
    photometric = header.text("PhotometricInterpretation")
    if photometric not in ((*GREY, PALETTE) if samples == 1 else _COLOUR) or samples == 2:
        raise Unreadable(
            f"its PhotometricInterpretation is {quoted(photometric, 32)} with {samples} sample(s) a pixel; "
            f"it must be {', '.join(GREY)} or {PALETTE} with 1, or {', '.join(_COLOUR)} with 3."
        )
    rows, columns = header.number("Rows", at_least=1), header.number("Columns", at_least=1)
    if header.pixels in _FLOATS:
        dtype, bits = _FLOATS[header.pixels]
        return Form(rows, columns, samples, photometric, bits, bits, bits - 1, True, dtype)
    bits = header.number("BitsAllocated", at_least=1, at_most=64)
    if bits not in (1, 8, 16, 32, 64):
        raise Unreadable(f"BitsAllocated is {bits}; it must be 1, 8, 16, 32 or 64.")
    stored = header.number("BitsStored", at_least=1, at_most=bits, default=bits)
    high = header.number("HighBit", at_least=stored - 1, at_most=bits - 1, default=stored - 1)
    signed = bool(header.number("PixelRepresentation", at_most=1, default=0))
    dtype = f"{'i' if signed else 'u'}{max(bits // 8, 1)}"
    return Form(rows, columns, samples, photometric, bits, stored, high, signed, dtype)
