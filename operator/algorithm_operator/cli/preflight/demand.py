"""What one job asks of a node, of a quota and of a LimitRange: the containers that the operator would make. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from algorithm_operator.api.algorithm import Gpu, Resources, User
from algorithm_operator.api.interface import Interface
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.core import names, quantity
from algorithm_operator.core.containers import (
    algorithm_container,
    collect_resources,
    stage_resources,
    step_container,
)
from algorithm_operator.core.scratch import RESOURCE as DISK
from algorithm_operator.core.settings import PodSettings

Container = Mapping[str, Any]
Amounts = dict[str, Decimal]

MEMORY, CPU = "memory", "cpu"


def default_run(gpu_type: str) -> RunSnapshot:
    """A run of an Algorithm that leaves its resources out, but for the type of its GPU."""
    return RunSnapshot(
        name="default",
        uid="",
        generation=1,
        image="image",
        image_digest="",
        user=User(uid=1000, gid=1000),
        interface=Interface.model_construct(inputs=[], outputs=[]),
        resources=Resources(gpu=Gpu(type=gpu_type)),
        time_limit_seconds=7200,
        collect_seconds=600,
        network="None",
    )


def containers(gpu_type: str, settings: PodSettings) -> list[Container]:
    """stage, collect and the algorithm of that run, with their resources."""
    run = default_run(gpu_type)
    return [
        step_container(names.STAGE, settings, stage_resources(run, settings), []),
        step_container(names.COLLECT, settings, collect_resources(settings), []),
        algorithm_container(run, settings),
    ]


def amounts(container: Container, kind: str) -> Amounts:
    """`requests` or `limits` of a container, as numbers."""
    given = (container.get("resources") or {}).get(kind) or {}
    return {name: quantity.parse(amount) for name, amount in given.items()}


def of_pod(found: list[Container], kind: str) -> Amounts:
    """What the Pod counts as, for scheduler and quota: collect runs beside the algorithm, stage is over by then."""
    stage, collect, algorithm = (amounts(each, kind) for each in found)
    beside = {
        name: collect.get(name, Decimal(0)) + algorithm.get(name, Decimal(0))
        for name in collect.keys() | algorithm.keys()
    }
    return {
        name: max(beside.get(name, Decimal(0)), stage.get(name, Decimal(0)))
        for name in sorted(beside.keys() | stage.keys())
    }


def amount(resource: str, number: Decimal) -> str:
    """A number of that resource, as people read it."""
    if resource.rpartition(".")[2] in (MEMORY, DISK, "storage"):
        return quantity.gib(number)
    return f"{number.normalize():f}"


def arithmetic(gpu_type: str, settings: PodSettings) -> str:
    """What a default job asks of its node, with where the memory goes."""
    asked = of_pod(containers(gpu_type, settings), "requests")
    own = Resources().memory
    collect = quantity.parse(settings.collect_resources[MEMORY])
    parts = [
        f"{quantity.gib(asked[MEMORY])} of memory ({own} = {quantity.gib(own)} for the algorithm, "
        f"{quantity.gib(collect)} for collect)",
        f"{amount(CPU, asked[CPU])} CPU",
        f"{quantity.gib(asked[DISK])} of disk",
    ]
    gpu = settings.gpu_types[gpu_type].resource
    return ", ".join([*parts, f"{amount(gpu, asked[gpu])} {gpu}"])
