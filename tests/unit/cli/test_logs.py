"""An algorithm's log on a terminal."""

import pytest

from algorithm_operator.cli.logs import lines, safe_line


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a\nb"], [b"a", b"b"]),
        ([b"a", b"b\nc", b"\n"], [b"ab", b"c"]),
        ([b"a\r\nb"], [b"a", b"b"]),
        ([b"\n\n"], [b"", b""]),
        ([b"x" * 65537 + b"\n"], [b"x" * 65537]),
        ([b"x" * 65537], [b"x" * 65536, b"x"]),
    ],
)
def test_lines(pieces: list[bytes], expected: list[bytes]) -> None:
    assert list(lines(pieces)) == expected


def test_nothing_steers_the_terminal() -> None:
    assert safe_line(b"\x1b]0;owned\x07\tok \xff\xe2\x80\xae") == "\\x1b]0;owned\\x07\tok \\xff\\u202e"
