"""The manifest on its way out: kept in the store, printed as frames; and printed again when the log was lost."""

from __future__ import annotations

import hashlib
import os
import stat
import sys

from algorithm_operator.contract import frames
from algorithm_operator.contract.exits import COLLECT_FAILED, COLLECT_NO_RESULT, COLLECT_OK
from algorithm_operator.contract.manifest import MANIFEST, MAX_MANIFEST_BYTES, ManifestFile
from algorithm_operator.steps.commit import AttemptFolder
from algorithm_operator.steps.failures import os_message
from algorithm_operator.steps.roots import Roots


def keep_manifest(folder: AttemptFolder | None, data: bytes) -> ManifestFile:
    """Commit the manifest, last of all. Without a store it lives in the frames and the job's status alone."""
    if folder is not None:
        return folder.keep_bytes(MANIFEST, data)
    return ManifestFile(path=MANIFEST, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def print_frames(data: bytes) -> None:
    """Print `data` on stdout for the operator, who reads it by pods/log."""
    for line in frames.encode(data):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(roots: Roots) -> int:
    """Print the manifest of the attempt's folder; the exit code (as of collect)."""
    try:
        descriptor = os.open(
            os.path.join(roots.store, MANIFEST), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except FileNotFoundError:
        print("there is no manifest.json in the attempt's folder", file=sys.stderr)
        return COLLECT_NO_RESULT
    except OSError as error:
        print(f"manifest.json cannot be read: {os_message(error)}", file=sys.stderr)
        return COLLECT_FAILED
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            print("manifest.json is not a regular file", file=sys.stderr)
            return COLLECT_FAILED
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        print(f"manifest.json is larger than {MAX_MANIFEST_BYTES} bytes", file=sys.stderr)
        return COLLECT_FAILED
    print_frames(data)
    return COLLECT_OK
