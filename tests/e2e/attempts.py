"""What the hostile image tries, how each job has to end, and what its owner reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.kube import Object

FLOOD: Final = 100 << 20
"""Bytes on each stream, but for a few."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is tried, how its job has to end, and what the owner reads."""

    given: Object
    state: str = "Succeeded"
    reason: str = "Completed"
    message: str = ""
    """A regular expression for the whole message."""
    seen: Callable[[Any], object] | Any = None
    """What the attempt saw from inside, or a check of it; None: nothing in particular."""
    algorithm: str = "hostile"


OVER_DISK: Final = r"The algorithm wrote more than its disk limit allows: .*96Mi.* were seen there\."
TOO_MANY: Final = r"The algorithm had more than 512 threads at once and was ended\."
_FAILED: Final = "Failed"


def _fill(path: str) -> Attempt:
    return Attempt(
        {"attempt": "fill", "path": path, "megabytes": 320}, _FAILED, "DiskLimitExceeded", OVER_DISK
    )


ATTEMPTS: Final[dict[str, Attempt]] = {
    "stop-signal": Attempt({"attempt": "ignore"}, "Cancelled", "Cancelled", r"The job was cancelled\."),
    "refusals": Attempt({"attempt": "refusals"}),
    "refusals-loopback": Attempt({"attempt": "refusals"}, algorithm="loopback"),
    "runner": Attempt({"attempt": "runner"}),
    "fork-bomb": Attempt({"attempt": "fork-bomb"}, _FAILED, "ThreadLimitExceeded", TOO_MANY),
    "thread-bomb": Attempt(
        {"attempt": "thread-bomb", "processes": 1, "each": 600}, _FAILED, "ThreadLimitExceeded", TOO_MANY
    ),
    "thread-bomb-in-two": Attempt(
        {"attempt": "thread-bomb", "processes": 2, "each": 300}, _FAILED, "ThreadLimitExceeded", TOO_MANY
    ),
    "blinded-thread-bomb": Attempt(
        {"attempt": "prlimit", "limit": "NOFILE", "then": 600},
        _FAILED,
        "ThreadLimitExceeded",
        TOO_MANY,
        seen={"prlimit": "EPERM"},
    ),
    "prlimit-cpu": Attempt({"attempt": "prlimit", "limit": "CPU"}, seen={"prlimit": "EPERM", "threads": 0}),
    "sigterm": Attempt(
        {"attempt": "sigterm"}, _FAILED, "ExitCode", r"The algorithm ended with exit code 143: .*"
    ),
    "daemon": Attempt({"attempt": "daemon"}, seen=lambda seen: seen == "main leaves"),
    "ignore": Attempt(
        {"attempt": "ignore"},
        _FAILED,
        "TimeLimitExceeded",
        r"Time limit exceeded: the limit is 20 s, with image pull and staging\.",
        algorithm="short",
    ),
    "core": Attempt(
        {"attempt": "core"},
        _FAILED,
        "ExitCode",
        r"The algorithm ended with exit code 4: .*",
        seen=lambda seen: seen["dumped"] == {} and seen["limit"] <= 1,
    ),
    "forge": Attempt(
        {"attempt": "forge"},
        _FAILED,
        "ExitCode",
        r"The algorithm ended with exit code 3: I have Succeeded",
        seen={"dial": "ECONNREFUSED", "listen": "DONE", "termination message": "DONE"},
    ),
    "dial": Attempt(
        {"attempt": "dial"},
        _FAILED,
        "ExitCode",
        r"The algorithm ended with exit code 9: cannot connect: EAFNOSUPPORT\.? Network socket refused "
        r"\(AF_INET, 1 in all\); if it only talks to itself, set network: Loopback\.",
    ),
    "flood": Attempt(
        {"attempt": "flood"}, seen=lambda seen: seen["stdout"] > FLOOD - 200_000 < seen["stderr"]
    ),
    "empty-lines": Attempt({"attempt": "lines", "megabytes": 4}, seen={"stdout": 4 << 20}),
    "fill-output": _fill("/output/"),
    "fill-tmp": _fill("/tmp/"),
    "fill-root": _fill("/var/tmp/"),
    "fill-logs": _fill("/.algorithm-operator/logs/"),
    "fill-termination-log": _fill("/dev/termination-log"),
    "fill-deleted": Attempt(
        {"attempt": "unlinked", "megabytes": 320}, _FAILED, "DiskLimitExceeded", OVER_DISK
    ),
    "fill-in-flight": Attempt({"attempt": "in-flight"}, seen={"megabytes": 128, "error": None}),
    "inodes": Attempt({"attempt": "inodes"}, _FAILED, "DiskLimitExceeded", OVER_DISK),
    "shm": Attempt({"attempt": "shm"}, seen={"megabytes": 64, "error": "ENOSPC"}),
    "memory-child": Attempt({"attempt": "memory-child"}, seen={"child": "SIGKILL"}),
    "memory-of-nobody": Attempt(
        {"attempt": "memory-nobody"},
        _FAILED,
        "OutOfMemory",
        r"The container was killed as it exceeded its memory limit of 256Mi.*",
        seen=lambda seen: seen["megabytes"] < 256,
    ),
    "greed": Attempt({"attempt": "greed"}, seen=lambda seen: seen["inotify"]["taken"] > 0),
}
