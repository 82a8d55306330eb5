"""The chart's admission policies on a real API server, asked by real ServiceAccounts.

Everything is a dry run but the Pods and policies that are there to be changed, and connecting: that ends for want of a
running Pod where admission lets it through.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from algorithm_operator.contract.plan import MAX_PLAN_BYTES
from algorithm_operator.core import names, policies
from deploy.render import GROUP
from tests.chart.conftest import restricted_namespace
from tests.chart.release import Release, copied
from tests.chart.tools import Object, kubectl
from tests.e2e.kube import ApiError, Kube, eventually

WHOLE: Object = {
    "restartPolicy": "Never",
    "nodeSelector": {"nowhere": "at-all"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "automountServiceAccountToken": False,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [
        {
            "name": "main",
            "image": "example.org/image:1",
            "resources": {"requests": {"cpu": "100m"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}
SEALED = "case-1-run"
RELEASED: Object = {"metadata": {"finalizers": None}}
"""A Pod that keeps our finalizer would keep its namespace for ever."""


class Cluster:
    """A namespace of jobs, and clients who are real ServiceAccounts there."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.namespace = release.namespace
        admin = Kube()

        def bound(name: str, role: str) -> Kube:
            return admin.service_account(self.namespace, name, role)

        mine = f"{release.operator}-"
        self.who = {
            "masters": admin,
            "operator": admin.as_account(self.namespace, release.operator),
            "edit": bound("eddy", "edit"),
            "admin": bound("ada", "admin"),
            "our admin": bound("olga", f"{mine}admin"),
            "runner": bound("rita", f"{mine}runner"),
            "viewer": bound("vera", f"{mine}viewer"),
            "cluster admin": bound("cleo", "admin"),
            "garbage collector": admin.as_account("kube-system", "generic-garbage-collector"),
            "namespace controller": admin.as_account("kube-system", "namespace-controller"),
        }

    def ours(self, text: Any) -> Any:
        """The object with our group, and our name in managed-by, replaced by the release's own."""
        own = json.dumps(text).replace(GROUP, self.release.group)
        return json.loads(own.replace(f'"{names.OPERATOR}"', f'"{self.release.name}"'))

    def ask(
        self, who: str, method: str, resource: str, name: str | None, body: Any = None, sub: str | None = None
    ) -> str:
        """What the server says against a dry run of the request; "" if nothing."""
        query = {"dryRun": "All"} if method != "CONNECT" else {}
        kind = "application/json"
        if method == "PATCH":
            kind = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
        if method == "APPLY":
            method, kind = "PATCH", "application/apply-patch+yaml"
            query |= {"fieldManager": "x", "force": "true"}
        path = Kube.path(resource, self.namespace, name, sub)
        try:
            self.who[who].request("POST" if method == "CONNECT" else method, path, body, kind, **query)
        except ApiError as error:
            return f"{error.code} {error.message}"
        return ""

    def pod(self, name: str, **metadata: Any) -> Object:
        meta = {"name": name, **metadata}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self.ours(meta), "spec": WHOLE}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with restricted_namespace() as namespace, copied(tmp_path_factory.mktemp("chart"), namespace) as release:
        release.helm("install", {"jobNamespaces": [{"name": namespace}], "crds": {"enabled": False}})
        cluster = Cluster(release)
        _bind_everywhere(cluster, "cleo", "cluster-admin")
        for body in [
            cluster.pod(SEALED, labels=LABELS, annotations=ANNOTATIONS, finalizers=[names.POD_FINALIZER]),
            cluster.pod("plain", labels={"team": "a"}),
        ]:
            cluster.who["operator"].create("pods", body, namespace)
        try:
            _in_force(cluster)
            yield cluster
        finally:
            Kube().patch("pods", SEALED, RELEASED, namespace)


def _bind_everywhere(cluster: Cluster, account: str, role: str) -> None:
    """As most clusters make their administrators: by a ClusterRole, and not by the group system:masters."""
    instance = {"app.kubernetes.io/instance": cluster.release.name}  # goes with the release
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{cluster.release.name}-{account}", "labels": instance},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": cluster.namespace}],
    }
    kubectl("create", "-f", "-", stdin=json.dumps(binding))


def _in_force(cluster: Cluster) -> None:
    """Policies are in force a moment after they were made, and no warning is left in one."""
    marked = cluster.pod("probe", labels=LABELS)
    eventually(lambda: cluster.ask("masters", "POST", "pods", None, marked), 30, "the policy on Pods holds")
    opening = policy("probe", {})
    eventually(
        lambda: cluster.ask("masters", "POST", "networkpolicies", None, opening), 30, "that on policies holds"
    )
    eventually(
        lambda: "sealed" in cluster.ask("masters", "CONNECT", "pods", SEALED, None, "attach"),
        30,
        "that on connects",
    )
    eventually(
        lambda: cluster.ask("operator", "POST", "networkpolicies", None, opening), 30, "that on the operator"
    )


LABELS = names.labels(names.ROLE_RUN, "case", 1)
ANNOTATIONS = {names.ANNOTATION_PLAN: "{}", "other": "x"}


def test_the_policies_are_understood_by_the_server(cluster: Cluster) -> None:
    """The server checks the types in every expression some time after it has taken it."""
    label = f"app.kubernetes.io/instance={cluster.release.name}"
    found = json.loads(kubectl("get", "validatingadmissionpolicy", "-l", label, "-o", "json"))["items"]
    assert {o["metadata"]["name"].removeprefix(cluster.release.operator) for o in found} == {
        "-pods",
        "-connect",
        "-networkpolicies",
        "-jobs",
        "-operator",
    }
    for o in found:
        eventually(functools.partial(_checked, o["metadata"]["name"]), 60, "its types are checked")


def _checked(name: str) -> bool:
    status = json.loads(kubectl("get", "validatingadmissionpolicy", name, "-o", "json")).get("status") or {}
    checking = status.get("typeChecking")
    assert not (checking or {}).get("expressionWarnings"), checking
    return checking is not None


# --- Pods ----------------------------------------------------------------------------------------------------

MARKS: dict[str, Object] = {
    "role": {"labels": {names.LABEL_ROLE: "run"}},
    "job": {"labels": {names.LABEL_JOB: "case"}},
    "a label of ours that nobody knows": {"labels": {f"{GROUP}/new": "x"}},
    "managed-by": {"labels": {names.MANAGED_BY: names.OPERATOR}},
    "plan": {"annotations": {names.ANNOTATION_PLAN: "{}"}},
    "finalizer": {"finalizers": [names.POD_FINALIZER]},
}
PEOPLE = ("masters", "edit", "admin", "garbage collector")


@pytest.mark.parametrize("mark", MARKS)
def test_only_the_operator_makes_a_marked_pod(cluster: Cluster, mark: str) -> None:
    body = cluster.pod("made", **MARKS[mark])
    assert cluster.ask("operator", "POST", "pods", None, body) == ""
    key = next(iter(cluster.ours(next(iter(MARKS[mark].values())))))
    for who in ("masters", "edit", "admin"):
        said = cluster.ask(who, "POST", "pods", None, body)
        assert said.startswith("403"), (who, said)
        assert f"Pod {cluster.namespace}/made may not be given the" in said
        assert key in said
        assert "through an AlgorithmJob" in said
    generated = cluster.pod("x", **MARKS[mark])
    generated["metadata"] = {**generated["metadata"], "generateName": "gen-"}
    del generated["metadata"]["name"]
    assert f"{cluster.namespace}/gen-" in cluster.ask("edit", "POST", "pods", None, generated)


def test_other_pods_are_everybodys(cluster: Cluster) -> None:
    """What is not ours is not touched, whatever it is called."""
    labels = {"app.kubernetes.io/managed-by": "Helm", "algorithm-operator.example/role": "run"}
    body = cluster.pod("case-1-run-not", labels=labels, annotations={"a": "b"}, finalizers=["example.org/x"])
    for who in ("masters", "edit", "admin"):
        assert cluster.ask(who, "POST", "pods", None, body) == ""
    change = {"metadata": {"labels": {"team": "b"}}, "spec": {"activeDeadlineSeconds": 5}}
    assert cluster.ask("edit", "PATCH", "pods", "plain", change) == ""
    assert cluster.ask("masters", "PATCH", "pods", "plain", _debugging(), "ephemeralcontainers") == ""


def _debugging() -> Object:
    container = {**WHOLE["containers"][0], "name": "debugger", "targetContainerName": "main"}
    del container["resources"]
    return {"spec": {"ephemeralContainers": [container]}}


CHANGES: dict[str, tuple[Object | list[Object], str | None]] = {
    "another job": ({"metadata": {"labels": {names.LABEL_JOB: "other"}}}, None),
    "no role": ({"metadata": {"labels": {names.LABEL_ROLE: None}}}, None),
    "one more label": ({"metadata": {"labels": {f"{GROUP}/more": "x"}}}, None),
    "another plan": ({"metadata": {"annotations": {names.ANNOTATION_PLAN: "[]"}}}, None),
    "another finalizer of ours": ({"metadata": {"finalizers": [names.POD_FINALIZER, f"{GROUP}/x"]}}, None),
    "no role, by way of status": ({"metadata": {"labels": {names.LABEL_ROLE: None}}}, "status"),
    "another image": ([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil:1"}], None),
    "a shorter deadline": ({"spec": {"activeDeadlineSeconds": 1}}, None),
    "more processors": (
        [{"op": "replace", "path": "/spec/containers/0/resources/requests/cpu", "value": "2"}],
        "resize",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_operator_changes_a_marked_pod(cluster: Cluster, change: str) -> None:
    patch, sub = CHANGES[change]
    for who in ("masters", "edit", "garbage collector") if sub is None else ("masters",):
        said = cluster.ask(who, "PATCH", "pods", SEALED, cluster.ours(patch), sub)
        assert said.startswith("403"), (who, said)
        assert f"Pod {cluster.namespace}/{SEALED} " in said
        assert "the operator (system:serviceaccount:" in said
    if sub is None:
        assert cluster.ask("operator", "PATCH", "pods", SEALED, cluster.ours(patch)) == ""


def test_a_plain_pod_cannot_become_one_of_ours(cluster: Cluster) -> None:
    patch = cluster.ours({"metadata": {"labels": {names.LABEL_ROLE: "run"}}})
    for who in ("masters", "edit"):
        assert "may not be given the label" in cluster.ask(who, "PATCH", "pods", "plain", patch)
    binding = cluster.ours(
        {"metadata": {"name": "plain", "annotations": {names.ANNOTATION_PLAN: "{}"}}, "target": {"name": "n"}}
    )
    said = cluster.ask("masters", "POST", "pods", "plain", binding, "binding")
    assert "may not be given the annotation" in said


def test_what_is_not_ours_may_change_on_a_marked_pod(cluster: Cluster) -> None:
    """Network plugins and autoscalers annotate; the kubelet writes status."""
    patch = {"metadata": {"annotations": {"cni.example.org/addresses": "[]"}}}
    assert cluster.ask("edit", "PATCH", "pods", SEALED, patch) == ""
    assert cluster.ask("masters", "PATCH", "pods", SEALED, {"status": {"message": "x"}}, "status") == ""


def test_no_label_is_put_on_a_marked_pod(cluster: Cluster) -> None:
    """A policy may open the Pods of any app: with the app's label a sealed Pod would be one of them."""
    for who in ("masters", "edit", "admin"):
        for sub in (None, "status") if who == "masters" else (None,):
            said = cluster.ask(who, "PATCH", "pods", SEALED, {"metadata": {"labels": {"app": "web"}}}, sub)
            assert f"Pod {cluster.namespace}/{SEALED} is a sealed Pod of a job and keeps its labels" in said
    assert cluster.ask("operator", "PATCH", "pods", SEALED, {"metadata": {"labels": {"app": "web"}}}) == ""


def test_the_largest_plan_is_within_what_a_policy_may_cost(cluster: Cluster) -> None:
    """Beyond the API server's budget every request would be refused, the kubelet's too."""
    full = "x" * MAX_PLAN_BYTES
    body = cluster.pod(
        "large",
        labels=LABELS | {f"label-{i}": "x" * 63 for i in range(50)},
        annotations={names.ANNOTATION_PLAN: full},
    )
    cluster.who["operator"].create("pods", body, cluster.namespace)
    assert cluster.ask("masters", "PATCH", "pods", "large", {"status": {"message": "x"}}, "status") == ""
    assert cluster.ask("edit", "PATCH", "pods", "large", {"metadata": {"annotations": {"team": "a"}}}) == ""
    other = cluster.ours({"metadata": {"annotations": {names.ANNOTATION_PLAN: full[:-1] + "y"}}})
    said = cluster.ask("edit", "PATCH", "pods", "large", other)
    assert "may not be given the annotation" in said
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("operator", True),
        ("masters", True),
        ("cluster admin", True),
        ("garbage collector", True),
        ("edit", False),
        ("admin", False),
    ],
)
def test_who_may_take_the_finalizer_away(cluster: Cluster, who: str, may: bool) -> None:
    """Without those who clear up a Pod would stay for ever where the operator was uninstalled."""
    said = cluster.ask(who, "PATCH", "pods", SEALED, {"metadata": {"finalizers": None}})
    assert (said == "") == may, said
    if not may:
        assert f"keeps its finalizer {cluster.release.group}/accounting" in said


def test_no_further_container_in_a_marked_pod(cluster: Cluster) -> None:
    """RBAC gives this to nobody but cluster administrators; those are refused as well."""
    said = cluster.ask("masters", "PATCH", "pods", SEALED, _debugging(), "ephemeralcontainers")
    assert said.startswith("403"), said
    assert f"Pod {cluster.namespace}/{SEALED} is a sealed Pod of a job and takes no further container" in said
    for who in ("edit", "admin", "operator"):
        said = cluster.ask(who, "PATCH", "pods", SEALED, _debugging(), "ephemeralcontainers")
        assert 'cannot patch resource "pods/ephemeralcontainers"' in said


# --- getting in ----------------------------------------------------------------------------------------------

THROUGH = "not found"
"""Admission has let the request through to a Pod that is not there."""


@pytest.mark.parametrize(
    "pod", ["a-1-run", "a-b-12-salvage", "a-3-import", "cases-store", "algo-user", "algo-inspect"]
)
@pytest.mark.parametrize("sub", ["exec", "attach", "proxy"])
def test_nobody_enters_our_pods(cluster: Cluster, pod: str, sub: str) -> None:
    for who in ("masters", "edit", "admin"):
        said = cluster.ask(who, "CONNECT", "pods", pod, None, sub)
        assert said.startswith("403"), (who, said)
        assert f"pods/{sub} of {cluster.namespace}/{pod} is closed to everybody" in said
    if sub == "proxy":
        assert "is closed to everybody" in cluster.ask("edit", "CONNECT", "pods", f"{pod}:8080", None, sub)


@pytest.mark.parametrize(
    "pod", ["run", "a-run", "1-run", "a-1-runner", "storefront", "a-x-salvage", "a-import"]
)
def test_others_pods_are_not_meant(cluster: Cluster, pod: str) -> None:
    for sub in ("exec", "attach", "portforward"):
        assert THROUGH in cluster.ask("edit", "CONNECT", "pods", pod, None, sub)


@pytest.mark.parametrize("who", ["masters", "edit", "runner", "our admin"])
def test_nobody_forwards_a_port_of_a_job(cluster: Cluster, who: str) -> None:
    """With `network: Loopback` the algorithm may listen there."""
    for pod in ("a-1-run", "a-1-salvage", "a-1-import", "algo-user"):
        said = cluster.ask(who, "CONNECT", "pods", pod, None, "portforward")
        assert f"pods/portforward of {cluster.namespace}/{pod} is closed to everybody" in said


@pytest.mark.parametrize(
    ("who", "may"),
    [("masters", True), ("runner", True), ("our admin", True), ("edit", False), ("admin", False)],
)
def test_who_may_connect_reaches_the_store(cluster: Cluster, who: str, may: bool) -> None:
    said = cluster.ask(who, "CONNECT", "pods", "cases-store", None, "portforward")
    assert (THROUGH in said) == may, said
    if not may:
        assert said.startswith("403")
        assert f"may not reach the files of DataStore {cluster.namespace}/cases" in said
        assert f'the verb "connect" on datastores.{cluster.release.group}' in said


def test_a_viewer_has_no_way_at_all(cluster: Cluster) -> None:
    said = cluster.ask("viewer", "CONNECT", "pods", "cases-store", None, "portforward")
    assert 'cannot create resource "pods/portforward"' in said


def test_an_admin_opens_one_store_alone(cluster: Cluster) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create", "get"]},
        {
            "apiGroups": [cluster.release.group],
            "resources": ["datastores"],
            "resourceNames": ["cases"],
            "verbs": ["connect"],
        },
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "one-store", "namespace": cluster.namespace},
        "rules": rules,
    }
    kubectl("create", "-f", "-", stdin=json.dumps(role))
    cluster.who["guest"] = cluster.who["masters"].service_account(
        cluster.namespace, "gus", "one-store", "Role"
    )
    assert THROUGH in cluster.ask("guest", "CONNECT", "pods", "cases-store", None, "portforward")
    said = cluster.ask("guest", "CONNECT", "pods", "other-store", None, "portforward")
    assert "DataStore " + cluster.namespace + "/other" in said


def test_a_labelled_namespace_is_one_of_jobs_and_others_are_not(cluster: Cluster) -> None:
    with restricted_namespace() as other:
        path = Kube.path("pods", other, "a-1-run", "exec")

        def said() -> str:
            with pytest.raises(ApiError) as error:
                cluster.who["masters"].request("POST", path)
            return error.value.message

        assert THROUGH in said()
        kubectl("label", "namespace", other, f"{cluster.release.group}/jobs=true")
        eventually(lambda: "closed to everybody" in said(), 10, "the label counts")


# --- NetworkPolicies -----------------------------------------------------------------------------------------

Selector = dict[str, Any]


def policy(name: str, selector: Selector, **spec: Any) -> Object:
    """A policy that lets everything out, unless `spec` says otherwise."""
    body = {"podSelector": selector, "policyTypes": ["Egress"], "egress": [{}], **spec}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": body,
    }


def term(key: str, operator: str, *values: str) -> Selector:
    found: Selector = {"key": key, "operator": operator}
    return {"matchExpressions": [found | ({"values": list(values)} if values else {})]}


SELECTORS: dict[str, tuple[Selector, bool]] = {
    "everything": ({}, True),
    "the role": ({"matchLabels": {names.LABEL_ROLE: "run"}}, True),
    "a job": ({"matchLabels": {names.LABEL_JOB: "case"}}, True),
    "an attempt": ({"matchLabels": {names.LABEL_ATTEMPT: "1"}}, True),
    "a store": ({"matchLabels": {names.LABEL_STORE: "cases"}}, True),
    "managed by us": ({"matchLabels": {names.MANAGED_BY: names.OPERATOR}}, True),
    "managed by us, in a list": (term(names.MANAGED_BY, "In", "Helm", names.OPERATOR), True),
    "managed by anybody": (term(names.MANAGED_BY, "Exists"), True),
    "not managed by Helm": (term(names.MANAGED_BY, "NotIn", "Helm"), True),
    "any role": (term(names.LABEL_ROLE, "Exists"), True),
    "roles by name": (term(names.LABEL_ROLE, "In", "run", "salvage"), True),
    "other apps": (term("app", "NotIn", "web"), True),
    "no app": (term("app", "DoesNotExist"), True),
    "no job": (term(names.LABEL_JOB, "DoesNotExist"), True),
    "our role and no app": (
        {"matchLabels": {names.LABEL_ROLE: "run"}, **term("app", "DoesNotExist")},
        True,
    ),
    "a zone": ({"matchLabels": {"topology.kubernetes.io/zone": "a"}}, True),
    "no zone": (term("topology.kubernetes.io/zone", "DoesNotExist"), True),
    "some regions": (term("topology.kubernetes.io/region", "In", "a"), True),
    "an app of a zone": ({"matchLabels": {"topology.kubernetes.io/zone": "a", "app": "web"}}, False),
    "an app": ({"matchLabels": {"app": "web"}}, False),
    "an app and our role": ({"matchLabels": {"app": "web", names.LABEL_ROLE: "run"}}, False),
    "some apps": (term("app", "In", "web"), False),
    "any app": (term("app", "Exists"), False),
    "all but ours": (term(names.LABEL_ROLE, "DoesNotExist"), False),
    "managed by Helm": ({"matchLabels": {names.MANAGED_BY: "Helm"}}, False),
    "managed by others": (term(names.MANAGED_BY, "NotIn", names.OPERATOR), False),
    "managed by nobody": (term(names.MANAGED_BY, "DoesNotExist"), False),
    "the Pod that asks registries": ({"matchLabels": {names.LABEL_TASK: names.TASK_INSPECT}}, False),
}
KINDS_OF_PODS = [
    names.labels(names.ROLE_RUN, "case", 1),
    names.labels(names.ROLE_SALVAGE, "case", 1),
    {names.MANAGED_BY: names.OPERATOR, names.LABEL_ROLE: names.ROLE_STORE, names.LABEL_STORE: "cases"},
    {names.MANAGED_BY: names.OPERATOR, names.LABEL_ROLE: names.ROLE_USER},
]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_policy_that_opens_our_pods_is_refused(cluster: Cluster, selector: str) -> None:
    """As the operator's own linter would judge it, and the fix that is told works."""
    chosen, opens = SELECTORS[selector]
    assert opens == any(policies.opens(policy("x", chosen), labels) for labels in KINDS_OF_PODS)
    chosen = cluster.ours(chosen)
    for rules in ({}, {"policyTypes": ["Ingress"], "egress": [], "ingress": [{"from": []}]}):
        body = policy("friendly", chosen, **rules)
        for method, name in (("POST", None), ("APPLY", "friendly")):
            said = cluster.ask("masters", method, "networkpolicies", name, body)
            assert bool(said) == opens, said
            if opens:
                assert said.startswith("403")
                assert f"NetworkPolicy {cluster.namespace}/friendly would open the sealed Pods" in said
    assert cluster.ask("masters", "POST", "networkpolicies", None, policy("x", chosen, egress=[])) == ""
    left_out = cluster.ours(term(names.LABEL_ROLE, "DoesNotExist"))["matchExpressions"]
    mended = {**chosen, "matchExpressions": [*chosen.get("matchExpressions", []), *left_out]}
    assert cluster.ask("masters", "POST", "networkpolicies", None, policy("x", mended)) == ""


def test_an_older_policy_may_be_annotated_and_not_opened_wider(cluster: Cluster) -> None:
    kube = cluster.who["masters"]
    kube.create("networkpolicies", policy("web", {"matchLabels": {"app": "web"}}), cluster.namespace)
    for patch, refused in (
        ({"metadata": {"annotations": {"a": "b"}}}, False),
        ({"spec": {"egress": []}}, False),
        ({"spec": {"podSelector": {"matchLabels": None}}}, True),
    ):
        said = cluster.ask("admin", "PATCH", "networkpolicies", "web", patch)
        assert ("would open" in said) == refused, said


DENY_ALL = names.DENY_ALL_POLICY


def test_the_policy_that_seals_stays_as_it_is(cluster: Cluster) -> None:
    changes: list[Object] = [
        {"spec": {"podSelector": {"matchExpressions": None}}},
        {"spec": {"podSelector": {"matchLabels": {"app": "web"}}}},
        {"spec": {"policyTypes": ["Ingress"]}},
        {"spec": {"egress": [{}]}},
        {"spec": {"ingress": [{"ports": [{"port": 1}]}]}},
    ]
    for who in ("masters", "admin", "edit", "operator", "namespace controller"):
        for change in changes:
            said = cluster.ask(who, "PATCH", "networkpolicies", DENY_ALL, change)
            assert said.startswith("403"), (who, change, said)
            if who in ("masters", "admin", "edit"):
                assert f"NetworkPolicy {cluster.namespace}/{DENY_ALL} seals the Pods of jobs" in said
        fine = {"metadata": {"labels": {"team": "a"}}}
        if who in ("masters", "admin"):
            assert cluster.ask(who, "PATCH", "networkpolicies", DENY_ALL, fine) == ""


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("masters", True),
        ("cluster admin", True),
        ("namespace controller", True),
        ("admin", False),
        ("edit", False),
    ],
)
def test_who_may_delete_the_policy_that_seals(cluster: Cluster, who: str, may: bool) -> None:
    """Namespaces can be deleted; people need not."""
    said = cluster.ask(who, "DELETE", "networkpolicies", DENY_ALL)
    assert (said == "") == may, said
    if not may:
        assert "only a cluster administrator deletes it" in said
        several = cluster.ask(who, "DELETE", "networkpolicies", None)
        assert "only a cluster administrator deletes it" in several


def test_the_operator_writes_that_policy_and_no_other(cluster: Cluster) -> None:
    with restricted_namespace() as other:
        kube = cluster.who["operator"]
        sealing = cluster.ours(policies.deny_all(other))

        def put(body: Object) -> str:
            path = Kube.path("networkpolicies", other, body["metadata"]["name"])
            query = {"fieldManager": "x", "force": "true", "dryRun": "All"}
            try:
                kube.request("PATCH", path, body, "application/apply-patch+yaml", **query)
            except ApiError as error:
                return error.message
            return ""

        assert put(sealing) == ""
        for wrong in (
            {**sealing, "spec": {**sealing["spec"], "egress": [{}]}},
            {**sealing, "spec": {**sealing["spec"], "podSelector": {}}},
            {**sealing, "spec": {**sealing["spec"], "policyTypes": ["Ingress"]}},
        ):
            assert "writes no NetworkPolicy but algorithm-operator-deny-all" in put(wrong)
        by_create = {**sealing, "metadata": {"name": "mine"}}
        with pytest.raises(ApiError, match="writes no NetworkPolicy but"):
            kube.create("networkpolicies", by_create, other)
        assert put({**sealing, "metadata": {"name": "mine"}}) != ""


def test_a_namespace_of_jobs_can_be_deleted(cluster: Cluster) -> None:
    """With all policies in force, and a Pod of ours in it whose finalizer a cluster administrator takes away."""
    name = f"{cluster.namespace}-leaving"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, f"{cluster.release.group}/jobs=true")
    kube = cluster.who["masters"]
    kube.create("networkpolicies", cluster.ours(policies.deny_all(name)), name)
    body = cluster.pod("case-1-run", labels=LABELS, finalizers=[names.POD_FINALIZER])
    cluster.who["operator"].create("pods", body, name)
    try:
        kube.delete("namespaces", name)
        leaving = lambda: kube.list("pods", name)[0]["metadata"].get("deletionTimestamp")  # noqa: E731
        eventually(leaving, 30, "its Pod is asked to go")
        assert kube.list("networkpolicies", name), "what seals a Pod goes after it"
    finally:
        kube.patch("pods", "case-1-run", RELEASED, name)
    eventually(lambda: kube.get("namespaces", name) is None, 60, "the namespace is gone")
