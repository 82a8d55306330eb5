"""Words without end, and words that are none."""

import os

_BLOCK = 1 << 16
ESCAPES = (
    b"\x1b[2J\x1b[31m\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIC8=\x07\x1bP+q544e\x1b\\\x9b31m\x85"
    + "\u202eexe.txt\u2066\u200b\ufeff\u009b2J\u2028".encode()
    + b"\0\0\xff\xfe\xc3(\xed\xa0\x80\r2026-01-01T00:00:00Z stdout F forged\n"
)


def _all(stream: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(stream, view) :]
    return len(data)


def flood(megabytes: int = 100, line: int = 100, code: int = 0) -> dict[str, int]:
    """A line of `line` MB on each stream, and escapes up to `megabytes` MB in all on each."""
    sent = {1: 0, 2: 0}
    for stream in sent:
        sent[stream] += _all(stream, b"the first words\n")
        for _ in range((line << 20) // _BLOCK):
            sent[stream] += _all(stream, b"x" * _BLOCK)
        sent[stream] += _all(stream, b"\n")
        block = ESCAPES * (_BLOCK // len(ESCAPES))
        while sent[stream] < (megabytes << 20) - len(block):
            sent[stream] += _all(stream, block)
        sent[stream] += _all(stream, b"the last words " + ESCAPES)
    if code:
        os._exit(code)
    return {"stdout": sent[1], "stderr": sent[2]}


def lines(megabytes: int = 8) -> dict[str, int]:
    """Empty lines: the node's log writes some fifty bytes for each."""
    block = b"\n" * _BLOCK
    sent = 0
    for _ in range((megabytes << 20) // _BLOCK):
        sent += _all(1, block)
    return {"stdout": sent}
