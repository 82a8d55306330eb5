"""A hostile algorithm and a hostile tenant on the live cluster. What they tried further: docs/attacks.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from algorithm_operator.core import names, seal
from tests.e2e.harness import ApiError, Job, Kube, Namespace, Object, Store, bare_pod, eventually

FORGE = """
seen = {}
for name, act in {
    "dial": lambda: socket.socket(socket.AF_UNIX).connect("\\0algorithm-operator/collect"),
    "memory": lambda: open("/proc/1/mem", "rb"),
    "environment": lambda: open("/proc/1/environ", "rb"),
    "descriptors": lambda: os.listdir("/proc/1/fd"),
    "settings": lambda: os.unlink("/.algorithm-operator/bin/run.json"),
    "internet": lambda: socket.socket(socket.AF_INET),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "input": lambda: open("/input/more.json", "w"),
}.items():
    try:
        act()
        seen[name] = "DONE"
    except OSError as error:
        seen[name] = error.strerror
write_json("results.json", seen)
"""
LOGS = """
stderr("what the owner should have read")
logs = "/.algorithm-operator/logs/"
os.unlink(logs + "stdout.log"); os.symlink("/etc/passwd", logs + "stdout.log")
os.unlink(logs + "stderr.log"); os.mkfifo(logs + "stderr.log")
write_json("results.json", 1)
"""
DAEMON = """
write_json("results.json", "before")
if os.fork() == 0:
    os.setsid()
    for number in range(1, 32):
        try: signal.signal(number, signal.SIG_IGN)
        except OSError: pass
    while True:
        time.sleep(0.01)
        write_json("next.json", "after")
        os.rename("/output/next.json", "/output/results.json")
"""
NAMES = """
for name in ("evil\\x1b[31m\\x1b]0;title\\x07", "new\\nline", "bidi\\u202eexe", "c1\\u009b31m", "%s{why}{0}[red]"):
    os.symlink("/etc/passwd", "/output/" + name)
write_json("results.json", 1)
"""
LAST_WORDS = """
stderr("bye \\x1b[2J\\x1b]0;T\\x07 \\u202e\\u009b31m {why}%s[red] " + "x" * 3000)
sys.exit(7)
"""
TREACHEROUS: list[Any] = [
    "\x1b[31m\x9b31m\x85\u2028\u202e\ufeff\uffff\x7f\0",
    {"": 1, "<<": {"a": 1}, "f:x": {}, ".": [], "k:{}": None, "\x9b": 1, "yes": "null"},
    [2**63 - 1, -(2**63), 1e308, 5e-324],
]
"""JSON that a status written as YAML could refuse, fold or take for something else."""


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, store: Store) -> dict[str, Job]:
    """All hostile algorithms, started together."""
    shown = {"slug": "shown", "kind": "Anything", "storeInStatus": True}
    module_namespace.algorithm()
    module_namespace.algorithm("talker", outputs=[shown])
    scripts = {"forge": FORGE, "logs": LOGS, "daemon": DAEMON, "names": NAMES, "last-words": LAST_WORDS}
    started = {name: module_namespace.job(name, do=[["python", code]]) for name, code in scripts.items()}
    started["values"] = module_namespace.job(
        "values", algorithm="talker", do=[["write_json", "shown.json", TREACHEROUS]]
    )
    return started


def ended(job: Job) -> Object:
    """Its status once it is over, however it ended."""

    def look() -> Object | None:
        status = job.status
        return status if status.get("finishedAt") else None

    return eventually(look, 120, f"job {job.name} ends")


def test_the_runner_and_the_exit_record_are_out_of_reach(jobs: dict[str, Job], store: Store) -> None:
    ended(jobs["forge"])
    assert json.loads(store.files(jobs["forge"])["results.json"]) == {
        "dial": "Connection refused",
        "memory": "Permission denied",
        "environment": "Permission denied",
        "descriptors": "Permission denied",
        "settings": "Read-only file system",
        "input": "Read-only file system",
        "internet": "Address family not supported by protocol",
        "netlink": "Address family not supported by protocol",
    }


def test_a_log_that_is_no_plain_file_is_not_followed(jobs: dict[str, Job], store: Store) -> None:
    status = ended(jobs["logs"])
    assert (status["state"], status["logs"]["stderrBytes"]) == ("Succeeded", 32)
    kept = store.files(jobs["logs"])
    assert set(kept) == {"manifest.json", "_report.json", "results.json", "logs/combined.jsonl"}
    assert b"what the owner should have read" in kept["logs/combined.jsonl"]


def test_nothing_writes_after_the_end(jobs: dict[str, Job], store: Store) -> None:
    status = ended(jobs["daemon"])
    assert status["state"] == "Succeeded"
    assert store.files(jobs["daemon"])["results.json"] in (b'"before"', b'"after"')  # whole, and as announced
    assert len(store.files(jobs["daemon"])["results.json"]) == status["outputs"][0]["bytes"]


def test_what_it_names_and_says_is_escaped(jobs: dict[str, Job]) -> None:
    named = ended(jobs["names"])
    assert named["reason"] == "OutputInvalid"
    assert "evil\\x1b[31m\\x1b]0;title\\x07" in named["message"]
    assert "%s{why}{0}[red]" in named["message"]
    said = ended(jobs["last-words"])
    assert (said["reason"], said["exitCode"]) == ("ExitCode", 7)
    assert "{why}%s[red]" in said["message"]
    for status in (named, said):
        for text in [status["message"], *(condition["message"] for condition in status["conditions"])]:
            assert text.isprintable()
            assert len(text) <= 1024


def test_values_are_shown_as_they_were_written(jobs: dict[str, Job]) -> None:
    status = ended(jobs["values"])
    assert status["state"] == "Succeeded"
    assert status["outputs"][0]["value"] == TREACHEROUS


def test_a_pod_forged_by_who_may_create_pods_does_not_speak_for_the_job(
    module_namespace: Namespace, store: Store
) -> None:
    job = module_namespace.job("victim", do=[["write_json", "results.json", "honest"]], suspend=True)
    job.wait("Suspended")
    owner = {
        "apiVersion": "algorithm-operator.dev/v1alpha1",
        "kind": "AlgorithmJob",
        "name": job.name,
        "uid": job.uid,
        "controller": True,
    }
    spec = bare_pod(module_namespace.image, ["sleep", "60"])
    spec["containers"][0]["name"] = names.ALGORITHM
    forged = {
        "metadata": {
            "labels": names.labels(names.ROLE_RUN, job.name, 1),
            "ownerReferences": [owner],
            "finalizers": [names.POD_FINALIZER],
            "annotations": {names.ANNOTATION_SPEC_HASH: seal.digest({"spec": spec})},
        },
        "spec": spec,
    }
    with pytest.raises(ApiError, match="may not be given the"):
        module_namespace.pod(names.run_pod(job.name, 1), forged)
    module_namespace.marked_pod(names.run_pod(job.name, 1), forged)  # as if admission let it through
    job.patch({"suspend": False})
    status = ended(job)
    assert [attempt["reason"] for attempt in status["attempts"]] == ["PodNotOurs", "Completed"]
    assert store.files(job, 2)["results.json"] == b'"honest"'
    eventually(lambda: job.pod(1) is None or None, 60, "the forged Pod is gone")


def test_the_runner_role_runs_jobs_and_nothing_else(module_namespace: Namespace, store: Store) -> None:
    admin, name = module_namespace.kube, module_namespace.name
    tenant = admin.service_account(name, "tenant", "algorithm-operator-runner")
    held = Namespace(tenant, name, module_namespace.image).job("theirs", do=[["stdout", "x"]], suspend=True)
    held.wait("Suspended")
    policy = {
        "metadata": {"name": "open"},
        "spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]},
    }
    pod = {"metadata": {"name": "x"}, "spec": bare_pod(module_namespace.image, ["true"])}
    some = "x-1-run"
    attempts: list[tuple[str, str, Object | None]] = [
        ("POST", Kube.path("pods", name), pod),
        (
            "PATCH",
            Kube.path("pods", name, some),
            {"metadata": {"annotations": {names.ANNOTATION_PLAN: "{}"}}},
        ),
        ("DELETE", Kube.path("pods", name, some), None),
        ("POST", Kube.path("pods", name, some, "exec") + "?command=true", None),
        ("POST", Kube.path("pods", name, some, "attach"), None),
        ("PATCH", Kube.path("pods", name, some, "ephemeralcontainers"), {}),
        ("GET", f"/api/v1/namespaces/{name}/secrets", None),
        ("POST", f"/api/v1/namespaces/{name}/serviceaccounts/tenant/token", {"spec": {}}),
        ("POST", Kube.path("networkpolicies", name), policy),
        ("POST", Kube.path("persistentvolumeclaims", name), {"metadata": {"name": "x"}}),
        ("PATCH", Kube.path("algorithms", name, "probe"), {"spec": {"network": "Loopback"}}),
        ("PATCH", Kube.path("datastores", name, store.name), {"spec": {"gid": 1}}),
        ("PATCH", Kube.path("algorithmjobs", name, held.name, "status"), {"status": {"state": "Succeeded"}}),
        ("GET", Kube.path("algorithmjobs"), None),
        ("GET", Kube.path("leases", "algorithm-operator-system"), None),
    ]
    for method, path, body in attempts:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        with pytest.raises(ApiError) as refused:
            tenant.request(method, path, body, kind)
        assert refused.value.code == 403, f"{method} {path}: {refused.value}"
    held.delete()


def test_a_wish_for_the_store_pod_ends(module_namespace: Namespace, store: Store) -> None:
    """A Lease of many years, and one from the future: the Pod comes for an hour at most, or not at all."""
    kube, name = module_namespace.kube, module_namespace.name
    labels = {names.MANAGED_BY: names.OPERATOR, names.LABEL_STORE: store.name}
    spec = {
        "holderIdentity": "x",
        "leaseDurationSeconds": 315360000,
        "renewTime": "2099-01-01T00:00:00.000000Z",
    }
    kube.create(
        "leases", {"kind": "Lease", "metadata": {"name": "far", "labels": labels}, "spec": spec}, name
    )
    module_namespace.job("beside", do=[["write_json", "results.json", 1]]).wait("Succeeded")
    assert kube.get("pods", names.store_pod(store.name), name) is None
