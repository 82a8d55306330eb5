"""The command: make the files, write them into a folder that has none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from algorithm_operator.api.crd import MAX_NAME
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.project import project
from algorithm_operator.cli.project.sockets import interface

DEFAULT_INPUTS = ("scan:Image",)
DEFAULT_OUTPUTS = ("segmentation:Segmentation", "results:Anything")


def init(name: str, folder: Path | None, inputs: Sequence[str], outputs: Sequence[str], *, gpu: bool) -> None:
    """`init NAME [DIR]`."""
    if len(name) > MAX_NAME or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
        raise UsageError(
            f"{quoted(name)} is no name for an Algorithm: write lower-case letters, digits and hyphens, "
            f"at most {MAX_NAME}."
        )
    target = folder or Path(name)
    files = project.files(name, interface(inputs or DEFAULT_INPUTS, outputs or DEFAULT_OUTPUTS), gpu=gpu)
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise UsageError(
                f"{quoted(str(target))} is not empty; a starter project gets a folder of its own."
            )
        for path, data in files.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            if project.is_executable(path):
                file.chmod(0o755)
    except OSError as error:
        raise UsageError(f"{quoted(str(target))} cannot be written: {error.strerror}.") from None
    print(f"{len(files)} files in {target}. Next: cd {shlex.quote(str(target))} && less README.md")
