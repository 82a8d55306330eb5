"""The chart on a real API server: accepted, upgraded, kept, and the rights that it gives, asked of the server.

Releases are of a test's own API group (release.py), so that they disturb no other one on the cluster.
"""

from __future__ import annotations

import json

import pytest
import yaml

from deploy.render import GROUP, dump, plain, template
from tests.chart.release import Release
from tests.chart.tools import EVERYTHING, Object, Values, kubectl, pod, render


def test_server_accepts_every_object(namespace: str) -> None:
    """Server-side dry run of all that the chart can render, with strict field checks."""
    values = EVERYTHING | {
        "serviceMonitor": {"enabled": False},  # not a kind of this cluster
        "watchNamespaces": [namespace],
        "jobNamespaces": [{"name": namespace, "create": True}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "podAnnotations": {"a": "b"},
        "imagePullSecrets": [{"name": "registry"}],
    }
    objects = [*render(values), *(o for o in render() if o["kind"].startswith("ClusterRole"))]
    for o in objects:
        if "namespace" in o["metadata"]:
            o["metadata"]["namespace"] = namespace
    text = kubectl(
        "apply", "--dry-run=server", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-",
        stdin=dump(objects),
    )  # fmt: skip
    assert text.count("serverside-applied (server dry run)") == len(objects)


def test_operator_pod_passes_the_restricted_standard(namespace: str) -> None:
    template_ = pod(render({"serviceAccount": {"create": False, "name": "default"}}))
    body = template_ | {"apiVersion": "v1", "kind": "Pod"}
    body["metadata"] |= {"name": "operator", "namespace": namespace}
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
    # The namespace does refuse: what follows differs by one word.
    body["spec"]["securityContext"]["runAsNonRoot"] = False
    assert "restricted" in kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body), code=1)


# --- a release of the test's own -----------------------------------------------------------------------------


def store(release: Release) -> Object:
    return {
        "apiVersion": f"{release.group}/v1alpha1",
        "kind": "DataStore",
        "metadata": {"name": "kept", "namespace": release.namespace},
        "spec": {"persistentVolumeClaim": {"claimName": "none"}},
    }


def test_upgrade_changes_crds_and_uninstall_keeps_them(release: Release) -> None:
    """Install; upgrade to a chart whose CRD has one field more; use it; uninstall; install again over what was kept."""
    release.helm("install", {})
    crd = release.crd_name("DataStore")
    kubectl("wait", "--for=condition=Established", f"crd/{crd}", "--timeout=30s")
    body = store(release)
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    uid = kubectl("get", crd, "kept", "-n", release.namespace, "-o", "jsonpath={.metadata.uid}")
    body["spec"]["addedLater"] = "yes"
    strict = ("apply", "--validate=strict", "-f", "-")
    assert "addedLater" in kubectl(*strict, stdin=json.dumps(body), code=1)

    source = yaml.safe_load(release.crd_file("DataStore").read_text())
    (version,) = source["spec"]["versions"]
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["addedLater"] = {
        "type": "string"
    }
    release.crd_file("DataStore").write_text(yaml.safe_dump(source))
    release.helm("upgrade", {"logLevel": "DEBUG"})
    kubectl(*strict, stdin=json.dumps(body))
    found = kubectl(
        "get", crd, "kept", "-n", release.namespace, "-o", "jsonpath={.metadata.uid} {.spec.addedLater}"
    )
    assert found == f"{uid} yes"

    kubectl("get", "deployment", "-n", release.namespace, f"{release.name}-algorithm-operator")
    assert f"[CustomResourceDefinition] {crd}" in release.uninstall()
    kubectl("get", "deployment", "-n", release.namespace, f"{release.name}-algorithm-operator", code=1)
    assert kubectl("get", crd, "kept", "-n", release.namespace, "-o", "jsonpath={.metadata.uid}") == uid
    release.helm("install", {})
    assert kubectl("get", crd, "kept", "-n", release.namespace, "-o", "jsonpath={.metadata.uid}") == uid


def test_uninstall_leaves_what_seals_running_jobs(release: Release) -> None:
    """A namespace made by the release, and the policy in it, outlive it; and no label is set on one it did not make."""
    made = f"{release.namespace}-jobs"
    jobs = [{"name": made, "create": True}, {"name": release.namespace}]
    release.helm("install", {"jobNamespaces": jobs})
    labels = json.loads(kubectl("get", "namespace", release.namespace, "-o", "jsonpath={.metadata.labels}"))
    assert set(labels) == {"kubernetes.io/metadata.name", "pod-security.kubernetes.io/enforce"}
    release.uninstall()
    for name in (made, release.namespace):
        kubectl("get", "networkpolicy", "algorithm-operator-deny-all", "-n", name)


def test_nothing_differs_after_an_apply(release: Release) -> None:
    """`kubectl diff` of what was applied finds nothing: no field that the server writes in another way."""
    made = f"{release.namespace}-jobs"
    arguments = ("--set", f"replicas=0,jobNamespaces[0].name={made},jobNamespaces[0].create=true")
    rendered = template(release.chart, *arguments, release=release.name, namespace=release.namespace)
    manifest = dump(map(plain, rendered))
    kubectl("apply", "-f", "-", stdin=manifest)
    kubectl("wait", "--for=condition=Established", f"crd/{release.crd_name('AlgorithmJob')}", "--timeout=30s")
    assert kubectl("diff", "-f", "-", stdin=manifest) == ""
    for o in rendered:
        if o["kind"] == "Deployment":
            o["spec"]["template"]["spec"]["containers"][0]["image"] += "-other"
    assert "-other" in kubectl("diff", "-f", "-", stdin=dump(map(plain, rendered)), code=1)


# --- rights, asked of the server -----------------------------------------------------------------------------


def allowed(release: Release, user: str, namespace: str | None, *rights: str) -> set[str]:
    """Those of the rights that the API server grants; a right is `verb resource[.group][/subresource] [name]`."""
    reviews = []
    for right in rights:
        verb, what, *name = right.replace(GROUP, release.group).split()
        path, _, subresource = what.partition("/")
        resource, _, group = path.partition(".")
        asked = {"verb": verb, "resource": resource, "group": group, "subresource": subresource}
        asked |= {"namespace": namespace or "", "name": "".join(name)}
        spec = {"user": user, "resourceAttributes": {key: value for key, value in asked.items() if value}}
        if user.startswith("system:serviceaccount:"):
            spec["groups"] = ["system:serviceaccounts", "system:authenticated"]
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    template_ = '{.status.allowed}{"\\n"}'
    answers = kubectl("create", "-f", "-", "-o", f"jsonpath={template_}", stdin=dump(reviews)).split()
    return {right for right, answer in zip(rights, answers, strict=True) if answer == "true"}


NEEDED = {
    f"list algorithmjobs.{GROUP}",
    f"watch datastores.{GROUP}",
    f"patch algorithmjobs.{GROUP}/status",
    f"delete algorithmjobs.{GROUP}",
    f"update algorithmjobs.{GROUP}/finalizers",
    f"watch imageimports.{GROUP}",
    f"patch imageimports.{GROUP}/status",
    f"delete imageimports.{GROUP}",
    f"update imageimports.{GROUP}/finalizers",
    "create pods",
    "patch pods",
    "delete pods",
    "get pods/log",
    "get persistentvolumeclaims",
    "watch networkpolicies.networking.k8s.io",
    "create networkpolicies.networking.k8s.io",
    "patch networkpolicies.networking.k8s.io algorithm-operator-deny-all",
    "list leases.coordination.k8s.io",
    "list events",
    "get namespaces",
}
NEVER = {
    "get secrets",
    "list secrets",
    "get configmaps",
    "create events",
    "create pods/exec",
    "get pods/exec",
    "create pods/portforward",
    "update pods/ephemeralcontainers",
    f"create algorithmjobs.{GROUP}",
    f"create imageimports.{GROUP}",
    f"patch algorithms.{GROUP}",
    "patch networkpolicies.networking.k8s.io",
    "delete networkpolicies.networking.k8s.io algorithm-operator-deny-all",
    f"connect datastores.{GROUP}",
    "patch namespaces",
    "create serviceaccounts/token",
}


def test_without_the_right_to_manage_the_policy(release: Release) -> None:
    release.helm("install", {"crds": {"enabled": False}, "isolation": {"managePolicy": False}})
    operator = f"system:serviceaccount:{release.namespace}:{release.operator}"
    wanted = {right for right in NEEDED if not right.startswith(("create network", "patch network"))}
    assert allowed(release, operator, release.namespace, *NEEDED) == wanted


@pytest.mark.parametrize("watched", [False, True], ids=["all namespaces", "one namespace"])
def test_operators_rights(release: Release, watched: bool) -> None:
    values: Values = {"crds": {"enabled": False}}
    release.helm("install", values | ({"watchNamespaces": [release.namespace]} if watched else {}))
    name = release.operator
    operator = f"system:serviceaccount:{release.namespace}:{name}"
    assert allowed(release, operator, release.namespace, *NEEDED, *NEVER) == NEEDED
    assert allowed(release, operator, "default", *NEEDED, *NEVER) == (set() if watched else NEEDED)
    assert allowed(release, operator, None, "list nodes", "get secrets", "list pods") == (
        {"list nodes"} if watched else {"list nodes", "list pods"}
    )
    own = {
        f"update leases.coordination.k8s.io {name}",
        "create leases.coordination.k8s.io",
        f"get services {name}-canary",
    }
    others = {"update leases.coordination.k8s.io another", "get services another"}
    assert allowed(release, operator, release.namespace, *own, *others) == own


def test_runner_bound_in_a_namespace(release: Release) -> None:
    release.helm("install", {"crds": {"enabled": False}})
    role = f"--clusterrole={release.name}-algorithm-operator-runner"
    kubectl("create", "rolebinding", "runners", "-n", release.namespace, role, "--user=rita")
    can = {
        f"create algorithmjobs.{GROUP}",
        f"patch algorithmjobs.{GROUP}",
        f"get datastores.{GROUP}",
        f"connect datastores.{GROUP} cases",
        "get pods/log",
        "create pods/portforward",
        "get pods/portforward",
        "create leases.coordination.k8s.io",
    }
    cannot = {
        "create pods",
        "create pods/exec",
        "get secrets",
        f"create datastores.{GROUP}",
        f"update algorithms.{GROUP}",
        f"patch algorithmjobs.{GROUP}/status",
    }
    assert allowed(release, "rita", release.namespace, *can, *cannot) == can
    assert allowed(release, "rita", "default", *can, *cannot) == set()
