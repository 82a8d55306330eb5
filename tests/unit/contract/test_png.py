"""Pictures that came from elsewhere."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from algorithm_operator.contract.png import MAX_SIDE, drawable
from tests.unit.steps.files import chunk


def png(size: tuple[int, int] = (3, 2), text: str | None = None) -> bytes:
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_text("Comment", text)
    data = io.BytesIO()
    Image.new("RGB", size, "red").save(data, "PNG", pnginfo=info)
    return data.getvalue()


HUGE = chunk(b"IHDR", struct.pack(">IIBBBBB", MAX_SIDE + 1, 1, 8, 0, 0, 0, 0))
WIDE = chunk(b"IHDR", struct.pack(">IIBBBBB", 4001, 4000, 8, 0, 0, 0, 0))
SIGNATURE, IEND = png()[:8], chunk(b"IEND", b"")


def test_a_picture_stays_and_what_comes_along_goes() -> None:
    assert drawable(png()) == png()
    assert drawable(png(text="<script>alert(1)</script>")) == png()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg/>",
        SIGNATURE,
        SIGNATURE + IEND,
        png()[:-1],
        png() + b"<script>",
        png().replace(b"IDAT", b"IDAU"),
        SIGNATURE + HUGE + chunk(b"IDAT", b"x") + IEND,
        SIGNATURE + WIDE + chunk(b"IDAT", b"x") + IEND,
        SIGNATURE + chunk(b"IHDR", b"") + chunk(b"IDAT", b"x") + IEND,
        SIGNATURE + chunk(b"IDAT", b"x") + IEND,
        png()[:33] + chunk(b"EVIL", b"x") + png()[33:],
        png()[:33] + png()[8:],
    ],
    ids=[
        "nothing", "SVG", "a signature", "no image", "cut", "something behind it", "a wrong checksum",
        "too large", "too many pixels", "an empty header", "no header", "an unknown chunk", "two headers",
    ],
)  # fmt: skip
def test_no_pictures(data: bytes) -> None:
    assert drawable(data) is None


@settings(deadline=None)
@given(st.integers(0, len(png()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_seen(place: int, change: int) -> None:
    data = bytearray(png())
    data[place] ^= change
    assert drawable(bytes(data)) is None
