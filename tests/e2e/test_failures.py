"""Jobs whose algorithm fails: what their status says, what is kept, and that they are not tried again.

All of them are started together; each test then waits for its own.
"""

from __future__ import annotations

import datetime
import json

import pytest

from tests.e2e.harness import RESULTS, Job, Namespace, Object, Store, eventually

LOGS = {"logs/stdout.log", "logs/stderr.log", "logs/combined.jsonl"}
TIME_LIMIT = 20
DIRTY_NAME = "x\x1b[31m\nroot.mha"
Started = tuple[Store, dict[str, Job]]


@pytest.fixture(scope="module")
def started(module_namespace: Namespace) -> Started:
    """One job a kind of failure, all started."""
    namespace = module_namespace
    store = namespace.store()
    namespace.algorithm()
    namespace.algorithm(
        "many",
        outputs=[
            RESULTS,
            {"slug": "volume", "kind": "Float"},
            {"slug": "mask", "kind": "Image"},
        ],
    )
    image = ["write_mha", "images/mask/mask.mha", [2, 2], [0, 1]]
    volume = ["write_json", "volume.json", 1.5]
    results = ["write_json", "results.json", {}]
    jobs = {
        # The longest first.
        "deaf": namespace.job(
            "deaf",
            do=[["stdout", "before"], ["stderr", "I do not listen"], ["ignore_sigterm_and_sleep", 600]],
            timeLimitSeconds=TIME_LIMIT,
        ),
        "exit-3": namespace.job(
            "exit-3",
            do=[results, ["stdout", "so far"], ["stderr", "1"], ["stderr", "cannot read T1"], ["exit", 3]],
        ),
        "hungry": namespace.job("hungry", do=[["stdout", "allocating"], ["allocate_mb", 400]]),
        "invalid": namespace.job(
            "invalid",
            algorithm="many",
            do=[
                ["write_text", "results.json", "{oops"],
                image,
                [*image[:1], "images/mask/two.mha", *image[2:]],
            ],
        ),
        "link": namespace.job("link", do=[["symlink", "results.json", "/etc/passwd"]]),
        "fifo": namespace.job("fifo", do=[["mkfifo", "results.json"]]),
        "elsewhere": namespace.job(
            "elsewhere",
            algorithm="many",
            do=[results, volume, [*image, "MET_UCHAR", "../../x"]],
        ),
        "dirty-name": namespace.job(
            "dirty-name",
            algorithm="many",
            do=[results, volume, ["symlink", f"images/mask/{DIRTY_NAME}", "/etc/passwd"]],
        ),
        "sparse": namespace.job(
            "sparse",
            algorithm="many",
            do=[["sparse", "results.json", 1 << 40], volume, ["sparse", "images/mask/huge.mha", 1 << 40]],
        ),
    }
    return store, jobs


def ended(started: Started, name: str) -> tuple[Object, dict[str, bytes], Object]:
    """Status, kept files and run Pod of a failed job, after what holds for every failure of an algorithm."""
    store, jobs = started
    job = jobs[name]
    status = job.wait("Failed", timeout=180)
    assert status["blame"] == "algorithm"
    assert "outputs" not in status or not status["outputs"]
    assert "manifest" not in status
    assert [a["number"] for a in status["attempts"]] == [1], "it was tried again"
    kept = store.files(job)
    assert set(kept) == {*LOGS, "failure.json"}
    (pod,) = job.pods()
    eventually(
        lambda: "finalizers" not in job.pods()[0]["metadata"],
        10,
        "the Pod is released, right after the status",
    )
    failed = job.condition("Failed")
    assert failed is not None
    assert (failed["status"], failed["reason"], failed["message"]) == (
        "True",
        status["reason"],
        status["message"],
    )
    return status, kept, pod


def test_an_exit_code_is_told_with_the_last_line_of_stderr(started: Started) -> None:
    status, kept, _ = ended(started, "exit-3")

    assert status["reason"] == "ExitCode"
    assert status["exitCode"] == 3
    assert status["message"] == "The algorithm ended with exit code 3: cannot read T1"
    assert kept["logs/stdout.log"] == b"so far\n"
    assert kept["logs/stderr.log"] == b"1\ncannot read T1\n"
    assert status["logs"] == {"stdoutBytes": 7, "stderrBytes": 17}


def test_too_much_memory_is_told_with_the_limit(started: Started) -> None:
    status, kept, _ = ended(started, "hungry")

    assert status["reason"] == "OutOfMemory"
    assert "128Mi" in status["message"]
    assert kept["logs/stdout.log"] == b"allocating\n"


def test_an_algorithm_that_ignores_sigterm_frees_its_gpu_soon_after_the_time_limit(started: Started) -> None:
    status, kept, pod = ended(started, "deaf")

    assert status["reason"] == "TimeLimitExceeded"
    assert f"{TIME_LIMIT} s" in status["message"]
    ends = [c["state"]["terminated"]["finishedAt"] for c in _containers(pod)]
    took = _moment(max(ends)) - _moment(pod["status"]["startTime"])
    assert took.total_seconds() <= TIME_LIMIT + 15
    assert kept["logs/stdout.log"] == b"before\n"
    said, by_the_runner = kept["logs/stderr.log"].splitlines()
    assert said == b"I do not listen"
    assert b"Time limit exceeded" in by_the_runner


def test_every_invalid_output_is_named_with_slug_and_path(started: Started) -> None:
    status, kept, _ = ended(started, "invalid")

    assert status["reason"] == "OutputInvalid"
    told = dict(part.split(": ", 1) for part in status["message"].split("; "))
    assert set(told) == {"results", "volume", "mask"}
    assert '"results.json" is not valid json' in told["results"]
    assert told["volume"] == 'Output file "volume.json" was not produced'
    assert told["mask"] == 'Only 1 image should be produced in "images/mask", we found 2'
    assert {finding["slug"] for finding in json.loads(kept["failure.json"])["findings"]} == set(told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("link", ['results: The output "results.json" is a symbolic link']),
        ("fifo", ['results: The output "results.json" is a named pipe']),
        ("elsewhere", ["mask: ", "images/mask", "ElementDataFile"]),
        ("dirty-name", ["mask: ", r"images/mask/x\x1b[31m\x0aroot.mha", "symbolic link"]),
        ("sparse", ["results: ", "mask: ", "too large"]),
    ],
)
def test_what_is_no_honest_file_is_refused_and_nothing_of_it_kept(
    started: Started, name: str, told: list[str]
) -> None:
    status, kept, pod = ended(started, name)

    assert status["reason"] == "OutputInvalid"
    for part in told:
        assert part in status["message"]
    assert status["message"].isprintable()
    assert not any(b"root:" in content for content in kept.values())
    assert sum(map(len, kept.values())) < 16384
    collect = next(c for c in _containers(pod) if c["name"] == "collect")
    assert collect["state"]["terminated"]["exitCode"] == 65
    assert collect["state"]["terminated"]["reason"] != "OOMKilled"


def _containers(pod: Object) -> list[Object]:
    return [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
