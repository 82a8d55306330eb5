"""Bytes as lines of a container's log: how the manifest travels to the operator over the kubelet's own path. Pure.

    AOM1 <seq> <base64 of at most 8 KiB>
    AOM1 end <bytes> <sha256 hex>

The sha256 guards against a log that was cut; whether it is the announced manifest is the caller's to check.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

PREFIX = "AOM1"
CHUNK = 8 * 1024

_FRAME = re.compile(
    rb"^AOM1 (?:end (\d{1,12}) ([0-9a-f]{64})|(\d{1,9}) ([A-Za-z0-9+/=]{0,10924}))\r?$", re.MULTILINE
)


class FramesError(ValueError):
    """The log does not hold whole frames; the message says what is wrong."""


def encode(data: bytes) -> Iterator[str]:
    """The lines, without their ends, that carry `data`."""
    for number, start in enumerate(range(0, len(data), CHUNK)):
        yield f"{PREFIX} {number} {base64.b64encode(data[start : start + CHUNK]).decode('ascii')}"
    yield f"{PREFIX} end {len(data)} {hashlib.sha256(data).hexdigest()}"


def decode(log: bytes, max_bytes: int) -> bytes:
    """The last whole message in `log`; other lines are passed over.

    :raises FramesError: there is none, or it is damaged or larger than `max_bytes`.
    """
    found: bytes | None = None
    data = bytearray()
    following = 0
    problem = "there is no manifest in the log"
    for match in _FRAME.finditer(log):
        size, digest, number, text = match.groups()
        if number is not None:
            if int(number) == 0:
                data.clear()
            elif following < 0:
                continue
            elif int(number) != following:
                problem, following = f"line {following} of the manifest is missing in the log", -1
                continue
            following = int(number) + 1
            try:
                data += base64.b64decode(text, validate=True)
            except binascii.Error:
                problem, following = f"line {int(number)} of the manifest is damaged", -1
                continue
            if len(data) > max_bytes:
                raise FramesError(f"the manifest is larger than {max_bytes} bytes")
            problem = "the end of the manifest is missing in the log"
        elif following >= 0:
            if len(data) != int(size) or hashlib.sha256(data).hexdigest().encode() != digest:
                problem = "the manifest in the log is damaged: its hash differs"
            else:
                found = bytes(data)
            data.clear()
            following = 0
    if found is None:
        raise FramesError(problem)
    return found
