"""What the chart renders for the values that people set."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from algorithm_operator import __version__
from algorithm_operator.controller import config
from algorithm_operator.core import policies
from deploy.render import CHART, CRDS, GROUP, KINDS
from tests.chart.tools import (
    EVERYTHING,
    JOBS,
    Object,
    Values,
    environment,
    helm,
    keys,
    only,
    pod,
    render,
    run,
)

DIGEST = "sha256:" + "a" * 64
CRD_NAMES = {f"{kind.lower()}s.{GROUP}" for kind in KINDS}


ADMISSION = {
    "pods": [""],
    "connect": ["-labelled"],
    "networkpolicies": ["-labelled"],
    "jobs": [""],
    "operator": [""],
}
"""The admission policies, with their bindings' names."""


def crds(objects: list[Object]) -> list[Object]:
    return [o for o in objects if o["kind"] == "CustomResourceDefinition"]


def test_lint() -> None:
    run("helm", "lint", "--strict", str(CHART))


def test_defaults_name_everything() -> None:
    assert keys(render()) - keys(crds(render())) == {
        ("Deployment", "ao", "algorithm-operator"),
        ("Service", "ao", "algorithm-operator-canary"),
        ("Service", "ao", "algorithm-operator-metrics"),
        ("ServiceAccount", "ao", "algorithm-operator"),
        ("ClusterRole", None, "algorithm-operator"),
        ("ClusterRoleBinding", None, "algorithm-operator"),
        ("ClusterRole", None, "algorithm-operator-nodes"),
        ("ClusterRoleBinding", None, "algorithm-operator-nodes"),
        ("Role", "ao", "algorithm-operator-own"),
        ("RoleBinding", "ao", "algorithm-operator-own"),
        ("ClusterRole", None, "algorithm-operator-admin"),
        ("ClusterRole", None, "algorithm-operator-runner"),
        ("ClusterRole", None, "algorithm-operator-viewer"),
        *(
            (f"ValidatingAdmissionPolicy{kind}", None, f"algorithm-operator-{name}")
            for name, bindings in ADMISSION.items()
            for kind, name in [("", name), *(("Binding", f"{name}{suffix}") for suffix in bindings)]
        ),
    }


def test_crds_are_those_of_the_repository() -> None:
    rendered = {o["metadata"]["name"]: o for o in crds(render())}
    assert rendered.keys() == CRD_NAMES
    for path in CRDS.glob("*.yaml"):
        source = yaml.safe_load(path.read_text())
        assert rendered[source["metadata"]["name"]]["spec"] == source["spec"]


@pytest.mark.parametrize(
    ("values", "count", "policy"),
    [
        ({}, 4, "keep"),
        ({"crds": {"keep": False}}, 4, None),
        ({"crds": {"enabled": False}}, 0, None),
    ],
    ids=["default", "not kept", "off"],
)
def test_crds_enabled_and_keep(values: Values, count: int, policy: str | None) -> None:
    found = crds(render(values))
    assert len(found) == count
    assert {o["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for o in found} <= {policy}


def test_operator_pod_is_hardened() -> None:
    template = pod(render())
    spec = template["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [volume for volume in spec["volumes"] if "emptyDir" not in volume] == []
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "canary": 8081}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_services_lead_to_the_operator() -> None:
    objects = render()
    labels = pod(objects)["metadata"]["labels"]
    ports = {port["name"] for port in pod(objects)["spec"]["containers"][0]["ports"]}
    for name, port in {"algorithm-operator-canary": 8081, "algorithm-operator-metrics": 8080}.items():
        service = only(objects, "Service", name)
        assert service["spec"]["selector"].items() <= labels.items()
        (exposed,) = service["spec"]["ports"]
        assert exposed["port"] == port
        assert exposed["targetPort"] in ports


OPERATOR, STEPS = (
    f"ghcr.io/algorithm-operator/operator:{__version__}",
    f"ghcr.io/algorithm-operator/steps:{__version__}",
)


@pytest.mark.parametrize(
    ("values", "operator", "steps"),
    [
        ({}, OPERATOR, STEPS),
        ({"image": {"tag": "x"}}, "ghcr.io/algorithm-operator/operator:x", STEPS),
        (
            {
                "global": {"imageRegistry": "mirror.example.org:5000/lab"},
                "image": {"digest": DIGEST, "tag": "ignored"},
                "stepsImage": {"digest": DIGEST},
            },
            f"mirror.example.org:5000/lab/algorithm-operator/operator@{DIGEST}",
            f"mirror.example.org:5000/lab/algorithm-operator/steps@{DIGEST}",
        ),
        ({"image": {"registry": "", "repository": "operator"}}, f"operator:{__version__}", STEPS),
    ],
    ids=["default", "tag", "mirror and digests", "no registry"],
)
def test_images(values: Values, operator: str, steps: str) -> None:
    objects = render(values)
    assert pod(objects)["spec"]["containers"][0]["image"] == operator
    assert environment(objects)["AO_STEPS_IMAGE"] == steps


def settings(values: Values | None = None) -> config.Settings:
    return config.load({"AO_NAMESPACE": "ao"} | environment(render(values)))


def test_operator_understands_the_default_environment() -> None:
    """What the chart writes is read by the operator's own loader: the names and shapes cannot drift apart."""
    found = settings()
    assert set(found.pods.gpu_types) == {"T4"}
    assert found.pods.gpu_types["T4"].resource == "nvidia.com/gpu"
    assert len(found.pods.gpu_types["T4"].node_selector_terms) == 5
    assert found.canary_service == "algorithm-operator-canary"
    assert (found.canary_port, found.metrics_port) == (8081, 8080)
    assert found.lease_name == "algorithm-operator"
    assert found.watch_namespaces == ()
    assert found.pods.isolation_strict is True
    assert found.pods.pull_failure_seconds == 120


TOLERATION = {"key": "dedicated", "operator": "Exists"}


@pytest.mark.parametrize(
    ("values", "read", "expected"),
    [
        ({"watchNamespaces": ["b", "a"]}, lambda s: s.watch_namespaces, ("b", "a")),
        ({"isolation": {"strict": False}}, lambda s: s.pods.isolation_strict, False),
        ({"insecureRegistries": ["r:5000"]}, lambda s: s.insecure_registries, frozenset({"r:5000"})),
        (
            {"registries": {"mirrors": {"docker.io": "m.example/hub"}}},
            lambda s: s.registry_mirrors,
            {"docker.io": "m.example/hub"},
        ),
        ({"pullFailureSeconds": 86400}, lambda s: s.pods.pull_failure_seconds, 86400),
        ({"logLevel": "DEBUG"}, lambda s: s.log_level, "DEBUG"),
        ({"extraTolerations": [TOLERATION]}, lambda s: s.pods.extra_tolerations, [TOLERATION]),
        (
            {"stepsResources": {"collect": {"memory": "1Gi"}}},
            lambda s: s.pods.collect_resources,
            {"cpu": "500m", "memory": "1Gi"},
        ),
        (
            {"gpuTypes": {"T4": None, "L4": {"nodeSelectorTerms": [{"matchExpressions": []}]}}},
            lambda s: list(s.pods.gpu_types),
            ["L4"],
        ),
        ({"fullnameOverride": "seg"}, lambda s: (s.canary_service, s.lease_name), ("seg-canary", "seg")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_values_reach_the_operator(
    values: Values, read: Callable[[config.Settings], Any], expected: Any
) -> None:
    assert read(settings(values)) != read(settings())
    assert read(settings(values)) == expected


def test_authorities_of_registries_are_a_file_of_the_pod() -> None:
    spec = pod(render({"registries": {"ca": "corporate"}}))["spec"]
    (file,) = [v["value"] for v in spec["containers"][0]["env"] if v["name"] == "AO_REGISTRY_CA"]
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "registry-ca"]
    (volume,) = [v for v in spec["volumes"] if v["name"] == "registry-ca"]
    assert file == f"{mount['mountPath']}/ca.crt"
    assert volume["configMap"] == {"name": "corporate", "items": [{"key": "ca.crt", "path": "ca.crt"}]}


def test_own_namespace_comes_from_the_downward_api() -> None:
    (own,) = [v for v in pod(render())["spec"]["containers"][0]["env"] if v["name"] == "AO_NAMESPACE"]
    assert own["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_job_namespaces() -> None:
    """A namespace that the chart makes enforces restricted and is kept; any other gets the policy only."""
    objects = render(EVERYTHING)
    assert keys(objects, "Namespace") == {("Namespace", None, "imaging")}
    made = only(objects, "Namespace")["metadata"]
    assert made["annotations"] == {"helm.sh/resource-policy": "keep"}
    labels = {
        k.removeprefix("pod-security.kubernetes.io/"): v
        for k, v in made["labels"].items()
        if "pod-security" in k
    }
    assert labels == {
        "enforce": "restricted",
        "enforce-version": "v1.33",
        "warn": "restricted",
        "audit": "restricted",
    }
    for name in ("imaging", "theirs"):
        policy = only(objects, "NetworkPolicy", namespace=name)
        wanted = policies.deny_all(name)
        assert policy["spec"] == wanted["spec"]
        assert policy["metadata"]["name"] == wanted["metadata"]["name"]
        assert policy["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_no_job_namespace_by_default() -> None:
    assert keys(render(), "Namespace", "NetworkPolicy") == set()


def bound(objects: list[Object], name: str) -> Object | None:
    """The namespaceSelector of a binding; None: all namespaces."""
    spec = only(objects, "ValidatingAdmissionPolicyBinding", f"algorithm-operator-{name}")["spec"]
    assert spec["validationActions"] == ["Deny"]
    found: Object | None = (spec.get("matchResources") or {}).get("namespaceSelector")
    return found


def test_who_asked_is_written_where_the_cluster_can() -> None:
    """Without the kind, nothing of it: test_defaults_name_everything."""
    kind = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
    text = helm("template", "x", str(CHART), "--api-versions", kind, values={"watchNamespaces": ["imaging"]})
    objects = [o for o in yaml.safe_load_all(text) if o]
    policy = only(objects, "MutatingAdmissionPolicy")
    assert policy["spec"]["failurePolicy"] == "Fail"
    binding = only(objects, "MutatingAdmissionPolicyBinding")["spec"]
    watched = {"namespaceSelector": named("imaging")}
    assert binding == {"policyName": policy["metadata"]["name"], "matchResources": watched}


def named(*names: str) -> Object:
    return {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(names)}]
    }


def test_where_admission_policies_hold() -> None:
    """On Pods wherever the operator works; on connecting and NetworkPolicies where jobs are, by name and by label."""
    jobs = render({"jobNamespaces": [{"name": "imaging", "create": True}, {"name": "theirs"}]})
    for name in ("connect", "networkpolicies"):
        assert bound(jobs, f"{name}-named") == named("imaging", "theirs")
        assert bound(jobs, f"{name}-labelled") == {"matchLabels": {f"{GROUP}/jobs": "true"}}
    assert bound(jobs, "pods") is None
    assert bound(jobs, "operator") is None
    watched = render({"watchNamespaces": ["a", "b"]})
    assert bound(watched, "pods") == named("a", "b")
    assert bound(watched, "operator") is None
    for o in jobs:
        if o["kind"] == "ValidatingAdmissionPolicy":
            assert o["spec"]["failurePolicy"] == "Fail"
            assert {v["reason"] for v in o["spec"]["validations"]} == {"Forbidden"}


def test_admission_policies_can_be_left_out() -> None:
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    assert keys(render({"admissionPolicies": {"enabled": False}}), *kinds) == set()
    kept = keys(render({"isolation": {"managePolicy": False}}), *kinds)
    assert {name for _, _, name in keys(render(), *kinds) - kept} == {"algorithm-operator-operator"}


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)])
def test_disruption_budget_only_where_it_blocks_nothing(replicas: int, budgets: int) -> None:
    objects = render({"replicas": replicas})
    assert only(objects, "Deployment")["spec"]["replicas"] == replicas
    assert len(keys(objects, "PodDisruptionBudget")) == budgets


def test_rollout_keeps_the_canary_alive() -> None:
    """A gap without any canary would make jobs that start in it fail as IsolationUnverified."""
    strategy = only(render(), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_own_network_policy_leaves_the_canary_open_to_everyone() -> None:
    policy = only(render({"networkPolicy": {"enabled": True}}), "NetworkPolicy", namespace="ao")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert "from" not in rule
    assert {port["port"] for port in rule["ports"]} == {"http", "canary"}


def test_service_monitor_scrapes_the_metrics_service_alone() -> None:
    objects = render({"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    monitor = only(objects, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [
        o["metadata"]["name"]
        for o in objects
        if o["kind"] == "Service" and wanted <= o["metadata"]["labels"].items()
    ]
    assert found == ["algorithm-operator-metrics"]


@pytest.mark.parametrize(
    ("values", "path", "expected"),
    [
        ({"nodeSelector": {"a": "b"}}, ("spec", "nodeSelector"), {"a": "b"}),
        ({"tolerations": [TOLERATION]}, ("spec", "tolerations"), [TOLERATION]),
        ({"affinity": {"podAffinity": {}}}, ("spec", "affinity"), {"podAffinity": {}}),
        ({"priorityClassName": "high"}, ("spec", "priorityClassName"), "high"),
        ({"podAnnotations": {"a": "b"}}, ("metadata", "annotations"), {"a": "b"}),
        ({"imagePullSecrets": [{"name": "s"}]}, ("spec", "imagePullSecrets"), [{"name": "s"}]),
        ({"serviceAccount": {"create": False, "name": "mine"}}, ("spec", "serviceAccountName"), "mine"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_pod_settings(values: Values, path: tuple[str, str], expected: Any) -> None:
    assert pod(render(values))[path[0]][path[1]] == expected


def test_pod_labels_cannot_break_the_selector() -> None:
    objects = render({"podLabels": {"team": "imaging", "app.kubernetes.io/name": "other"}})
    selector = only(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    assert (selector | {"team": "imaging"}).items() == pod(objects)["metadata"]["labels"].items()


def test_two_releases_do_not_share_names() -> None:
    first, second = (
        {key for key in keys(render({"crds": {"enabled": False}}, release)) if key[1] is None}
        for release in ("a", "b")
    )
    assert first
    assert not first & second


def test_every_object_is_labelled_as_the_releases_own() -> None:
    for o in render(EVERYTHING):
        assert o["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm", o["metadata"]["name"]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (JOBS, "kubectl apply -n imaging -f algorithm.yaml"),
        ({}, "--set 'jobNamespaces[0].name=imaging,jobNamespaces[0].create=true'"),
        (
            {"jobNamespaces": [{"name": "t"}]},
            "kubectl label namespace t pod-security.kubernetes.io/enforce=restricted",
        ),
        ({}, "helm uninstall leaves the CustomResourceDefinitions"),
        (
            {"crds": {"keep": False}},
            "helm uninstall deletes every Algorithm, AlgorithmJob, ImageImport and DataStore",
        ),
        ({"crds": {"enabled": False}}, "must be applied before"),
        ({}, "gateway.enabled serves"),
        (
            {"gateway": {"enabled": True, "url": "https://gw:8443", "tls": {"secretName": "tls"}}},
            "https://gw:8443/NAMESPACE/api/v1/; people's first lines: kubectl algorithm token",
        ),
    ],
)
def test_notes_say_the_next_command(values: Values, line: str) -> None:
    text = run(
        "helm", "install", "x", str(CHART), "--dry-run=client", "--values", "-", stdin=json.dumps(values)
    ).partition("NOTES:")[2]
    assert line in text
    assert "\n\n\n" not in text


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__
    assert chart["kubeVersion"] == ">=1.33.0-0"


def test_older_clusters_are_refused() -> None:
    message = run("helm", "template", str(CHART), "--kube-version", "1.32.9", code=1)
    assert "1.33" in message
