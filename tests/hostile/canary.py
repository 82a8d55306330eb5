"""A file of somebody else's: who opens it, by whatever name, is seen; where its bytes get to is found."""

from __future__ import annotations

import ctypes
import os
import struct
import uuid
from pathlib import Path
from typing import Final

IN_ACCESS, IN_OPEN, IN_Q_OVERFLOW = 0x1, 0x20, 0x4000
_EVENT: Final = struct.Struct("iIII")


class Canary:
    """`folder` with a file `secret`: JSON, and enough bytes for a small image's voxels. inotify watches both inodes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, f"canary-{uuid.uuid4().hex}"
        folder.mkdir()
        (folder / "secret").write_text(f'"{self.token}"')
        libc = ctypes.CDLL(None, use_errno=True)
        self._watch: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        # The folder's watch sees what is opened by its name there, the file's own whatever the name.
        for place in (folder, folder / "secret"):
            if libc.inotify_add_watch(self._watch, os.fsencode(place), IN_OPEN | IN_ACCESS) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def seen(self) -> int:
        """How often it was opened or read since this was asked."""
        count = 0
        while True:
            try:
                data = os.read(self._watch, 1 << 16)
            except BlockingIOError:
                return count
            while data:
                _, mask, _, length = _EVENT.unpack_from(data)
                assert not mask & IN_Q_OVERFLOW
                count += 1
                data = data[_EVENT.size + length :]

    def is_in(self, *texts: bytes) -> bool:
        """Whether its bytes are in one of them."""
        return any(self.token.encode() in text for text in texts)

    def close(self) -> None:
        """Stop watching."""
        os.close(self._watch)
