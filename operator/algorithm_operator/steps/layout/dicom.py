"""DICOM image sets: the files as they are but for their preamble, each named by its SOPInstanceUID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from algorithm_operator.contract.inputs_json import StagedImage, StagedInput
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps.copying import listed
from algorithm_operator.steps.failures import bad_input
from algorithm_operator.steps.layout.folder import Stored
from algorithm_operator.steps.layout.laid import Laid, Layout, bounds, image_name, image_pk, read, record
from algorithm_operator.steps.readers import formats
from algorithm_operator.steps.readers.reading import Given, Unreadable
from algorithm_operator.steps.sources import Source

_NO_PREAMBLE = bytes(128)
"""What comes before the magic bytes means nothing in DICOM, but may make the file a program as well."""


def lay_out(layout: Layout, socket: PlannedSocket, sources: Sequence[Source]) -> Laid:
    """Stage all instances of one series.

    :raises StepError: a file is none, or of another series, or there twice.
    """
    files = [Given(source.path, source.descriptor, source.size) for source in sources]
    found = read(
        layout,
        socket,
        sources,
        lambda: _instances(files),
        bounds(layout, sources),
        before=formats.preload_dicom,
    )
    if "unreadable" in found:
        raise bad_input(socket.slug, found["unreadable"])
    digests, size = {}, 0
    for number, uid in found["instances"]:
        path = f"{socket.relative_path}/{uid}.dcm"
        stored = layout.folder.copy(path, sources[number], _NO_PREAMBLE, len(_NO_PREAMBLE))
        digests[f"{uid}.dcm".encode()], size = stored.sha256, size + stored.bytes
    image = StagedImage(pk=image_pk(layout, socket), name=image_name(sources))
    return Laid(record(socket, sources, Stored(listed(digests), size)), StagedInput(socket, image=image))


def _instances(files: Sequence[Given]) -> dict[str, Any]:
    """For the sandbox: the instances, each a file by its place in `files`, and its UID."""
    from algorithm_operator.steps.readers import dicom

    try:
        places = {id(file): number for number, file in enumerate(files)}
        return {"instances": [(places[id(file)], uid) for file, uid in dicom.instances(files)]}
    except Unreadable as error:
        return {"unreadable": str(error)}
