"""One attempt on temporary folders: the mounts, the plan, stage and collect as processes, and a runner played by us."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from algorithm_operator.contract import frames
from algorithm_operator.contract.exits import CollectReport, StageReport
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.manifest import MAX_MANIFEST_BYTES, Manifest
from algorithm_operator.contract.plan import (
    Command,
    Isolation,
    Limits,
    Plan,
    PlannedAlgorithm,
    PlannedInput,
    PlannedJob,
    PlannedOutputStore,
    PlannedSocket,
    Target,
)
from algorithm_operator.contract.sockets import is_image
from algorithm_operator.core import names
from algorithm_operator.steps.roots import ROOT_VARIABLE, SOCKET_VARIABLE, Roots

OPERATOR = Path(__file__).parents[3] / "operator"
MOUNTS = (
    names.PLAN_MOUNT, names.RUNNER_MOUNT, names.LOGS_MOUNT, names.INPUT_MOUNT, names.OUTPUT_MOUNT,
    names.STORES_MOUNT, names.STORE_MOUNT, names.SCRATCH_MOUNT, names.MODEL_MOUNT, names.LOG_STORE_MOUNT,
    "/usr/local/bin", "/dev",
)  # fmt: skip


def planned(slug: str, kind: str, path: str | None = None, **more: Any) -> PlannedSocket:
    """A socket with the default path."""
    relative = path or (f"images/{slug}" if is_image(kind) else slug + KINDS[kind].suffixes[0])
    return PlannedSocket(slug=slug, title=slug, kind=kind, relative_path=relative, pk=1, **more)


def closed_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Attempt:
    """Folders, processes and results of one attempt. Change `plan` before `start`-ing anything."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = f"@test-{uuid.uuid4()}"
        self.roots = Roots(str(root), self.socket)
        for mount in MOUNTS:
            self.at(mount).mkdir(parents=True, exist_ok=True)
        self.at("/usr/local/bin/runner").write_bytes(b"the runner")
        self.plan = Plan(
            job=PlannedJob(namespace="imaging", name="case-001", uid=str(uuid.uuid4()), attempt=1),
            algorithm=PlannedAlgorithm(
                name="a",
                generation=1,
                image="registry/a@sha256:0",
                image_digest="sha256:0",
                interface="default",
            ),
            command=Command(cmd=["/bin/true"]),
            inputs=[],
            outputs=[],
            output_store=PlannedOutputStore(name="results", folder="case-001/uid/1"),
            limits=Limits(
                cpu="2",
                memory="24G",
                gpu_type="T4",
                gpu_count=1,
                threads=512,
                time_limit_seconds=7200,
                collect_seconds=60,
            ),
            isolation=Isolation(
                targets=[Target(name="canary", host="127.0.0.1", port=closed_port())],
                probe_node=False,
                timeout_seconds=3,
            ),
        )
        self.collector: subprocess.Popen[bytes] | None = None
        self.runner: socket.socket | None = None
        self.stdout = ""
        self.stderr = ""

    def at(self, path: str) -> Path:
        """A path of the Pod on this machine."""
        return self.root / path.lstrip("/")

    def output(self, path: str, data: bytes | str) -> Path:
        """What the algorithm writes."""
        where = self.at(names.OUTPUT_MOUNT) / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data if isinstance(data, bytes) else data.encode())
        return where

    def log(self, name: str, text: str) -> None:
        """What the runner keeps of a stream."""
        (self.at(names.LOGS_MOUNT) / name).write_text(text)

    def write_plan(self) -> None:
        """Put the plan where the downwardAPI volume has it."""
        self.at(names.PLAN_FILE).write_text(json.dumps(self.plan.wire()))

    def environment(self) -> dict[str, str]:
        """The step's environment."""
        return {
            **os.environ,
            ROOT_VARIABLE: str(self.root),
            SOCKET_VARIABLE: self.socket,
            "PYTHONPATH": str(OPERATOR),
            "POD_NAME": "case-001-1-run",
            "POD_UID": "p-1",
            "NODE_NAME": "gpu-7",
        }

    def run(self, step: str) -> subprocess.CompletedProcess[str]:
        """Run a step to its end."""
        self.write_plan()
        return subprocess.run(
            [sys.executable, "-m", "algorithm_operator.steps", step],
            env=self.environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def stage(self) -> tuple[int, StageReport]:
        """Run stage; its exit code and report."""
        done = self.run("stage")
        self.stderr = done.stderr
        return done.returncode, StageReport.model_validate_json(self.termination())

    def termination(self) -> str:
        """The termination message."""
        return self.at("/dev/termination-log").read_text()

    def start_collect(self, *prefix: str) -> None:
        """Start collect; `prefix` is a command that it is started by."""
        self.write_plan()
        if not (record := self.at(names.RUNNER_MOUNT) / names.STAGE_RECORD).exists():
            record.write_text(
                '{"startedAt":"2026-01-01T00:00:00Z","startedAtBoottime":1,"stagedSeconds":1,"inputs":[]}'
            )
        with self.at("/stdout").open("wb") as out, self.at("/stderr").open("wb") as errors:
            self.collector = subprocess.Popen(
                [*prefix, sys.executable, "-m", "algorithm_operator.steps", "collect"],
                env=self.environment(), stdout=out, stderr=errors,
            )  # fmt: skip

    def connect(self) -> socket.socket:
        """Play the runner: connect as soon as somebody listens."""
        deadline = time.monotonic() + 20
        while True:
            runner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                runner.connect("\0" + self.socket[1:])
            except ConnectionRefusedError:
                runner.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                self.runner = runner
                return runner

    def listens(self) -> bool:
        """Whether another connection would be taken."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            return other.connect_ex("\0" + self.socket[1:]) == 0

    def wait_started(self) -> None:
        """Wait until collect is about to listen; its signal handler is there by then."""
        marker = self.at(names.SCRATCH_MOUNT) / "collect.started"
        deadline = time.monotonic() + 20
        while not marker.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def say_exit(self, code: int = 0, **more: Any) -> None:
        """Send the runner's record and close."""
        assert self.runner is not None
        record = {"event": "exit", "exitCode": code, "signal": None, "timedOut": False, "startError": None,
                  "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:09Z", "ranSeconds": 9.0,
                  "stdout": {"bytes": 3, "kept": 3}, "stderr": {"bytes": 0, "kept": 0}, "lastStderrLine": "",
                  "maxRssBytes": 1, "oomKills": 0, "deniedSockets": {}, **more}  # fmt: skip
        self.runner.sendall(b'{"event":"start","version":1,"pid":1,"seccomp":true}\n')
        self.runner.sendall(json.dumps(record).encode() + b"\n")
        self.runner.close()

    def end_collect(self) -> tuple[int, CollectReport]:
        """SIGTERM, as the kubelet sends it; exit code and report."""
        assert self.collector is not None
        self.collector.send_signal(signal.SIGTERM)
        self.reap()
        return self.collector.returncode, CollectReport.model_validate_json(self.termination())

    def reap(self) -> None:
        """Wait for the end of collect."""
        assert self.collector is not None
        self.collector.wait(timeout=60)
        self.stdout, self.stderr = self.at("/stdout").read_text(), self.at("/stderr").read_text()

    @property
    def peak_bytes(self) -> int:
        """Peak memory of collect or of its largest child, if it was started by `measured`."""
        return int(self.at("/peak").read_text())

    def measured(self, address_space: int) -> list[str]:
        """The prefix of a command whose address space is limited and whose peak memory is kept."""
        launcher = str(Path(__file__).parent / "launcher.py")
        return [sys.executable, "-I", launcher, str(self.at("/peak")), "prlimit", f"--as={address_space}"]

    def wait_said(self, words: str) -> None:
        """Wait until collect has said this on stderr."""
        deadline = time.monotonic() + 20
        while words not in self.at("/stderr").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def collect(self, code: int = 0, **more: Any) -> tuple[int, CollectReport]:
        """A whole collect after an algorithm that ended with `code`."""
        self.start_collect()
        self.connect()
        self.say_exit(code, **more)
        return self.end_collect()

    def manifest(self) -> Manifest:
        """The manifest as it was printed."""
        return Manifest.model_validate(json.loads(frames.decode(self.stdout.encode(), MAX_MANIFEST_BYTES)))

    def stored(self) -> dict[str, bytes]:
        """All files of the attempt's folder."""
        root = self.at(names.STORE_MOUNT)
        return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}

    def failure(self) -> dict[str, Any]:
        """failure.json."""
        found: dict[str, Any] = json.loads(self.stored()["failure.json"])
        return found

    def kill(self) -> None:
        """End collect at once."""
        assert self.collector is not None
        self.collector.kill()
        self.reap()

    def end(self) -> None:
        """Leave no process behind."""
        if self.runner is not None:
            self.runner.close()
        if self.collector is not None and self.collector.poll() is None:
            self.kill()


def serve_open_port() -> tuple[int, threading.Event]:
    """A loopback port that accepts until the event is set."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def accept() -> None:
        listener.settimeout(0.05)
        while not stop.is_set():
            try:
                listener.accept()[0].close()
            except TimeoutError:
                continue
        listener.close()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1]), stop


def with_value(socket_: PlannedSocket, value: Any) -> PlannedInput:
    """An inline input."""
    return PlannedInput(socket=socket_, value_json=json.dumps(value))
