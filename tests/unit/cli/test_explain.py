"""What people are told about a job: for every reason of the catalogue, whatever it carries."""

import re
from typing import Any

import pytest

from algorithm_operator.api.reasons import CATALOGUE, Reason
from algorithm_operator.cli.advice import ADVICE, advice
from algorithm_operator.cli.explain import explain, waits_for, warnings
from algorithm_operator.cli.jobs import Job, job_of

TIME = "2026-11-22T20:00:00Z"
EVIL = "\x1b[2J[red]x\n\u202e"


def job(**status: Any) -> Job:
    spec = {"algorithmRef": {"name": "brain"}, "inputs": [{"slug": "a", "value": 1}]}
    meta = {"name": "case-1", "uid": "u", "creationTimestamp": TIME}
    return job_of({"metadata": meta, "spec": spec, "status": status})


def condition(type_: str, status: str, reason: str, message: str = "", at: str = TIME) -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


def test_stderr_is_a_warning_and_no_verdict() -> None:
    found = explain(
        job(
            state="Succeeded",
            reason="Completed",
            conditions=[condition("StderrOutput", "True", "StderrOutput", f"wrote 8 bytes {EVIL}")],
        )
    )
    assert found.verdict == "Succeeded, Completed"
    assert found.warning is not None
    assert found.warning.startswith("wrote 8 bytes \\x1b[2J")
    assert found.warning.endswith("kubectl algorithm logs case-1 --stderr")
    assert not any("StderrOutput" in line for line in found.evidence)
    assert explain(job(state="Succeeded")).warning is None


def test_an_output_in_another_place_is_a_warning_and_no_verdict() -> None:
    mismatch = condition("GeometryMismatch", "True", "GeometryMismatch", "mask: it does not lie on t1.")
    stderr = condition("StderrOutput", "True", "StderrOutput", "wrote 8 bytes.")
    found = explain(job(state="Succeeded", conditions=[mismatch, stderr]))
    assert found.warning == (
        "wrote 8 bytes. Read it: kubectl algorithm logs case-1 --stderr mask: it does not lie on t1."
    )
    assert not any("GeometryMismatch" in line for line in found.evidence)
    assert list(warnings(job(conditions=[mismatch]))) == ["an output lies elsewhere"]


def test_advice_names_what_it_speaks_of() -> None:
    assert advice("AlgorithmNotReady", "case-1", "brain") == (
        "Look at the Algorithm: kubectl describe algorithm brain says what it lacks."
    )
    assert "correct spec.model of the Algorithm (path, sha256)" in (advice("ModelInvalid", "j", "a") or "")


def test_every_reason_has_advice() -> None:
    assert set(ADVICE) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_failure_says_who_and_what_to_do(reason: Reason) -> None:
    blame = CATALOGUE[reason].blame
    found = explain(job(state="Failed", reason=reason, message="words", blame=blame and str(blame)))
    assert found.verdict == f"Failed, {reason}: words"
    assert (found.fault is None) == (blame is None)
    assert found.advice is not None
    assert re.search(r"[.}]$|it\.$", found.advice)
    assert "JOB" not in found.advice


@pytest.mark.parametrize(
    ("blame", "words"),
    [("input", "the job's inputs"), ("algorithm", "the algorithm"), ("infrastructure", "the cluster")],
)
def test_blame(blame: str, words: str) -> None:
    found = explain(job(state="Failed", reason="ExitCode", message="", blame=blame))
    assert found.fault is not None
    assert found.fault.startswith(words)


def test_evidence() -> None:
    found = explain(
        job(
            state="Failed",
            reason="ExitCode",
            message="ended with 3",
            blame="algorithm",
            exitCode=3,
            attempts=[
                {
                    "number": 1,
                    "pod": "case-1-1-run",
                    "node": "gpu-7",
                    "reason": "NodeLost",
                    "message": "lost",
                },
                {
                    "number": 2,
                    "pod": "case-1-2-run",
                    "node": "gpu-8",
                    "reason": "ExitCode",
                    "message": "ended with 3",
                },
            ],
            logs={"stdoutBytes": 5, "stderrBytes": 7},
            timing={"queuedSeconds": 4, "ranSeconds": 61.5},
            conditions=[condition("Failed", "True", "ExitCode", "ended with 3")],
        )
    )
    assert found.evidence == [
        "attempt 1: Pod case-1-1-run on node gpu-7: NodeLost (lost)",
        "attempt 2: Pod case-1-2-run on node gpu-8: ExitCode",
        "exit code of the algorithm: 3",
        "it wrote 5 bytes to stdout and 7 to stderr",
        "seconds: queued 4, ran 61.5",
        "condition Failed=True ExitCode",
    ]


def test_what_the_kubelet_says() -> None:
    pod = {
        "status": {
            "reason": "Evicted",
            "message": "disk",
            "containerStatuses": [
                {
                    "name": "algorithm",
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
                },
                {"name": "collect", "state": {"running": {}}},
            ],
            "initContainerStatuses": [
                {"name": "stage", "state": {"terminated": {"exitCode": 65, "reason": "Error"}}}
            ],
        }
    }
    assert explain(job(state="Staging"), pod).evidence == [
        "Pod: Evicted: disk",
        "container stage ended with code 65 (Error)",
        "container algorithm waits: ImagePullBackOff: not found",
    ]


def test_waiting() -> None:
    waiting = job(
        state="Queued",
        conditions=[
            condition("Accepted", "True", "Accepted"),
            condition("Scheduled", "False", "GpusBusy", "All T4 nodes are busy.", "2026-11-22T20:00:09Z"),
            condition("Isolated", "False", "IsolationUnverified", "earlier"),
        ],
    )
    held = waits_for(waiting)
    assert held is not None
    assert held.reason == "GpusBusy"
    found = explain(waiting)
    assert found.verdict == "Queued, GpusBusy: All T4 nodes are busy."
    assert found.advice == ADVICE[Reason.GPUS_BUSY]


def test_suspended() -> None:
    found = explain(job(state="Suspended", conditions=[condition("Suspended", "True", "Suspended")]))
    assert "spec.suspend is true" in found.verdict
    assert "kubectl algorithm resume case-1" in str(found.advice)


def test_nobody_looked() -> None:
    assert explain(job()).verdict.startswith("Pending: the operator has not looked")


def test_a_finished_job_waits_for_nothing() -> None:
    assert waits_for(job(state="Failed", conditions=[condition("Accepted", "False", "InputInvalid")])) is None


def test_reason_of_a_newer_operator() -> None:
    assert advice("SolarFlare", "case-1", "brain") is None
    assert explain(job(state="Failed", reason="SolarFlare", message="hot")).advice is None


def test_what_tenants_write_is_escaped() -> None:
    found = explain(
        job(
            state="Failed",
            reason="ExitCode",
            message=EVIL,
            blame=EVIL,
            attempts=[{"number": 1, "pod": EVIL, "node": EVIL, "reason": EVIL, "message": EVIL + "x"}],
            conditions=[condition("Failed", "True", "ExitCode", EVIL + "y")],
        ),
        {
            "status": {
                "reason": EVIL,
                "message": EVIL,
                "containerStatuses": [{"name": EVIL, "state": {"waiting": {}}}],
            }
        },
    )
    text = "".join([found.verdict, str(found.fault), *found.evidence, str(found.advice)])
    assert not set(text) & set("\x1b\n\u202e")
