"""Which limit explains a failure, which one wins where several do, and what the owner reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.core.facts import Facts, facts_of
from algorithm_operator.core.verdict import judge
from tests.unit.core.builders import pod, run, terminated

MIB = 1024**2
LINE = "RuntimeError: no lungs"


def failed(code: int, *, reason: str = "", pod_reason: str = "", **record: Any) -> Facts:
    """A run that ended with `code`; `record` is what the runner and collect said of it."""
    exit_record = {
        "event": "exit",
        "exitCode": code,
        "lastStderrLine": LINE,
        "stderr": {"bytes": 23},
        **record,
    }
    report = json.dumps({"v": 1, "ok": False, "exit": exit_record})
    shape: dict[str, Any] = {
        "stage": terminated(0, start=0, end=8),
        "main": terminated(code, reason=reason),
        "collect": terminated(66, end=65, message=report),
    }
    if pod_reason:
        shape["reason"] = pod_reason
    return facts_of(pod(**shape))


def changed(**spec: Any) -> RunSnapshot:
    """The run with other resources (`memory=`, `sharedMemory=`, …), `network` or `logPolicy`."""
    body = run().wire()
    for key in ("network", "logPolicy"):
        if key in spec:
            body[key] = spec.pop(key)
    body["resources"] |= spec
    return RunSnapshot.model_validate(body)


SOCKETS: dict[str, Any] = {"deniedSockets": {"AF_INET": 2, "AF_INET6": 1, "AF_NETLINK": 5}}
IN_MEMORY: dict[str, Any] = {"scratch": {"size": "64Mi", "medium": "Memory"}}
CASES: list[tuple[str, Facts, RunSnapshot, Reason, list[str]]] = [
    (
        "disk, with what was asked and seen",
        failed(137, diskExceeded=True, diskBytes=131 * MIB),
        changed(scratch={"size": "64Mi"}),
        Reason.DISK_LIMIT_EXCEEDED,
        [
            "scratch.size is 64Mi",
            "/output, /tmp and its container's own file system; 131 MiB were seen there",
        ],
    ),
    (
        "disk beside a tmpfs is the container's own",
        failed(137, diskExceeded=True, diskBytes=131 * MIB),
        changed(**IN_MEMORY),
        Reason.DISK_LIMIT_EXCEEDED,
        ["for all in its container's own file system; 131 MiB"],
    ),
    (
        "a full /output",
        failed(1, fullFilesystems=["/output", "/dev/shm"]),
        changed(**IN_MEMORY),
        Reason.DISK_LIMIT_EXCEEDED,
        ["/output was full", "64Mi (in memory)", f"ended with exit code 1: {LINE}"],
    ),
    (
        "a full /output and /tmp",
        failed(1, fullFilesystems=["/tmp", "/output"]),
        changed(**IN_MEMORY),
        Reason.DISK_LIMIT_EXCEEDED,
        ["/output and /tmp was full"],
    ),
    (
        "a full /dev/shm",
        failed(1, fullFilesystems=["/dev/shm"]),
        changed(sharedMemory="256Mi"),
        Reason.SHARED_MEMORY_EXCEEDED,
        ["/dev/shm has (256Mi): it was full", "num_workers=0", "sharedMemory", f"exit code 1: {LINE}"],
    ),
    (
        "SIGBUS by its name",
        failed(135, signal="SIGBUS"),
        run(),
        Reason.SHARED_MEMORY_EXCEEDED,
        ["mostly 64 MiB", "bus error", "num_workers=0"],
    ),
    ("SIGBUS by a shell's exit code", failed(135), run(), Reason.SHARED_MEMORY_EXCEEDED, ["bus error"]),
    ("a line of a parent", failed(1, busError=True), run(), Reason.SHARED_MEMORY_EXCEEDED, ["bus error"]),
    (
        "memory, with its peak",
        failed(137, reason="OOMKilled", signal="SIGKILL", oomKills=1, peakMemoryBytes=128 * MIB),
        changed(memory="128Mi"),
        Reason.OUT_OF_MEMORY,
        [
            "The container was killed as it exceeded its memory limit of 128Mi (the most that was seen: 128 MiB)."
        ],
    ),
    (
        "memory of a child, as a kernel tells that kills it alone",
        failed(1, oomKills=2),
        changed(memory="128Mi"),
        Reason.OUT_OF_MEMORY,
        [
            "A process of the container was killed as it exceeded its memory limit of 128Mi.",
            f"exit code 1: {LINE}",
        ],
    ),
    (
        "memory of a child, as the kubelet tells with the code of the main process",
        failed(1, reason="OOMKilled", oomKills=1),
        run(),
        Reason.OUT_OF_MEMORY,
        ["A process of the container was killed", "exit code 1"],
    ),
    (
        "time, and workers that wait for shared memory",
        failed(124, timedOut=True, fullFilesystems=["/dev/shm"]),
        run(),
        Reason.TIME_LIMIT_EXCEEDED,
        ["the limit is 7200 s", "/dev/shm was full", "num_workers=0"],
    ),
    (
        "time alone",
        failed(124, timedOut=True, **SOCKETS),
        run(),
        Reason.TIME_LIMIT_EXCEEDED,
        ["and staging."],
    ),
    ("threads", failed(137, threadsExceeded=True), run(), Reason.THREAD_LIMIT_EXCEEDED, ["more than 512"]),
    (
        "sockets that were refused",
        failed(1, **SOCKETS),
        run(),
        Reason.EXIT_CODE,
        [
            f"exit code 1: {LINE} Network socket refused (AF_INET, AF_INET6, 3 in all); if it only talks to itself, "
            "set network: Loopback."
        ],
    ),
    ("disk before memory", failed(137, diskExceeded=True, oomKills=1), run(), Reason.DISK_LIMIT_EXCEEDED, []),
    (
        "disk before threads",
        failed(137, diskExceeded=True, threadsExceeded=True),
        run(),
        Reason.DISK_LIMIT_EXCEEDED,
        [],
    ),
    ("memory before time", failed(124, oomKills=1, timedOut=True), run(), Reason.OUT_OF_MEMORY, []),
    (
        "memory before a full tmpfs, which is memory",
        failed(137, reason="OOMKilled", fullFilesystems=["/dev/shm", "/output"]),
        run(),
        Reason.OUT_OF_MEMORY,
        [],
    ),
    (
        "the kubelet's deadline before a full tmpfs",
        failed(143, pod_reason="DeadlineExceeded", fullFilesystems=["/output"]),
        run(),
        Reason.TIME_LIMIT_EXCEEDED,
        [],
    ),
    (
        "a command that does not exist, whatever was full",
        failed(127, startError="The command does not exist", fullFilesystems=["/dev/shm"]),
        run(),
        Reason.NOT_STARTABLE,
        ["does not exist"],
    ),
]


@pytest.mark.parametrize(
    ("facts", "run_", "reason", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_limit(facts: Facts, run_: RunSnapshot, reason: Reason, words: list[str]) -> None:
    verdict = judge(facts, run_)
    assert verdict.reason is reason
    for part in words:
        assert part in verdict.message
    assert not verdict.retry
    assert verdict.message.isprintable()


@pytest.mark.parametrize(
    ("facts", "run_"),
    [
        (failed(1, deniedSockets={"AF_NETLINK": 4}), run()),
        (failed(1, deniedSockets={"AF_INET": 0}), run()),
        (failed(1), run()),
        (failed(1, **SOCKETS), changed(network="Loopback")),
        (failed(137, oomKills=1, signal="SIGKILL", **SOCKETS), run()),
        (failed(1, oomKills=1, **SOCKETS), run()),
        (failed(1, busError=True, **SOCKETS), run()),
        (failed(137, diskExceeded=True, **SOCKETS), run()),
        (failed(124, timedOut=True, **SOCKETS), run()),
    ],
    ids=[
        "no IP family",
        "none",
        "not counted",
        "Loopback",
        "memory",
        "a child's",
        "bus error",
        "disk",
        "time",
    ],
)
def test_sockets_are_told_only_where_they_explain(facts: Facts, run_: RunSnapshot) -> None:
    assert "socket" not in judge(facts, run_).message


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({}, f"exit code 3: {LINE}"),
        (
            {"errorInStatus": False},
            "exit code 3: what it wrote to stderr is not told here (logPolicy), it is in the logs.",
        ),
        ({"errorInStatus": False, "store": {"name": "private"}}, "it is in the logs in DataStore private."),
    ],
    ids=["told", "withheld", "withheld, elsewhere"],
)
def test_the_line_is_told_only_where_the_policy_says_so(policy: dict[str, Any], told: str) -> None:
    facts = failed(3, fullFilesystems=[])
    message = judge(facts, changed(logPolicy=policy)).message
    assert told in message
    assert (LINE in message) == (not policy)


def test_silence_is_silence_whatever_the_policy_says() -> None:
    facts = failed(3, lastStderrLine=None, stderr={"bytes": 0})
    for policy in ({}, {"errorInStatus": False}):
        message = judge(facts, changed(logPolicy=policy)).message
        assert message == "The algorithm ended with exit code 3: No errors were reported in the logs."
