"""The gateway in the chart: off by default, TLS always, its rights, and where people find it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chart.test_rbac import granted
from tests.chart.tools import Object, Values, keys, kubectl, only, refused, render, rules

OWN = "algorithm-operator.dev"
NAME = "algorithm-operator-gateway"
RUNNER = "algorithm-operator-runner"
CA = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"


def values(**more: Any) -> Values:
    return {"gateway": {"enabled": True, "tls": {"secretName": "tls"}, **more}}


def container(objects: list[Object]) -> Object:
    found: Object = only(objects, "Deployment", NAME)["spec"]["template"]["spec"]["containers"][0]
    return found


def variables(objects: list[Object]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(objects)["env"]}


def test_off_by_default() -> None:
    assert not [key for key in keys(render()) if "gateway" in key[2]]


def test_everything_that_it_brings() -> None:
    assert keys(render(values())) - keys(render()) == {
        ("Deployment", "ao", NAME),
        ("PersistentVolumeClaim", "ao", NAME),
        ("Service", "ao", NAME),
        ("ServiceAccount", "ao", NAME),
        ("ClusterRole", None, NAME),
        ("ClusterRoleBinding", None, NAME),
        ("ClusterRole", None, f"{NAME}-identity"),
        ("ClusterRoleBinding", None, f"{NAME}-identity"),
        ("ConfigMap", "kube-public", NAME),
        ("Role", "kube-public", f"{NAME}-address"),
        ("RoleBinding", "kube-public", f"{NAME}-address"),
        ("ValidatingAdmissionPolicy", None, NAME),
        ("ValidatingAdmissionPolicyBinding", None, NAME),
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"enabled": True}, ["gateway.enabled needs a certificate", "gateway.tls.secretName", "issuerRef"]),
        ({"url": "http://gateway"}, ["/gateway/url", "does not match"]),
        ({"url": "https://gateway/api"}, ["/gateway/url", "does not match"]),
        ({"limits": {"jobsPerUser": {"count": 3}}}, ["/gateway/limits/jobsPerUser", "'period' required"]),
        ({"limits": {"jobsPerUser": {"count": 3, "period": "a month"}}}, ["period", "does not match"]),
        ({"limits": {"activeJobsPerUser": 0}}, ["/gateway/limits/activeJobsPerUser", "want 1"]),
        ({"uploads": {"bytesPerUser": "2Gi"}}, ["/gateway/uploads/bytesPerUser", "does not match"]),
        ({"tls": {"ca": "/etc/ca.crt"}}, ["/gateway/tls/ca", "does not match"]),
        ({"replicas": 2}, ["/gateway", "'replicas' not allowed"]),
        ({"serviceAccount": {"create": False}}, ["/gateway/serviceAccount/name"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_refused(given: Values, words: list[str]) -> None:
    message = refused({"gateway": given})
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize("watched", [[], ["a", "b"]], ids=["all namespaces", "two namespaces"])
def test_rights(watched: list[str]) -> None:
    """What it does for people, where the operator works; to ask who they are, everywhere."""
    objects = render(values() | {"watchNamespaces": watched})
    assert granted(only(objects, "ClusterRole", f"{NAME}-identity")) == {
        ("authentication.k8s.io", "tokenreviews", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "create"),
    }
    roles = (
        [only(objects, "Role", NAME, name) for name in watched]
        if watched
        else [only(objects, "ClusterRole", NAME)]
    )
    for role in roles:
        found = granted(role)
        assert {(OWN, "algorithmjobs", "create"), (OWN, "datastores", "connect")} <= found
        assert {verb for _, resource, verb in found if resource in ("algorithms", "datastores")} == {
            "get", "list", "connect",
        }  # fmt: skip
        assert not {(OWN, "algorithmjobs", verb) for verb in ("update", "patch", "delete")} & found
    resources = {resource for _, rule in rules(objects) for resource in rule["resources"]}
    assert not resources & {"secrets", "pods/exec", "pods/attach", "nodes/proxy", "impersonate"}
    named = [rule for _, rule in rules(objects) if "configmaps" in rule["resources"]]
    assert [rule["resourceNames"] for rule in named] == [[NAME]]


def test_services_of_the_operator_do_not_select_it() -> None:
    objects = render(values())
    labels = only(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    for name in ("algorithm-operator-canary", "algorithm-operator-metrics"):
        assert not only(objects, "Service", name)["spec"]["selector"].items() <= labels.items()
    assert only(objects, "Service", NAME)["spec"]["selector"].items() <= labels.items()


def test_its_image_holds_no_secret_of_the_cluster() -> None:
    """The certificate is mounted by the kubelet: no right on Secrets is needed."""
    pod = only(render(values()), "Deployment", NAME)["spec"]["template"]["spec"]
    tls = next(each for each in pod["volumes"] if each["name"] == "tls")["secret"]
    assert tls["secretName"] == "tls"
    assert [item["key"] for item in tls["items"]] == ["tls.crt", "tls.key"]


def test_certificate_of_cert_manager() -> None:
    given = values(
        url="https://gateway.example.org:8443", tls={"certManager": {"issuerRef": {"name": "own"}}}
    )
    certificate = only(render(given), "Certificate", NAME)["spec"]
    assert certificate["dnsNames"] == ["gateway.example.org", f"{NAME}.ao.svc"]
    assert certificate["secretName"] == f"{NAME}-tls"


@pytest.mark.parametrize(
    ("given", "data"),
    [
        ({}, {"url": f"https://{NAME}.ao.svc", "runnerRole": RUNNER}),
        ({"service": {"port": 8443}}, {"url": f"https://{NAME}.ao.svc:8443", "runnerRole": RUNNER}),
        (
            {"url": "https://10.0.0.7:30443", "tls": {"secretName": "tls", "ca": CA}},
            {"url": "https://10.0.0.7:30443", "runnerRole": RUNNER, "ca.crt": CA},
        ),
    ],
    ids=["its Service", "another port", "from outside, private authority"],
)
def test_where_people_find_it(given: Values, data: dict[str, str]) -> None:
    objects = render(values(**given))
    assert only(objects, "ConfigMap", NAME)["data"] == data
    assert only(objects, "ClusterRole", data["runnerRole"])


def test_without_roles_for_people_none_is_named() -> None:
    objects = render(values() | {"rbac": {"userRoles": False}})
    assert only(objects, "ConfigMap", NAME)["data"] == {"url": f"https://{NAME}.ao.svc"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {},
            {
                "AO_GATEWAY_ACTIVE_JOBS_PER_USER": "16",
                "AO_GATEWAY_JOBS_PER_USER": "",
                "AO_GATEWAY_JOBS_PERIOD": "",
            },
        ),
        (
            {"limits": {"activeJobsPerUser": None, "jobsPerUser": {"count": 50, "period": "720h"}}},
            {
                "AO_GATEWAY_ACTIVE_JOBS_PER_USER": "",
                "AO_GATEWAY_JOBS_PER_USER": "50",
                "AO_GATEWAY_JOBS_PERIOD": "720h",
            },
        ),
    ],
    ids=["defaults", "others"],
)
def test_limits_reach_it(given: Values, expected: dict[str, str]) -> None:
    found = variables(render(values(**given)))
    assert {name: found[name] for name in expected} == expected


def test_pod_passes_the_restricted_standard(namespace: str) -> None:
    objects = render(values(serviceAccount={"create": False, "name": "default"}))
    body = only(objects, "Deployment", NAME)["spec"]["template"] | {"apiVersion": "v1", "kind": "Pod"}
    body["metadata"] |= {"name": "gateway", "namespace": namespace}
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
