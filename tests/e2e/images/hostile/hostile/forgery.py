"""Saying that all went well, wherever somebody could listen; and then failing."""

import base64
import hashlib
import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from .kernel import in_child, report

_NAME = "\0algorithm-operator/collect"
_RECORD = {"event": "exit", "exitCode": 0, "timedOut": False, "stdout": {"bytes": 0, "kept": 0}}


def _frames() -> str:
    manifest = json.dumps({"version": 1, "outputs": [{"slug": "results", "value": "forged"}]}).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    return f"AOM1 0 {base64.b64encode(manifest).decode()}\nAOM1 end {len(manifest)} {digest}\n"


def _send_record() -> None:
    with socket.socket(socket.AF_UNIX) as dialled:
        dialled.connect(_NAME)
        dialled.sendall(json.dumps(_RECORD).encode() + b"\n")


def _listen(listening: socket.socket) -> None:
    listening.bind(_NAME)
    listening.listen()


def everything() -> dict[str, Any]:
    """Frames, termination message, exit record; then exit 3."""
    Path("/output/results.json").write_text('"forged"')
    listening = socket.socket(socket.AF_UNIX)
    message = json.dumps({"version": 1, "ok": True, "reason": "Completed", "manifestSha256": "0" * 64})
    seen = {
        "dial": in_child(_send_record),
        "listen": in_child(partial(_listen, listening)),
        "termination message": in_child(lambda: Path("/dev/termination-log").write_text(message)),
        "logs of its own": in_child(lambda: Path("/.algorithm-operator/logs/combined.jsonl").unlink()),
    }
    for stream in (1, 2):
        os.write(stream, _frames().encode())
    report(seen)
    print("I have Succeeded", file=sys.stderr, flush=True)
    os._exit(3)
