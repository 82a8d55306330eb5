"""Whether a store Pod is there, and what is said when it does not come."""

from typing import Any

import pytest

from algorithm_operator.core.storelease import is_ready, why_not_ready
from tests.unit.cli.test_explain import EVIL, condition

STORE: dict[str, Any] = {"metadata": {"name": "cases"}, "spec": {}}
WAITING = {"reason": "ImagePullBackOff", "message": "not found"}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
LEAVING = {"metadata": {"name": "cases-store", "deletionTimestamp": "2026-11-22T20:00:00Z"}, "status": {}}


def store(**ready: str) -> dict[str, Any]:
    return {**STORE, "status": {"conditions": [condition("Ready", **ready)]}}


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "cases-store"}, "status": status}


@pytest.mark.parametrize(
    ("of_store", "of_pod", "said"),
    [
        (None, None, "Is the operator running, and does it watch this namespace?"),
        (STORE, None, "nobody has looked at the DataStore"),
        (store(status="True", reason="Ready"), None, "the operator has not made it"),
        (store(status="False", reason="PolicyMissing", message="no policy"), None, "no policy"),
        (store(status="True", reason="Ready"), LEAVING, "still leaving"),
        (store(status="True", reason="Ready"), pod(conditions=[UNSCHEDULED]), "no node for it: 0/1 nodes"),
        (
            store(status="True", reason="Ready"),
            pod(containerStatuses=[{"name": "store", "state": {"waiting": WAITING}}]),
            "ImagePullBackOff: not found",
        ),
        (store(status="True", reason="Ready"), pod(phase="Running"), "it is Running"),
        (store(status="False", reason="ClaimNotFound", message=EVIL), None, r"\x1b[2J[red]x\x0a\u202e"),
    ],
)
def test_why_not_ready(of_store: Any, of_pod: Any, said: str) -> None:
    assert said in why_not_ready(of_store, of_pod)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod(conditions=[{"type": "Ready", "status": "True"}]), True),
        (pod(conditions=[{"type": "Ready", "status": "False"}]), False),
        (pod(), False),
        ({**LEAVING, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, False),
    ],
)
def test_is_ready(found: Any, expected: bool) -> None:
    assert is_ready(found) is expected
