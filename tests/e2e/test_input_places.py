"""Inputs from all five places in one job, and what is said of those that are not there or not as they were."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.e2e.conftest import HERE, cluster_command
from tests.e2e.harness import SCRIPT, Job, Namespace, Object, Store

HASHES = """
import hashlib, pathlib
found = [path for path in pathlib.Path("/input").glob("*.json") if path.name != "inputs.json"]
report["sha256"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
"""
DO = [["python", HASHES], ["write_report"]]
FILES = {"stored": b'{"from": "a store"}', "key": b'"from a ConfigMap"\n', "in-image": b"[1, 2]\n"}
SLUGS = ("script", "stored", "key", "in-image", "made")


def one(slug: str, **place: object) -> Object:
    """An input from that place."""
    return {"slug": slug, **place}


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    """Where outputs go, and an input is; a ConfigMap beside; and Algorithms with one, two and five inputs."""
    namespace, store = module_namespace, module_namespace.store()
    store.put("stored.json", FILES["stored"])
    meta = {"name": "settings"}
    namespace.kube.create(
        "configmaps",
        {"kind": "ConfigMap", "metadata": meta, "data": {"key.json": FILES["key"].decode()}},
        namespace.name,
    )
    namespace.algorithm()
    extra = {slug: {"slug": slug, "kind": "Anything"} for slug in SLUGS[1:]}
    namespace.algorithm("all", inputs=[SCRIPT, *extra.values()])
    namespace.algorithm("key", inputs=[SCRIPT, extra["key"]])
    namespace.algorithm("made", inputs=[SCRIPT, extra["made"]])
    return store


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, store: Store) -> dict[str, Job]:
    """All jobs, started at once: what they wait for is there last."""
    namespace = module_namespace
    image = cluster_command("build", "algorithm-operator/cases", str(HERE / "images" / "cases"))
    made = one("made", job={"name": "first", "output": "results"})
    places = [
        one("stored", store={"name": store.name, "paths": ["stored.json"]}),
        one("key", configMap={"name": "settings", "key": "key.json"}),
        one("in-image", image={"reference": image, "path": "cases/in-image.json"}),
        made,
    ]
    return {
        "places": namespace.job("places", algorithm="all", do=DO, inputs=places),
        "changed": namespace.job("changed", algorithm="made", do=DO, inputs=[made], suspend=True),
        "no-map": namespace.job(
            "no-map", algorithm="key", do=DO, inputs=[one("key", configMap={"name": "none", "key": "a.json"})]
        ),
        "no-job": namespace.job(
            "no-job", algorithm="made", do=DO, inputs=[one("made", job={"name": "none", "output": "results"})]
        ),
    }


def test_a_job_that_does_not_exist_is_waited_for(jobs: dict[str, Job]) -> None:
    said = jobs["no-job"].wait_condition("Accepted", "False", "InputPending")

    assert 'Input "made" waits for job "none": there is no such AlgorithmJob' in said["message"]
    assert jobs["no-job"].pods() == []


def test_a_config_map_that_does_not_exist_is_the_inputs_fault(jobs: dict[str, Job]) -> None:
    status = jobs["no-map"].wait("Failed")

    assert (status["reason"], status["blame"]) == ("InputNotFound", "input")
    assert '"a.json" does not exist in ConfigMap none' in status["message"]


def test_one_job_with_inputs_of_all_places_and_a_file_that_is_changed_before_it_is_read(
    module_namespace: Namespace, store: Store, jobs: dict[str, Job]
) -> None:
    for name in ("places", "changed"):
        jobs[name].wait_condition("Accepted", "False", "InputPending")
    first = module_namespace.job("first", do=[["write_json", "results.json", {"made": True}]])
    (output,) = first.wait("Succeeded")["outputs"]

    status = jobs["places"].wait("Succeeded")
    kept = store.files(jobs["places"])
    seen = json.loads(kept["results.json"])["sha256"]
    sources = {each["slug"]: each for each in json.loads(kept["manifest.json"])["inputs"]}
    assert seen == {f"{slug}.json": sources[slug]["sha256"] for slug in SLUGS}
    wanted = {slug: hashlib.sha256(data).hexdigest() for slug, data in FILES.items()}
    wanted["made"] = output["sha256"]
    assert {slug: seen[f"{slug}.json"] for slug in wanted} == wanted
    assert sources["script"]["source"] == "value"
    assert sources["stored"]["source"] == f"store:{store.name}/stored.json"
    assert sources["key"]["source"] == "configMap:settings/key.json"
    assert sources["in-image"]["source"].endswith("/cases/in-image.json")
    assert sources["made"]["source"] == f"store:{store.name}/{output['path']}"
    assert [each["sha256"] for each in status["algorithm"]["inputs"]] == [output["sha256"]]

    jobs["changed"].wait("Suspended")
    (store.root / output["path"]).write_bytes(b'{"made": 1}')
    jobs["changed"].patch({"suspend": False})
    status = jobs["changed"].wait("Failed")
    assert (status["reason"], status["blame"]) == ("InputInvalid", "input")
    assert 'not what the status of job "first" says; it was changed since' in status["message"]
