"""One command under both: Grand Challenge's own shim, and our runner.

Each is PID 1 of a PID namespace of its own, on this machine's files with another passwd and group, and sees the same
environment. What is compared is an Outcome: how it ended, what its owner reads, and the lines of its streams.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import shlex
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Any, Final

from algorithm_operator.contract.plan import Command, Isolation, Limits, Plan, PlannedAlgorithm, PlannedJob
from algorithm_operator.contract.reports import COLLECT_NO_RESULT, CollectReport, ExitRecord
from algorithm_operator.core.facts import facts_of
from algorithm_operator.core.verdict import NO_ERRORS, judge
from algorithm_operator.steps import record
from algorithm_operator.steps.settings import StepSettings
from algorithm_operator.steps.stage import run_config
from tests.unit.core import builders

UID: Final = 4711
GID: Final = 4712
USER: Final = "algorithm"
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
GRACE_SECONDS: Final = 1
PATIENCE_SECONDS: Final = 30
_LONG: Final = 256


@dataclass(frozen=True, slots=True)
class Run:
    """An image's command, what it finds, and its time limit. `{home}` in words and environment is its own folder."""

    entrypoint: Sequence[str] | None = None
    cmd: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = USER
    seconds: int = 20
    files: Mapping[str, str] = field(default_factory=dict)
    """Scripts in its folder, 0755; a name that ends in `-` is 0644."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: exit code (negative: the signal; None: there is none), the owner's sentence, the lines."""

    code: int | None
    message: str = ""
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()


class Box:
    """A folder that user `algorithm` may read, with passwd and group files that know that user."""

    def __init__(self, root: Path, run: Run) -> None:
        self.root, self.run = root, run
        root.chmod(0o755)
        self.home = root / "home"
        self.logs = root / "logs"
        for folder in (self.home, self.logs, root / "bin", root / "output"):
            folder.mkdir()
        for name, text in run.files.items():
            file = self.home / name.removesuffix("-")
            file.write_text(self.filled(text))
            file.chmod(0o644 if name.endswith("-") else 0o755)
        for folder in (self.home, self.logs, root / "output"):
            os.chown(folder, UID, GID)
        homeless = "homeless:x:4713:4713::/nowhere:/bin/sh\n"
        (root / "passwd").write_text(
            f"root:x:0:0::/root:/bin/sh\n{USER}:x:{UID}:{GID}::{self.home}:\n{homeless}"
        )
        (root / "group").write_text(f"root:x:0:\n{USER}:x:{GID}:\n")

    def filled(self, text: str) -> str:
        """`text` with the folder's path where it says {home}."""
        return text.replace("{home}", str(self.home))

    def words(self, words: Sequence[str] | None) -> list[str] | None:
        """ENTRYPOINT or CMD."""
        return None if words is None else [self.filled(word) for word in words]

    @property
    def environment(self) -> dict[str, str]:
        """What the image's ENV gives."""
        return {"PATH": PATH, **{name: self.filled(value) for name, value in self.run.env.items()}}

    def start(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        """`command` as PID 1 among these accounts; it and all it starts die with the call."""
        accounts = f"mount --bind {self.root}/passwd /etc/passwd; mount --bind {self.root}/group /etc/group"
        script = f"set -e; {accounts}; cd {self.home}; exec {shlex.join(command)}"
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        return subprocess.run(
            [*namespaces, "/bin/sh", "-c", script],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@contextmanager
def box(run: Run) -> Iterator[Box]:
    """A fresh box; pytest's own folders are root's alone."""
    with tempfile.TemporaryDirectory(prefix="shim-") as folder:
        yield Box(Path(folder), run)


def _comparable(here: Box, outcome: Outcome) -> Outcome:
    """The outcome without what differs from box to box, and without the length of what is long."""

    def text(line: str) -> str:
        line = line.replace(str(here.home), "{home}")
        return line if len(line) <= _LONG else f"{line[:8]}… {len(line)} characters"

    lines = [tuple(text(line) for line in stream) for stream in (outcome.stdout, outcome.stderr)]
    return Outcome(outcome.code, text(outcome.message), *lines)


# --- Grand Challenge ---------------------------------------------------------------------------------------------


class Objects:
    """As much of an object store as the shim's uploads need: what is PUT, by path."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        stored = self.stored

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                stored[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("ETag", '"0"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def json(self, name: str) -> dict[str, Any] | None:
        """A JSON object whose path ends in that name."""
        found = [content for path, content in self.stored.items() if path.endswith(name)]
        return json.loads(found[0]) if found else None

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def grand_challenge(shim: Path, run: Run) -> Outcome:
    """The run under the published sagemaker-shim; `shim` is its command."""
    objects = Objects()
    try:
        with box(run) as here:
            task = {
                "pk": "1",
                "inputs": [],
                "output_bucket_name": "bucket",
                "output_prefix": "outputs",
                "timeout": f"PT{run.seconds}S",
            }
            # Over there it is a binary of its own; that it is a Python here does not reach the run.
            ended = here.start(
                [str(shim), "invoke", "--tasks", json.dumps([task])], _platform(here, objects.url)
            )
            lines = _shim_lines(ended)
            result = objects.json("inference_result.json")
            if result is None:  # it has crashed, which only Grand Challenge's staff learn more about
                return _comparable(here, Outcome(None, "An unexpected error occurred", *lines))
            return _comparable(here, Outcome(result["return_code"], _shown_there(result), *lines))
    finally:
        objects.close()


def _platform(here: Box, url: str) -> dict[str, str]:
    """The image's environment, and what Grand Challenge adds to it."""

    def encoded(words: list[str] | None) -> str:
        return base64.b64encode(json.dumps(words).encode()).decode()

    settings = {
        "ENTRYPOINT_B64J": encoded(here.words(here.run.entrypoint)),
        "CMD_B64J": encoded(here.words(here.run.cmd)),
        "USER": here.run.user,
        "SIGNING_KEY_HEX": "00",
        "RUNTIME_OUTPUT_BUCKET_NAME": "bucket",
        "RUNTIME_OUTPUT_PREFIX": "outputs",
        "SIGTERM_GRACE_SECONDS": str(GRACE_SECONDS),
        "INPUT_PATH": f"{here.root}/input",
        "OUTPUT_PATH": f"{here.root}/output",
        "LINKED_INPUT_PARENT": f"{here.root}/linked",
        "WRITABLE_DIRECTORIES": "",
        "POST_CLEAN_DIRECTORIES": "",
    }
    return {
        **here.environment,
        **{f"GRAND_CHALLENGE_COMPONENT_{name}": value for name, value in settings.items()},
        "AWS_S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }


def _shim_lines(ended: subprocess.CompletedProcess[bytes]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What its log records show of the user's process, by stream."""
    found: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for line in (ended.stdout + ended.stderr).splitlines():
        if line.startswith(b'{"log"'):
            entry = json.loads(line)
            if not entry["internal"]:
                found[entry["source"]].append(entry["log"])
    return tuple(found["stdout"]), tuple(found["stderr"])


def _shown_there(result: Mapping[str, Any]) -> str:
    """The job's error message: Grand Challenge makes it of the result by these rules."""
    if result["return_code"] == 0:
        return ""
    if result["return_code"] == 137:
        return "The container was killed as it exceeded its memory limit"
    if result["user_safe_error_message"]:
        return str(result["user_safe_error_message"])
    lines = [line.strip() for line in result.get("user_process_last_stderr_lines", ())]
    return next((line for line in reversed(lines) if line), NO_ERRORS)


# --- here --------------------------------------------------------------------------------------------------------


def ours(runner: Path, run: Run) -> Outcome:
    """The run under our runner, with the settings that `stage` writes and the sentence that the operator says."""
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
        lines = [_file_lines(here.logs / f"{stream}.log") for stream in ("stdout", "stderr")]
        return _comparable(here, Outcome(_code(said), _shown_here(said, run), *lines))


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


def _file_lines(path: Path) -> tuple[str, ...]:
    """The lines of a log file; bytes that are no UTF-8 as \\xNN."""
    text = path.read_bytes().decode("utf-8", "backslashreplace") if path.exists() else ""
    lines = text.split("\n")
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def is_root() -> bool:
    """Whether this process may become others, and make namespaces."""
    return os.geteuid() == pwd.getpwnam("root").pw_uid
