"""Whether a job fits its algorithm and its stores: what must be settled before any Pod is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.imageimport import ImageImportStatus
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.job import AlgorithmJobSpec, AlgorithmJobStatus, JobInput
from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.run import RunInput
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.customschemas import is_bounded
from algorithm_operator.contract.handover import hand_over, take_image
from algorithm_operator.contract.interfaces import Mismatch, pick
from algorithm_operator.contract.kinds import KINDS, Form, Kind, SuperKind
from algorithm_operator.contract.messages import MAX_REFUSAL, together
from algorithm_operator.contract.outcome import Refused, Waiting, invalid, refused, waiting
from algorithm_operator.contract.places import check_image, check_key, check_paths
from algorithm_operator.contract.plan import MAX_VALUES_BYTES
from algorithm_operator.contract.values import check_value, depth_problem, dump_json

MAX_PULL_SECRETS = 16
"""Of all images that inputs come from together."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is fixed for the run: the interface, the DataStore of the outputs (if any), the time limit in seconds, and
    the inputs that other jobs and ImageImports made."""

    interface: Interface
    output_store: str | None
    time_limit_seconds: int
    inputs: tuple[RunInput, ...] = ()


def accept(
    *,
    job: str,
    spec: AlgorithmJobSpec,
    algorithm_spec: AlgorithmSpec,
    stores: Mapping[str, DataStoreSpec],
    jobs: Mapping[str, AlgorithmJobStatus],
    imports: Mapping[str, ImageImportStatus],
    namespace: str,
) -> Accepted | Refused | Waiting:
    """Check a job against its algorithm, and the DataStores, other jobs and ImageImports of its namespace (by name).

    What its owner must change comes before what it may wait for; of the inputs all that are refused are told.
    """
    interface = pick(algorithm_spec.interfaces, [each.slug for each in spec.inputs])
    if isinstance(interface, Mismatch):
        return refused(Reason.INPUTS_MISMATCH, why=interface.why, allowed=interface.allowed)
    sockets = {socket.slug: socket for socket in interface.inputs}
    handed: list[RunInput] = []
    refusals: list[Refused] = []
    pending: Waiting | None = None
    for each in spec.inputs:
        outcome = _check_input(each, sockets[each.slug], job, jobs, imports, namespace)
        if isinstance(outcome, Refused):
            refusals.append(outcome)
        elif isinstance(outcome, Waiting):
            pending = pending or outcome
        elif outcome is not None:
            handed.append(outcome)
    if refusals:
        return Refused(refusals[0].reason, together([each.message for each in refusals], MAX_REFUSAL))
    if why := check_size(spec.inputs, handed) or _check_secrets(spec.inputs):
        return why
    limit = algorithm_spec.time_limit_seconds
    asked = spec.time_limit_seconds or limit
    if asked > limit:
        return refused(Reason.TIME_LIMIT_TOO_LONG, asked=asked, limit=limit)

    output_store = spec.output_store.name if spec.output_store is not None else default_store(stores)
    if isinstance(output_store, Waiting):
        return output_store
    if output_store is None and (needy := _needs_store(interface)):
        return refused(Reason.NO_OUTPUT_STORE, slug=needy.slug, kind=needy.kind)
    if pending is not None:
        return pending
    named = [each.store.name for each in spec.inputs if each.store] + [
        each.store for each in handed if each.store
    ]
    for store in [*named, *([output_store] if output_store else [])]:
        if store not in stores:
            return waiting(Reason.STORE_NOT_FOUND, store=shown(store), namespace=namespace)
    return Accepted(interface, output_store, asked, tuple(handed))


def _check_input(
    given: JobInput,
    socket: Socket,
    job: str,
    jobs: Mapping[str, AlgorithmJobStatus],
    imports: Mapping[str, ImageImportStatus],
    namespace: str,
) -> RunInput | Refused | Waiting | None:
    """What is wrong with an input or waited for, or what a job or an import has made; None: it is fine as it is."""
    slug, kind = given.slug, KINDS.get(socket.kind)
    if kind is None:
        known = ", ".join(KINDS)
        return invalid(slug, f"this version does not know kind {quoted(socket.kind)}; it knows {known}.")
    places = (given.store, given.config_map, given.image, given.job, given.image_import)
    if given.has_value + sum(place is not None for place in places) != 1:
        return invalid(
            slug, 'it needs exactly one of "value", "store", "configMap", "image", "job" and "imageImport".'
        )
    if given.store is not None:
        return check_paths(slug, given.store.paths, kind)
    if given.config_map is not None:
        return check_key(slug, given.config_map, kind)
    if given.image is not None:
        return check_image(slug, given.image, kind)
    if given.image_import is not None:
        name = given.image_import.name
        outcome = take_image(slug, name, kind, imports.get(name), namespace)
    elif given.job is None:
        return _check_value(slug, given.value, socket, kind)
    elif given.job.name == job:
        return invalid(slug, "a job cannot have its own output as an input; name another job.")
    else:
        outcome = hand_over(slug, given.job, kind, jobs.get(given.job.name), namespace)
    if not isinstance(outcome, RunInput):
        return outcome
    if outcome.path is None:
        return _check_value(slug, outcome.value, socket, kind) or outcome
    return check_paths(slug, [outcome.path], kind) or outcome


def _check_value(slug: str, value: Any, socket: Socket, kind: Kind) -> Refused | None:
    if kind.form is not Form.JSON:
        return invalid(
            slug,
            f'kind {kind.label} comes as a file: name it in "store", "configMap", "image", "job" or "imageImport", '
            'not in "value".',
        )
    if why := depth_problem(value):
        return invalid(slug, why)
    if len(dump_json(value)) > MAX_VALUES_BYTES:
        return None  # too large to look through here; the size of all values is checked next
    schema = socket.schema_ if socket.schema_ and is_bounded(socket.schema_, value) else None
    why = check_value(kind, value, schema)
    return invalid(slug, why) if why else None


def check_size(inputs: Sequence[JobInput], handed: Sequence[RunInput]) -> Refused | None:
    """Why the values of a job are too large together to travel with it, or None."""
    # As the plan carries them: JSON text inside JSON.
    values = [each.value for each in inputs if each.has_value]
    texts = map(dump_json, [*values, *(each.value for each in handed if each.path is None)])
    size = sum(len(dump_json(text).encode("utf-8", "surrogatepass")) for text in texts)
    if size > MAX_VALUES_BYTES:
        return refused(Reason.INPUT_TOO_LARGE, bytes=size, limit=MAX_VALUES_BYTES)
    return None


def _check_secrets(inputs: Sequence[JobInput]) -> Refused | None:
    secrets: set[str] = set()
    for each in inputs:
        secrets.update(secret.name for secret in (each.image.pull_secrets if each.image else ()))
        if len(secrets) > MAX_PULL_SECRETS:
            why = f"the images of the inputs name more than {MAX_PULL_SECRETS} pullSecrets together."
            return invalid(each.slug, why)
    return None


def default_store(stores: Mapping[str, DataStoreSpec]) -> str | Waiting | None:
    """The DataStore with `default: true`, if there is one."""
    defaults = sorted(name for name, store in stores.items() if store.default)
    if len(defaults) > 1:
        listed = ", ".join(defaults)
        return waiting(
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
