"""Whether a job fits its algorithm and its stores: what must be settled before any Pod is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.job import AlgorithmJobSpec, JobInput, StorePaths
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.customschemas import is_bounded
from algorithm_operator.contract.interfaces import Mismatch, pick
from algorithm_operator.contract.kinds import KINDS, Kind, SuperKind
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.contract.plan import MAX_VALUES_BYTES
from algorithm_operator.contract.values import check_value, dump_json


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is fixed for the run: the interface, the DataStore of the outputs (if any), the time limit in seconds."""

    interface: Interface
    output_store: str | None
    time_limit_seconds: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The job can never run as it is written. The message is a sentence for its owner."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job can run once somebody else has done something. The message says who and what."""

    reason: Reason
    message: str


def accept(
    *,
    spec: AlgorithmJobSpec,
    algorithm_spec: AlgorithmSpec,
    stores: Mapping[str, DataStoreSpec],
    namespace: str,
) -> Accepted | Refused | Waiting:
    """Check a job against its algorithm and the DataStores of its namespace (by name).

    What its owner must change comes before what it may wait for.
    """
    interface = pick(algorithm_spec.interfaces, [each.slug for each in spec.inputs])
    if isinstance(interface, Mismatch):
        return _refused(Reason.INPUTS_MISMATCH, why=interface.why, allowed=interface.allowed)
    sockets = {socket.slug: socket for socket in interface.inputs}
    for each in spec.inputs:
        if refused := _check_input(each, sockets[each.slug]):
            return refused
    if refused := _check_size(spec.inputs):
        return refused
    limit = algorithm_spec.time_limit_seconds
    asked = spec.time_limit_seconds or limit
    if asked > limit:
        return _refused(Reason.TIME_LIMIT_TOO_LONG, asked=asked, limit=limit)

    output_store = _output_store(spec, stores)
    if isinstance(output_store, Waiting):
        return output_store
    if output_store is None and (needy := _needs_store(interface)):
        return _refused(Reason.NO_OUTPUT_STORE, slug=needy.slug, kind=needy.kind)
    named = [each.store.name for each in spec.inputs if each.store] + ([output_store] if output_store else [])
    for store in named:
        if store not in stores:
            return _waiting(Reason.STORE_NOT_FOUND, store=shown(store), namespace=namespace)
    return Accepted(interface=interface, output_store=output_store, time_limit_seconds=asked)


def _check_input(given: JobInput, socket: Socket) -> Refused | None:
    kind = KINDS.get(socket.kind)
    if kind is None:
        known = ", ".join(KINDS)
        return _invalid(given, f"this version does not know kind {quoted(socket.kind)}; it knows {known}.")
    if given.has_value == (given.store is not None):
        return _invalid(given, 'it needs exactly one of "value" and "store".')
    if given.store is not None:
        return _check_store(given, given.store, kind)
    if kind.super_kind is not SuperKind.VALUE:
        return _invalid(given, f'kind {kind.label} comes as a file: name it in "store", not in "value".')
    schema = socket.schema_ if socket.schema_ and is_bounded(socket.schema_, given.value) else None
    why = check_value(kind, given.value, schema)
    return _invalid(given, why) if why else None


def _check_store(given: JobInput, store: StorePaths, kind: Kind) -> Refused | None:
    for path in store.paths:
        if why := check_store_path(path):
            return _refused(Reason.PATH_INVALID, slug=given.slug, path=quoted(path), why=why)
    if len(store.paths) > 1:
        return _invalid(given, f"kind {kind.label} takes one path, not {len(store.paths)}.")
    path = store.paths[0]
    if path.endswith("/"):
        if kind.super_kind is not SuperKind.IMAGE:
            return _invalid(given, f"kind {kind.label} takes a file, and {quoted(path)} is a folder.")
    elif not path.lower().endswith(kind.suffixes):
        wanted = " or ".join(kind.suffixes)
        return _invalid(given, f"kind {kind.label} takes a {wanted} file, and {quoted(path)} is none.")
    return None


def _check_size(inputs: list[JobInput]) -> Refused | None:
    # As the plan carries them: JSON text inside JSON.
    texts = [dump_json(each.value) for each in inputs if each.has_value]
    size = sum(len(dump_json(text).encode("utf-8", "surrogatepass")) for text in texts)
    if size > MAX_VALUES_BYTES:
        return _refused(Reason.INPUT_TOO_LARGE, bytes=size, limit=MAX_VALUES_BYTES)
    return None


def _output_store(spec: AlgorithmJobSpec, stores: Mapping[str, DataStoreSpec]) -> str | Waiting | None:
    if spec.output_store is not None:
        return spec.output_store.name
    defaults = sorted(name for name, store in stores.items() if store.default)
    if len(defaults) > 1:
        listed = ", ".join(defaults)
        return _waiting(
            Reason.STORE_NOT_READY,
            store=defaults[0],
            why=f"{listed} all say default: true. Name one in outputStore, or an admin leaves it at one.",
        )
    return defaults[0] if defaults else None


def _needs_store(interface: Interface) -> Socket | None:
    """The first output that does not fit into status alone: no JSON, or not asked to be shown there."""
    for socket in interface.outputs:
        kind = KINDS.get(socket.kind)
        if kind is None or kind.super_kind is not SuperKind.VALUE or not socket.store_in_status:
            return socket
    return None


def _invalid(given: JobInput, why: str) -> Refused:
    return _refused(Reason.INPUT_INVALID, slug=given.slug, why=why)


def _refused(reason: Reason, **facts: object) -> Refused:
    return Refused(reason, sentence(reason, **facts))


def _waiting(reason: Reason, **facts: object) -> Waiting:
    return Waiting(reason, sentence(reason, **facts))
