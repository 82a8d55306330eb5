"""Who may do what: the operator and its people, as rendered, with every combination that changes roles."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.tools import EVERYTHING, Object, Values, environment, keys, only, render, rules

WATCHED: Values = {"watchNamespaces": ["a", "b"]}
SHAPES: dict[str, Values] = {
    "all namespaces": {},
    "two namespaces": WATCHED,
    "no nodes": {"rbac": {"nodes": False}},
    "everything": EVERYTHING,
    "aggregated": {"rbac": {"aggregate": {"admin": True, "runner": True, "viewer": True}}},
}
Grant = tuple[str, str, str]


def granted(role: Object) -> set[Grant]:
    """(group, resource, verb) triples of a role, less those that name their objects."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_no_secrets_no_exec_no_wildcards(values: Values) -> None:
    found = list(rules(render(values)))
    assert len(found) > 10
    for role, rule in found:
        assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}, role
        resources = {resource.partition("/")[0] for resource in rule["resources"]}
        assert not resources & {"secrets", "configmaps", "serviceaccounts", "roles", "rolebindings"}, role
        assert not set(rule["resources"]) & {
            "pods/exec",
            "pods/attach",
            "pods/ephemeralcontainers",
            "nodes/proxy",
        }, role
        assert not any("*" in word for field in rule.values() for word in field), role
        assert not set(rule["verbs"]) & {"impersonate", "escalate", "bind", "proxy"}, role


def test_all_namespaces_by_one_cluster_role() -> None:
    objects = render()
    assert keys(objects, "Role") == {("Role", "ao", "algorithm-operator-own")}
    binding = only(objects, "ClusterRoleBinding", "algorithm-operator")
    assert binding["roleRef"]["name"] == "algorithm-operator"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "algorithm-operator", "namespace": "ao"}
    ]


def test_watched_namespaces_by_a_role_in_each() -> None:
    """The same rights, there only; what is left cluster-wide is reading nodes."""
    objects = render(WATCHED)
    everywhere = granted(only(render(), "ClusterRole", "algorithm-operator"))
    for name in ("a", "b"):
        assert granted(only(objects, "Role", "algorithm-operator", name)) == everywhere
        binding = only(objects, "RoleBinding", "algorithm-operator", name)
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "algorithm-operator", "namespace": "ao"}
        ]
    assert keys(objects, "ClusterRoleBinding") == {("ClusterRoleBinding", None, "algorithm-operator-nodes")}
    assert granted(only(objects, "ClusterRole", "algorithm-operator-nodes")) == {
        ("", "nodes", "get"),
        ("", "nodes", "list"),
    }


def test_not_a_single_cluster_wide_object_if_so_wished() -> None:
    off = {"crds": {"enabled": False}, "admissionPolicies": {"enabled": False}}
    values = WATCHED | {"rbac": {"nodes": False, "userRoles": False}} | off
    assert all(o["metadata"].get("namespace") for o in render(values))


def test_no_roles_at_all_if_so_wished() -> None:
    assert not list(rules(render({"rbac": {"create": False, "userRoles": False}})))


def test_own_namespace_holds_the_lease_and_the_canary_only() -> None:
    role = only(render(), "Role", "algorithm-operator-own")
    assert granted(role) == {("coordination.k8s.io", "leases", "create")}
    named = {
        (rule["resources"][0], *rule["resourceNames"]) for rule in role["rules"] if "resourceNames" in rule
    }
    assert named == {("leases", "algorithm-operator"), ("services", "algorithm-operator-canary")}


def test_the_operator_writes_one_policy_by_name_and_only_if_so_wished() -> None:
    """A rule on `create` cannot name its object: an admission policy does (test_admission.py)."""

    def on_policies(values: Values) -> set[tuple[str, ...]]:
        rules = only(render(values), "ClusterRole", "algorithm-operator")["rules"]
        return {
            (verb, *rule.get("resourceNames", []))
            for rule in rules
            if "networkpolicies" in rule["resources"]
            for verb in rule["verbs"]
        }

    reading = {("get",), ("list",), ("watch",)}
    assert on_policies({}) == reading | {("create",), ("patch", "algorithm-operator-deny-all")}
    for off in ({"isolation": {"managePolicy": False}}, {"admissionPolicies": {"enabled": False}}):
        assert on_policies(off) == reading
        assert environment(render(off))["AO_ISOLATION_MANAGE_POLICY"] == "false"


OWN = "algorithm-operator.dev"


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (
            "admin",
            {
                (OWN, "algorithms", "create"),
                (OWN, "datastores", "update"),
                (OWN, "datastores", "connect"),
                (OWN, "algorithmjobs", "delete"),
                (OWN, "imageimports", "delete"),
            },
            {("", "pods", "create"), ("", "pods", "delete"), (OWN, "algorithmjobs/status", "patch")},
        ),
        (
            "runner",
            {
                (OWN, "algorithmjobs", "create"),
                (OWN, "algorithmjobs", "patch"),
                (OWN, "imageimports", "create"),
                (OWN, "algorithms", "get"),
                (OWN, "datastores", "list"),
                (OWN, "datastores", "connect"),
                ("", "pods/log", "get"),
                ("", "pods/portforward", "create"),
                ("", "pods/portforward", "get"),
                ("coordination.k8s.io", "leases", "create"),
            },
            {
                ("", "pods", "create"),
                ("", "pods/exec", "create"),
                (OWN, "datastores", "create"),
                (OWN, "algorithms", "create"),
            },
        ),
        (
            "viewer",
            {(OWN, "algorithmjobs", "watch"), (OWN, "imageimports", "get")},
            {("", "pods/log", "get"), (OWN, "algorithmjobs", "create"), (OWN, "imageimports", "create")},
        ),
    ],
    ids=["admin", "runner", "viewer"],
)
def test_user_roles(role: str, may: set[Grant], may_not: set[Grant]) -> None:
    found = granted(only(render(), "ClusterRole", f"algorithm-operator-{role}"))
    assert may <= found
    assert not may_not & found


def test_viewer_only_reads() -> None:
    found = granted(only(render(), "ClusterRole", "algorithm-operator-viewer"))
    assert {verb for _, _, verb in found} == {"get", "list", "watch"}


@pytest.mark.parametrize(("role", "into"), [("admin", "admin"), ("runner", "edit"), ("viewer", "view")])
@pytest.mark.parametrize("aggregate", [False, True])
def test_aggregation_is_asked_for(role: str, into: str, aggregate: bool) -> None:
    values: dict[str, Any] = {"rbac": {"aggregate": {role: aggregate}}}
    labels = only(render(values), "ClusterRole", f"algorithm-operator-{role}")["metadata"]["labels"]
    expected = {f"rbac.authorization.k8s.io/aggregate-to-{into}": "true"} if aggregate else {}
    assert {key: value for key, value in labels.items() if key.startswith("rbac.")} == expected
