"""From an accepted job to what runs: the snapshot kept in status, and the plan of one attempt. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from algorithm_operator.api.algorithm import (
    AlgorithmSpec,
    AlgorithmStatus,
    ObjectRef,
    ResolvedImage,
    User,
)
from algorithm_operator.api.interface import Interface
from algorithm_operator.api.job import AlgorithmJobSpec, JobInput
from algorithm_operator.api.run import RunInput, RunModel, RunSnapshot
from algorithm_operator.contract.plan import (
    Command,
    Isolation,
    Limits,
    Plan,
    PlannedAlgorithm,
    PlannedJob,
    PlannedModel,
    PlannedOutputStore,
    Target,
)
from algorithm_operator.contract.sockets import planned_socket
from algorithm_operator.core import names, quantity
from algorithm_operator.core.containers import stage_resources
from algorithm_operator.core.inputs import planned_inputs, stores_of_inputs
from algorithm_operator.core.seal import canonical
from algorithm_operator.core.settings import PodSettings


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
    given: Sequence[JobInput],
    handed: Sequence[RunInput],
) -> RunSnapshot:
    """What the job will run, whatever happens to the Algorithm later. The Algorithm must be ready.

    `given`: the inputs of the job; `handed`: what other jobs and ImageImports have made of them.
    """
    image = status.image
    if image is None:
        raise ValueError(f"Algorithm {name} is not resolved")
    return RunSnapshot(
        name=name,
        uid=uid,
        generation=generation,
        image=pinned(image.reference, image.digest),
        image_digest=image.digest,
        entrypoint=image.entrypoint,
        cmd=image.cmd,
        user=_user(spec, image),
        home=image.home if spec.security.user is None else None,
        pull_secrets=_pull_secrets(spec, given),
        model=_model(spec, status),
        interface=interface,
        inputs=list(handed),
        resources=spec.resources,
        time_limit_seconds=time_limit_seconds,
        collect_seconds=spec.collect_seconds,
        network=spec.network,
        output_store=output_store,
        log_policy=spec.log_policy,
        result_template=spec.result_template,
    )


def _user(spec: AlgorithmSpec, image: ResolvedImage) -> User | None:
    wanted = spec.security.user
    if wanted is not None and wanted.from_ is not None:
        return None
    # An image whose USER is not known in numbers is no Ready Algorithm's (acceptable.py); pydantic would say so here.
    return User.model_validate(
        {"uid": image.uid, "gid": image.gid} if wanted is None else {"uid": wanted.uid, "gid": wanted.gid}
    )


def _pull_secrets(spec: AlgorithmSpec, given: Sequence[JobInput]) -> list[ObjectRef]:
    """The secrets of the image, of its model and of the inputs, each once."""
    images = [
        spec.image,
        spec.model.image if spec.model is not None else None,
        *(each.image for each in given),
    ]
    secrets = [secret.name for image in images if image is not None for secret in image.pull_secrets]
    return [ObjectRef(name=name) for name in dict.fromkeys(secrets)]


def _model(spec: AlgorithmSpec, status: AlgorithmStatus) -> RunModel | None:
    if spec.model is None:
        return None
    image = None
    if spec.model.image is not None:
        if status.model is None:
            raise ValueError("the model's image is not resolved")
        image = pinned(status.model.reference, status.model.digest)
    return RunModel(image=image, store=spec.model.store, path=spec.model.path, sha256=spec.model.sha256)


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
    """The plan of one attempt."""
    folder, log_store = names.attempt_folder(job, job_uid, attempt), run.log_policy.store
    made = Plan(
        job=PlannedJob(namespace=namespace, name=job, uid=job_uid, attempt=attempt),
        algorithm=PlannedAlgorithm(
            name=run.name,
            generation=run.generation,
            image=run.image,
            image_digest=run.image_digest,
            interface=run.interface.name,
        ),
        command=Command(entrypoint=run.entrypoint, cmd=run.cmd, home=run.home),
        inputs=planned_inputs(spec, run, namespace),
        outputs=[planned_socket(socket, namespace, run.interface) for socket in run.interface.outputs],
        model=_planned_model(run),
        output_store=PlannedOutputStore(name=run.output_store, folder=folder) if run.output_store else None,
        log_store=PlannedOutputStore(name=log_store.name, folder=folder) if log_store else None,
        error_in_status=run.log_policy.error_in_status,
        limits=_limits(run),
        network=run.network,
        isolation=Isolation(
            strict=settings.isolation_strict,
            targets=targets,
            node_local=[
                Target(name="cluster DNS", host=host, port=53, protocol="UDP")
                for host in settings.dns_servers
            ],
        ),
        result_template=run.result_template,
        settings={
            "logMaxBytes": settings.log_max_bytes,
            "maxOutputBytes": settings.max_output_bytes,
            "maxModelBytes": settings.max_model_bytes,
            "stageMemoryBytes": int(quantity.parse(stage_resources(run, settings)["memory"])),
        },
    )
    return made


def text(planned: Plan) -> str:
    """The plan as the Pod's annotation carries it; it must take at most MAX_PLAN_BYTES of UTF-8."""
    return canonical(planned.wire())


def _planned_model(run: RunSnapshot) -> PlannedModel | None:
    if run.model is None:
        return None
    store = run.model.store
    return PlannedModel(
        mount=names.MODEL_SOURCE_MOUNT,
        path=store.path if store is not None else run.model.path or "",
        store=store.name if store is not None else None,
        image=run.model.image,
        sha256=run.model.sha256,
    )


def _limits(run: RunSnapshot) -> Limits:
    return Limits(
        cpu=run.resources.cpu,
        memory=run.resources.memory,
        gpu_type=run.resources.gpu.type,
        gpu_count=run.resources.gpu.count,
        threads=run.resources.threads,
        scratch=run.resources.scratch.size,
        scratch_medium=run.resources.scratch.medium,
        shared_memory=run.resources.shared_memory,
        time_limit_seconds=run.time_limit_seconds,
        collect_seconds=run.collect_seconds,
    )


def stores_of_run(spec: AlgorithmJobSpec, run: RunSnapshot) -> list[str]:
    """The DataStores that the job's Pod mounts, each once: the job's own, and those of its algorithm."""
    outputs = [run.output_store] if run.output_store is not None else []
    model = [run.model.store.name] if run.model is not None and run.model.store is not None else []
    logs = [run.log_policy.store.name] if run.log_policy.store is not None else []
    return list(dict.fromkeys([*stores_of_inputs(spec.inputs, run.inputs), *outputs, *model, *logs]))
