"""A command at Grand Challenge: under the published sagemaker-shim, which needs an object store for its results."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from algorithm_operator.core.verdict import NO_ERRORS
from tests.shim.box import GRACE_SECONDS, Box, Outcome, Run, box, comparable


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
            out, err = _shim_lines(ended)
            result = objects.json("inference_result.json")
            if result is None:  # about its own crash the job's owner learns nothing more
                return comparable(
                    here, Outcome(None, "An unexpected error occurred", out, err, _crash(ended))
                )
            return comparable(here, Outcome(result["return_code"], _shown_there(result), out, err))
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


def _crash(ended: subprocess.CompletedProcess[bytes]) -> str:
    """The exception at the end of its traceback."""
    return ended.stderr.decode().rstrip().rpartition("\n")[2].partition(":")[0]


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
