"""Who reads which words: stdout and stderr apart, on a terminal, in a store, and in a store that few may read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.settings import KUBECONFIG
from tests.e2e.cli import PROGRAM, call, environment
from tests.e2e.harness import RESULTS, Job, Namespace, Store

EVIL = "\x1b]0;owned\x07\x1b[2Jdone"
SECRET = "patient Jansen has 3 lesions"
RESULT: list[Any] = ["write_json", "results.json", 1]


@pytest.fixture(scope="module")
def results(module_namespace: Namespace) -> Store:
    """Where outputs go."""
    return module_namespace.store()


@pytest.fixture(scope="module")
def private(module_namespace: Namespace) -> Store:
    """Where the logs of some go."""
    return module_namespace.store("private", default=False)


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, results: Store, private: Store) -> dict[str, Job]:
    """All of them, started together."""
    namespace = module_namespace
    status = [{**RESULTS, "storeInStatus": True}]
    namespace.algorithm(outputs=status)
    namespace.algorithm(
        "discreet",
        outputs=status,
        logPolicy={"store": {"name": "private"}, "errorInStatus": False},
    )
    # Which of two pipes is read first is chance, unless there is time between.
    talk: list[list[Any]] = [
        *(["stdout", "one"], ["sleep", 0.5], ["stderr", "two"], ["sleep", 2.5]),
        *(["stdout", EVIL], ["sleep", 0.5], ["stderr", "four"]),
    ]
    secret = [["stdout", SECRET], ["stderr", SECRET]]
    return {
        "talk": namespace.job("talk", do=[*talk, RESULT]),
        "discreet": namespace.job("discreet", algorithm="discreet", do=[*secret, RESULT]),
        "failed": namespace.job("failed", algorithm="discreet", do=[*secret, ["exit", 3]]),
        "held": namespace.job("held", do=[RESULT], suspend=True),
    }


def logs(job: Job, *arguments: str, kubeconfig: str = str(KUBECONFIG)) -> subprocess.CompletedProcess[str]:
    """`kubectl algorithm logs JOB …`."""
    return call("logs", "-n", job.namespace, job.name, *arguments, kubeconfig=kubeconfig)


def test_followed_from_before_its_start_each_stream_goes_where_it_belongs(jobs: dict[str, Job]) -> None:
    """The test cluster's API splits a Pod's log; the unit tests have one that does not."""
    job = jobs["talk"]
    following = subprocess.Popen(
        [*PROGRAM, "logs", "-n", job.namespace, job.name, "--follow"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert following.stdout is not None
    first = following.stdout.readline()
    assert first == "one\n"
    assert job.state == "Running", "it came while the algorithm ran"
    out, errors = following.communicate(timeout=60)
    assert out == "\\x1b]0;owned\\x07\\x1b[2Jdone\n"
    assert [line for line in errors.splitlines() if line in ("two", "four")] == ["two", "four"]
    assert "together" not in errors


def test_of_a_finished_job_they_come_from_the_store(jobs: dict[str, Job], results: Store) -> None:
    job = jobs["talk"]
    status = job.wait("Succeeded")
    kept = results.files(job)
    assert kept["logs/stdout.log"].decode() == f"one\n{EVIL}\n"
    assert kept["logs/stderr.log"] == b"two\nfour\n"

    both = logs(job)
    assert both.returncode == 0, both.stderr
    assert both.stdout == "one\n\\x1b]0;owned\\x07\\x1b[2Jdone\n"
    assert both.stderr.endswith("two\nfour\n")
    assert logs(job, "--stderr").stdout == "two\nfour\n"
    assert logs(job, "--stdout", "--raw").stdout == f"one\n{EVIL}\n"
    in_order = [line.split(" ", 2)[1:] for line in logs(job, "--combined").stdout.splitlines()]
    assert in_order == [
        ["stdout", "one"],
        ["stderr", "two"],
        ["stdout", "\\x1b]0;owned\\x07\\x1b[2Jdone"],
        ["stderr", "four"],
    ]

    warning = job.condition("StderrOutput")
    assert warning is not None
    assert (status["state"], warning["status"]) == ("Succeeded", "True")
    for command in ("get", "explain"):
        said = call(command, "-n", job.namespace, job.name).stdout
        assert "warning" in said
        assert "wrote 9 bytes to stderr" in said
        assert "Failed" not in said


def test_logs_that_are_kept_apart_are_nowhere_else(
    jobs: dict[str, Job], results: Store, private: Store, tmp_path: Path
) -> None:
    for name, state in (("discreet", "Succeeded"), ("failed", "Failed")):
        job = jobs[name]
        job.wait(state)
        beside, apart = results.files(job), private.files(job)
        assert {path.partition("/")[0] for path in beside} <= {
            "manifest.json",
            "_report.json",
            "results.json",
            "failure.json",
        }
        assert apart["logs/stdout.log"] == apart["logs/stderr.log"] == f"{SECRET}\n".encode()
        (pod,) = job.pods()
        told = [yaml.safe_dump(each, width=10000) for each in (pod["status"], job.status)]
        told += [
            job.kube.logs(job.namespace, pod["metadata"]["name"], each) for each in ("algorithm", "collect")
        ]
        assert not any("Jansen" in text for text in told)
        assert not any(b"Jansen" in data for data in beside.values())
    status = jobs["failed"].status
    assert status["reason"] == "ExitCode"
    assert status["exitCode"] == 3
    assert "it is in the logs in DataStore private" in status["message"]

    seen = logs(jobs["failed"], "--stderr")
    assert seen.stdout == f"{SECRET}\n", seen.stderr
    fetched = call("download", "-n", private.namespace, "discreet", "-o", str(tmp_path))
    assert fetched.returncode == 0, fetched.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", "_report.json", "results.json"}
    assert "the logs are kept apart, in DataStore private" in fetched.stderr


def test_who_may_not_connect_to_their_store_is_told(
    jobs: dict[str, Job], module_namespace: Namespace, tmp_path: Path
) -> None:
    job = jobs["discreet"]
    job.wait("Succeeded")
    namespace = module_namespace
    namespace.kube.service_account(namespace.name, "victor", "algorithm-operator-viewer")
    path = f"/api/v1/namespaces/{namespace.name}/serviceaccounts/victor/token"
    token = namespace.kube.request("POST", path, {"spec": {}})["status"]["token"]
    config = yaml.safe_load(KUBECONFIG.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))

    refused = logs(job, kubeconfig=str(file))

    assert refused.returncode == 1
    assert "kept apart, in DataStore private" in refused.stderr
    assert "whoever may connect to that store reads them" in refused.stderr
    assert "forbidden" in refused.stderr
    assert "Jansen" not in refused.stdout + refused.stderr


def test_a_job_that_has_not_started_has_none(jobs: dict[str, Job]) -> None:
    job = jobs["held"]
    job.wait("Suspended")
    refused = logs(job)
    assert refused.returncode == 1
    assert "has not started yet: Suspended" in refused.stderr
    job.delete()
