"""JSON: a value of the job itself or one file, read and checked in the sandbox either way."""

from __future__ import annotations

import json
from collections.abc import Sequence

from algorithm_operator.contract.inputs_json import StagedInput
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import sandbox, values
from algorithm_operator.steps.failures import bad_input
from algorithm_operator.steps.layout.laid import Laid, Layout, record
from algorithm_operator.steps.sources import Source
from algorithm_operator.steps.values import CheckedValue

CHECK_SECONDS = 120.0


def lay_out_value(layout: Layout, socket: PlannedSocket, data: bytes) -> Laid:
    """Stage a value that the job itself holds, as its JSON text.

    :raises StepError: it is not valid.
    """
    cap = layout.settings.max_json_bytes
    found = values.check_bytes(data, socket.kind, cap, _bounds(layout), socket.schema_)
    if found.too_large:
        raise bad_input(socket.slug, _too_large(len(data), cap))
    if problem := _problem(found):
        raise bad_input(socket.slug, problem)
    return Laid(record(socket, (), layout.folder.write(socket.relative_path, data)), _told(socket, found))


def lay_out_file(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Laid:
    """Stage one JSON file, byte for byte.

    :raises StepError: it is not valid.
    """
    (source,) = sources
    cap = layout.settings.max_json_bytes
    found = values.check_file(source.descriptor, socket.kind, cap, _bounds(layout), socket.schema_)
    if found.too_large:
        raise bad_input(socket.slug, f"{source} is too large; {_too_large(source.size, cap)}")
    if found.not_json is not None or found.replaced:
        raise bad_input(socket.slug, f"{source} is not valid JSON: {_problem(found)}")
    if problem := _problem(found):
        raise bad_input(socket.slug, f"{source}: {problem}")
    return Laid(
        record(socket, sources, layout.folder.copy(socket.relative_path, source)), _told(socket, found)
    )


def _problem(found: CheckedValue) -> str | None:
    """What is wrong with it, but for its size. What stage writes is JSON, so NaN is refused."""
    return found.not_json or found.invalid or ("it contains NaN or Infinity." if found.replaced else None)


def _too_large(size: int, cap: int) -> str:
    return f"the limit is {cap} bytes." if size > cap else "it holds more values than can be checked."


def _told(socket: PlannedSocket, found: CheckedValue) -> StagedInput:
    is_file = KINDS[socket.kind].super_kind is SuperKind.FILE
    return StagedInput(socket, value=None if is_file else json.loads(found.text or "null"))


def _bounds(layout: Layout) -> sandbox.Bounds:
    return sandbox.Bounds(layout.settings.check_memory_bytes, CHECK_SECONDS)
