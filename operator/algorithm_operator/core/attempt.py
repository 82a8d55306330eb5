"""From an accepted job to what runs: the snapshot kept in status, and the plan of one attempt. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from algorithm_operator.api.algorithm import AlgorithmSpec, AlgorithmStatus, Interface, User
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.job import AlgorithmJobSpec, JobInput, RunSnapshot
from algorithm_operator.contract.plan import (
    MAX_PLAN_BYTES,
    Command,
    Isolation,
    Limits,
    Plan,
    PlannedAlgorithm,
    PlannedFile,
    PlannedInput,
    PlannedJob,
    PlannedOutputStore,
    Target,
)
from algorithm_operator.contract.sockets import planned_socket
from algorithm_operator.core import names
from algorithm_operator.core.settings import PodSettings


def user_of(spec: AlgorithmSpec, status: AlgorithmStatus) -> User | None:
    """Who the algorithm runs as: the explicit user, else the image's numeric one."""
    if spec.security.user is not None:
        return spec.security.user
    image = status.image
    if image is None or not image.uid:
        return None
    return User(uid=image.uid, gid=image.gid or image.uid)


def snapshot(
    *,
    name: str,
    uid: str,
    generation: int,
    spec: AlgorithmSpec,
    status: AlgorithmStatus,
    interface: Interface,
    time_limit_seconds: int,
    output_store: str | None,
) -> RunSnapshot:
    """What the job will run, whatever happens to the Algorithm later. The Algorithm must be ready."""
    image, user = status.image, user_of(spec, status)
    if image is None or user is None:
        raise ValueError(f"Algorithm {name} is not resolved")
    return RunSnapshot(
        name=name,
        uid=uid,
        generation=generation,
        image=pinned(image.reference, image.digest),
        image_digest=image.digest,
        entrypoint=image.entrypoint,
        cmd=image.cmd,
        user=user,
        interface=interface,
        resources=spec.resources,
        time_limit_seconds=time_limit_seconds,
        collect_seconds=spec.collect_seconds,
        network=spec.network,
        output_store=output_store,
    )


def pinned(reference: str, digest: str) -> str:
    """`reference` with its tag replaced by the digest: what the kubelet pulls."""
    name = reference.split("@", 1)[0]
    slash, colon = name.rfind("/"), name.rfind(":")
    return f"{name[:colon] if colon > slash else name}@{digest}"


def plan(
    *,
    namespace: str,
    job: str,
    job_uid: str,
    attempt: int,
    spec: AlgorithmJobSpec,
    run: RunSnapshot,
    targets: list[Target],
    settings: PodSettings,
) -> Plan:
    """The plan of one attempt. Raises ValueError when it would not fit into an annotation."""
    by_slug = {given.slug: given for given in spec.inputs}
    inputs = [
        _planned_input(index, by_slug[socket.slug], planned_socket(socket, namespace))
        for index, socket in enumerate(run.interface.inputs)
    ]
    folder = names.attempt_folder(job, job_uid, attempt)
    made = Plan(
        job=PlannedJob(namespace=namespace, name=job, uid=job_uid, attempt=attempt),
        algorithm=PlannedAlgorithm(
            name=run.name,
            generation=run.generation,
            image=run.image,
            image_digest=run.image_digest,
            interface=run.interface.name,
        ),
        command=Command(entrypoint=run.entrypoint, cmd=run.cmd),
        inputs=inputs,
        outputs=[planned_socket(socket, namespace) for socket in run.interface.outputs],
        output_store=PlannedOutputStore(name=run.output_store, folder=folder) if run.output_store else None,
        limits=_limits(run),
        network=run.network,
        isolation=Isolation(strict=settings.isolation_strict, targets=targets),
        settings={"logMaxBytes": settings.log_max_bytes, "maxOutputBytes": settings.max_output_bytes},
    )
    size = len(json.dumps(made.wire()).encode())
    if size > MAX_PLAN_BYTES:
        raise ValueError(f"the plan of the job takes {size} bytes, more than {MAX_PLAN_BYTES}")
    return made


def _planned_input(index: int, given: JobInput, socket: object) -> PlannedInput:
    if given.store is None:
        return PlannedInput.model_validate(
            {"socket": socket, "value_json": json.dumps(given.value, ensure_ascii=False, allow_nan=False)}
        )
    files = [
        PlannedFile(
            mount=f"{names.STORES_MOUNT}/{index}/{number}",
            path=path,
            store=given.store.name,
            folder=path.endswith("/"),
        )
        for number, path in enumerate(given.store.paths)
    ]
    return PlannedInput.model_validate({"socket": socket, "files": files})


def _limits(run: RunSnapshot) -> Limits:
    return Limits(
        cpu=run.resources.cpu,
        memory=run.resources.memory,
        gpu_type=run.resources.gpu.type,
        gpu_count=run.resources.gpu.count,
        threads=run.resources.threads,
        time_limit_seconds=run.time_limit_seconds,
        collect_seconds=run.collect_seconds,
        enforced_by={
            "cpu": "kubelet (CFS quota)",
            "memory": "kubelet (cgroup)",
            "gpu": "scheduler and device plugin",
            "threads": "runner (counts every 0.2 s)",
            "time": "runner, then kubelet (activeDeadlineSeconds)",
        },
    )


def stores_of(spec: AlgorithmJobSpec, run: RunSnapshot) -> list[str]:
    """The DataStores that the job touches, each once."""
    wanted = [given.store.name for given in spec.inputs if given.store is not None]
    return list(dict.fromkeys([*wanted, *([run.output_store] if run.output_store else [])]))


def specs(stores: Mapping[str, DataStoreSpec], wanted: list[str]) -> dict[str, DataStoreSpec]:
    """The specs of the wanted stores; KeyError names one that is not there."""
    return {name: stores[name] for name in wanted}
