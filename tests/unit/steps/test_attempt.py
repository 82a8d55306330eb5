"""stage and collect as processes, from plan to manifest."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.contract.exits import MAX_TERMINATION_BYTES
from algorithm_operator.contract.plan import PlannedFile, PlannedInput, Target
from tests.unit.steps.attempt import Attempt, planned, serve_open_port, with_value
from tests.unit.steps.mha import mha

SEGMENTS = [OverlaySegment(name="CSF", voxel_value=1), OverlaySegment(name="Grey matter", voxel_value=2)]


def add_image(attempt: Attempt, data: bytes, path: str = "case/t1.mha") -> None:
    attempt.at("/stores/0").mkdir()
    attempt.at("/stores/0/0").write_bytes(data)
    file = PlannedFile(mount="/stores/0/0", path=path, store="cases")
    attempt.plan.inputs.append(PlannedInput(socket=planned("t1-mri", "Image"), files=[file]))


def test_a_whole_attempt(attempt: Attempt) -> None:
    image = mha(bytes(range(24)))
    add_image(attempt, image)
    attempt.plan.inputs.append(with_value(planned("smoothing", "Float"), 1.5))
    attempt.plan.outputs += [
        planned("tissues", "Segmentation", overlay_segments=SEGMENTS),
        planned("results", "Anything"),
    ]

    code, report = attempt.stage()
    assert (code, report.ok, report.input_bytes) == (0, True, len(image) + 3), attempt.stderr
    told = json.loads(attempt.at("/input/inputs.json").read_text())
    assert [each["socket"]["slug"] for each in told] == ["smoothing", "t1-mri"]
    staged = attempt.at("/input/images/t1-mri") / f"{told[1]['image']['pk']}.mha"
    assert staged.read_bytes() == image
    assert stat.S_IMODE(staged.stat().st_mode) == 0o444
    assert stat.S_IMODE(staged.parent.stat().st_mode) == 0o555
    assert attempt.at("/input/smoothing.json").read_text() == "1.5"
    assert os.access(attempt.at("/.algorithm-operator/bin/runner"), os.X_OK)
    config = json.loads(attempt.at("/.algorithm-operator/bin/run.json").read_text())
    assert (config["cmd"], config["limitSeconds"], config["reserveSeconds"]) == (["/bin/true"], 7200, 60.0)

    segmentation = mha(bytes([0, 1, 2] * 8))
    attempt.output("images/tissues/out.mha", segmentation)
    attempt.output("results.json", '{"grey_matter_ml": 883.3}')
    attempt.output("debug/notes.txt", "hello")
    attempt.log("stdout.log", "abc")
    attempt.log("stderr.log", "")
    code, collected = attempt.collect(limitsSeen={"cpus": 2.0, "memoryBytes": None})

    assert (code, collected.ok, collected.outputs) == (0, True, 2), attempt.stderr
    manifest = attempt.manifest()
    stored = attempt.stored()
    assert hashlib.sha256(stored["manifest.json"]).hexdigest() == collected.manifest_sha256
    assert set(stored) == {
        "manifest.json",
        "_report.json",
        "tissues.mha",
        "results.json",
        "logs/stdout.log",
        "logs/stderr.log",
    }
    assert stored["tissues.mha"] == segmentation
    tissues, results = manifest.outputs
    assert tissues.file is not None
    assert tissues.file.sha256 == hashlib.sha256(segmentation).hexdigest()
    assert tissues.image is not None
    assert (tissues.image.size, tissues.image.pixel_type) == ([4, 3, 2], "uint8")
    assert results.value == {"grey_matter_ml": 883.3}
    assert results.has_value
    assert (manifest.undeclared_files, manifest.undeclared_bytes) == (1, 5)
    assert manifest.isolation.probes[0].closed
    assert manifest.isolation.seccomp is True
    assert [given.source for given in manifest.inputs] == ["store:cases/case/t1.mha", "value"]
    assert manifest.inputs[0].sha256 == hashlib.sha256(image).hexdigest()
    assert manifest.pod == {"name": "case-001-1-run", "uid": "p-1", "node": "gpu-7"}
    assert manifest.timing["ranSeconds"] == 9.0
    assert manifest.limits.enforced_by["cpu"] == "kernel: a CPU quota of 2"
    assert "nobody was seen to hold it" in manifest.limits.enforced_by["memory"]

    salvaged = attempt.run("salvage")
    attempt.stdout = salvaged.stdout
    assert attempt.manifest() == manifest


@pytest.mark.parametrize(
    ("medium", "paths", "filesystems"),
    [
        ("Disk", ["/output", "/tmp", "/.algorithm-operator/logs"], ["/dev/shm"]),
        ("Memory", ["/.algorithm-operator/logs"], ["/dev/shm", "/output", "/tmp"]),
    ],
)
def test_what_holds_itself_to_its_size_is_not_measured(
    attempt: Attempt, medium: str, paths: list[str], filesystems: list[str]
) -> None:
    attempt.plan.limits.scratch, attempt.plan.limits.scratch_medium = "64Mi", medium
    assert attempt.stage()[0] == 0, attempt.stderr
    disk = json.loads(attempt.at("/.algorithm-operator/bin/run.json").read_text())["disk"]
    assert disk == {"limitBytes": 64 * 1024**2, "paths": paths, "root": True, "filesystems": filesystems}


def test_all_findings_are_told_and_nothing_is_kept(attempt: Attempt) -> None:
    attempt.plan.outputs += [planned("missing", "Anything"), planned("broken", "Anything"), planned("two", "Image"),
                             planned("good", "Float")]  # fmt: skip
    attempt.output("broken.json", "{")
    attempt.output("images/two/a.mha", mha())
    attempt.output("images/two/b.mha", mha())
    attempt.output("good.json", "1.0")
    attempt.log("stdout.log", "abc")
    code, report = attempt.collect()
    assert (code, report.ok, report.reason, report.findings) == (65, False, "OutputInvalid", 3)
    assert report.message is not None
    assert 'missing: Output file "missing.json" was not produced' in report.message
    assert 'broken: The output file "broken.json" is not valid json' in report.message
    assert 'two: Only 1 image should be produced in "images/two", we found 2' in report.message
    assert set(attempt.stored()) == {"failure.json", "logs/stdout.log"}
    assert [found["slug"] for found in attempt.failure()["findings"]] == ["missing", "broken", "two"]
    assert attempt.stdout == ""


def test_no_result_of_an_algorithm_that_failed(attempt: Attempt) -> None:
    attempt.plan.outputs.append(planned("good", "Float"))
    attempt.output("good.json", "1.0")
    attempt.log("stderr.log", "Traceback\n")
    code, report = attempt.collect(3, lastStderrLine="bad \x1b[31m news")
    assert (code, report.ok) == (66, False)
    assert report.exit is not None
    assert report.exit.exit_code == 3
    assert report.exit.last_stderr_line == "bad \\x1b[31m news"
    assert set(attempt.stored()) == {"failure.json", "logs/stderr.log"}


@pytest.mark.parametrize(("told", "line"), [(True, "killed by signal: Bus error."), (False, None)])
def test_a_bus_error_is_known_also_where_the_line_is_withheld(
    attempt: Attempt, told: bool, line: str | None
) -> None:
    attempt.plan.error_in_status = told
    families = {f"AF_{number}": number for number in range(1, 40)}
    _, report = attempt.collect(1, lastStderrLine="killed by signal: Bus error.", deniedSockets=families)
    assert report.exit is not None
    assert (report.exit.bus_error, report.exit.last_stderr_line) == (True, line)
    assert report.exit.denied_sockets == {f"AF_{number}": number for number in range(39, 31, -1)}


def test_terminated_before_the_runner_came(attempt: Attempt) -> None:
    attempt.start_collect()
    attempt.wait_started()
    began = time.monotonic()
    code, report = attempt.end_collect()
    assert (code, report.ok, report.exit, report.message) == (
        66,
        False,
        None,
        "the algorithm was not started",
    )
    assert time.monotonic() - began < 2


def test_the_runner_died_without_a_word(attempt: Attempt) -> None:
    attempt.start_collect()
    attempt.connect().close()
    time.sleep(0.2)
    assert attempt.collector is not None
    assert attempt.collector.poll() is None, "it must sleep until SIGTERM"
    code, report = attempt.end_collect()
    assert code == 66
    assert report.message == "the runner ended without saying how the algorithm ended"


def test_only_one_connection_is_taken(attempt: Attempt) -> None:
    attempt.plan.outputs.append(planned("good", "Float"))
    attempt.start_collect()
    attempt.connect()
    time.sleep(0.3)
    assert not attempt.listens()
    attempt.say_exit(1)
    assert attempt.end_collect()[1].exit is not None


def test_a_restarted_collector_does_not_listen_again(attempt: Attempt) -> None:
    attempt.log("stdout.log", "abc")
    attempt.start_collect()
    attempt.connect()
    attempt.kill()
    attempt.start_collect()
    attempt.wait_said("restarted")
    assert not attempt.listens()
    code, report = attempt.end_collect()
    assert (code, report.reason) == (75, "CollectFailed")
    assert set(attempt.stored()) == {"logs/stdout.log"}


def test_a_store_that_cannot_be_written_stops_the_job_before_it_starts(attempt: Attempt) -> None:
    attempt.at("/store").rmdir()
    attempt.start_collect()
    attempt.wait_said("cannot be written")
    assert not attempt.listens()
    code, report = attempt.end_collect()
    assert (code, report.reason) == (75, "CollectFailed")
    assert report.message is not None
    assert "DataStore results cannot be written" in report.message


def test_without_a_store_values_travel_in_the_manifest(attempt: Attempt) -> None:
    attempt.plan.output_store = None
    attempt.plan.outputs.append(planned("answer", "Integer"))
    attempt.output("answer.json", "42")
    code, report = attempt.collect()
    assert (code, report.ok) == (0, True), attempt.stderr
    assert attempt.manifest().outputs[0].value == 42
    assert attempt.stored() == {}


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (['"' + "a" * 5000 + '"', '"' + "b" * 5000 + '"'], "for more than 8192 bytes in all"),
        (["1", '{"' + "k" * 1200 + '": 1}'], "for keys of more than 1000 characters"),
    ],
)
def test_without_a_store_nothing_is_kept_that_status_would_leave_out(
    attempt: Attempt, texts: list[str], why: str
) -> None:
    attempt.plan.output_store = None
    for name, text in zip("ab", texts, strict=True):
        attempt.plan.outputs.append(planned(name, "Anything"))
        attempt.output(f"{name}.json", text)
    code, report = attempt.collect()
    assert code == 65
    assert why in (report.message or "")
    assert (report.message or "").startswith("b: ")


def test_null_is_a_value_and_nan_becomes_null(attempt: Attempt) -> None:
    attempt.plan.outputs += [planned("nothing", "Anything"), planned("score", "Anything")]
    attempt.output("nothing.json", "null")
    attempt.output("score.json", '{"auc": NaN}')
    code, _ = attempt.collect()
    assert code == 0, attempt.stderr
    nothing, score = attempt.manifest().outputs
    assert nothing.has_value
    assert nothing.value is None
    assert score.value == {"auc": None}
    assert json.loads(attempt.stored()["score.json"]) == {"auc": None}


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda at: at.mkdir(), 'Input "t1-mri": "case/t1.mha" does not exist in DataStore cases'),
        (lambda at: at.write_bytes(mha()[:-1]), "its header promises 24 bytes of voxels, but 23 follow it"),
        (lambda at: at.write_bytes(mha(ElementDataFile="/etc/passwd")), "only LOCAL is allowed"),
        (lambda at: at.write_bytes(b"\x89PNG"), "does not begin with a MetaImage header"),
        (lambda at: at.symlink_to("/etc/passwd"), "a symbolic link; inputs must be regular files"),
        (lambda at: os.mkfifo(at), "a named pipe; inputs must be regular files"),
        (
            lambda at: (at.mkdir(), (at / "x").touch()),
            'is a folder; name a file in it, or end the path with "/"',
        ),
    ],
)
def test_bad_inputs_are_the_owners(attempt: Attempt, prepare: object, expected: str) -> None:
    add_image(attempt, b"")
    mount = attempt.at("/stores/0/0")
    mount.unlink()
    prepare(mount)  # type: ignore[operator]
    code, report = attempt.stage()
    assert (code, report.slug) == (65, "t1-mri"), report
    assert report.message is not None
    assert expected in report.message
    assert report.reason == ("InputNotFound" if "does not exist" in expected else "InputInvalid")
    assert not attempt.at("/.algorithm-operator/bin/run.json").exists()


def test_a_value_of_the_wrong_kind(attempt: Attempt) -> None:
    attempt.plan.inputs.append(with_value(planned("smoothing", "Float"), "much"))
    code, report = attempt.stage()
    assert code == 65
    assert report.message is not None
    assert "smoothing" in report.message
    assert "a number" in report.message


def test_an_open_network_stops_the_job(attempt: Attempt) -> None:
    port, stop = serve_open_port()
    attempt.plan.isolation.targets.append(Target(name="api", host="127.0.0.1", port=port))
    attempt.plan.isolation.timeout_seconds = 1
    code, report = attempt.stage()
    stop.set()
    assert (code, report.reason) == (78, "NetworkNotIsolated")
    assert report.message is not None
    assert f"api (127.0.0.1:{port})" in report.message
    assert "canary" not in report.message
    assert not attempt.at("/.algorithm-operator/bin/run.json").exists()


def test_long_reports_are_cut_to_fit(attempt: Attempt) -> None:
    attempt.plan.outputs += [planned(f"output-number-{number}", "Anything") for number in range(32)]
    code, report = attempt.collect(0, lastStderrLine="x" * 3000)
    assert code == 65
    assert report.findings == 32
    assert len(attempt.termination().encode()) <= MAX_TERMINATION_BYTES
    assert len(attempt.failure()["findings"]) == 32


def test_a_second_signal_does_not_disturb(attempt: Attempt, tmp_path: Path) -> None:
    attempt.plan.outputs.append(planned("big", "Image"))
    attempt.output("images/big/x.mha", mha(bytes(64 << 20), DimSize="256 256 1024"))
    attempt.start_collect()
    attempt.connect()
    attempt.say_exit()
    assert attempt.collector is not None
    attempt.collector.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    code, _ = attempt.end_collect()
    assert code == 0, attempt.stderr


@pytest.mark.parametrize("step", ["stage", "collect", "salvage", "store"])
def test_a_signal_during_the_imports_is_not_lost(attempt: Attempt, step: str) -> None:
    """As PID 1 of a PID namespace: the kernel drops signals that it has no handler for."""
    if os.getuid() != 0:
        pytest.skip("making a PID namespace takes root")
    attempt.write_plan()
    # Imports that last longer than the test waits, on the way of every step.
    slow = attempt.at("/slow")
    slow.mkdir()
    (slow / "pydantic.py").write_text(
        f"import pathlib, time; pathlib.Path({str(attempt.at('/importing'))!r}).touch(); time.sleep(1)\n"
        "import sys; sys.path.remove({!r}); del sys.modules['pydantic']; import pydantic\n".format(str(slow))
    )
    environment = attempt.environment()
    environment["PYTHONPATH"] = f"{slow}:{environment['PYTHONPATH']}"
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        sys.executable,
        "-m",
        "algorithm_operator.steps",
        step,
    ]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not attempt.at("/importing").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        inner = int(children_of(process.pid)[0])
        os.kill(inner, signal.SIGTERM)
        assert process.wait(timeout=10) is not None
    finally:
        process.kill()
        process.wait()


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
