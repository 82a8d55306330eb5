"""Which policies may open a sealed Pod, where its labels alone do not tell."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.api.reasons import Reason
from algorithm_operator.core import names, policies

LABELS = names.labels(names.ROLE_RUN, "case", 1)
ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("selector", "may"),
    [
        ({"matchLabels": {ZONE: "a"}}, True),
        ({"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchLabels": {ZONE: "a", names.LABEL_ROLE: "run"}}, True),
        ({"matchLabels": {ZONE: "a", "app": "web"}}, False),
        ({"matchLabels": {"topology.example.org/zone": "a"}}, False),
    ],
)
def test_a_policy_for_a_zone_may_open_a_pod_that_has_no_node_yet(selector: dict[str, Any], may: bool) -> None:
    """The API server gives a Pod the zone and region of its node as it is bound."""
    opening = {"metadata": {"name": "zonal"}, "spec": {"podSelector": selector, "egress": [{}]}}
    found = policies.unsealed("imaging", True, [policies.deny_all("imaging"), opening], LABELS)
    assert (found is not None and found[0] is Reason.POLICY_CONFLICT) == may
