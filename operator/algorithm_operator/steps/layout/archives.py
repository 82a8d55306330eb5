"""ZIP files: their files are unpacked into the folder above the relative path, as Grand Challenge does it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from algorithm_operator.contract.inputs_json import StagedInput
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import zips
from algorithm_operator.steps.failures import bad_input, os_message, try_again
from algorithm_operator.steps.layout import files
from algorithm_operator.steps.layout.folder import Stored
from algorithm_operator.steps.layout.laid import Laid, Layout, bounds, read, record
from algorithm_operator.steps.sources import Source
from algorithm_operator.steps.tree import Bounds, Tree


def lay_out(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Laid:
    """Unpack the one archive.

    :raises StepError: it is none, or holds what it may not.
    """
    source = files.check(layout, socket, sources)
    settings = layout.settings
    folder = os.path.dirname(layout.folder.place(socket.relative_path))
    size = Bounds(settings.max_entries, settings.max_depth, settings.max_archive_bytes)
    found = read(
        layout,
        socket,
        sources,
        lambda: _unpack(source.descriptor, folder, size),
        bounds(layout, sources, settings.max_archive_bytes),
    )
    if "invalid" in found:
        raise bad_input(socket.slug, f"{found['invalid']} ({source}).")
    if "failed" in found:
        raise try_again(found["failed"])
    stored = Stored(found["sha256"], found["bytes"])
    return Laid(record(socket, sources, stored), StagedInput(socket))


def _unpack(descriptor: int, folder: str, size: Bounds) -> dict[str, Any]:
    """For the sandbox."""
    with closing(Tree(folder, size)) as tree:
        try:
            sha256 = zips.extract(descriptor, tree)
            tree.finish()
        except zips.ZipError as error:
            return {"invalid": str(error)}
        except OSError as error:
            return {"failed": os_message(error)}
        return {"sha256": sha256, "bytes": tree.bytes}
