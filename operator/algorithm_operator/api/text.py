"""Making tenant-controlled text safe to show: escaped, one line, bounded."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def shown(text: str | bytes, limit: int = 256) -> str:
    """`text` on one line: control, bidi, surrogate and unassigned characters and all spaces but the plain one escaped,
    at most `limit` characters.

    Bytes are read as UTF-8; what is not valid is shown as \\xNN.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    out: list[str] = []
    length = 0
    for char in text:
        piece = char
        if char in _BIDI or (unicodedata.category(char) in _ESCAPED and char != " "):
            code = ord(char)
            piece = f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
        out.append(piece)
        length += len(piece)
        if length > limit:
            while length >= limit:
                length -= len(out.pop())
            out.append("…")
            break
    return "".join(out)


def quoted(text: str | bytes, limit: int = 256) -> str:
    """`shown` in double quotes, for names and paths."""
    return '"' + shown(text, limit).replace('"', '\\"') + '"'
