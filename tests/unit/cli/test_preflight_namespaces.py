"""Namespaces of jobs, judged."""

from typing import Any

import pytest

from algorithm_operator.cli.preflight import namespaces
from algorithm_operator.cli.preflight.checks import Check, Level, Unseen
from algorithm_operator.cli.preflight.facts import installation
from tests.unit.cli.preflight_facts import claim, deployment, namespace, one, store, told

OPENING: dict[str, Any] = {
    "metadata": {"name": "allow-dns"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53}]}]},
}
HARMLESS = {**OPENING, "spec": {**OPENING["spec"], "podSelector": {"matchLabels": {"app": "web"}}}}


GUARDS: dict[str, list[dict[str, Any]]] = {
    "pods": [{}],
    "connect": [
        {"matchLabels": {"algorithm-operator.dev/jobs": "true"}},
        {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["named"]}]},
    ],
}


def judged(
    found: Any = None, gpu_nodes: int | None = 2, watch: str = "", managed: bool = False, **changes: Any
) -> list[Check]:
    given = {"AO_WATCH_NAMESPACES": watch, "AO_ISOLATION_MANAGE_POLICY": str(managed).lower()}
    operator = installation(deployment(**given))
    around = namespaces.Around(operator, ["T4"], gpu_nodes, GUARDS, ["late"])
    return list(namespaces.judge(found or namespace(**changes), around))


def test_a_good_namespace_passes_everything() -> None:
    found = judged()
    assert {check.level for check in found} == {Level.PASS}
    assert {check.name for check in found} == {
        "pod-security",
        "deny-all-policy",
        "opening-policies",
        "guarded",
        "default-store",
        "store results",
        "quota-for-T4",
        "limits-for-T4",
    }


@pytest.mark.parametrize("label", [None, "baseline", "privileged"])
def test_pod_security(label: str | None) -> None:
    labels = {"pod-security.kubernetes.io/enforce": label} if label else {}
    found = judged(body={"metadata": {"name": "imaging", "labels": labels}})
    told(
        one(found, "pod-security"),
        Level.FAIL,
        "kubectl label namespace imaging pod-security.kubernetes.io/enforce=restricted --overwrite",
    )


def test_no_such_namespace() -> None:
    (check,) = judged(body=None)
    told(check, Level.FAIL, "jobNamespaces=[{name: imaging, create: true}]")


def test_a_namespace_that_is_leaving() -> None:
    (check,) = judged(body={"metadata": {"name": "imaging", "deletionTimestamp": "2026-11-22T12:00:00Z"}})
    told(check, Level.WARN, "being deleted")


@pytest.mark.parametrize(
    ("policies", "name", "level", "words"),
    [
        pytest.param([], "deny-all-policy", Level.FAIL, "jobNamespaces", id="missing"),
        pytest.param(
            [HARMLESS], "deny-all-policy", Level.FAIL, "run, salvage, store, user", id="others only"
        ),
    ],
)
def test_deny_all(policies: list[Any], name: str, level: Level, words: str) -> None:
    told(one(judged(policies=policies), name), level, words)


def test_an_operator_that_manages_the_policy_puts_it_there_itself() -> None:
    told(one(judged(policies=[], managed=True), "deny-all-policy"), Level.WARN, "isolation.managePolicy")


@pytest.mark.parametrize(
    ("name", "labels", "level"),
    [
        pytest.param("imaging", {"algorithm-operator.dev/jobs": "true"}, Level.PASS, id="by its label"),
        pytest.param("named", {}, Level.PASS, id="by its name"),
        pytest.param("imaging", {"algorithm-operator.dev/jobs": "false"}, Level.WARN, id="not at all"),
    ],
)
def test_guarded(name: str, labels: dict[str, str], level: Level) -> None:
    found = judged(namespace(name, body={"metadata": {"name": name, "labels": labels}}))
    told(
        one(found, "guarded"),
        level,
        *(
            []
            if level is Level.PASS
            else ["connect", "kubectl label namespace imaging algorithm-operator.dev/jobs=true"]
        ),
    )


def test_opening_policies() -> None:
    good = list(namespace().policies)  # type: ignore[arg-type]
    told(one(judged(policies=[*good, HARMLESS]), "opening-policies"), Level.PASS)
    told(
        one(judged(policies=[*good, OPENING]), "opening-policies"),
        Level.FAIL,
        "allow-dns",
        "delete networkpolicy allow-dns",
    )


@pytest.mark.parametrize(
    ("watch", "level"), [("imaging,other", Level.PASS), ("other", Level.FAIL)], ids=["watched", "not watched"]
)
def test_watched(watch: str, level: Level) -> None:
    told(one(judged(watch=watch), "watched"), level)


@pytest.mark.parametrize(
    ("stores", "level", "words"),
    [
        pytest.param([store()], Level.PASS, "results", id="one"),
        pytest.param([], Level.WARN, "no DataStore", id="none"),
        pytest.param([store(default=False)], Level.WARN, "none is the default", id="none is default"),
        pytest.param([store(), store("more")], Level.WARN, "Several", id="two are default"),
    ],
)
def test_default_store(stores: list[Any], level: Level, words: str) -> None:
    told(one(judged(stores=stores), "default-store"), level, words)


@pytest.mark.parametrize(
    ("claims", "gpu_nodes", "level", "words"),
    [
        pytest.param([claim()], 3, Level.PASS, "ReadWriteMany", id="many"),
        pytest.param([claim(mode="ReadWriteOnce")], 1, Level.PASS, "ReadWriteOnce", id="once, on one node"),
        pytest.param(
            [claim(mode="ReadWriteOnce")], 2, Level.WARN, "there are 2 GPU nodes", id="once, on two"
        ),
        pytest.param(
            [claim(mode="ReadWriteOnce")], None, Level.WARN, "may be several", id="once, on unknown"
        ),
        pytest.param([claim(mode="ReadWriteOncePod")], 2, Level.WARN, "same time", id="one Pod"),
        pytest.param([claim(phase="Pending")], 2, Level.WARN, "WaitForFirstConsumer", id="pending"),
        pytest.param(
            [claim(phase="Pending", of="late")], 2, Level.PASS, "first Pod", id="pending, as it should"
        ),
        pytest.param([claim(phase="Lost")], 2, Level.FAIL, "its volume is gone", id="lost"),
        pytest.param([], 2, Level.FAIL, "no PersistentVolumeClaim results", id="missing"),
    ],
)
def test_claims(claims: list[Any], gpu_nodes: int | None, level: Level, words: str) -> None:
    told(one(judged(claims=claims, gpu_nodes=gpu_nodes), "store results"), level, words)


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "team"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used or {}},
    }


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        pytest.param(quota({"requests.nvidia.com/gpu": "1"}), Level.PASS, "1 ResourceQuotas", id="enough"),
        pytest.param(
            quota({"requests.nvidia.com/gpu": "1"}, {"requests.nvidia.com/gpu": "1"}),
            Level.WARN,
            "QuotaExceeded",
            id="in use",
        ),
        pytest.param(
            quota({"requests.memory": "16Gi"}),
            Level.FAIL,
            "16.0 GiB, 0.0 GiB in use, a job needs 22.9 GiB",
            id="memory",
        ),
        pytest.param(
            quota({"limits.cpu": "2"}), Level.FAIL, "limits.cpu 2", id="processors: collect counts, too"
        ),
        pytest.param(quota({"pods": "0"}), Level.FAIL, "pods 0", id="Pods"),
        pytest.param(
            quota({"count/algorithmjobs.algorithm-operator.dev": "0"}), Level.FAIL, "algorithmjobs", id="jobs"
        ),
        pytest.param(quota({"services": "0"}), Level.PASS, "1 ResourceQuotas", id="something else"),
        pytest.param(
            quota({"pods": "0"}, scopes=["BestEffort"]), Level.PASS, "No ResourceQuota", id="other Pods"
        ),
        pytest.param(
            quota({"pods": "0"}, scopes=["Terminating"]), Level.FAIL, "pods 0", id="Pods with a deadline"
        ),
    ],
)
def test_quota(found: dict[str, Any], level: Level, words: str) -> None:
    told(one(judged(quotas=[found]), "quota-for-T4"), level, words)


@pytest.mark.parametrize(
    ("limit", "level", "words"),
    [
        pytest.param({"type": "Container", "max": {"memory": "32Gi"}}, Level.PASS, "", id="wide"),
        pytest.param(
            {"type": "Container", "max": {"memory": "8Gi"}},
            Level.FAIL,
            "container algorithm may use 22.4 GiB",
            id="max",
        ),
        pytest.param(
            {"type": "Container", "min": {"memory": "1Gi"}},
            Level.FAIL,
            "container collect asks for 0.5 GiB",
            id="min",
        ),
        pytest.param(
            {"type": "Pod", "max": {"cpu": "2"}}, Level.FAIL, "the Pod may use 2.5", id="max of the Pod"
        ),
        pytest.param(
            {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}, Level.PASS, "", id="claims"
        ),
        pytest.param(
            {"type": "Container", "maxLimitRequestRatio": {"memory": "1"}},
            Level.PASS,
            "",
            id="ratio: they are equal",
        ),
    ],
)
def test_limit_range(limit: dict[str, Any], level: Level, words: str) -> None:
    found = judged(limit_ranges=[{"metadata": {"name": "bounds"}, "spec": {"limits": [limit]}}])
    told(one(found, "limits-for-T4"), level, words)


def test_each_missing_right_is_told_by_its_own_check() -> None:
    no = Unseen("forbidden")
    found = judged(namespace(body=no, policies=no, stores=no, claims=no, quotas=no, limit_ranges=no))
    assert {check.level for check in found} == {Level.UNKNOWN}
    assert {"pod-security", "deny-all-policy", "default-store", "quota-for-T4", "limits-for-T4"} == {
        check.name for check in found
    }
