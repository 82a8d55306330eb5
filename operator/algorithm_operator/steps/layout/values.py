"""JSON: a value of the job itself or one file, read and checked in the sandbox either way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from algorithm_operator.contract.inputs_json import StagedInput
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import sandbox, values
from algorithm_operator.steps.failures import StepError, bad_input
from algorithm_operator.steps.layout.laid import Laid, Layout, record
from algorithm_operator.steps.sources import Source

CHECK_SECONDS = 120.0


def lay_out(layout: Layout, socket: PlannedSocket, data: bytes) -> Laid:
    """Stage a value that the job holds.

    :raises StepError: it is not valid.
    """
    found = values.check(data, socket, layout.settings.max_json_bytes, _bounds(layout))
    if problem := _problem(found, len(data), layout):
        raise bad_input(socket.slug, f"it {problem}")
    stored = layout.folder.write(socket.relative_path, data)
    return Laid(record(socket, (), stored), _told(socket, found))


def lay_out_file(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Laid:
    """Stage one JSON file, byte for byte.

    :raises StepError: it is not valid.
    """
    (source,) = sources
    found = values.check(source.descriptor, socket, layout.settings.max_json_bytes, _bounds(layout))
    if problem := _problem(found, source.size, layout):
        raise bad_input(socket.slug, f"{source} {problem}")
    stored = layout.folder.copy(socket.relative_path, source)
    return Laid(record(socket, sources, stored), _told(socket, found))
