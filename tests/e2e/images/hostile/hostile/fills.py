"""Filling what can be filled. Everything is bounded, for the node is shared: who is not stopped ends by itself."""

import errno
import os
import socket
import time
from pathlib import Path
from typing import Any

from .kernel import report

_BLOCK = os.urandom(1 << 20)


def _write_blocks(file: int, megabytes: int) -> dict[str, Any]:
    done = 0
    try:
        while done < megabytes:
            os.write(file, _BLOCK)
            done += 1
    except OSError as error:
        return {"megabytes": done, "error": errno.errorcode[error.errno or 0]}
    return {"megabytes": done, "error": None}


def fill(path: str, megabytes: int = 512, files: int = 1, rest: float = 8) -> dict[str, Any]:
    """Fill up to `files` files; a path that ends in / is a folder, anything else is one file that is there."""
    seen: dict[str, Any] = {}
    for number in range(files):
        place = f"{path}filling-{number}" if path.endswith("/") else path
        try:
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            return {"error": errno.errorcode[error.errno or 0]}
        seen = _write_blocks(file, megabytes // files)
    report(seen)
    time.sleep(rest)  # whoever looks now and then shall have looked
    return seen


def unlinked(path: str = "/output/", megabytes: int = 512, rest: float = 8) -> dict[str, Any]:
    """The same, in a file that has no name any more."""
    file = os.open(f"{path}hidden", os.O_WRONLY | os.O_CREAT, 0o600)
    Path(f"{path}hidden").unlink()
    seen = _write_blocks(file, megabytes)
    report(seen)
    time.sleep(rest)
    return seen


def in_flight(path: str = "/output/", megabytes: int = 128, rest: float = 6) -> dict[str, Any]:
    """The same, in a file that no process has open: it is on its way from one socket to another."""
    file = os.open(f"{path}hidden", os.O_WRONLY | os.O_CREAT, 0o600)
    Path(f"{path}hidden").unlink()
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [file])
    seen = _write_blocks(file, 8)
    os.close(file)
    while seen["error"] is None and seen["megabytes"] < megabytes:
        _, (file, *_), _, _ = socket.recv_fds(theirs, 1, 1)
        seen = {**_write_blocks(file, 8), "megabytes": seen["megabytes"] + 8}
        socket.send_fds(ours, [b"x"], [file])
        os.close(file)
    time.sleep(rest)
    return seen


def inodes(path: str = "/tmp/", count: int = 100_000, rest: float = 8) -> dict[str, Any]:
    """Empty files: no bytes, but the node's file system has only so many."""
    made = 0
    error = None
    folder = Path(path)
    try:
        while made < count:
            if made % 1000 == 0:
                folder = Path(path) / str(made)
                folder.mkdir()
            os.close(os.open(f"{folder}/{made}", os.O_WRONLY | os.O_CREAT, 0o600))
            made += 1
    except OSError as failed:
        error = errno.errorcode[failed.errno or 0]
    seen = {"files": made, "error": error}
    report(seen)
    time.sleep(rest)
    return seen


def shared_memory(megabytes: int = 160) -> dict[str, Any]:
    """Fill /dev/shm and leave it full: the steps beside the algorithm have the same one."""
    file = os.open("/dev/shm/filling", os.O_WRONLY | os.O_CREAT, 0o600)
    seen = _write_blocks(file, megabytes)
    # To the last byte.
    for size in (4096, 1):
        try:
            while True:
                os.write(file, _BLOCK[:size])
        except OSError:
            continue
    return seen
