"""Which limit an algorithm that did not end well had run into, and the sentence for its owner. Pure.

The order: what the runner ended it for (disk, threads) is a fact; then a kill for memory, then the time. A file system
that was seen full, and a bus error, explain an exit code alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.exits import ExitRecord
from algorithm_operator.core import names, quantity
from algorithm_operator.core.facts import Facts
from algorithm_operator.core.scratch import is_tmpfs

SIGBUS = "SIGBUS"
_SIGBUS_CODE = 135
_NODES_OWN_SHM = "what the node gives, mostly 64 MiB"
_IP_FAMILIES = ("AF_INET", "AF_INET6")


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that explains the end. `ended_itself`: the algorithm lived on, and its own last words count."""

    reason: Reason
    message: str
    ended_itself: bool = False


def exceeded(facts: Facts, run: RunSnapshot) -> Exceeded | None:
    """The limit, or None where none explains the end. The algorithm has ended, and not with exit code 0."""
    record = _record(facts)
    for look in (_disk, _threads, _memory, _time):
        found = look(facts, run, record)
        if found is not None:
            return found
    if record.start_error:
        return None
    return _full_scratch(run, record) or _shared_memory(facts, run, record)


def network_hint(facts: Facts, run: RunSnapshot) -> str:
    """What refused sockets may explain of an exit code: a sentence with a space before it, or ""."""
    denied = _record(facts).denied_sockets or {}
    families = [family for family in _IP_FAMILIES if denied.get(family)]
    if run.network != "None" or not families:
        return ""
    times = sum(denied[family] for family in families)
    return (
        f" Network socket refused ({', '.join(families)}, {times} in all); if it only talks to itself, set "
        "network: Loopback."
    )


def _record(facts: Facts) -> ExitRecord:
    """What the runner said; where it said nothing, what the kubelet knows."""
    report = facts.collect_report
    code = facts.algorithm.exit_code or 0
    return report.exit if report is not None and report.exit is not None else ExitRecord(exit_code=code)


def _disk(facts: Facts, run: RunSnapshot, record: ExitRecord) -> Exceeded | None:
    if not record.disk_exceeded:
        return None
    own = "its container's own file system"
    places = own if is_tmpfs(run.resources) else f"{names.OUTPUT_MOUNT}, {names.TMP_MOUNT} and {own}"
    seen = f"; {quantity.binary(record.disk_bytes)} were seen there" if record.disk_bytes else ""
    why = f"resources.scratch.size is {run.resources.scratch.size} for all in {places}{seen}."
    return Exceeded(Reason.DISK_LIMIT_EXCEEDED, sentence(Reason.DISK_LIMIT_EXCEEDED, why=why))


def _threads(facts: Facts, run: RunSnapshot, record: ExitRecord) -> Exceeded | None:
    if not record.threads_exceeded:
        return None
    limit = run.resources.threads
    return Exceeded(Reason.THREAD_LIMIT_EXCEEDED, sentence(Reason.THREAD_LIMIT_EXCEEDED, limit=limit))


def _memory(facts: Facts, run: RunSnapshot, record: ExitRecord) -> Exceeded | None:
    whole = facts.algorithm.reason == "OOMKilled"
    if not whole and record.oom_kills == 0:
        return None
    # A kernel that kills one process alone leaves the main one to end by itself.
    child = record.oom_kills > 0 and record.signal is None and record.exit_code not in (0, 137)
    peak = record.peak_memory_bytes
    message = sentence(
        Reason.OUT_OF_MEMORY,
        who="A process of the container" if child else "The container",
        limit=run.resources.memory,
        seen=f" (the most that was seen: {quantity.binary(peak)})" if peak else "",
    )
    return Exceeded(Reason.OUT_OF_MEMORY, message, ended_itself=child)


def _time(facts: Facts, run: RunSnapshot, record: ExitRecord) -> Exceeded | None:
    limit = run.time_limit_seconds
    if record.timed_out and record.start_error:
        return Exceeded(Reason.DEADLINE_BEFORE_START, sentence(Reason.DEADLINE_BEFORE_START, limit=limit))
    if facts.pod_reason != "DeadlineExceeded" and not record.timed_out:
        return None
    hint = ""
    if names.SHM_MOUNT in record.full_filesystems:
        hint = (
            f" {names.SHM_MOUNT} was full ({_shm_size(run)}): DataLoader workers may have hung on it. Use "
            "num_workers=0, or set spec.resources.sharedMemory of the Algorithm."
        )
    message = sentence(Reason.TIME_LIMIT_EXCEEDED, limit=limit, hint=hint)
    return Exceeded(Reason.TIME_LIMIT_EXCEEDED, message)


def _full_scratch(run: RunSnapshot, record: ExitRecord) -> Exceeded | None:
    full = [each for each in (names.OUTPUT_MOUNT, names.TMP_MOUNT) if each in record.full_filesystems]
    if not full:
        return None
    why = (
        f"{' and '.join(full)} was full; resources.scratch.size is {run.resources.scratch.size} (in memory)."
    )
    message = sentence(Reason.DISK_LIMIT_EXCEEDED, why=why)
    return Exceeded(Reason.DISK_LIMIT_EXCEEDED, message, ended_itself=True)


def _shared_memory(facts: Facts, run: RunSnapshot, record: ExitRecord) -> Exceeded | None:
    full = names.SHM_MOUNT in record.full_filesystems
    killed = record.signal == SIGBUS or facts.algorithm.exit_code == _SIGBUS_CODE
    if not (full or killed or record.bus_error):
        return None
    why = "it was full" if full else "the kernel ended a process with a bus error"
    message = sentence(Reason.SHARED_MEMORY_EXCEEDED, has=_shm_size(run), why=why)
    return Exceeded(Reason.SHARED_MEMORY_EXCEEDED, message, ended_itself=True)


def _shm_size(run: RunSnapshot) -> str:
    return run.resources.shared_memory or _NODES_OWN_SHM
