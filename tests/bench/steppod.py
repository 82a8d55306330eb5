"""The steps as real processes on folders of this machine: what a run Pod mounts, below one temporary folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from algorithm_operator.contract.exits import CollectReport, ExitRecord, StageReport
from algorithm_operator.contract.plan import (
    Command,
    Isolation,
    Limits,
    Plan,
    PlannedAlgorithm,
    PlannedFile,
    PlannedInput,
    PlannedJob,
    PlannedOutputStore,
    PlannedSocket,
    Target,
)
from algorithm_operator.core import names

# wait4 tells the peak of the waited-for process and of its own children; a child begins with the size of the process
# that made it, so that must be a small one and not pytest.
WATCHER = """
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
print(pid, flush=True)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime]))
"""
HEADER = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    "DimSize = 1024 1024 {slices}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
SLICE_BYTES = 1024 * 1024 * 2


@dataclass(frozen=True, slots=True)
class Usage:
    """Wall time and processor time in seconds, peak resident memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def write_mha(path: Path, voxel_bytes: int) -> None:
    """An uncompressed 16-bit image of random voxels, about that large."""
    slices = voxel_bytes // SLICE_BYTES
    noise = os.urandom(SLICE_BYTES)
    with path.open("wb") as file:
        file.write(HEADER.format(slices=slices).encode())
        for number in range(slices):
            file.write(number.to_bytes(4, "big") + noise[4:])
        os.fsync(file.fileno())


class StepPod:
    """One attempt with one image in and one image out, no cluster: `stage()`, then put an output, then `collect()`."""

    def __init__(self, root: Path, source: Path) -> None:
        self.root = root
        folders = ("plan", "input", "output", "scratch", "store", "dev", "stores/0", "usr/local/bin")
        for folder in (*folders, *(m.lstrip("/") for m in (names.RUNNER_MOUNT, names.LOGS_MOUNT))):
            (root / folder).mkdir(parents=True)
        (root / "usr/local/bin/runner").write_bytes(b"no runner is started here")
        (root / "stores/0/0").hardlink_to(source)
        for name in ("stdout.log", "stderr.log"):
            (root / names.LOGS_MOUNT.lstrip("/") / name).touch()
        (root / "plan/plan.json").write_text(self._plan().model_dump_json(by_alias=True))
        self._environment = {
            "AO_ROOT": str(root),
            "AO_COLLECT_SOCKET": f"@bench-{root.name}-{os.getpid()}",
            "PATH": os.environ["PATH"],
        }

    def stage(self) -> Usage:
        """Run `stage` to its end."""
        usage = self._run("stage")
        report = StageReport.model_validate_json((self.root / "dev/termination-log").read_bytes())
        assert report.ok, report.message
        # The proof of isolation takes its time whatever the input is, and is not staging.
        return Usage(usage.seconds - (report.gate_seconds or 0.0), usage.cpu_seconds, usage.peak_bytes)

    def put_output(self) -> None:
        """What an algorithm that does nothing would write: the staged image."""
        folder = self.root / "output/images/out"
        folder.mkdir(parents=True)
        [staged] = (self.root / "input/images/in").glob("*.mha")
        staged.rename(folder / "image.mha")

    def collect(self) -> Usage:
        """Run `collect` from SIGTERM (the algorithm is dead) to its end; its start does not count."""
        usage = self._run("collect")
        report = CollectReport.model_validate_json((self.root / "dev/termination-log").read_bytes())
        assert report.ok, report.message
        assert (self.root / "store/out.mha").exists()
        return usage

    def _run(self, step: str) -> Usage:
        command = [sys.executable, "-m", "algorithm_operator.steps", step]
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WATCHER, *command],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
        ) as watcher:
            assert watcher.stdout is not None
            pid = int(watcher.stdout.readline())
            if step == "collect":
                self._say_exit()
                began = time.monotonic()
                os.kill(pid, signal.SIGTERM)
            output, errors = watcher.communicate(timeout=240)
        seconds = time.monotonic() - began
        code, peak, cpu = json.loads(output.splitlines()[-1])
        assert code == 0, f"{step} ended with {code}: {errors}"
        return Usage(seconds, cpu, peak)

    def _say_exit(self) -> None:
        """The runner's part: one connection, the record of an algorithm that ended well."""
        name = "\0" + self._environment["AO_COLLECT_SOCKET"].removeprefix("@")
        deadline = time.monotonic() + 30
        with socket.socket(socket.AF_UNIX) as runner:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    runner.connect(name)
                    break
                assert time.monotonic() < deadline, "collect does not listen"
                time.sleep(0.02)
            record = ExitRecord(exit_code=0, ran_seconds=0.1).model_dump_json(by_alias=True)
            runner.sendall(b'{"event":"start","seccomp":true}\n' + record.encode() + b"\n")

    def _plan(self) -> Plan:
        def image(slug: str, pk: int) -> PlannedSocket:
            return PlannedSocket(slug=slug, title=slug, kind="Image", relative_path=f"images/{slug}", pk=pk)

        file = PlannedFile(mount=f"{names.STORES_MOUNT}/0/0", path="case/in.mha", store="bench")
        return Plan(
            job=PlannedJob(
                namespace="bench", name="bench", uid="00000000-0000-4000-8000-000000000000", attempt=1
            ),
            algorithm=PlannedAlgorithm(
                name="bench",
                generation=1,
                image="bench@sha256:0",
                image_digest="sha256:0",
                interface="default",
            ),
            command=Command(cmd=["true"]),
            inputs=[PlannedInput(socket=image("in", 1), files=[file])],
            outputs=[image("out", 2)],
            output_store=PlannedOutputStore(name="bench", folder="bench"),
            limits=Limits(
                cpu="1",
                memory="1G",
                gpu_type="T4",
                gpu_count=1,
                threads=512,
                time_limit_seconds=7200,
                collect_seconds=600,
            ),
            # Nothing listens there: closed at once, as behind a policy that refuses.
            isolation=Isolation(targets=[Target(name="nothing", host="127.0.0.1", port=9)], probe_node=False),
        )
