"""Log text on its way to a terminal: line by line, with what could steer the terminal escaped."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from algorithm_operator.api.text import shown
from algorithm_operator.cli.errors import CliError, ReaderGoneError

_LONGEST_LINE = 64 * 1024


class Stream(StrEnum):
    """The algorithm's two."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Sink:
    """Our own stdout or stderr."""

    raw: bool = False
    to_stderr: bool = False

    def take(self, pieces: Iterable[bytes]) -> None:
        """Print all of it, each piece as it comes.

        :raises ReaderGoneError: nobody reads it any more (`| head`).
        """
        if self.raw:
            for piece in pieces:
                self._print(piece)
            return
        for line in lines(pieces):
            # Progress bars go back to the start of their line.
            self._print("".join(safe_line(part) + "\n" for part in line.split(b"\r")).encode())

    def _print(self, data: bytes) -> None:
        out = sys.stderr if self.to_stderr else sys.stdout
        try:
            out.flush()
            out.buffer.write(data)
            out.buffer.flush()
        except BrokenPipeError:  # which would be taken for a lost way to the store
            raise ReaderGoneError from None


def carry(flows: Sequence[tuple[Sink, Iterable[bytes]]]) -> None:
    """Several at a time, each as it comes."""
    failed: list[Exception] = []

    def take(sink: Sink, pieces: Iterable[bytes]) -> None:
        try:
            sink.take(pieces)
        except (CliError, ReaderGoneError, OSError) as error:
            failed.append(error)

    # Daemons: Ctrl-C ends the command, whatever is still to come.
    threads = [threading.Thread(target=take, args=flow, daemon=True) for flow in flows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error


def combined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of combined.jsonl for people: time, stream, text. Anything else stays as it is."""
    for line in lines(pieces):
        try:
            record = json.loads(line)
            time, stream, text = str(record["t"]), str(record["s"]), str(record["m"])
        except (ValueError, KeyError, TypeError, RecursionError):
            yield line + b"\n"
        else:
            words = safe_line(text.rstrip("\r\n").encode("utf-8", "backslashreplace"))
            yield f"{shown(time, 40)} {shown(stream, 10)} {words}\n".encode()


def safe_line(line: bytes) -> str:
    """One line of a log as a terminal may get it; tabs stay."""
    return "\t".join(shown(part, _LONGEST_LINE) for part in line.split(b"\t"))


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream that comes in pieces; endless ones are cut into several."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in whole)
        while len(rest) > _LONGEST_LINE:
            yield rest[:_LONGEST_LINE]
            rest = rest[_LONGEST_LINE:]
    if rest:
        yield rest
