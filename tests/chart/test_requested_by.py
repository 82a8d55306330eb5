"""Who asked for a job: who may say it, who writes it, and that manifests without it are applied again as they are.

On a real API server; the admission policies are those of a release of the test's own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from algorithm_operator.core import names
from algorithm_operator.gateway.jobids import job_name
from deploy.render import GROUP
from tests.chart.conftest import restricted_namespace
from tests.chart.release import Release, copied
from tests.chart.tools import Object, kubectl
from tests.e2e.kube import ApiError, Kube, eventually

ALICE, BOB = "alice@example.org", "bob"
PK = "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11"


class Jobs:
    """A namespace with the CRDs and policies of a release, and clients there."""

    def __init__(self, release: Release) -> None:
        self.release = release
        admin = Kube()
        self.rita = f"system:serviceaccount:{release.namespace}:rita"
        self.who = {
            "masters": admin,
            "runner": admin.service_account(release.namespace, "rita", f"{release.operator}-runner"),
            "gateway": admin.as_account(release.namespace, f"{release.operator}-gateway"),
        }

    def body(self, name: str, requester: str | None = None, labels: dict[str, str] | None = None) -> Object:
        spec: Object = {"algorithmRef": {"name": "a"}, "inputs": [{"slug": "a", "value": 1}]}
        if requester is not None:
            spec["requestedBy"] = requester
        own = {key.replace(GROUP, self.release.group): value for key, value in (labels or {}).items()}
        # Empty labels would be a change of their own with each server-side apply.
        meta = {"name": name, "namespace": self.release.namespace} | ({"labels": own} if own else {})
        version = f"{self.release.group}/v1alpha1"
        return {"apiVersion": version, "kind": "AlgorithmJob", "metadata": meta, "spec": spec}

    def ask(self, who: str, method: str, body: Any, name: str | None = None, **query: str) -> Object | str:
        """What is stored, or what the server says against it."""
        place = f"/apis/{self.release.group}/v1alpha1/namespaces/{self.release.namespace}/algorithmjobs"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            stored: Object = self.who[who].request(
                method, f"{place}/{name}" if name else place, body, kind, **query
            )
        except ApiError as error:
            return f"{error.code} {error.message}"
        return stored

    def kubectl(self, user: str, *command: str, body: Object, code: int = 0) -> str:
        """kubectl of a person with all rights."""
        person = ("--as", user, "--as-group", "system:masters")
        return kubectl(*person, *command, "-f", "-", stdin=json.dumps(body), code=code)

    def stored(self, name: str) -> Object:
        found = self.ask("masters", "GET", None, name)
        assert isinstance(found, dict), found
        return found


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    with restricted_namespace() as namespace, copied(tmp_path_factory.mktemp("chart"), namespace) as release:
        # Its Pod waits for a certificate that there is none of.
        gateway = {"enabled": True, "publishAddress": False, "tls": {"secretName": "none"}}
        release.helm("install", {"gateway": gateway})
        made = Jobs(release)
        eventually(lambda: _in_force(made), 60, "the policies hold")
        yield made


def _in_force(jobs: Jobs) -> bool:
    written = jobs.ask("masters", "POST", jobs.body("probe"), dryRun="All")
    refused = jobs.ask("masters", "POST", jobs.body("probe", BOB), dryRun="All")
    return isinstance(written, dict) and "requestedBy" in written["spec"] and isinstance(refused, str)


@pytest.mark.parametrize(
    ("who", "says", "becomes"),
    [
        ("runner", None, "{rita}"),
        ("runner", "{rita}", "{rita}"),
        ("runner", ALICE, None),
        ("masters", ALICE, None),
        ("gateway", ALICE, ALICE),
    ],
    ids=["nobody", "oneself", "another", "an administrator, another", "the gateway, another"],
)
def test_who_may_name_whom(jobs: Jobs, who: str, says: str | None, becomes: str | None) -> None:
    body = jobs.body("case", says and says.format(rita=jobs.rita))
    stored = jobs.ask(who, "POST", body, dryRun="All")
    if becomes is not None:
        assert isinstance(stored, dict), stored
        assert stored["spec"]["requestedBy"] == becomes.format(rita=jobs.rita)
    else:
        assert isinstance(stored, str)
        assert stored.startswith("403")
        assert f"AlgorithmJob {jobs.release.namespace}/case names another user than you" in stored
        assert "Leave it out" in stored


def test_a_job_of_the_gateway_is_never_its_own(jobs: Jobs) -> None:
    stored = jobs.ask("gateway", "POST", jobs.body("case"), dryRun="All")
    assert isinstance(stored, dict), stored
    assert "requestedBy" not in stored["spec"]


@pytest.mark.parametrize("user", ["x" * 254, "a\u0085b"], ids=["too long", "a control character"])
def test_a_name_that_the_field_does_not_take_is_left_out(jobs: Jobs, user: str) -> None:
    headers = {"Impersonate-User": user.encode(), "Impersonate-Group": b"system:masters"}
    other = Kube()
    other._headers = headers  # type: ignore[assignment]
    jobs.who["odd"] = other
    stored = jobs.ask("odd", "POST", jobs.body("case"), dryRun="All")
    assert isinstance(stored, dict), stored
    assert "requestedBy" not in stored["spec"]


def test_the_mark_of_the_gateways_jobs_is_its_own(jobs: Jobs) -> None:
    mark = {names.LABEL_PK: PK}
    (key,) = jobs.body("x", labels=mark)["metadata"]["labels"]
    forged = jobs.ask("runner", "POST", jobs.body("forged", labels=mark))
    assert isinstance(forged, str)
    assert f"403 algorithmjobs.{jobs.release.group}" in forged
    assert f"The label {key} of AlgorithmJob {jobs.release.namespace}/forged is the gateway's" in forged

    for who in ("runner", "masters"):
        named = jobs.ask(who, "POST", jobs.body(job_name(PK)), dryRun="All")
        assert isinstance(named, str)
        assert "is called as the gateway calls the jobs that it makes" in named
    for name in (f"gcapi-{PK}-2", "gcapi-mine"):
        assert isinstance(jobs.ask("runner", "POST", jobs.body(name), dryRun="All"), dict), name
    assert isinstance(jobs.ask("gateway", "POST", jobs.body(job_name(PK), ALICE, mark), dryRun="All"), dict)

    made = jobs.ask("gateway", "POST", jobs.body("marked", ALICE, mark))
    assert isinstance(made, dict), made
    jobs.ask("runner", "POST", jobs.body("plain"))
    for name, value in (("marked", None), ("marked", PK[::-1]), ("plain", PK)):
        for who in ("runner", "masters"):
            said = jobs.ask(who, "PATCH", {"metadata": {"labels": {key: value}}}, name)
            assert isinstance(said, str), (name, value)
            assert "is the gateway's" in said
    fine = jobs.ask(
        "runner", "PATCH", {"metadata": {"labels": {"team": "a"}}, "spec": {"cancel": True}}, "marked"
    )
    assert isinstance(fine, dict), fine


APPLY = {
    "client side": ["apply"],
    "server side": ["apply", "--server-side"],
    "as Flux": ["apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller"],
    "as Argo CD": ["apply", "--server-side", "--field-manager=argocd-controller"],
}


@pytest.mark.parametrize("command", APPLY.values(), ids=APPLY)
def test_a_manifest_without_it_is_applied_again_by_anybody(
    jobs: Jobs, command: list[str], request: pytest.FixtureRequest
) -> None:
    name = f"again-{list(APPLY.values()).index(command)}"
    body = jobs.body(name)
    jobs.kubectl(ALICE, *command, body=body)
    first = jobs.stored(name)
    assert first["spec"]["requestedBy"] == ALICE
    owned = json.dumps(first["metadata"]["managedFields"])
    assert "f:algorithmRef" in owned
    assert "f:requestedBy" not in owned  # so that no apply without it takes it away
    for user in (ALICE, BOB):
        jobs.kubectl(user, *command, body=body)
        jobs.kubectl(user, "diff", *command[1:], body=body)  # exits with 1 on a difference
    assert jobs.stored(name)["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    changed = copy.deepcopy(body)
    changed["spec"]["ttlSecondsAfterFinished"] = 60
    jobs.kubectl(BOB, *command, body=changed)
    assert jobs.stored(name)["spec"]["requestedBy"] == ALICE


def test_a_whole_object_without_it_gets_it_back(jobs: Jobs) -> None:
    body = jobs.body("replaced")
    jobs.kubectl(ALICE, "create", body=body)
    jobs.kubectl(BOB, "replace", body=body)
    assert jobs.stored("replaced")["spec"]["requestedBy"] == ALICE
    jobs.ask("masters", "PATCH", {"spec": {"requestedBy": None}}, "replaced")
    assert jobs.stored("replaced")["spec"]["requestedBy"] == ALICE


def test_it_does_not_change(jobs: Jobs) -> None:
    jobs.kubectl(ALICE, "create", body=jobs.body("fixed"))
    for who in ("masters", "gateway"):
        said = jobs.ask(who, "PATCH", {"spec": {"requestedBy": BOB}}, "fixed")
        assert isinstance(said, str), who
    assert "requestedBy cannot be changed" in str(
        jobs.ask("masters", "PATCH", {"spec": {"requestedBy": BOB}}, "fixed")
    )


def test_a_copy_of_somebody_elses_job_is_told_what_to_leave_out(jobs: Jobs) -> None:
    jobs.kubectl(ALICE, "create", body=jobs.body("original"))
    copied = jobs.body("copy", jobs.stored("original")["spec"]["requestedBy"])
    assert "Leave it out" in jobs.kubectl(BOB, "apply", body=copied, code=1)


# --- what a gateway that is broken into could do besides


PODS = "/api/v1/namespaces/{}/pods/{}/portforward"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


def _said(who: Kube, method: str, path: str, body: Object | None = None) -> str:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    query = {"ports": "80"} if path.endswith("portforward") else {"dryRun": "All"}
    try:
        who.request(method, path, body, kind, **query)
    except ApiError as error:
        return f"{error.code} {error.message}"
    return ""


def test_the_gateway_reaches_stores_alone(jobs: Jobs) -> None:
    """RBAC cannot name them."""
    gateway = jobs.who["gateway"]
    for namespace in (jobs.release.namespace, "kube-system"):
        assert "not found" in _said(gateway, "POST", PODS.format(namespace, "data-store"))
        for pod in ("etcd-0", "data-store-0", "a-1-user"):
            said = _said(gateway, "POST", PODS.format(namespace, pod))
            assert said.startswith("403"), said
            assert f"this is pods {namespace}/{pod}" in said


def test_the_gateway_writes_the_leases_of_stores_alone(jobs: Jobs) -> None:
    gateway, masters = jobs.who["gateway"], jobs.who["masters"]
    path = LEASES.format(jobs.release.namespace)
    for name in ("leader", f"{names.STORE_LEASE_PREFIX}data"):
        masters.request("POST", path, {"metadata": {"name": name}, "spec": {}})
        change = {"spec": {"holderIdentity": "x"}}
        said = [
            _said(gateway, "POST", path, {"metadata": {"name": f"{name}-2"}, "spec": {}}),
            _said(gateway, "PATCH", f"{path}/{name}", change),
        ]
        assert _said(masters, "PATCH", f"{path}/{name}", change) == ""
        if name == "leader":
            assert all(each.startswith("403") and "leases" in each for each in said), said
        else:
            assert said == ["", ""]
