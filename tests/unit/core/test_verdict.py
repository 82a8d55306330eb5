"""The verdict table: what the kubelet and our steps said, and what the owner reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from algorithm_operator.api.reasons import Blame, Reason
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.verdict import judge
from tests.unit.core.builders import MANIFEST_SHA, pod, run, running, terminated, waiting

DONE = terminated(0, start=0, end=8)


def collected(code: int = 0, exit_code: int = 0, **more: Any) -> dict[str, Any]:
    """The collector's end; `record` adds to the runner's exit record, None leaves it out."""
    record = more.pop("record", {})
    report: dict[str, Any] = {"v": 1, "ok": code == 0, **more}
    if record is not None:
        report["exit"] = {"event": "exit", "exitCode": exit_code, **record}
    if code == 0:
        report["manifestSha256"] = MANIFEST_SHA
    return terminated(code, end=65, message=json.dumps(report))


def staged(code: int, **report: Any) -> dict[str, Any]:
    return terminated(code, end=8, message=json.dumps({"v": 1, "ok": False, **report}))


CASES: list[tuple[str, dict[str, Any], Reason, str]] = [
    ("succeeds", {"stage": DONE, "main": terminated(0), "collect": collected()}, Reason.COMPLETED, ""),
    (
        "succeeds though the deadline passed while collecting",
        {
            "stage": DONE,
            "main": terminated(0),
            "collect": collected(),
            "phase": "Failed",
            "reason": "DeadlineExceeded",
        },
        Reason.COMPLETED,
        "",
    ),
    (
        "succeeds though the Pod was deleted while collecting",
        {"stage": DONE, "main": terminated(0), "collect": collected(), "deletion": 90},
        Reason.COMPLETED,
        "",
    ),
    (
        "the phase says Succeeded and the collector crashed",
        {"stage": DONE, "main": terminated(0), "collect": terminated(139), "phase": "Succeeded"},
        Reason.COLLECT_FAILED,
        "exit code 139",
    ),
    (
        "the collector ran out of memory",
        {"stage": DONE, "main": terminated(0), "collect": terminated(137, reason="OOMKilled")},
        Reason.COLLECT_FAILED,
        "stepsResources.collect.memory",
    ),
    (
        "exit 3 with a line on stderr",
        {
            "stage": DONE,
            "main": terminated(3),
            "collect": collected(66, 3, record={"lastStderrLine": "no lungs\x1b[31m found"}),
            "phase": "Failed",
        },
        Reason.EXIT_CODE,
        "exit code 3: no lungs\\x1b[31m found",
    ),
    (
        "exit 1 and silence",
        {"stage": DONE, "main": terminated(1), "collect": collected(66, 1)},
        Reason.EXIT_CODE,
        "No errors were reported in the logs.",
    ),
    (
        "exit 3 and no word from the collector",
        {"stage": DONE, "main": terminated(3), "collect": terminated(137)},
        Reason.EXIT_CODE,
        "exit code 3",
    ),
    (
        "killed for its memory",
        {"stage": DONE, "main": terminated(137, reason="OOMKilled"), "collect": collected(66, 137)},
        Reason.OUT_OF_MEMORY,
        "memory limit of 24G",
    ),
    (
        "a child was killed for its memory",
        {"stage": DONE, "main": terminated(1), "collect": collected(66, 1, record={"oomKills": 1})},
        Reason.OUT_OF_MEMORY,
        "24G",
    ),
    (
        "the runner ended it at the limit",
        {"stage": DONE, "main": terminated(124), "collect": collected(66, 124, record={"timedOut": True})},
        Reason.TIME_LIMIT_EXCEEDED,
        "the limit is 7200 s",
    ),
    (
        "the kubelet ended it at the limit",
        {"stage": DONE, "main": terminated(137), "collect": terminated(137), "reason": "DeadlineExceeded"},
        Reason.TIME_LIMIT_EXCEEDED,
        "7200",
    ),
    (
        "exit 124 of its own is no time limit",
        {"stage": DONE, "main": terminated(124), "collect": collected(66, 124)},
        Reason.EXIT_CODE,
        "exit code 124",
    ),
    (
        "the deadline passed before it started",
        {
            "stage": DONE,
            "main": waiting("ContainerCreating"),
            "reason": "DeadlineExceeded",
            "phase": "Failed",
        },
        Reason.DEADLINE_BEFORE_START,
        "7200",
    ),
    (
        "the deadline passed before the runner could start it",
        {
            "stage": DONE,
            "main": terminated(124),
            "collect": collected(66, 124, record={"timedOut": True, "startError": "Time limit exceeded"}),
        },
        Reason.DEADLINE_BEFORE_START,
        "7200",
    ),
    (
        "too many threads",
        {
            "stage": DONE,
            "main": terminated(137),
            "collect": collected(66, 137, record={"threadsExceeded": True}),
        },
        Reason.THREAD_LIMIT_EXCEEDED,
        "more than 512 threads",
    ),
    (
        "too many threads, and the deadlines of the runner and of the kubelet passed before all were dead",
        {
            "stage": DONE,
            "main": terminated(124),
            "collect": collected(66, 124, record={"threadsExceeded": True, "timedOut": True}),
            "reason": "DeadlineExceeded",
        },
        Reason.THREAD_LIMIT_EXCEEDED,
        "more than 512 threads",
    ),
    (
        "its command does not exist",
        {
            "stage": DONE,
            "main": terminated(127),
            "collect": collected(66, 127, record={"startError": "The command does not exist"}),
        },
        Reason.NOT_STARTABLE,
        "The command does not exist",
    ),
    (
        "its container could not be started",
        {
            "stage": DONE,
            "main": terminated(128, reason="StartError", message="exec format error"),
            "phase": "Failed",
        },
        Reason.CONTAINER_CREATE_FAILED,
        "exec format error",
    ),
    (
        "137 that is the absence of a fact",
        {"stage": DONE, "main": terminated(137, reason="ContainerStatusUnknown"), "phase": "Failed"},
        Reason.LOST,
        "",
    ),
    (
        "outputs refused",
        {
            "stage": DONE,
            "main": terminated(0),
            "collect": collected(65, 0, message='Output file "results.json" was not produced'),
        },
        Reason.OUTPUT_INVALID,
        "was not produced",
    ),
    (
        "bad input",
        {"stage": staged(65, reason="InputNotFound", message="t1-mri is not there"), "phase": "Failed"},
        Reason.INPUT_NOT_FOUND,
        "t1-mri is not there",
    ),
    (
        "staging hit a full disk",
        {"stage": staged(75, message="no space left"), "phase": "Failed"},
        Reason.STAGING_FAILED,
        "no space left",
    ),
    (
        "the gate saw an open network",
        {"stage": staged(78, reason="NetworkNotIsolated", message="canary was open"), "phase": "Failed"},
        Reason.NETWORK_NOT_ISOLATED,
        "canary was open",
    ),
    (
        "preempted",
        {
            "stage": DONE,
            "main": terminated(143),
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}],
        },
        Reason.PREEMPTED,
        "",
    ),
    (
        "the node was lost",
        {
            "stage": DONE,
            "main": running(),
            "conditions": [
                {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
            ],
            "deletion": 90,
        },
        Reason.NODE_LOST,
        "gpu-7",
    ),
    (
        "evicted by a node under pressure",
        {
            "stage": DONE,
            "main": terminated(137),
            "reason": "Evicted",
            "message": "The node was low on resource: memory.",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}],
        },
        Reason.EVICTED,
        "low on resource",
    ),
    (
        "evicted for its own disk limit",
        {
            "stage": DONE,
            "main": terminated(137),
            "reason": "Evicted",
            "message": 'Usage of EmptyDir volume "output" exceeds the limit "1Gi".',
        },
        Reason.DISK_LIMIT_EXCEEDED,
        "exceeds the limit",
    ),
    (
        "evicted for its container's disk limit",
        {
            "stage": DONE,
            "main": terminated(137),
            "reason": "Evicted",
            "message": 'Container algorithm exceeded its local ephemeral storage limit "336Mi". ',
        },
        Reason.DISK_LIMIT_EXCEEDED,
        "336Mi",
    ),
    (
        "evicted for its disk limit as a whole",
        {
            "stage": DONE,
            "main": terminated(137),
            "reason": "Evicted",
            "message": "Pod ephemeral local storage usage exceeds the total limit of containers 336Mi. ",
        },
        Reason.DISK_LIMIT_EXCEEDED,
        "336Mi",
    ),
    (
        "evicted by a node whose disk is full, as an older kubelet says it",
        {
            "stage": DONE,
            "main": terminated(137),
            "reason": "Evicted",
            "message": "The node was low on resource: ephemeral-storage. Container algorithm was using 1Gi.",
        },
        Reason.EVICTED,
        "low on resource",
    ),
    (
        "refused by the node",
        {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no GPU left"},
        Reason.ADMISSION_BY_NODE,
        "no GPU left",
    ),
    (
        "deleted while running",
        {"stage": DONE, "main": terminated(143, end=61), "collect": collected(66, 143), "deletion": 90},
        Reason.POD_DELETED,
        "",
    ),
    (
        "failed by itself, then deleted",
        {"stage": DONE, "main": terminated(3, end=50), "collect": collected(66, 3), "deletion": 90},
        Reason.EXIT_CODE,
        "exit code 3",
    ),
]


@pytest.mark.parametrize(("shape", "reason", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_verdict(shape: dict[str, Any], reason: Reason, words: str) -> None:
    verdict = judge(facts_of(pod(**shape)), run())
    assert verdict.reason is reason
    assert words in verdict.message
    assert (verdict.manifest_sha256 is not None) == (reason is Reason.COMPLETED)


@pytest.mark.parametrize(("shape", "reason", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_only_infrastructure_is_retried(shape: dict[str, Any], reason: Reason, words: str) -> None:
    verdict = judge(facts_of(pod(**shape)), run())
    assert verdict.retry == (verdict.blame is Blame.INFRASTRUCTURE)


def test_a_cancelled_job_is_cancelled_unless_it_had_succeeded() -> None:
    ended = facts_of(
        pod(stage=DONE, main=terminated(143), collect=collected(66, 143), reason="DeadlineExceeded")
    )
    assert judge(ended, run(), cancelled=True).reason is Reason.CANCELLED
    won = facts_of(pod(stage=DONE, main=terminated(0), collect=collected()))
    assert judge(won, run(), cancelled=True).reason is Reason.COMPLETED


def test_a_forged_report_of_the_algorithm_counts_for_nothing() -> None:
    forged = terminated(1, message=json.dumps({"v": 1, "ok": True, "manifestSha256": MANIFEST_SHA}))
    verdict = judge(facts_of(pod(stage=DONE, main=forged, collect=collected(66, 1))), run())
    assert verdict.reason is Reason.EXIT_CODE
