"""Events of a Pod are looked at only where a container is overdue, and only those that say why count."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from algorithm_operator.api.reasons import Reason
from algorithm_operator.core import silence, waiting
from algorithm_operator.core.facts import facts_of
from tests.unit.core import builders
from tests.unit.core.builders import NOW, SETTINGS, STORES, at, pod, run, terminated

STAGED = terminated(0, start=1, end=2)
STARTING: dict[str, Any] = {
    "stage": STAGED,
    "collect": builders.running(2),
    "main": builders.waiting("PodInitializing"),
}
PULL = 'Failed to pull image "r/a@sha256:1": not found'


def event(
    reason: str, message: str, *, seconds: float = 3, container: str = "", kind: str = "Warning"
) -> dict[str, Any]:
    about = {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
    return {
        "type": kind, "reason": reason, "message": message, "lastTimestamp": at(seconds), "involvedObject": about
    }  # fmt: skip


@pytest.mark.parametrize(
    ("containers", "seconds", "silent"),
    [
        (STARTING, 4, False),  # staged two seconds ago
        (STARTING, 5, True),
        ({**STARTING, "main": builders.running(3)}, 60, False),
        ({**STARTING, "main": terminated(0, start=3, end=4)}, 60, False),
        ({"stage": builders.running(1)}, 60, False),
        ({"stage": builders.waiting("PodInitializing")}, 60, True),
        ({"stage": terminated(65, start=1, end=2), "main": builders.waiting("PodInitializing")}, 60, False),
    ],
)  # fmt: skip
def test_silent(containers: dict[str, Any], seconds: float, silent: bool) -> None:
    facts = facts_of(pod(**containers))
    assert silence.is_silent(facts, NOW + timedelta(seconds=seconds)) is silent


def test_a_pod_without_a_node_is_the_schedulers_matter() -> None:
    assert not silence.is_silent(facts_of(pod(node=None)), NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([event("Failed", PULL, container="algorithm")], silence.Told("algorithm", True, PULL)),
        ([event("FailedMount", "no volume")], silence.Told("", False, "no volume")),
        (
            [event("FailedMount", "first", seconds=1), event("FailedMount", "second", seconds=2)],
            silence.Told("", False, "second"),
        ),
        ([event("Failed", "Error: ErrImagePull", container="algorithm")], None),  # says nothing
        ([event("Failed", PULL, kind="Normal")], None),
        ([event("BackOff", "Back-off pulling image")], None),
        ([{}], None),
        ([], None),
    ],
)
def test_last_warning(events: list[dict[str, Any]], told: silence.Told | None) -> None:
    assert silence.last_warning(events) == told


def explained(events: list[dict[str, Any]] | None) -> waiting.Waiting | None:
    return waiting.explain(facts_of(pod(**STARTING)), run(), None, STORES, SETTINGS, events)


def test_an_image_that_cannot_be_pulled_is_told_before_the_status_says_so() -> None:
    found = explained([event("Failed", PULL, container="algorithm")])
    assert found is not None
    assert (found.reason, found.ends_as) == (Reason.IMAGE_PULL_FAILING, Reason.IMAGE_PULL_FAILED)
    assert run().image in found.message
    assert "not found" in found.message
    assert found.ends_at == NOW + timedelta(seconds=2 + SETTINGS.pull_failure_seconds)


@pytest.mark.parametrize(
    ("words", "ends_as"),
    [
        ("dial tcp: lookup registry.example.org: no such host", Reason.REGISTRY_UNREACHABLE),
        ("dial tcp 192.0.2.1:443: i/o timeout", Reason.REGISTRY_UNREACHABLE),
        ("unexpected status from HEAD request: 503 Service Unavailable", Reason.REGISTRY_UNREACHABLE),
        ("unexpected status from HEAD request: 401 Unauthorized", Reason.IMAGE_PULL_FAILED),
        ("manifest unknown", Reason.IMAGE_PULL_FAILED),
        ("something else", Reason.IMAGE_PULL_FAILED),
    ],
    ids=["name", "timeout", "503", "401", "gone", "unknown"],
)
def test_a_registry_that_is_away_and_an_image_that_is(words: str, ends_as: Reason) -> None:
    """The cause stands at the end, however long the names before it are."""
    message = f'Failed to pull image "{"a" * 600}": {words}'
    found = explained([event("Failed", message, container="algorithm")])
    assert found is not None
    assert found.ends_as is ends_as
    assert words in found.message


def test_a_volume_that_is_not_mounted_ends_the_attempt_too() -> None:
    found = explained([event("FailedMount", "MountVolume.SetUp failed")])
    assert found is not None
    assert (found.reason, found.ends_as) == (
        Reason.CONTAINER_CREATE_FAILING,
        Reason.CONTAINER_CREATE_FAILED,
    )
    assert "MountVolume.SetUp failed" in found.message


def test_without_a_warning_nothing_is_made_up() -> None:
    assert explained(None) is None
    assert explained([]) is None
