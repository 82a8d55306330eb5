"""PNG files that came from elsewhere: what is needed to draw them, and nothing that comes along. Pure."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DRAWN = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
MAX_SIDE, MAX_PIXELS = 8192, 16_000_000
"""A few bytes may be a picture of any size, and whoever looks at the page has to hold all of it."""


def drawable(data: bytes) -> bytes | None:
    """The picture alone: whole, its checksums right, of a bounded size, without texts and profiles; None: no PNG."""
    if not data.startswith(_SIGNATURE):
        return None
    kept, names, at = [_SIGNATURE], [], len(_SIGNATURE)
    while at < len(data):
        if len(data) < at + 12:
            return None
        length, name = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if len(data) < end or zlib.crc32(data[at + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]:
            return None
        if name in _DRAWN:
            names.append(name)
            kept.append(data[at:end])
        elif not name[:1].islower():  # a critical chunk that nobody knows
            return None
        at = end
        if name == b"IEND":
            break
    if at != len(data) or names[:1] != [b"IHDR"] or names[-1:] != [b"IEND"] or b"IDAT" not in names:
        return None
    if names.count(b"IHDR") != 1 or len(kept[1]) != 25:
        return None
    width, height = struct.unpack(">II", kept[1][8:16])
    fits = 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS
    return b"".join(kept) if fits else None
