"""What objects of one namespace say about each other: jobs and their algorithms, sockets, the default DataStore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.datastore import DataStoreSpec, PersistentVolumeClaimSource
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.job import AlgorithmJobSpec
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.lint.findings import Finding, Object
from algorithm_operator.contract.accept import accept
from algorithm_operator.contract.interfaces import pick
from algorithm_operator.contract.outcome import Refused
from algorithm_operator.contract.sockets import definition_difference

_ANY_STORE = DataStoreSpec(persistent_volume_claim=PersistentVolumeClaimSource(claim_name="any"))


def together(objects: Sequence[tuple[Object, Any]]) -> Iterator[Finding]:
    """Findings about objects with their specs, each without fault by itself, all of one namespace."""
    algorithms = [(each, spec) for each, spec in objects if isinstance(spec, AlgorithmSpec)]
    stores = [(each, spec) for each, spec in objects if isinstance(spec, DataStoreSpec)]
    yield from _sockets(algorithms)
    yield from _defaults(stores)
    known = {each.name: spec for each, spec in stores}
    by_name = {each.name: spec for each, spec in algorithms}
    for each, spec in objects:
        if isinstance(spec, AlgorithmJobSpec) and spec.algorithm_ref.name in by_name:
            yield from _job(each, spec, by_name[spec.algorithm_ref.name], known)


def _job(
    each: Object, spec: AlgorithmJobSpec, algorithm: AlgorithmSpec, known: Mapping[str, DataStoreSpec]
) -> Iterator[Finding]:
    """What no cluster could run: each input by itself, at its place; the whole if they are fine."""
    refused = False
    interface = pick(algorithm.interfaces, [given.slug for given in spec.inputs])
    if isinstance(interface, Interface):
        for number, given in enumerate(spec.inputs):
            alone = spec.model_copy(update={"inputs": [given], "time_limit_seconds": None})
            why = _refusal(each, alone, _reduced(algorithm, interface, given.slug), known)
            if why is not None:
                refused = True
                yield each.finding(("spec", "inputs", number), why)
    if not refused and (why := _refusal(each, spec, algorithm, known)):
        yield each.finding(("spec",), why)


def _reduced(algorithm: AlgorithmSpec, interface: Interface, slug: str) -> AlgorithmSpec:
    """The algorithm as if that were its only input."""
    inputs = [socket for socket in interface.inputs if socket.slug == slug]
    return algorithm.model_copy(update={"interfaces": [interface.model_copy(update={"inputs": inputs})]})


def _refusal(
    each: Object, spec: AlgorithmJobSpec, algorithm: AlgorithmSpec, known: Mapping[str, DataStoreSpec]
) -> str | None:
    """Why it can never run, or None. Stores that are not among the manifests may be there all the same."""
    named = [given.store.name for given in spec.inputs if given.store]
    named += [spec.output_store.name] if spec.output_store else []
    stores = {**dict.fromkeys(named, _ANY_STORE), **known}
    if not any(store.default for store in stores.values()):
        stores[""] = _ANY_STORE.model_copy(update={"default": True})
    answer = accept(
        job=each.name,
        spec=spec,
        algorithm_spec=algorithm,
        stores=stores,
        jobs={},
        imports={},
        namespace=each.namespace,
    )
    return answer.message if isinstance(answer, Refused) else None


def _sockets(algorithms: Sequence[tuple[Object, AlgorithmSpec]]) -> Iterator[Finding]:
    """A slug has one definition in a namespace."""
    defined: dict[str, tuple[Object, Socket]] = {}
    for each, spec in algorithms:
        for number, interface in enumerate(spec.interfaces):
            for side in ("inputs", "outputs"):
                for index, socket in enumerate(getattr(interface, side)):
                    other, known = defined.setdefault(socket.slug, (each, socket))
                    if other is not each and (difference := definition_difference(socket, known)):
                        yield each.finding(
                            ("spec", "interfaces", number, side, index),
                            f"{other}, at {other.place}, defines {quoted(socket.slug)} otherwise: {difference}",
                            "a slug has one definition in a namespace: take theirs, or another slug",
                        )


def _defaults(stores: Sequence[tuple[Object, DataStoreSpec]]) -> Iterator[Finding]:
    default = [each for each, spec in stores if spec.default]
    for each in default[1:]:
        yield each.finding(
            ("spec", "default"),
            f"{default[0]}, at {default[0].place}, is the default already",
            "leave it at one",
        )
