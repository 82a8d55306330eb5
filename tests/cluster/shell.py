"""Running commands and talking to the person at the terminal (always on stderr: stdout is for results)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class ClusterError(Exception):
    """Something that the person at the terminal has to know; the message says what to do."""


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def run(
    *argv: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with its output captured; one that fails is a ClusterError with its last words."""
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as error:
        # A program that is not installed, as a shell says it.
        done = subprocess.CompletedProcess([str(part) for part in argv], 127, "", str(error))
    if check and done.returncode != 0:
        raise ClusterError(
            f"{' '.join(map(str, argv))}: exit {done.returncode}\n{tail(done.stderr or done.stdout)}"
        )
    return done


def output(*argv: str | Path, env: Mapping[str, str] | None = None) -> str:
    """What a command prints, stripped."""
    return run(*argv, env=env).stdout.strip()


def run_logged(name: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str], cwd: Path) -> None:
    """Run a long command with its output in a file, saying every 30 s that it is still at work."""
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            cwd=cwd,
        )
        while (code := process.poll()) is None:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                lines = log.read_bytes().count(b"\n")
                say(f"{name}: {time.monotonic() - started:.0f} s, {lines} steps so far")
            except BaseException:
                process.terminate()
                raise
    if code != 0:
        last = tail(log.read_text(errors="replace"))
        raise ClusterError(f"{name}: exit {code}; the whole output is in {log}\n{last}")
    say(f"{name}: done in {time.monotonic() - started:.0f} s")


def wait_for(
    what: str, ready: Callable[[], bool], timeout: float, hint: str = "", every: float = 0.25
) -> None:
    """Poll until `ready` says so; ClusterError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {timeout:.0f} s. {hint}".rstrip())
        time.sleep(every)


def tail(text: str, lines: int = 15) -> str:
    """The last lines of an output."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
