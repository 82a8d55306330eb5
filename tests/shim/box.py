"""Where a command runs: alone among its accounts, as PID 1, on this machine's files. And what is compared of it."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

UID: Final = 4711
GID: Final = 4712
USER: Final = "algorithm"
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
GRACE_SECONDS: Final = 1
PATIENCE_SECONDS: Final = 30
_LONG: Final = 256


@dataclass(frozen=True, slots=True)
class Run:
    """An image's command, what it finds, and its time limit. `{home}` in words and environment is its own folder."""

    entrypoint: Sequence[str] | None = None
    cmd: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = USER
    seconds: int = 20
    files: Mapping[str, str] = field(default_factory=dict)
    """Scripts in its folder, 0755; a name that ends in `-` is 0644."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: exit code (negative: the signal; None: there is none), the owner's sentence, the lines."""

    code: int | None
    message: str = ""
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    crash: str = ""
    """The exception that ended the platform's own helper."""
    raw: bytes = field(default=b"", compare=False)
    """stdout.log, where there is one."""


class Box:
    """A folder that user `algorithm` may read, with passwd and group files that know that user."""

    def __init__(self, root: Path, run: Run) -> None:
        self.root, self.run = root, run
        root.chmod(0o755)
        self.home = root / "home"
        self.logs = root / "logs"
        for folder in (self.home, self.logs, root / "bin", root / "output"):
            folder.mkdir()
        for name, text in run.files.items():
            file = self.home / name.removesuffix("-")
            file.write_text(self.filled(text))
            file.chmod(0o644 if name.endswith("-") else 0o755)
        for folder in (self.home, self.logs, root / "output"):
            os.chown(folder, UID, GID)
        homeless = "homeless:x:4713:4713::/nowhere:/bin/sh\n"
        (root / "passwd").write_text(
            f"root:x:0:0::/root:/bin/sh\n{USER}:x:{UID}:{GID}::{self.home}:\n{homeless}"
        )
        (root / "group").write_text(f"root:x:0:\n{USER}:x:{GID}:\n")

    def filled(self, text: str) -> str:
        """`text` with the folder's path where it says {home}."""
        return text.replace("{home}", str(self.home))

    def words(self, words: Sequence[str] | None) -> list[str] | None:
        """ENTRYPOINT or CMD."""
        return None if words is None else [self.filled(word) for word in words]

    @property
    def environment(self) -> dict[str, str]:
        """What the image's ENV gives."""
        return {"PATH": PATH, **{name: self.filled(value) for name, value in self.run.env.items()}}

    def start(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        """`command` as PID 1 among these accounts; it and all it starts die with the call."""
        accounts = f"mount --bind {self.root}/passwd /etc/passwd; mount --bind {self.root}/group /etc/group"
        script = f"set -e; {accounts}; cd {self.home}; exec {shlex.join(command)}"
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        return subprocess.run(
            [*namespaces, "/bin/sh", "-c", script],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@contextmanager
def box(run: Run) -> Iterator[Box]:
    """A fresh box; pytest's own folders are root's alone."""
    with tempfile.TemporaryDirectory(prefix="shim-") as folder:
        yield Box(Path(folder), run)


def comparable(here: Box, outcome: Outcome) -> Outcome:
    """The outcome without what differs from box to box, and without the length of what is long."""

    def text(line: str) -> str:
        line = line.replace(str(here.home), "{home}")
        return line if len(line) <= _LONG else f"{line[:8]}… {len(line)} characters"

    return replace(
        outcome,
        message=text(outcome.message),
        stdout=tuple(map(text, outcome.stdout)),
        stderr=tuple(map(text, outcome.stderr)),
    )
