"""Jobs that can never run as they are written: refused by the server, or ended before any Pod, in words that help."""

from __future__ import annotations

import pytest

from tests.e2e.harness import RESULTS, SCRIPT, ApiError, Namespace, Object, Store

SCAN: Object = {"slug": "scan", "kind": "Image"}
SMOOTHING: Object = {"slug": "smoothing", "kind": "Float"}
DO = [["write_json", "results.json", 1]]


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    """A store, and an Algorithm that takes a script and a number, or a script and an image."""
    store = module_namespace.store()
    module_namespace.algorithm("number", inputs=[SCRIPT, SMOOTHING])
    module_namespace.algorithm("image", inputs=[SCRIPT, SCAN])
    return store


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("name", "inputs", "reason", "told"),
    [
        (
            "unknown-slug",
            [{"slug": "smoothing", "value": 1.5}, {"slug": "smooting", "value": 1}],
            "InputsMismatch",
            ["smooting", "script", "smoothing"],
        ),
        ("missing-slug", [], "InputsMismatch", ["smoothing", "script"]),
        ("wrong-type", [{"slug": "smoothing", "value": "high"}], "InputInvalid", ['"smoothing"', "number"]),
    ],
)
def test_inputs_that_do_not_fit_end_the_job_before_any_pod(
    module_namespace: Namespace, name: str, inputs: list[Object], reason: str, told: list[str]
) -> None:
    job = module_namespace.job(name, algorithm="number", do=DO, inputs=inputs)

    status = job.wait("Failed", timeout=20)

    assert (status["reason"], status["blame"]) == (reason, "input")
    for part in told:
        assert part in status["message"]
    accepted = job.condition("Accepted")
    assert accepted is not None
    assert (accepted["status"], accepted["message"]) == ("False", status["message"])
    assert not status.get("attempts")
    assert job.pods() == []


@pytest.mark.parametrize("path", ["../other/scan.mha", "case/../../scan.mha", "/etc/scan.mha", "a//scan.mha"])
def test_a_path_out_of_the_store_is_refused_by_the_server(
    module_namespace: Namespace, store: Store, path: str
) -> None:
    scan = {"slug": "scan", "store": {"name": store.name, "paths": [path]}}

    with pytest.raises(ApiError) as refused:
        module_namespace.job("path", algorithm="image", do=DO, inputs=[scan])

    assert refused.value.code == 422
    assert 'input "scan"' in refused.value.message
    assert path in refused.value.message
    assert "relative to the root of the DataStore" in refused.value.message


@pytest.mark.parametrize("content", [None, "folder"])
def test_a_file_that_is_not_in_the_store_is_the_inputs_fault(
    module_namespace: Namespace, store: Store, content: str | None
) -> None:
    path = f"{content or 'case'}/missing.mha"
    if content:
        (store.root / path).mkdir(parents=True)
    scan = {"slug": "scan", "store": {"name": store.name, "paths": [path]}}

    job = module_namespace.job(f"missing-{content or 'file'}", algorithm="image", do=DO, inputs=[scan])
    status = job.wait("Failed")

    assert (status["reason"], status["blame"]) == ("InputNotFound", "input")
    assert '"scan"' in status["message"]
    assert path in status["message"]
    assert store.name in status["message"]
    assert len(status["attempts"]) == 1
    (pod,) = job.pods()
    algorithm = pod["status"]["containerStatuses"][0]
    assert not algorithm.get("started")
    assert not algorithm["state"].get("terminated", {}).get("startedAt")


def test_outputs_that_need_a_store_are_refused_where_there_is_none(namespace: Namespace) -> None:
    namespace.algorithm(outputs=[RESULTS])

    status = namespace.job("storeless", do=DO).wait("Failed", timeout=20)

    assert (status["reason"], status["blame"]) == ("NoOutputStore", "input")
    assert '"results"' in status["message"]
    assert "outputStore" in status["message"]
