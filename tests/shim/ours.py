"""A command here: under our runner, with the settings that `stage` writes and the sentence that the operator says."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Any

from algorithm_operator.contract.exits import COLLECT_NO_RESULT, CollectReport, ExitRecord
from algorithm_operator.contract.plan import Command, Isolation, Limits, Plan, PlannedAlgorithm, PlannedJob
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.verdict import judge
from algorithm_operator.steps import record
from algorithm_operator.steps.settings import StepSettings
from algorithm_operator.steps.stage import run_config
from tests.shim.box import GRACE_SECONDS, PATH, PATIENCE_SECONDS, Box, Outcome, Run, box, comparable
from tests.unit.core import builders


def ours(runner: Path, run: Run) -> Outcome:
    """The run under that runner, as whom the runner itself says."""
    with box(run) as here:
        account = _account(runner, here)
        if "error" in account:
            return Outcome(None, account["error"])
        name = f"@shim-{uuid.uuid4()}"
        program = here.root / "bin" / "runner"
        program.write_bytes(runner.read_bytes())
        program.chmod(0o755)
        settings = _run_json(here, name, account["home"])
        (here.root / "bin" / "run.json").write_text(json.dumps(settings))
        ids = (f"--reuid={account['uid']}", f"--regid={account['gid']}", "--clear-groups")
        os.chown(here.logs, account["uid"], account["gid"])
        with record.listen(name) as listener:
            listener.setblocking(True)
            listener.settimeout(PATIENCE_SECONDS)
            words: list[record.Words] = []
            hearing = threading.Thread(target=lambda: words.append(_hear(listener)))
            hearing.start()
            ended = here.start(["setpriv", *ids, str(program)], here.environment)
            hearing.join()
        said = words[0].exit if words else None
        assert said is not None, ended.stderr.decode()
        assert said.exit_code == ended.returncode
        out, err = (_lines(here.logs, stream) for stream in ("stdout", "stderr"))
        raw = (here.logs / "stdout.log").read_bytes()
        return comparable(here, Outcome(_code(said), _shown_here(said, run), out, err, raw=raw))


def _account(runner: Path, here: Box) -> dict[str, Any]:
    """Whom the kubelet would start it as: the runner's own answer, in the image, to its USER."""
    log = here.root / "termination-log"
    log.touch()
    here.start(["env", f"TERMINATION_LOG_PATH={log}", str(runner), "user", here.run.user], {"PATH": PATH})
    answer: dict[str, Any] = json.loads(log.read_text())
    return answer


def _run_json(here: Box, name: str, home: str | None) -> dict[str, Any]:
    """run.json as `stage` writes it, but for this box's folders, clock and patience."""
    limits = Limits(
        cpu="2",
        memory="24G",
        gpu_type="T4",
        gpu_count=1,
        threads=512,
        time_limit_seconds=max(here.run.seconds, 4),
        collect_seconds=60,
    )
    plan = Plan(
        job=PlannedJob(namespace="imaging", name="case", uid="uid", attempt=1),
        algorithm=PlannedAlgorithm(
            name="a", generation=1, image="a@sha256:0", image_digest="sha256:0", interface="default"
        ),
        command=Command(entrypoint=here.words(here.run.entrypoint), cmd=here.words(here.run.cmd), home=home),
        inputs=[],
        outputs=[],
        limits=limits,
        isolation=Isolation(targets=[], probe_node=False, timeout_seconds=1),
    )
    written = run_config(plan, StepSettings(), datetime.now(UTC), clock_gettime(CLOCK_BOOTTIME))
    return written | {
        "limitSeconds": here.run.seconds,
        "reserveSeconds": 0,
        "termGraceSeconds": GRACE_SECONDS,
        "logs": written["logs"] | {"dir": str(here.logs)},
        "disk": written["disk"] | {"paths": [str(here.root / "output")], "root": False},
        "socket": name,
    }


def _hear(listener: socket.socket) -> record.Words:
    connection, _ = listener.accept()
    data = bytearray()
    with connection:
        while piece := connection.recv(65536):
            data += piece
    return record.parse(bytes(data))


def _code(said: ExitRecord) -> int:
    """The exit code, negative where it was a signal."""
    return 128 - said.exit_code if said.signal and not said.timed_out else said.exit_code


def _shown_here(said: ExitRecord, run: Run) -> str:
    """The sentence of the job's status, from a Pod that ended so."""
    good = said.exit_code == 0
    report = CollectReport(ok=good, manifest_sha256="0" * 64 if good else None, exit=said)
    pod = builders.pod(
        stage=builders.terminated(0),
        collect=builders.terminated(0 if good else COLLECT_NO_RESULT, message=json.dumps(report.wire())),
        main=builders.terminated(said.exit_code),
        phase="Succeeded" if good else "Failed",
    )
    snapshot = builders.run().model_copy(update={"time_limit_seconds": run.seconds})
    return judge(facts_of(pod), snapshot).message


def _lines(logs: Path, stream: str) -> tuple[str, ...]:
    """The lines of one stream in combined.jsonl, which is what the shim's log records are there; its own file has the
    bytes."""
    records = [json.loads(line) for line in (logs / "combined.jsonl").read_text().splitlines()]
    return tuple(each["m"] for each in records if each["s"] == stream)
