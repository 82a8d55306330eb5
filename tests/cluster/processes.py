"""The cluster's processes: started detached, known by records, and only they are ever stopped.

A record names the process by pid, start time and boot: a pid that was given to something else since, or a
record from before a reboot, is no process of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.cluster.settings import BIN, CONTAINERD_SOCKET, LOG, RUN
from tests.cluster.shell import ClusterError, tail


def start(name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Start a process in a session of its own, its output in the log folder. It survives this one."""
    if alive(name):
        return
    RUN.mkdir(parents=True, exist_ok=True)
    LOG.mkdir(parents=True, exist_ok=True)
    with (LOG / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PATH": f"{BIN}:/usr/sbin:/sbin:{os.environ.get('PATH', '')}", **(env or {})},
        )
    try:
        started = _start_time(process.pid)
    except OSError:
        raise ClusterError(f"{name} ended at once; its log: {LOG / name}.log\n{last_words(name)}") from None
    record = {"pid": process.pid, "started": started, "boot": _boot(), "argv": [*map(str, argv)]}
    _record(name).write_text(json.dumps(record))


def alive(name: str) -> bool:
    """Whether the process that the record names is running."""
    return _pid(name) is not None


def recorded() -> list[str]:
    """Names of all records, of living processes and dead ones."""
    return sorted(path.stem for path in RUN.glob("*.process"))


def require_alive(name: str) -> None:
    """ClusterError with the end of its log where a process has ended."""
    if not alive(name):
        raise ClusterError(f"{name} has ended; its log: {LOG / name}.log\n{last_words(name)}")


def last_words(name: str) -> str:
    """The end of a process's log."""
    log = LOG / f"{name}.log"
    return tail(log.read_text(errors="replace")) if log.exists() else ""


def stop(names: Iterable[str], patience: float = 10) -> None:
    """End the named processes of ours together: SIGTERM, and SIGKILL for those that stay."""
    pids = {name: pid for name in names if (pid := _pid(name)) is not None}
    for pid in pids.values():
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for name, pid in pids.items():
        if alive(name):
            _signal(pid, signal.SIGKILL)
            while alive(name):
                time.sleep(0.02)
    for name in names:
        _record(name).unlink(missing_ok=True)


def pause(name: str) -> None:
    """Stop a process of ours in its tracks, for tests of what happens without it."""
    if (pid := _pid(name)) is not None:
        _signal(pid, signal.SIGSTOP)


def resume(name: str) -> None:
    """Let a paused process go on."""
    if (pid := _pid(name)) is not None:
        _signal(pid, signal.SIGCONT)


def shims() -> list[int]:
    """Pids of the containerd shims that serve our containerd: they outlive it, and own the containers."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"containerd-shim" in argv[0] and str(CONTAINERD_SOCKET).encode() in argv:
            found.append(int(entry.name))
    return found


def kill_containers() -> None:
    """End every container of our containerd, then its shim; containerd and kubelet are to be stopped before."""
    for shim in shims():
        for pid in _descendants(shim):
            _signal(pid, signal.SIGKILL)
    time.sleep(0.2 if shims() else 0)
    for shim in shims():
        _signal(shim, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while shims() and time.monotonic() < deadline:
        time.sleep(0.05)


def _record(name: str) -> Path:
    return RUN / f"{name}.process"


def _pid(name: str) -> int | None:
    try:
        record = json.loads(_record(name).read_text())
        if record["boot"] == _boot() and record["started"] == _start_time(record["pid"]):
            return int(record["pid"])
    except (OSError, ValueError, KeyError):
        pass
    return None


def _start_time(pid: int) -> str:
    """Field 22 of its stat, in clock ticks since boot; OSError or a zombie is no process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return fields[19]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, pending = [], [pid]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def forget_logs() -> None:
    """Remove the logs of the cluster before."""
    shutil.rmtree(LOG, ignore_errors=True)
