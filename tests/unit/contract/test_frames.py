"""Frames: bytes as lines of a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.contract.frames import CHUNK, FramesError, decode, encode

MAX = 1 << 20


def log(data: bytes) -> bytes:
    return "".join(f"{line}\n" for line in encode(data)).encode()


@given(st.binary(max_size=3 * CHUNK), st.sampled_from([b"", b"noise\n", b"AOM1 x\n", b"\xff\n"]))
def test_there_and_back(data: bytes, noise: bytes) -> None:
    assert decode(noise + log(data) + noise, MAX) == data


def test_lines_are_short() -> None:
    assert max(map(len, encode(bytes(100_000)))) < 11_000


def test_the_last_whole_message_counts() -> None:
    assert decode(log(b"old" * 9000)[:-80] + log(b"new"), MAX) == b"new"
    assert decode(log(b"first") + log(b"second"), MAX) == b"second"


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (lambda lines: [], "no manifest"),
        (lambda lines: lines[:-1], "end of the manifest is missing"),
        (lambda lines: lines[:1] + lines[2:], "line 1 of the manifest is missing"),
        (lambda lines: lines[1:], "line 0 of the manifest is missing"),
        (lambda lines: [lines[0][:-4], *lines[1:]], "hash differs"),
        (lambda lines: [lines[0][:-3], *lines[1:]], "line 0 of the manifest is damaged"),
        (
            lambda lines: [*lines[:-1], lines[-1][:-1] + ("0" if lines[-1][-1] != "0" else "1")],
            "hash differs",
        ),
    ],
)
def test_a_damaged_log_is_refused(cut: object, expected: str) -> None:
    lines = cut(list(encode(bytes(range(256)) * 100)))  # type: ignore[operator]
    with pytest.raises(FramesError, match=expected):
        decode("\n".join(lines).encode() + b"\n", MAX)


def test_size_is_bounded() -> None:
    with pytest.raises(FramesError, match="larger than 100"):
        decode(log(bytes(101)), 100)
