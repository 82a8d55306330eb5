"""What laying out one input needs, and what it leaves: a record for the manifest, an entry of inputs.json."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from algorithm_operator.contract.inputs_json import StagedInput
from algorithm_operator.contract.manifest import ManifestInput
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import sandbox
from algorithm_operator.steps.failures import StepError, bad_input
from algorithm_operator.steps.layout.folder import InputFolder, Stored
from algorithm_operator.steps.settings import MIB, StepSettings
from algorithm_operator.steps.sources import Source

_MEMORY_SHARE, _OWN_MEMORY = 0.8, 160 * MIB
"""How much of the container's memory a child may use, and what it always leaves for us, for libraries and for what the
kernel counts in it."""
_FEW_FILES = 256


@dataclass(frozen=True, slots=True)
class Laid:
    """One input as it lies in /input; `path`: of an image, the file below it."""

    record: ManifestInput
    told: StagedInput
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What every form of input needs. `scratch` is a folder for the time of one input; `job`: the job's uid; `memory`:
    what an image may be too large for, in words.
    """

    folder: InputFolder
    settings: StepSettings
    scratch: str
    job: str
    memory: str = "the memory that the Algorithm has (spec.resources.memory)"


def record(socket: PlannedSocket, sources: Sequence[Source], stored: Stored, **more: Any) -> ManifestInput:
    """The entry of the manifest; without sources the value was in the job itself."""
    return ManifestInput(
        slug=socket.slug,
        kind=socket.kind,
        relative_path=socket.relative_path,
        source=f"{sources[0].file.source}/{sources[0].path}" if sources else "value",
        bytes=stored.bytes,
        sha256=stored.sha256,
        **more,
    )


def described(sources: Sequence[Source]) -> str:
    """The files of an input, for messages."""
    if len(sources) == 1:
        return str(sources[0])
    return f"{sources[0]} with {len(sources) - 1} more files"


def image_pk(layout: Layout, socket: PlannedSocket) -> str:
    """The id of the image of an input: the same in every attempt of a job."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{layout.job}/{socket.slug}"))


def image_name(sources: Sequence[Source]) -> str:
    """What people call an image: its file, or the folder that its files are in."""
    if len(sources) == 1:
        return sources[0].name
    shared = os.path.commonpath([source.path.strip("/") for source in sources])
    return shared.rpartition("/")[2] or sources[0].name


def bounds(layout: Layout, sources: Sequence[Source], file_bytes: int = 0) -> sandbox.Bounds:
    """What a child may use that reads these files, and writes files of at most `file_bytes` each."""
    settings = layout.settings
    whole = settings.stage_memory_bytes
    memory = max(settings.check_memory_bytes, min(int(whole * _MEMORY_SHARE), whole - _OWN_MEMORY))
    return sandbox.Bounds(memory, settings.read_seconds, _FEW_FILES + len(sources), file_bytes)


def read(
    layout: Layout,
    socket: PlannedSocket,
    sources: Sequence[Source],
    function: Callable[[], Any],
    limit: sandbox.Bounds,
    before: Callable[[], None] | None = None,
    staged: int | None = None,
) -> Any:
    """What `function` gives back in a child that parses these files, or what was `staged` of them (a descriptor).

    `before` see `sandbox.run`.

    :raises StepError: it took too much memory or time, or crashed.
    """
    descriptors = [staged] if staged is not None else [source.descriptor for source in sources]
    outcome = sandbox.run(function, limit, before=before, descriptors=descriptors)
    if outcome.ending is sandbox.Ending.DONE:
        return outcome.value
    raise _failed(layout, socket, described(sources), outcome, limit)


def _failed(
    layout: Layout, socket: PlannedSocket, what: str, outcome: sandbox.Outcome, limit: sandbox.Bounds
) -> StepError:
    match outcome.ending:
        case sandbox.Ending.OUT_OF_MEMORY:
            why = f"is too large to process with {layout.memory}"
        case sandbox.Ending.TIMED_OUT:
            why = f"could not be read within {limit.seconds:g} seconds; write it in a simpler form"
        case _:
            why = f"could not be read: its reader ended badly ({outcome.detail}); is it damaged?"
    return bad_input(socket.slug, f"{what} {why}.")
