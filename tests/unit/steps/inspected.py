"""The inspection of an /output that is a folder of the test's."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps.outputs import Checked, Inspection, Undeclared
from algorithm_operator.steps.settings import StepSettings


@dataclass
class Inspected:
    """What came of it: valid outputs by slug, what would be kept of them, and the messages of findings by slug."""

    checked: dict[str, Checked]
    kept: dict[str, bytes]
    findings: dict[str, str]
    undeclared: Undeclared

    @property
    def message(self) -> str:
        """The only finding."""
        (message,) = self.findings.values()
        return message


def inspected(
    output: Path,
    *sockets: PlannedSocket,
    inputs: Mapping[str, ImageGeometry] | None = None,
    keeps_files: bool = True,
    **settings: Any,
) -> Inspected:
    """Inspect `output` against `sockets`. Descriptors of what was checked are closed by then."""
    inspection = Inspection(
        str(output),
        str(output.parent),
        StepSettings(**settings),
        inputs or {},
        time.monotonic() + 30,
        keeps_files=keeps_files,
    )
    try:
        checked, findings = inspection.check(list(sockets))
        return Inspected(
            {each.socket.slug: each for each in checked},
            {each.socket.slug: os.pread(each.descriptor, each.size, 0) for each in checked},
            {each.slug: each.message for each in findings},
            inspection.undeclared(),
        )
    finally:
        inspection.close()


def write(root: Path, path: str, data: bytes | str) -> None:
    """What the algorithm writes."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data if isinstance(data, bytes) else data.encode())
