"""What counts as memory: shared memory, and scratch in memory."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.api.algorithm import Resources
from algorithm_operator.core.scratch import problem


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"sharedMemory": "1Gi"}, None),
        ({"sharedMemory": "1025Mi"}, ["sharedMemory (1025Mi) may take", "memory, which is 1Gi"]),
        ({"scratch": {"size": "512Mi", "medium": "Memory"}}, None),
        ({"scratch": {"size": "30G"}}, None),
        (
            {"scratch": {"size": "512Mi", "medium": "Memory"}, "sharedMemory": "64Mi"},
            ["sharedMemory (64Mi) and scratch in memory (/output and /tmp with 512Mi each) may take 1.1 GiB"],
        ),
    ],
    ids=["shared memory fits", "shared memory", "scratch fits", "scratch on disk", "both together"],
)
def test_what_counts_as_memory_must_fit_into_it(resources: dict[str, Any], words: list[str] | None) -> None:
    found = problem(Resources.model_validate({"memory": "1Gi", **resources}))
    assert (found is None) == (words is None)
    assert all(part in (found or "") for part in words or []), found
