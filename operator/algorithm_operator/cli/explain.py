"""Why a job is where it is: verdict, whose fault, evidence, what to change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.conditions import Condition, ConditionType, find
from algorithm_operator.api.job import State
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.cli.advice import advice
from algorithm_operator.cli.jobs import Job, input_place

FAULT = {
    "input": "the job's inputs (its owner's to correct; not retried)",
    "algorithm": "the algorithm (its developer's to correct; not retried)",
    "infrastructure": "the cluster, neither the algorithm nor the inputs (retried in new attempts)",
}
_WARNINGS = {
    ConditionType.STDERR_OUTPUT: ("wrote to stderr", " Read it: kubectl algorithm logs JOB --stderr"),
    ConditionType.GEOMETRY_MISMATCH: ("an output lies elsewhere", ""),
}
"""Conditions that are no failure: what a table says of them, and what is added to their message."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` prints. All texts are display-safe."""

    verdict: str
    fault: str | None
    evidence: list[str]
    advice: str | None
    warning: str | None = None


def explain(job: Job, pod: Mapping[str, Any] | None = None) -> Explanation:
    """The explanation of a job; `pod` is the Pod of its last attempt, where it can still be seen."""
    status = job.status
    waiting = None if job.finished else waits_for(job)
    if waiting is not None:
        reason, why = waiting.reason, shown(waiting.message, 2048)
    else:
        reason, why = status.reason or "", shown(status.message or "", 1024)
    state = str(status.state or State.PENDING)
    verdict = state + (f", {shown(reason, 64)}" if reason else "") + (f": {why}" if why else "")
    if status.state is None:
        verdict = (
            "Pending: the operator has not looked at it yet. Is it running, and does it watch this namespace?"
        )
    return Explanation(
        verdict=verdict,
        fault=FAULT.get(status.blame or ""),
        evidence=[*_evidence(job), *(_pod_evidence(pod) if pod else [])],
        advice=advice(reason, job.name, job.spec.algorithm_ref.name),
        warning=warning(job),
    )


def warnings(job: Job) -> dict[str, str]:
    """What a job's owner should look at although it did not fail: in a few words, and in full."""
    found = {}
    for type_, (brief, advised) in _WARNINGS.items():
        said = find(job.status.conditions, type_)
        if said is not None and said.status == "True":
            found[brief] = shown(said.message, 2048) + advised.replace("JOB", job.name)
    return found


def warning(job: Job) -> str | None:
    """All warnings in one text."""
    return " ".join(warnings(job).values()) or None


def waits_for(job: Job) -> Condition | None:
    """The condition that says what a job waits for: the latest that is False (or Suspended, which is True)."""
    if job.finished:
        return None
    suspended = [c for c in job.status.conditions if c.type == "Suspended" and c.status == "True"]
    if suspended:
        return suspended[0].model_copy(
            update={"message": suspended[0].message or sentence(Reason.SUSPENDED)},
        )
    held = [
        c for c in job.status.conditions if c.status == "False" and c.type not in ("Suspended", "Complete")
    ]
    return max(held, key=lambda c: c.last_transition_time) if held else None


def _evidence(job: Job) -> Iterator[str]:
    status = job.status
    for given in job.spec.inputs:
        if (place := input_place(given)) is not None:
            yield f"input {shown(given.slug, 128)}: {shown(place, 1024)}{_made_of(job, given.slug)}"
    for attempt in status.attempts:
        end = f"{shown(attempt.reason, 64)}" if attempt.reason else "goes on"
        why = (
            f" ({shown(attempt.message, 1024)})"
            if attempt.message and attempt.message != status.message
            else ""
        )
        node = f" on node {shown(attempt.node, 253)}" if attempt.node else ", never on a node"
        yield f"attempt {attempt.number}: Pod {shown(attempt.pod, 253)}{node}: {end}{why}"
    if status.exit_code is not None:
        yield f"exit code of the algorithm: {status.exit_code}"
    if status.logs is not None:
        yield f"it wrote {status.logs.stdout_bytes} bytes to stdout and {status.logs.stderr_bytes} to stderr"
    timing = status.timing
    if timing is not None:
        parts = {
            "queued": timing.queued_seconds,
            "pulled": timing.pulled_seconds,
            "staged": timing.staged_seconds,
            "ran": timing.ran_seconds,
            "collected": timing.collected_seconds,
        }
        yield "seconds: " + ", ".join(
            f"{name} {value:g}" for name, value in parts.items() if value is not None
        )
    for condition in status.conditions:
        if condition.type in _WARNINGS:
            continue  # told as such
        text = shown(condition.message, 2048)
        yield f"condition {shown(condition.type, 64)}={condition.status} {shown(condition.reason, 64)}" + (
            f": {text}" if text and text != shown(status.message or "", 2048) else ""
        )


def _made_of(job: Job, slug: str) -> str:
    """Where the file is that another job or an import made, once that is fixed."""
    run = job.status.algorithm
    made = next((each for each in run.inputs if each.slug == slug), None) if run is not None else None
    return (
        f", which is {shown(made.store, 253)}:{shown(made.path or '', 1024)}" if made and made.store else ""
    )


def _pod_evidence(pod: Mapping[str, Any]) -> Iterator[str]:
    """What the kubelet says of each container that is not simply running or done."""
    status = pod.get("status") or {}
    if status.get("reason"):
        yield f"Pod: {shown(str(status['reason']), 64)}: {shown(str(status.get('message') or ''), 500)}"
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = each.get("state") or {}
        name = shown(str(each.get("name")), 63)
        if waiting := state.get("waiting"):
            message = shown(str(waiting.get("message") or ""), 500)
            yield f"container {name} waits: {shown(str(waiting.get('reason')), 64)}" + (
                f": {message}" if message else ""
            )
        elif terminated := state.get("terminated"):
            reason = shown(str(terminated.get("reason") or ""), 64)
            yield f"container {name} ended with code {terminated.get('exitCode')} ({reason})"
