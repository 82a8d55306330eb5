"""The inputs of a run as stage finds them, and the volumes of those that are in no DataStore. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from algorithm_operator.api.job import AlgorithmJobSpec, JobInput
from algorithm_operator.api.run import RunInput, RunSnapshot
from algorithm_operator.contract.plan import Plan, PlannedFile, PlannedInput
from algorithm_operator.contract.sockets import planned_socket
from algorithm_operator.core import names

Body = dict[str, Any]


def planned_inputs(spec: AlgorithmJobSpec, run: RunSnapshot, namespace: str) -> list[PlannedInput]:
    """The inputs in the order of the interface. What another job has made is as it was when the job was accepted."""
    by_slug = {given.slug: given for given in spec.inputs}
    handed = {made.slug: made for made in run.inputs}
    shared = {
        **_mounted(
            names.CONFIG_MAPS_MOUNT, [each.config_map.name for each in spec.inputs if each.config_map]
        ),
        **_mounted(names.IMAGES_MOUNT, [each.image.reference for each in spec.inputs if each.image]),
    }
    planned = []
    for index, socket in enumerate(run.interface.inputs):
        given, made = by_slug[socket.slug], handed.get(socket.slug)
        files = _files(index, given, made, shared)
        whole = planned_socket(socket, namespace, run.interface)
        value = _value_json(given, made) if files is None else None
        planned.append(PlannedInput(socket=whole, value_json=value, files=files))
    return planned


def _files(
    index: int, given: JobInput, made: RunInput | None, shared: Mapping[str, str]
) -> list[PlannedFile] | None:
    """The files of one input; `shared`: where each ConfigMap and image is mounted. None: it is a value."""
    if given.store is not None:
        store = given.store.name
        return [of_store(index, number, store, path) for number, path in enumerate(given.store.paths)]
    if given.config_map is not None:
        name, key = given.config_map.name, given.config_map.key
        return [PlannedFile(mount=shared[name], path=key, config_map=name)]
    if given.image is not None:
        reference, path = given.image.reference, given.image.path
        return [PlannedFile(mount=shared[reference], path=path, image=reference, folder=path.endswith("/"))]
    if made is not None and made.store is not None and made.path is not None:
        update = {"sha256": made.sha256, "job": made.job, "image_import": made.image_import}
        return [of_store(index, 0, made.store, made.path).model_copy(update=update)]
    return None


def stores_of_inputs(inputs: Sequence[JobInput], handed: Sequence[RunInput]) -> list[str]:
    """The DataStores that inputs come from, each once."""
    own = [given.store.name for given in inputs if given.store is not None]
    return list(dict.fromkeys([*own, *(made.store for made in handed if made.store is not None)]))


def volumes(plan: Plan) -> list[Body]:
    """A volume for each ConfigMap, with the keys that are named alone, and for each image."""
    found: dict[str, Body] = {}
    for file in _shared(plan):
        name = volume_at(file.mount)
        if file.config_map is not None:
            # What is not there must not hold the Pod for ever: stage says that it is missing.
            empty: Body = {"name": file.config_map, "optional": True, "items": []}
            volume = found.setdefault(name, {"name": name, "configMap": empty})
            item = {"key": file.path, "path": file.path}
            if item not in volume["configMap"]["items"]:
                volume["configMap"]["items"].append(item)
        else:
            # Nobody has asked its registry yet whether the namespace may read it, and the node may have it of another.
            source = {"reference": file.image, "pullPolicy": "Always"}
            found.setdefault(name, {"name": name, "image": source})
    return list(found.values())


def mounts(plan: Plan) -> dict[str, str]:
    """Where stage sees those volumes: their names by path."""
    return {file.mount: volume_at(file.mount) for file in _shared(plan)}


def volume_at(mount: str) -> str:
    """The volume is called as the path that it is mounted at: /config-map/0 is config-map-0."""
    return mount.strip("/").replace("/", "-")


def _shared(plan: Plan) -> list[PlannedFile]:
    return [file for planned in plan.inputs for file in planned.files or [] if file.store is None]


def _mounted(below: str, wanted: Sequence[str]) -> dict[str, str]:
    return {name: f"{below}/{number}" for number, name in enumerate(dict.fromkeys(wanted))}


def of_store(index: int, number: int, store: str, path: str) -> PlannedFile:
    """Path `number` of input `index`, in a DataStore."""
    mount = f"{names.STORES_MOUNT}/{index}/{number}"
    return PlannedFile(mount=mount, path=path, store=store, folder=path.endswith("/"))


def _value_json(given: JobInput, made: RunInput | None) -> str:
    value = made.value if made is not None else given.value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
