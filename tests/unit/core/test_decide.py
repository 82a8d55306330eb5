"""The life of a job, one decision at a time: what is written and what is done."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from algorithm_operator.api.conditions import find
from algorithm_operator.api.job import AlgorithmJobStatus, State
from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.manifest import Manifest
from algorithm_operator.core import attempt, names, seal
from algorithm_operator.core.decide import decide, teardown
from algorithm_operator.core.ending import end_attempt, next_number, succeeded, with_attempt
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.following import lost, unread
from algorithm_operator.core.verdict import Verdict, judge
from algorithm_operator.core.world import (
    ConfirmGone,
    CreatePod,
    Decision,
    DeleteJob,
    DeletePod,
    EndPod,
    ReadManifest,
    ReleasePod,
)
from tests.unit.core.builders import (
    ALGORITHM,
    JOB,
    MANIFEST_SHA,
    NOW,
    POLICY,
    STORES,
    algorithm,
    pod,
    run,
    running,
    terminated,
    waiting,
    world,
)
from tests.unit.core.test_verdict import DONE, collected


def job(status: AlgorithmJobStatus | None = None, **spec: Any) -> dict[str, Any]:
    body = copy.deepcopy(JOB)
    body["spec"].update(spec)
    if status is not None:
        body["status"] = status.wire()
    return body


def accepted(**fields: Any) -> AlgorithmJobStatus:
    return AlgorithmJobStatus(state=State.QUEUED, algorithm=run()).model_copy(update=fields)


def kinds(decision: Decision) -> list[str]:
    return [type(action).__name__ for action in decision.actions]


def followed(**spec: Any) -> AlgorithmJobStatus:
    """The status of a job whose first Pod runs."""
    return decide(world(job(accepted(), **spec), pods={1: pod(stage=DONE, main=running())})).status


def test_a_pod_that_somebody_else_made_in_the_jobs_name_does_not_speak_for_it() -> None:
    """Owner, labels, finalizer and a hash that is right for itself: all of it may be written by who may create Pods."""
    forged = pod(main=terminated(0), collect=collected(ok=True, manifest_sha256=MANIFEST_SHA))
    forged["spec"] = {
        "containers": [{"name": "algorithm", "image": "evil"}, {"name": "collect", "image": "evil"}]
    }
    forged["metadata"]["annotations"] = {names.ANNOTATION_SPEC_HASH: seal.digest(forged)}
    decision = decide(world(job(accepted()), pods={1: forged}))
    assert decision.status.attempts[0].reason == "PodNotOurs"
    assert decision.status.state is State.QUEUED
    assert [a for a in decision.actions if isinstance(a, ReadManifest)] == []


def test_a_job_is_accepted_with_what_it_will_run() -> None:
    decision = decide(world())
    fixed = decision.status.algorithm
    assert decision.status.state is State.QUEUED
    assert fixed is not None
    assert fixed.image == run().image
    assert fixed.resources.gpu.type == "T4"
    assert decision.actions == []
    assert decision.requeue == 0.0


def test_an_accepted_job_gets_its_pod() -> None:
    decision = decide(world(job(accepted())))
    (create,) = decision.actions
    assert isinstance(create, CreatePod)
    assert create.body["metadata"]["name"] == "case-001-1-run"


def test_the_template_of_the_report_goes_from_the_algorithm_to_the_plan() -> None:
    templated = copy.deepcopy(ALGORITHM)
    templated["spec"]["resultTemplate"] = "{{ results.ml }} mL"
    fixed = decide(world(algorithm=type(algorithm()).of(templated))).status.algorithm
    assert fixed is not None
    one = world().job
    planned = attempt.plan(
        namespace=one.namespace, job=one.name, job_uid=one.uid, attempt=1, spec=one.spec, run=fixed, targets=[],
        settings=world().settings,
    )  # fmt: skip
    assert planned.result_template == "{{ results.ml }} mL"


def test_a_later_edit_of_the_algorithm_changes_nothing() -> None:
    edited = copy.deepcopy(ALGORITHM)
    edited["spec"]["timeLimitSeconds"] = 60
    edited["status"]["image"]["digest"] = "sha256:" + "f" * 64
    before = decide(world(job(accepted())))
    after = decide(world(job(accepted()), algorithm=type(algorithm()).of(edited)))
    assert before.actions == after.actions


UNREADY = copy.deepcopy(ALGORITHM)
UNREADY["status"]["conditions"][0] |= {
    "status": "False",
    "reason": "ImageNotFound",
    "message": "Push the image.",
}
STALE = copy.deepcopy(ALGORITHM)
STALE["metadata"]["generation"] = 4
OPENING = {
    "metadata": {"name": "open"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
}
HALF = {"metadata": {"name": "half"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}


@pytest.mark.parametrize(
    ("body", "changes", "reason", "words"),
    [
        (
            job(),
            {"algorithm": None},
            Reason.ALGORITHM_NOT_FOUND,
            'no Algorithm "brain-tissue" in namespace imaging',
        ),
        (job(), {"algorithm": type(algorithm()).of(UNREADY)}, Reason.ALGORITHM_NOT_READY, "Push the image."),
        (job(), {"algorithm": type(algorithm()).of(STALE)}, Reason.ALGORITHM_NOT_READY, "being checked"),
        (job(), {"stores": {"cases": STORES["cases"]}}, Reason.STORE_NOT_FOUND, '"results"'),
        (job(accepted()), {"stores": {"cases": STORES["cases"]}}, Reason.STORE_NOT_FOUND, '"results"'),
        (
            job(accepted()),
            {"restricted": False},
            Reason.NAMESPACE_NOT_RESTRICTED,
            "kubectl label namespace imaging pod-security.kubernetes.io/enforce=restricted "
            "algorithm-operator.dev/jobs=true",
        ),
        (job(accepted()), {"policies": []}, Reason.POLICY_MISSING, "algorithm-operator-deny-all"),
        (job(accepted()), {"policies": [HALF]}, Reason.POLICY_MISSING, "both directions"),
        (job(accepted()), {"policies": [POLICY, OPENING]}, Reason.POLICY_CONFLICT, '"open"'),
        (job(accepted()), {"targets": None}, Reason.ISOLATION_UNVERIFIED, "algorithm-operator-canary"),
        (job(accepted()), {"foreign": [pod()]}, Reason.PREDECESSOR_LEAVING, "case-001-1-run"),
        (job(accepted(), suspend=True), {}, Reason.SUSPENDED, "spec.suspend"),
    ],
    ids=lambda value: str(value) if isinstance(value, Reason) else "",
)
def test_waiting_is_explained_and_no_pod_is_made(
    body: dict[str, Any], changes: dict[str, Any], reason: Reason, words: str
) -> None:
    decision = decide(world(body, **changes))
    assert decision.status.reason == reason
    assert words in (decision.status.message or "")
    assert "CreatePod" not in kinds(decision)
    assert decision.status.state in (State.PENDING, State.QUEUED, State.SUSPENDED)
    again = decide(world(job(decision.status, **body["spec"]), **changes))
    assert again.status.wire() == decision.status.wire(), "waiting on must write nothing"


def test_a_refused_job_fails_before_any_pod() -> None:
    body = job(
        inputs=[
            {"slug": "t1-mri", "store": {"name": "cases", "paths": ["../other.mha"]}},
            JOB["spec"]["inputs"][1],
        ]
    )
    decision = decide(world(body))
    assert decision.status.state is State.FAILED
    assert decision.status.blame == "input"
    assert '"t1-mri"' in (decision.status.message or "")
    assert decision.actions == []


@pytest.mark.parametrize(
    ("shape", "state"),
    [
        ({"stage": waiting("PodInitializing")}, State.STAGING),
        ({"stage": running()}, State.STAGING),
        ({"stage": DONE, "collect": running(), "main": running()}, State.RUNNING),
        ({"stage": DONE, "collect": running(), "main": terminated(0)}, State.COLLECTING),
    ],
    ids=["pulling", "staging", "running", "collecting"],
)
def test_state_follows_the_pod(shape: dict[str, Any], state: State) -> None:
    decision = decide(world(job(accepted()), pods={1: pod(**shape)}))
    assert decision.status.state is state
    assert [a.pod_uid for a in decision.status.attempts] == ["pod-uid-1"]


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}


def test_an_attempt_is_recorded_as_soon_as_there_is_something_to_say() -> None:
    silent = decide(world(job(accepted()), pods={1: pod(node=None)}))
    assert silent.status.attempts == []
    told = decide(world(job(accepted()), pods={1: pod(node=None, conditions=[UNSCHEDULED])}))
    assert told.status.state is State.QUEUED
    assert [a.pod_uid for a in told.status.attempts] == ["pod-uid-1"]
    assert told.needs_nodes
    placed = decide(world(job(told.status), pods={1: pod()}))
    assert (placed.status.state, placed.status.reason) == (State.STAGING, None)
    assert (scheduled := find(placed.status.conditions, "Scheduled")) is not None
    assert (scheduled.status, scheduled.message) == ("True", "The Pod is on node gpu-7.")


def test_a_look_at_an_unchanged_job_writes_nothing() -> None:
    status = followed()
    decision = decide(
        world(job(status), pods={1: pod(stage=DONE, main=running())}, now=NOW + timedelta(seconds=300))
    )
    assert decision.status.wire() == status.wire()
    assert decision.actions == []


def test_an_image_that_cannot_be_pulled_ends_the_attempt_after_two_minutes() -> None:
    shape = pod(stage=DONE, main=waiting("ImagePullBackOff", "no such tag"))
    early = decide(world(job(accepted(), attempts=1), pods={1: shape}))
    assert early.status.reason == Reason.IMAGE_PULL_FAILING
    assert early.requeue is not None
    assert early.requeue <= 128
    late = decide(world(job(early.status, attempts=1), pods={1: shape}, now=NOW + timedelta(seconds=129)))
    assert late.status.state is State.FAILED
    assert late.status.reason == Reason.IMAGE_PULL_FAILED
    assert "no such tag" in (late.status.message or "")
    assert kinds(late) == ["DeletePod", "ReleasePod"]


def test_a_label_of_somebody_else_s_with_which_a_policy_opens_the_pod_ends_it() -> None:
    friendly: dict[str, Any] = {
        "metadata": {"name": "friendly"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "egress": [{}], "policyTypes": ["Egress"]},
    }
    shape = pod(stage=running())
    fine = decide(world(job(accepted()), pods={1: shape}, policies=[POLICY, friendly]))
    assert fine.status.state is State.STAGING
    shape["metadata"]["labels"]["app"] = "web"
    ended = decide(world(job(accepted(), attempts=1), pods={1: shape}, policies=[POLICY, friendly]))
    assert (ended.status.state, ended.status.reason) == (State.FAILED, Reason.POD_MUTATED)
    assert 'NetworkPolicy "friendly" opens it' in (ended.status.message or "")


OUTAGE = (
    "Back-off pulling image: failed to resolve reference: failed to do request: Head https://registry/v2/: dial tcp "
    "192.0.2.1:443: connect: connection refused"
)


def test_a_registry_that_does_not_answer_costs_no_attempt() -> None:
    """Its digest is known, so the image is worth waiting for; the GPU is given back meanwhile."""
    shape = pod(stage=DONE, main=waiting("ImagePullBackOff", OUTAGE))
    early = decide(world(job(accepted(), attempts=1), pods={1: shape}))
    late = decide(world(job(early.status, attempts=1), pods={1: shape}, now=NOW + timedelta(seconds=129)))

    assert late.status.state is State.QUEUED
    (attempt,) = late.status.attempts
    assert (attempt.reason, attempt.counted) == (Reason.REGISTRY_UNREACHABLE, False)
    assert "connection refused" in (attempt.message or "")
    assert kinds(late) == ["DeletePod", "ReleasePod"]
    (created,) = decide(world(job(late.status, attempts=1), now=NOW + timedelta(hours=1))).actions
    assert isinstance(created, CreatePod)
    assert created.body["metadata"]["name"] == "case-001-2-run"


def test_however_long_a_registry_is_silent_status_has_ten_attempts_and_their_numbers_go_on() -> None:
    status = accepted()
    for number in range(1, 15):
        then = NOW + timedelta(hours=number)
        seen = with_attempt(status, number, facts_of(pod(stage=DONE)))
        verdict = Verdict(Reason.REGISTRY_UNREACHABLE, "no answer")
        status = end_attempt(world(job(seen, attempts=1), now=then), seen, number, verdict).status
        assert status.state is State.QUEUED
    assert [a.number for a in status.attempts] == list(range(5, 15))
    assert next_number(status) == 15
    seen = with_attempt(status, 15, facts_of(pod(stage=DONE)))
    verdict = Verdict(Reason.NODE_LOST, "gone")
    over = end_attempt(world(job(seen, attempts=1)), seen, 15, verdict).status
    assert (over.state, over.reason) == (State.FAILED, Reason.NODE_LOST)


def test_success_waits_for_the_announced_manifest() -> None:
    decision = decide(
        world(job(followed()), pods={1: pod(stage=DONE, main=terminated(0), collect=collected())})
    )
    (read,) = decision.actions
    assert isinstance(read, ReadManifest)
    assert read.verdict.manifest_sha256 == MANIFEST_SHA
    assert decision.status.state is not State.SUCCEEDED


def test_the_algorithms_failure_is_final_and_its_pod_is_released() -> None:
    ended = pod(stage=DONE, main=terminated(3), collect=collected(66, 3))
    decision = decide(world(job(followed()), pods={1: ended}))
    assert decision.status.state is State.FAILED
    assert decision.status.blame == "algorithm"
    assert decision.status.exit_code == 3
    assert decision.actions == [ReleasePod("case-001-1-run", "pod-uid-1")]
    assert decision.status.manifest is None
    assert (condition := find(decision.status.conditions, "Failed")) is not None
    assert condition.status == "True"


def test_infrastructure_is_tried_again_under_a_new_number() -> None:
    ended = pod(stage=DONE, main=terminated(143, end=61), collect=collected(66, 143), deletion=90)
    first = decide(world(job(followed()), pods={1: ended}))
    assert first.status.state is State.QUEUED
    assert first.status.attempts[0].reason == Reason.POD_DELETED
    early = decide(world(job(first.status), pods={1: ended}))
    assert kinds(early) == ["ReleasePod"]
    later = decide(world(job(first.status), pods={1: ended}, now=NOW + timedelta(seconds=11)))
    *_, create = later.actions
    assert isinstance(create, CreatePod)
    assert create.body["metadata"]["name"] == "case-001-2-run"


def test_no_new_attempt_while_the_last_pod_still_runs() -> None:
    first = accepted(attempts=[])
    broken = decide(world(job(first), pods={1: pod(stage=DONE, main=running(), deletion=-100, grace=1)}))
    assert broken.status.attempts[0].reason == Reason.NODE_LOST
    later = world(
        job(broken.status),
        pods={1: pod(stage=DONE, main=running(), deletion=-100)},
        now=NOW + timedelta(days=1),
    )
    assert "CreatePod" not in kinds(decide(later))


def test_attempts_are_bounded() -> None:
    ended = pod(stage=DONE, main=terminated(143, end=61), collect=collected(66, 143), deletion=90)
    decision = decide(world(job(followed(attempts=1), attempts=1), pods={1: ended}))
    assert decision.status.state is State.FAILED
    assert decision.status.blame == "infrastructure"


def test_a_pod_that_is_not_in_the_store_is_looked_for_before_it_counts_as_gone() -> None:
    decision = decide(world(job(followed())))
    assert decision.actions == [ConfirmGone("case-001-1-run", 1)]
    gone = lost(world(job(followed())), 1)
    assert gone.status.attempts[0].reason == Reason.POD_DELETED


def test_cancel_lowers_the_deadline_of_a_running_pod_and_deletes_one_without_a_node() -> None:
    at_work = decide(world(job(followed(), cancel=True), pods={1: pod(stage=DONE, main=running())}))
    assert at_work.actions == [EndPod("case-001-1-run", "pod-uid-1")]
    queued = decide(world(job(accepted(), cancel=True), pods={1: pod(node=None)}))
    assert queued.actions == [DeletePod("case-001-1-run", "pod-uid-1", 0)]
    never = decide(world(job(accepted(), cancel=True)))
    assert never.status.state is State.CANCELLED


def test_suspended_a_moment_too_late_it_goes_on_and_says_so() -> None:
    """Its Pod is made, and nothing was written about it yet: the API server still takes the change."""
    decision = decide(world(job(accepted(), suspend=True), pods={1: pod(node=None)}))
    assert decision.actions == []
    told = find(decision.status.conditions, "Suspended")
    assert told is not None
    assert (told.status, told.reason) == ("False", Reason.ALREADY_STARTED)
    assert decision.status.attempts, "from now on the API server refuses it"


def test_a_pod_that_outlives_every_limit_is_deleted() -> None:
    late = NOW + timedelta(seconds=7200 + 600 + 30 + 121)
    decision = decide(world(job(followed()), pods={1: pod(stage=DONE, main=running())}, now=late))
    assert decision.actions == [DeletePod("case-001-1-run", "pod-uid-1")]


def test_a_leaving_job_takes_its_pods_along() -> None:
    assert teardown([pod(stage=DONE, main=running())], NOW) == [DeletePod("case-001-1-run", "pod-uid-1")]
    ended = pod(stage=DONE, main=terminated(143), collect=terminated(0), phase="Failed", deletion=5)
    assert teardown([ended], NOW) == [ReleasePod("case-001-1-run", "pod-uid-1")]
    assert ReleasePod("case-001-1-run", "pod-uid-1") in teardown([pod(node=None)], NOW)
    unanswered = pod(stage=DONE, main=running(), deletion=-61)
    assert teardown([unanswered], NOW) == [ReleasePod("case-001-1-run", "pod-uid-1")]


def test_the_manifest_is_salvaged_once_and_only_from_a_store() -> None:
    ended = {1: pod(stage=DONE, main=terminated(0), collect=collected())}
    plan = unread(world(job(followed()), pods=ended), 1, "gone")
    assert isinstance(plan.actions[0], CreatePod)
    assert plan.actions[0].body["metadata"]["name"] == "case-001-1-salvage"
    done = {"metadata": {"name": "case-001-1-salvage", "uid": "s"}, "status": {"phase": "Succeeded"}}
    again = decide(world(job(followed()), pods=ended, salvage={1: done}))
    (read,) = again.actions
    assert isinstance(read, ReadManifest)
    assert (read.pod, read.container) == ("case-001-1-salvage", "salvage")
    homeless = accepted(algorithm=run().model_copy(update={"output_store": None}))
    assert kinds(unread(world(job(homeless), pods=ended), 1, "gone")) == []


def manifest(value: Any) -> Manifest:
    made = attempt.plan(
        namespace="imaging",
        job="case-001",
        job_uid="job-uid",
        attempt=1,
        spec=world().job.spec,
        run=run(),
        targets=[],
        settings=world().settings,
    )
    return Manifest.model_validate(
        {
            "job": made.job.wire(),
            "algorithm": made.algorithm.wire(),
            "pod": {},
            "limits": made.limits.wire(),
            "isolation": {"probes": [], "seconds": 1.0},
            "startedAt": "x",
            "finishedAt": "y",
            "exit": {"exitCode": 0, "stdout": {"bytes": 3}, "stderr": {"bytes": 7}},
            "inputs": [],
            "outputs": [
                {
                    "slug": "results",
                    "kind": "Anything",
                    "relativePath": "results.json",
                    "file": {"path": "results.json", "bytes": 2, "sha256": "c" * 64},
                    "value": value,
                    "hasValue": True,
                }
            ],
            "logs": [],
            "timing": {},
        }
    )


@pytest.mark.parametrize(
    ("value", "kept"),
    [({"ml": 1}, True), ("x" * 9000, False), ({"k" * 998: 1}, True), ([{"a": {"k" * 1020: 1}}], False)],
    ids=["small", "large", "long key", "too long a key"],
)
def test_success_shows_small_values_and_refers_to_the_rest(value: Any, kept: bool) -> None:
    facts = facts_of(pod(stage=DONE, main=terminated(0), collect=collected()))
    status = succeeded(
        world(job(followed())), followed(), 1, facts, judge(facts, run()), manifest(value)
    ).status
    assert status.state is State.SUCCEEDED
    (output,) = status.outputs
    assert (output.value == value) is kept
    assert output.path == "case-001/job-uid/1/results.json"
    assert status.manifest is not None
    assert status.manifest.sha256 == MANIFEST_SHA
    assert status.timing is not None
    assert status.timing.ran_seconds == 50.0
    assert find(status.conditions, "StderrOutput") is not None
    assert find(status.conditions, "GeometryMismatch") is None
    assert find(status.conditions, "Complete") is not None


def test_the_values_of_all_outputs_share_the_room_in_status() -> None:
    """32 outputs of 1000 bytes each: the first 8 KiB are shown, the rest is referred to."""
    facts = facts_of(pod(stage=DONE, main=terminated(0), collect=collected()))
    made = manifest("x" * 998)
    wanted = [made.outputs[0].model_copy(update={"slug": f"o{number}"}) for number in range(32)]
    interface = run().interface
    shown = interface.outputs[-1].model_copy(update={"store_in_status": True})
    outputs = [shown.model_copy(update={"slug": each.slug}) for each in wanted]
    status = followed()
    assert status.algorithm is not None
    taken = status.algorithm.model_copy(
        update={"interface": interface.model_copy(update={"outputs": outputs})}
    )
    status = status.model_copy(update={"algorithm": taken})
    ended = succeeded(
        world(job(status)), status, 1, facts, judge(facts, run()), made.model_copy(update={"outputs": wanted})
    ).status
    assert [each.value is not None for each in ended.outputs] == [True] * 8 + [False] * 24
    assert all(each.path is not None for each in ended.outputs)


def test_an_output_in_another_place_is_a_warning() -> None:
    facts = facts_of(pod(stage=DONE, main=terminated(0), collect=collected()))
    found = manifest({})
    found.outputs[0].warnings.append("It does not lie on input {0}\n.")
    decision = succeeded(world(job(followed())), followed(), 1, facts, judge(facts, run()), found)
    assert decision.status.state is State.SUCCEEDED
    condition = find(decision.status.conditions, "GeometryMismatch")
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "GeometryMismatch")
    assert condition.message == (
        "results: It does not lie on input {0}\\x0a. A warning, not a failure, for geometryCheck is Warn."
    )


def test_a_finished_job_leaves_when_its_time_is_over() -> None:
    done = accepted(state=State.SUCCEEDED, finished_at="2026-11-22T11:59:30Z")
    early = decide(world(job(done, ttlSecondsAfterFinished=60)))
    assert early.actions == []
    assert early.requeue == 30.0
    assert decide(world(job(done, ttlSecondsAfterFinished=10))).actions == [DeleteJob()]
    assert decide(world(job(done))).actions == []


def test_names_stay_within_a_hostname() -> None:
    assert len(names.run_pod("x" * 50, 10)) <= 63
    assert len(names.salvage_pod("x" * 50, 10)) <= 63
