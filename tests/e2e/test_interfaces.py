"""Several interfaces of one Algorithm: the one with exactly the job's inputs is run, and no other combination."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import RESULTS, SCRIPT, Namespace, Object, Store, eventually

SMOOTHING: Object = {"slug": "smoothing", "kind": "Float"}
NOTE: Object = {"slug": "note", "kind": "Anything"}
LOOK = """
report["inputs"] = sorted(each["socket"]["slug"] for each in json.loads(pathlib.Path("/input/inputs.json").read_text()))
"""
DO = [["python", "import json, pathlib\n" + LOOK], ["write_report"]]
INTERFACES = [
    {"name": "plain", "inputs": [SCRIPT], "outputs": [RESULTS]},
    {"name": "smooth", "inputs": [SCRIPT, SMOOTHING], "outputs": [RESULTS, NOTE]},
]
SMOOTHED: Object = {"slug": "smoothing", "value": 1.5}


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    """A store, and an Algorithm with two interfaces."""
    store = module_namespace.store()
    module_namespace.algorithm(interfaces=INTERFACES)
    return store


def test_the_one_with_exactly_the_jobs_inputs_is_run(module_namespace: Namespace, store: Store) -> None:
    plain = module_namespace.job("plain", do=DO)
    smooth = module_namespace.job("smooth", do=[*DO, ["write_json", "note.json", 1]], inputs=[SMOOTHED])
    for job, inputs, outputs in (
        (plain, ["script"], ["results"]),
        (smooth, ["script", "smoothing"], ["note", "results"]),
    ):
        status = job.wait("Succeeded")
        assert status["algorithm"]["interface"]["name"] == job.name
        assert sorted(each["slug"] for each in status["outputs"]) == outputs
        kept = store.files(job)
        assert json.loads(kept["results.json"])["inputs"] == inputs
        assert json.loads(kept["manifest.json"])["algorithm"]["interface"] == job.name


@pytest.mark.usefixtures("store")
def test_another_combination_is_refused_with_those_that_there_are(module_namespace: Namespace) -> None:
    job = module_namespace.job("lonely", inputs=[SMOOTHED])

    status = job.wait("Failed", timeout=20)

    assert (status["reason"], status["blame"]) == ("InputsMismatch", "input")
    assert "plain: script; smooth: script and smoothing" in status["message"]
    assert job.pods() == []


def test_two_interfaces_with_the_same_inputs_are_no_algorithm(module_namespace: Namespace) -> None:
    twice = [INTERFACES[0], {**INTERFACES[0], "name": "again"}]
    module_namespace.algorithm("twice", interfaces=twice, ready=False)

    def look() -> Object | None:
        body = module_namespace.kube.get("algorithms", "twice", module_namespace.name) or {}
        said = (body.get("status") or {}).get("conditions") or []
        return next((each for each in said if each["type"] == "Ready" and each["status"] == "False"), None)

    said = eventually(look, 20, "Algorithm twice is refused")
    assert said["reason"] == "SpecInvalid"
    assert 'Interfaces "plain" and "again" have the same inputs' in said["message"]
