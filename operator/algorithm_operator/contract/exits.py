"""How the steps and the runner end: exit codes, termination messages (small, of our own containers), exit record."""

from __future__ import annotations

from typing import Literal

from algorithm_operator.api.base import Model

MAX_TERMINATION_BYTES = 1536
STAGE_OK, STAGE_BAD_INPUT, STAGE_RETRY, STAGE_NOT_ISOLATED = 0, 65, 75, 78
"""Exit codes of stage (sysexits' EX_DATAERR, EX_TEMPFAIL, EX_CONFIG)."""
COLLECT_OK, COLLECT_FINDINGS, COLLECT_NO_RESULT, COLLECT_FAILED = 0, 65, 66, 75
"""Exit codes of collect: all kept; outputs refused; the algorithm did not end with 0 (logs kept); our own failure."""


class StageReport(Model):
    """The termination message of `stage`."""

    v: Literal[1] = 1
    ok: bool
    reason: str | None = None
    message: str | None = None
    slug: str | None = None
    staged_seconds: float | None = None
    gate_seconds: float | None = None
    input_bytes: int = 0


class StreamRecord(Model):
    """One log stream: bytes written by the algorithm, bytes kept."""

    bytes: int = 0
    kept: int = 0


class LimitsSeen(Model):
    """The limits of the container's cgroup as the runner read them; None: no limit, or none to be seen."""

    cpus: float | None = None
    memory_bytes: int | None = None
    swap_bytes: int | None = None
    pids: int | None = None


class ExitRecord(Model):
    """The runner's last word, over the abstract socket; the algorithm cannot forge it."""

    event: Literal["exit"] = "exit"
    exit_code: int
    signal: str | None = None
    timed_out: bool = False
    start_error: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    ran_seconds: float | None = None
    stdout: StreamRecord = StreamRecord()
    stderr: StreamRecord = StreamRecord()
    last_stderr_line: str | None = None
    max_rss_bytes: int | None = None
    combined: StreamRecord | None = None
    """combined.jsonl: both streams in the order in which they were read."""
    oom_kills: int = 0
    threads_exceeded: bool = False
    disk_exceeded: bool = False
    disk_bytes: int | None = None
    """The most that was seen in /output, /tmp and the container's own file system together."""
    full_filesystems: list[str] = []
    """File systems of the container's own that were seen full: /dev/shm, and /output and /tmp on a tmpfs."""
    bus_error: bool = False
    """Whether the last line on stderr tells of a bus error: collect reads it, also where it may not be told."""
    denied_sockets: dict[str, int] | None = None
    """Sockets that the filter refused, by address family; None: not counted on this kernel."""
    peak_memory_bytes: int | None = None
    peak_threads: int | None = None
    cpu_seconds: float | None = None
    limits_seen: LimitsSeen | None = None


class CollectReport(Model):
    """The termination message of `collect`: at most MAX_TERMINATION_BYTES, the long fields cut to fit."""

    v: Literal[1] = 1
    ok: bool
    reason: str | None = None
    message: str | None = None
    manifest_sha256: str | None = None
    manifest_bytes: int | None = None
    outputs: int = 0
    bytes: int = 0
    findings: int = 0
    collected_seconds: float | None = None
    exit: ExitRecord | None = None
