"""A value nested deeper than Python's own JSON can read or write: stored by the server, survived by the operator."""

from __future__ import annotations

import json
import subprocess

from tests.cluster.settings import BIN, KUBECONFIG
from tests.e2e.harness import RESULTS, Namespace, operator_pod
from tests.e2e.kube import eventually

LEVELS = 5000
DO = [["write_json", "results.json", 1]]


def kubectl(namespace: Namespace, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl prints; our own client is Python, too, and cannot read such an object."""
    command = [
        str(BIN / "kubectl"),
        "--kubeconfig",
        str(KUBECONFIG),
        "--namespace",
        namespace.name,
        *arguments,
    ]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def restarts(namespace: Namespace) -> tuple[str, int]:
    """The operator's Pod, and how often its container was started again."""
    pod = operator_pod(namespace.kube)
    return pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"]


def test_a_value_nested_too_deep_ends_its_job_and_no_other(namespace: Namespace) -> None:
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])
    before = restarts(namespace)
    deep = {
        "apiVersion": "algorithm-operator.dev/v1alpha1",
        "kind": "AlgorithmJob",
        "metadata": {"name": "deep"},
        "spec": {"algorithmRef": {"name": "probe"}, "inputs": [{"slug": "script", "value": "HERE"}]},
    }
    text = json.dumps(deep).replace('"HERE"', "[" * LEVELS + "]" * LEVELS)

    kubectl(namespace, "create", "--validate=false", "-f", "-", stdin=text)
    beside = namespace.job("beside", do=DO)

    def ended() -> list[str] | None:
        path = "{.status.state}|{.status.reason}|{.status.blame}|{.status.message}|{.status.attempts}"
        found = kubectl(namespace, "get", "algorithmjob", "deep", "-o", f"jsonpath={path}").split("|")
        return found if found[0] in ("Succeeded", "Failed") else None

    state, reason, blame, message, attempts = eventually(ended, 30, "job deep has ended")
    assert (state, reason, blame) == ("Failed", "InputInvalid", "input")
    assert attempts in ("", "[]")
    assert '"script"' in message
    assert "nested" in message
    beside.wait("Succeeded")
    # Also after the watches begin anew, with the deep object in their list.
    namespace.job("later", do=DO).wait("Succeeded")
    assert restarts(namespace) == before
