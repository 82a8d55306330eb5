"""preflight without a policy engine: what it says then is why it exists. For everybody on the cluster; so, last."""

from __future__ import annotations

from tests.cluster import processes
from tests.e2e.kube import Kube
from tests.e2e.preflight import preflight


def test_policies_that_nobody_enforces_fail(operator: Kube) -> None:
    processes.pause("kube-router")
    try:
        found = preflight("-n", "default")
    finally:
        processes.resume("kube-router")
    check = found.check("policy-enforcement")
    assert check["level"] == "fail", check
    assert "canary" in check["seen"]
    assert "open to the end" in check["seen"]
    assert "network plugin that enforces NetworkPolicies" in check["fix"]
    assert found.level("node-addresses") == "fail", "the kubelet is open then, too"
