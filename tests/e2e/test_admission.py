"""The admission policies around real jobs: the policy that seals comes back, nobody gets in, files still do.

Who may do what, request by request: tests/chart/test_admission.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from algorithm_operator.core import names
from tests.cluster.settings import KUBECONFIG
from tests.e2e.conftest import MakeNamespace
from tests.e2e.harness import RESULTS, ApiError, Job, Kube, Namespace, Object, Store, bare_pod, eventually

IN_STATUS = [{**RESULTS, "storeInStatus": True}]
DENY_ALL = names.DENY_ALL_POLICY


@pytest.fixture(scope="module")
def namespace(make_namespace: MakeNamespace) -> Namespace:
    """Guarded, and without the policy: the operator has to bring it."""
    return make_namespace("admission", closed=False)


@pytest.fixture(scope="module")
def store(namespace: Namespace) -> Store:
    return namespace.store()


@pytest.fixture(scope="module")
def job(namespace: Namespace, store: Store) -> Job:
    """A job that runs for as long as the tests need it, and may listen on loopback."""
    namespace.algorithm("listener", outputs=IN_STATUS, network="Loopback")
    return namespace.job("long", algorithm="listener", do=[["sleep", 100], ["write_json", "results.json", 1]])


def seal(namespace: Namespace) -> Object | None:
    return namespace.kube.get("networkpolicies", DENY_ALL, namespace.name)


def test_the_policy_is_put_where_jobs_are_and_comes_back_under_a_running_pod(
    namespace: Namespace, job: Job
) -> None:
    job.running()
    made = seal(namespace)
    assert made is not None
    assert made["spec"]["podSelector"] == {
        "matchExpressions": [{"key": names.LABEL_ROLE, "operator": "Exists"}]
    }
    namespace.kube.delete("networkpolicies", DENY_ALL, namespace.name)
    again = eventually(lambda: seal(namespace), 5, "the policy is back")
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    assert job.state == "Running"


def test_who_holds_edit_gets_neither_into_the_pod_nor_past_its_seal(namespace: Namespace, job: Job) -> None:
    job.running()
    kube, name = namespace.kube, namespace.name
    editor = kube.service_account(name, "eddy", "edit")
    run = names.run_pod(job.name, 1)
    relabel = {"metadata": {"labels": {names.LABEL_ROLE: None}}}
    swap = [{"op": "replace", "path": "/spec/containers/0/image", "value": "registry.example.org/other:1"}]
    forged = {
        "metadata": {"name": "x", "labels": {names.LABEL_JOB: job.name}},
        "spec": bare_pod(namespace.image, ["true"]),
    }
    attempts: list[tuple[str, str, object, str]] = [
        ("POST", Kube.path("pods", name, run, "exec") + "?command=id", None, "closed to everybody"),
        ("POST", Kube.path("pods", name, run, "attach"), None, "closed to everybody"),
        ("POST", Kube.path("pods", name, run, "portforward"), None, "closed to everybody"),
        ("PATCH", Kube.path("pods", name, run), relabel, "keeps its label"),
        ("PATCH", Kube.path("pods", name, run), swap, "runs as its job has recorded it"),
        ("POST", Kube.path("pods", name), forged, "may not be given the label"),
    ]
    for who in (editor, kube):
        for method, path, body, words in attempts:
            kind = "application/json"
            if method == "PATCH":
                kind = f"application/{'json' if isinstance(body, list) else 'merge'}-patch+json"
            with pytest.raises(ApiError, match=words) as refused:
                who.request(method, path, body, kind)
            assert refused.value.code == 403
    opening = {
        "metadata": {"name": "friendly"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    with pytest.raises(ApiError, match="role, operator: DoesNotExist"):
        kube.create("networkpolicies", {"kind": "NetworkPolicy", **opening}, name)


def kubeconfig(place: Path, namespace: Namespace, account: str) -> Path:
    """A kubeconfig with the token of a ServiceAccount, as a person would have one."""
    path = f"/api/v1/namespaces/{namespace.name}/serviceaccounts/{account}/token"
    token = namespace.kube.request("POST", path, {"spec": {}})["status"]["token"]
    config = yaml.safe_load(KUBECONFIG.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    file = place / f"{account}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def test_files_go_through_the_store_for_those_who_may_connect(
    namespace: Namespace, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "value.json"
    file.write_text("5")

    def upload(account: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "algorithm_operator.cli", "upload", "-n", namespace.name]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig(tmp_path, namespace, account))}
        return subprocess.run(
            [*command, str(file), f"{store.name}:case/value.json"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    namespace.kube.service_account(namespace.name, "rita", "algorithm-operator-runner")
    done = upload("rita")
    assert done.returncode == 0, done.stderr
    assert (store.root / "case" / "value.json").read_bytes() == b"5"

    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/portforward"], "verbs": ["create", "get"]},
        {"apiGroups": ["algorithm-operator.dev"], "resources": ["datastores"], "verbs": ["get", "list"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "patch"]},
    ]
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}/roles"
    namespace.kube.request("POST", path, {"metadata": {"name": "no-connect"}, "rules": rules})
    namespace.kube.service_account(namespace.name, "nora", "no-connect", "Role")
    refused = upload("nora")
    assert refused.returncode == 1
    said = " ".join(refused.stderr.replace("│", " ").split())
    assert f"may not reach the files of DataStore {namespace.name}/{store.name}" in said
    assert 'the verb "connect"' in said
    assert "Traceback" not in refused.stderr


def test_the_job_ends_well_after_all_that(job: Job) -> None:
    job.patch({"cancel": True})
    job.wait("Cancelled", timeout=60)
