"""Whom a job runs as where the cluster decides: OpenShift's restricted SCC, emulated by admission policies.

As there, the namespace's annotations say which ids are its own; Pods without a uid get the first of them, in every
container, and Pods with another uid are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import Job, Namespace, Object, Store, eventually
from tests.e2e.kube import ApiError, Kube
from tests.e2e.registries import private, private_registry, pull_secret, variant

UID: Final = 1000660000
GROUP: Final = 1000661000
ANNOTATIONS: Final = {
    "openshift.io/sa.scc.uid-range": f"{UID}/10000",
    "openshift.io/sa.scc.supplemental-groups": f"{GROUP}/10000",
    "openshift.io/sa.scc.mcs": "s0:c26,c5",
}
NAMESPACE: Final[Object] = {"user": {"from": "Namespace"}}
PRIVATE_FILES: Final = [
    ["look_around"],
    ["write_report"],
    ["python", "os.chmod('/output/results.json', 0o600); os.umask(0o077)"],
]
CLOSED_FILES: Final = [["write_report"], ["python", "os.chmod('/output/results.json', 0)"]]


def _policies(namespace: str) -> list[tuple[str, Object]]:
    """What restricted-v2 does, in CEL: set the ids where there are none, and refuse all others."""
    constraints = {
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    first = "int(namespaceObject.metadata.annotations['openshift.io/sa.scc.{}'].split('/')[0])"
    uid, group = first.format("uid-range"), first.format("supplemental-groups")
    level = "namespaceObject.metadata.annotations['openshift.io/sa.scc.mcs']"

    def containers(kind: str) -> str:
        made = f"Object.spec.{kind}"
        return (
            f"{kind}: object.spec.?{kind}.orValue([]).map(c, {made}{{name: c.name, "
            f"securityContext: {made}.securityContext{{runAsUser: c.?securityContext.?runAsUser.orValue({uid})}}}})"
        )

    context = (
        f"{{fsGroup: {group}, seLinuxOptions: Object.spec.securityContext.seLinuxOptions{{level: {level}}}}}"
    )
    mutation = (
        f"Object{{spec: Object.spec{{{containers('initContainers')}, {containers('containers')}, "
        f"securityContext: Object.spec.securityContext{context}}}}}"
    )
    allowed = (
        f"object.spec.?securityContext.?runAsUser.orValue({uid}) == {uid} && "
        f"object.spec.containers.all(c, c.?securityContext.?runAsUser.orValue(0) == {uid})"
    )
    metadata = {"name": f"{namespace}-scc"}
    binding: Object = {"metadata": metadata, "spec": {"policyName": metadata["name"]}}
    mutate: Object = {
        "matchConstraints": constraints,
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": mutation}}],
    }
    validate: Object = {
        "matchConstraints": constraints,
        "failurePolicy": "Fail",
        "validations": [
            {"expression": allowed, "message": "unable to validate against restricted-v2: runAsUser"}
        ],
    }
    denying: Object = {**binding, "spec": {**binding["spec"], "validationActions": ["Deny"]}}
    return [
        (
            "mutatingadmissionpolicies",
            {"kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": mutate},
        ),
        ("mutatingadmissionpolicybindings", {"kind": "MutatingAdmissionPolicyBinding", **binding}),
        (
            "validatingadmissionpolicies",
            {"kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": validate},
        ),
        ("validatingadmissionpolicybindings", {"kind": "ValidatingAdmissionPolicyBinding", **denying}),
    ]


@pytest.fixture(scope="module")
def openshift(make_namespace: MakeNamespace) -> Iterator[Namespace]:
    """A namespace whose Pods run as admission says."""
    namespace = make_namespace("openshift")
    kube = namespace.kube
    kube.patch("namespaces", namespace.name, {"metadata": {"annotations": ANNOTATIONS}})
    for resource, body in _policies(namespace.name):
        kube.create(resource, body)
    try:
        eventually(lambda: _is_in_force(kube, namespace), 30, "the policies are in force")
        yield namespace
    finally:
        for resource, body in _policies(namespace.name):
            kube.delete(resource, body["metadata"]["name"])


def _is_in_force(kube: Kube, namespace: Namespace) -> bool:
    """Policies take effect some time after they are made, and not together: until one fills in, the other refuses."""
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": namespace.image, "securityContext": security}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try"},
        "spec": {"containers": [container]},
    }
    try:
        answer = kube.request("POST", kube.path("pods", namespace.name), body, dryRun="All")
    except ApiError as error:
        if "restricted-v2" not in str(error):
            raise
        return False
    return bool(answer["spec"]["containers"][0]["securityContext"].get("runAsUser") == UID)


@pytest.fixture(scope="module")
def stores(openshift: Namespace, module_namespace: Namespace) -> dict[str, Store]:
    """The stores of jobs, by namespace."""
    return {each.name: each.store() for each in (openshift, module_namespace)}


@pytest.fixture(scope="module")
def jobs(openshift: Namespace, module_namespace: Namespace, stores: dict[str, Store]) -> dict[str, Job]:
    """Jobs in both namespaces, started together. That of OpenShift takes an image of root's, for it does not matter."""
    assert stores
    rootly = variant(openshift.image, f"{openshift.name}-root", User="root")
    openshift.algorithm(image=rootly, security=NAMESPACE, ready=False)
    openshift.algorithm("own-user", ready=False)
    module_namespace.algorithm(ready=False)
    return {
        "openshift-0600": openshift.job("private", do=PRIVATE_FILES),
        "openshift-0000": openshift.job("closed", do=CLOSED_FILES),
        "own-user": openshift.job("own-user", algorithm="own-user", do=PRIVATE_FILES),
        "plain-0600": module_namespace.job("private", do=PRIVATE_FILES),
        "plain-0000": module_namespace.job("closed", do=CLOSED_FILES),
    }


def report(stores: dict[str, Store], job: Job) -> dict[str, Any]:
    """What the probe saw."""
    job.wait("Succeeded", timeout=120)
    found: dict[str, Any] = json.loads(stores[job.namespace].files(job)["results.json"])
    return found


def test_a_job_runs_as_the_namespace_says(jobs: dict[str, Job], stores: dict[str, Store]) -> None:
    seen = report(stores, jobs["openshift-0600"])

    assert seen["status"]["Uid"].split() == [str(UID)] * 4
    assert seen["status"]["Gid"].split() == ["0"] * 4
    assert seen["status"]["Groups"].split() in (["0", str(GROUP)], [str(GROUP)])
    assert seen["environment"]["HOME"] == "/tmp"
    (pod,) = jobs["openshift-0600"].pods()
    assert "runAsUser" not in pod["spec"]["securityContext"]
    assert pod["spec"]["securityContext"]["supplementalGroupsPolicy"] == "Strict"


def test_what_the_algorithm_keeps_to_itself_is_collected(
    jobs: dict[str, Job], stores: dict[str, Store]
) -> None:
    assert report(stores, jobs["plain-0600"])["status"]["Uid"].split() == ["1000"] * 4


@pytest.mark.parametrize("where", ["plain", "openshift"])
def test_what_nobody_may_read_is_a_finding_with_its_path(jobs: dict[str, Job], where: str) -> None:
    status = jobs[f"{where}-0000"].wait("Failed", timeout=120)

    assert (status["reason"], status["blame"]) == ("OutputInvalid", "algorithm")
    assert "results.json" in status["message"]
    assert "permission" in status["message"].lower()


def test_ids_of_the_image_are_refused_there_and_the_job_says_so(jobs: dict[str, Job]) -> None:
    waiting = jobs["own-user"].wait_condition("Scheduled", "False", "AdmissionDenied", timeout=60)

    assert "unable to validate against restricted-v2" in waiting["message"]


def test_pull_secrets_work_there_too(openshift: Namespace) -> None:
    openshift.kube.create("secrets", pull_secret("right"), openshift.name)
    with private_registry():
        openshift.algorithm(
            "private", image=private(openshift.image), pull_secrets=["right"], security=NAMESPACE
        )
