"""The runner's word, over an abstract socket that takes one connection, before the algorithm has started.

The network namespace of the Pod is shared, so the name is reachable; but only until the runner has connected, and the
runner connects before it starts the algorithm. Its descriptor closes on exec: the algorithm cannot reach it.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from pydantic import ValidationError

from algorithm_operator.contract.exits import ExitRecord

MAX_RECORD = 64 * 1024
DRAIN_SECONDS = 2.0
"""How long, once the algorithm is dead, bytes that are on the way may take."""


class Termination:
    """SIGTERM as something to wait for: the kubelet's word that every main container is dead."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            signal.signal(number, self._received)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def _received(self, number: int, frame: FrameType | None) -> None:
        # A full pipe says it already.
        with contextlib.suppress(BlockingIOError):
            self._writing.send(b"!")

    def fileno(self) -> int:
        """Readable once the signal has come, for good."""
        return self._reading.fileno()

    def wait(self) -> None:
        """Sleep until the signal comes."""
        select.select([self], [], [])


Waitable = socket.socket | Termination


@dataclass(frozen=True, slots=True)
class Words:
    """What the runner said. `connected` without `exit`: it died before it could say how the algorithm ended."""

    connected: bool = False
    seccomp: bool | None = None
    exit: ExitRecord | None = None


def listen(name: str) -> socket.socket:
    """The abstract socket `@name`, with room for one connection."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("\0" + name.removeprefix("@"))
    listener.listen(1)
    listener.setblocking(False)
    return listener


def receive(
    listener: socket.socket, termination: Termination, meanwhile: Callable[[], None] = lambda: None
) -> Words:
    """Take the one connection and what comes over it; returns after SIGTERM. Closes the listener.

    `meanwhile` is called once the runner is there: the algorithm's own time is free for preparations.
    """
    connection = _accept(listener, termination)
    if connection is None:
        return Words()
    meanwhile()
    with connection:
        data = _read(connection, termination)
    termination.wait()
    return parse(data)


def _accept(listener: socket.socket, termination: Termination) -> socket.socket | None:
    """The first connection, also one that came just before the signal; None if there was none."""
    with listener:
        waiting: list[Waitable] = [listener, termination]
        select.select(waiting, [], [])
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return None
    connection.setblocking(False)
    return connection


def _read(connection: socket.socket, termination: Termination) -> bytes:
    """All bytes until the runner closes; after the signal only those that were on the way."""
    data = bytearray()
    deadline: float | None = None
    while len(data) <= MAX_RECORD:
        waiting: list[Waitable] = [connection]
        if deadline is None:
            waiting.append(termination)
        ready, _, _ = select.select(
            waiting, [], [], None if deadline is None else deadline - time.monotonic()
        )
        if connection in ready:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            data += piece
        elif ready:
            deadline = time.monotonic() + DRAIN_SECONDS
        if deadline is not None and time.monotonic() >= deadline:
            break
    return bytes(data)


def parse(data: bytes) -> Words:
    """The runner's lines: at most one start and one exit event; what is not whole is not there."""
    seccomp: bool | None = None
    record: ExitRecord | None = None
    *lines, _ = data.split(b"\n")
    for line in lines:
        try:
            event = json.loads(line)
            if event.get("event") == "start":
                seccomp = event.get("seccomp") is True
            elif event.get("event") == "exit":
                record = ExitRecord.model_validate(event)
        except (ValueError, AttributeError, ValidationError, RecursionError):
            continue
    return Words(connected=True, seccomp=seccomp, exit=record)
