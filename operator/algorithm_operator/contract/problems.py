"""All that is wrong with the sockets and interfaces of an Algorithm, every error at once. Pure.

The API server checks most rules of one Algorithm already (CEL); here they hold whatever the installed CRD says, and
with them those that CEL cannot afford.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.interface import Interface, OverlaySegment, Socket
from algorithm_operator.api.kinds import OVERLAY_KINDS
from algorithm_operator.api.text import quoted
from algorithm_operator.contract.customschemas import (
    MAX_SCHEMA_BYTES,
    schema_bytes,
    schema_problem,
    schema_text,
)
from algorithm_operator.contract.failure import FAILURE
from algorithm_operator.contract.interfaces import input_slugs
from algorithm_operator.contract.kinds import KINDS, Form, Kind, SuperKind
from algorithm_operator.contract.manifest import MANIFEST
from algorithm_operator.contract.paths import check_relative_path
from algorithm_operator.contract.sockets import definition_difference, is_image, relative_path_of

RESERVED_SLUGS = frozenset(
    {"predictions-csv-file", "predictions-json-file", "predictions-zip-file", "metrics-json-file"}
)
"""Grand Challenge keeps them for itself. `results-json-file`, which it keeps too, stays what a result is shown from."""
_OWN_FILES = (MANIFEST, FAILURE)
"""What an attempt's folder holds besides the outputs, each of which is stored by its slug and its kind's suffix."""


def spec_problems(spec: AlgorithmSpec) -> list[str]:
    """What is wrong with the interfaces of an Algorithm, a sentence each; empty if nothing is."""
    return list(dict.fromkeys(_problems(spec)))


def _problems(spec: AlgorithmSpec) -> Iterator[str]:
    seen: dict[str, Socket] = {}
    every = [socket for interface in spec.interfaces for socket in [*interface.inputs, *interface.outputs]]
    schemas = {(each.slug, schema_text(each.schema_)) for each in every}
    total = sum(schema_bytes(text) for _, text in schemas)
    if total > MAX_SCHEMA_BYTES:  # then none of them is looked at
        yield f"The schemas of its sockets have {total} bytes together, more than {MAX_SCHEMA_BYTES}."
    for number, interface in enumerate(spec.interfaces):
        for other in spec.interfaces[:number]:
            if input_slugs(other) == input_slugs(interface):
                yield (
                    f"Interfaces {quoted(other.name)} and {quoted(interface.name)} have the same inputs; "
                    "a job could not tell them apart."
                )
        for problem in _interface_problems(interface, schemas=total <= MAX_SCHEMA_BYTES):
            yield f"Interface {quoted(interface.name)}: {problem}"
        for socket in [*interface.inputs, *interface.outputs]:
            known = seen.setdefault(socket.slug, socket)
            if difference := definition_difference(socket, known):
                yield (
                    f"Interface {quoted(interface.name)}: socket {quoted(socket.slug)} is defined otherwise in an "
                    f"interface before it ({difference}); a slug has one definition."
                )


def _interface_problems(interface: Interface, *, schemas: bool) -> Iterator[str]:
    for sockets, word in ((interface.inputs, "input"), (interface.outputs, "output")):
        slugs = [socket.slug for socket in sockets]
        yield from (
            f"{word} {quoted(slug)} stands there twice."
            for slug in dict.fromkeys(slugs)
            if slugs.count(slug) > 1
        )
        for socket in sockets:
            yield from (
                f"{word} {quoted(socket.slug)}: {problem}"
                for problem in _socket_problems(socket, schemas=schemas)
            )
        yield from _collisions(sockets)
    for slug in sorted(input_slugs(interface) & {socket.slug for socket in interface.outputs}):
        yield f"{quoted(slug)} is both an input and an output; give one of them another slug."
    for socket in interface.inputs:
        yield from (f"input {quoted(socket.slug)}: {field} is for outputs." for field in _for_outputs(socket))
    for socket in interface.outputs:
        kind = KINDS.get(socket.kind)
        if kind is not None and kind.form is Form.DICOM:
            yield f"output {quoted(socket.slug)}: kind {kind.label} is for inputs; write an Image, a .mha file."
        if kind is not None and (name := socket.slug + kind.suffixes[0]) in _OWN_FILES:
            yield (
                f"output {quoted(socket.slug)}: it would be stored as {name}, which tells of the run itself; "
                "give it another slug."
            )
        if why := _overlay_problem(socket, interface):
            yield f"output {quoted(socket.slug)}: {why}"


def _for_outputs(socket: Socket) -> Iterator[str]:
    """The fields that this input has and only outputs may have."""
    if socket.overlay_of is not None:
        yield "overlayOf"
    if socket.geometry_check is not None:
        yield "geometryCheck"
    if socket.store_in_status:
        yield "storeInStatus"


def _overlay_problem(socket: Socket, interface: Interface) -> str | None:
    if socket.overlay_of is None and socket.geometry_check is None:
        return None
    if socket.kind not in OVERLAY_KINDS:
        return f"overlayOf and geometryCheck are for outputs of kind {', '.join(OVERLAY_KINDS)}."
    below = {each.slug: each for each in interface.inputs}
    if socket.overlay_of is None:
        return None
    if socket.overlay_of not in below:
        return (
            f"overlayOf {quoted(socket.overlay_of)} is no input of this interface; it has {', '.join(below)}."
        )
    kind = KINDS.get(below[socket.overlay_of].kind)
    if kind is not None and kind.form is not Form.IMAGE:
        return f"overlayOf {quoted(socket.overlay_of)} is of kind {kind.label}, which is no image to lie on."
    return None


def _socket_problems(socket: Socket, *, schemas: bool) -> Iterator[str]:
    if socket.slug in RESERVED_SLUGS:
        yield "this slug is reserved at Grand Challenge, for evaluations; give it another one."
    kind = KINDS.get(socket.kind)
    if kind is None:
        yield f"this version does not know kind {quoted(socket.kind)}; it knows {', '.join(KINDS)}."
        return
    path = relative_path_of(socket)
    if why := check_relative_path(path, image=is_image(kind.label), suffixes=kind.suffixes):
        yield f"relativePath {quoted(path)}: {why.removesuffix('.')}."
    yield from _segments_problems(socket, kind)
    if socket.schema_ is not None:
        if kind.form is not Form.JSON:
            yield f"kind {kind.label} has no schema; that is for kinds that are JSON."
        elif schemas and (why := schema_problem(socket.schema_)):
            yield f"schema: {why}"
    if socket.store_in_status and kind.super_kind is not SuperKind.VALUE:
        yield (
            f"kind {kind.label} is not shown in status, its content may be large; leave storeInStatus out: "
            "the output store has it."
        )


def _segments_problems(socket: Socket, kind: Kind) -> Iterator[str]:
    segments = socket.overlay_segments
    if kind.segments != bool(segments):
        yield f"kind {kind.label} " + (
            "needs overlaySegments." if kind.segments else "has no overlaySegments."
        )
    elif segments and (why := segments_problem(segments)):
        yield why


def segments_problem(segments: Sequence[OverlaySegment]) -> str | None:
    """What is wrong with overlay segments, or None: their voxel values are 1..n, their names unique."""
    values = sorted(segment.voxel_value for segment in segments)
    if values != list(range(1, len(values) + 1)):
        listed = ", ".join(map(str, values[:16])) + (", …" if len(values) > 16 else "")
        return f"the voxel values of overlaySegments must be 1 to {len(values)} without a gap; they are {listed}."
    names = [segment.name for segment in segments]
    if twice := next((name for name in names if names.count(name) > 1), None):
        return f"two overlaySegments are named {quoted(twice)}."
    return None


def _collisions(sockets: Sequence[Socket]) -> Iterator[str]:
    owner = {relative_path_of(socket): socket.slug for socket in reversed(sockets)}
    for socket in sockets:
        path = relative_path_of(socket)
        parents = [path.rsplit("/", cut)[0] for cut in range(1, path.count("/") + 1)]
        for taken in (path, *parents):
            if owner.get(taken, socket.slug) != socket.slug:
                yield (
                    f"{quoted(socket.slug)} ({quoted(path)}) and {quoted(owner[taken])} ({quoted(taken)}) are in "
                    "each other's way; give one of them another relativePath."
                )
