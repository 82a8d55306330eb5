"""An algorithm's words on a terminal."""

import io
import json
import os

import pytest

from algorithm_operator.cli import show
from algorithm_operator.cli.errors import CliError, ReaderGoneError
from algorithm_operator.cli.lines import Sink, carry, combined, lines, safe_line


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


def test_names_are_never_turned_into_emoji() -> None:
    with show.out.capture() as printed:
        show.out.print(show.text("results:a:b.json"))
    assert printed.get() == "results:a:b.json\n"


def test_a_progress_bar_is_a_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    Sink(to_stderr=True).take([b"10%\r50%\x1b[K\r", b"100%\nend"])
    assert capsys.readouterr() == ("", "10%\n50%\\x1b[K\n100%\nend\n")


@pytest.mark.parametrize("raw", [False, True])
def test_a_reader_who_left_is_no_lost_connection(monkeypatch: pytest.MonkeyPatch, raw: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(io.FileIO(writer, "w")) as gone:
        monkeypatch.setattr("sys.stdout", gone)
        with pytest.raises(ReaderGoneError):
            Sink(raw=raw).take([b"a\n"])


def test_raw_is_raw(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    Sink(raw=True).take([b"a\x1b[2J", b"\xff\r"])
    assert capsysbinary.readouterr().out == b"a\x1b[2J\xff\r"


def test_a_line_of_both_cannot_pretend_to_be_another() -> None:
    records = [
        {"t": "2026-11-22T20:00:00Z", "s": "stderr", "m": "evil\n2026-11-22T20:00:01Z stdout fine\n"},
        {"t": "2026-11-22T20:00:02Z", "s": "stdout", "m": "next\x1b[2J"},
    ]
    data = "".join(json.dumps(record) + "\n" for record in records).encode() + b'[1]\nnot json\n{"t": 1}\n'
    assert b"".join(combined([data])).decode().splitlines() == [
        "2026-11-22T20:00:00Z stderr evil\\x0a2026-11-22T20:00:01Z stdout fine",
        "2026-11-22T20:00:02Z stdout next\\x1b[2J",
        "[1]",
        "not json",
        '{"t": 1}',
    ]


def test_one_of_two_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> object:
        yield b"begun\n"
        raise CliError("the connection was lost")

    with pytest.raises(CliError, match="was lost"):
        carry([(Sink(), [b"whole\n"]), (Sink(to_stderr=True), broken())])  # type: ignore[list-item]
    assert capsys.readouterr() == ("whole\n", "begun\n")
