"""Files that are neither JSON nor images: one file as it is, if it is what its kind says."""

from __future__ import annotations

from collections.abc import Sequence

from algorithm_operator.contract.inputs_json import StagedInput
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.places import taken_suffixes
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import filetypes
from algorithm_operator.steps.failures import bad_input
from algorithm_operator.steps.layout.laid import Laid, Layout, bounds, read, record
from algorithm_operator.steps.sources import Source


def lay_out(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Laid:
    """Stage the one file.

    :raises StepError: it is not of its kind.
    """
    source = check(layout, socket, sources)
    stored = layout.folder.copy(socket.relative_path, source)
    return Laid(record(socket, sources, stored), StagedInput(socket))


def check(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Source:
    """The one file, whose name and content are what the kind says.

    :raises StepError: they are not.
    """
    (source,) = sources
    suffixes = taken_suffixes(KINDS[socket.kind])
    if not source.name.lower().endswith(suffixes):
        why = f"{source} is not named as a {socket.kind} is; its name must end with {' or '.join(suffixes)}."
        raise bad_input(socket.slug, why)
    problem = read(
        layout,
        socket,
        sources,
        lambda: filetypes.problem(socket.kind, source.descriptor, source.size),
        bounds(layout, sources),
    )
    if problem is not None:
        raise bad_input(socket.slug, f"{source}: {problem}")
    return source
