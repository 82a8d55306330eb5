"""The containers of our Pods: the steps, and the algorithm under its runner. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import inputs, names, quantity, scratch
from algorithm_operator.core.settings import PodSettings

Body = dict[str, Any]

_RESTRICTED: Body = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def restricted() -> Body:
    """The securityContext of a container that writes nothing but its volumes."""
    return dict(_RESTRICTED)


_DOWNWARD = {
    "HOST_IPS": "status.hostIPs",
    "POD_IP": "status.podIP",
    "POD_NAME": "metadata.name",
    "POD_UID": "metadata.uid",
    "NODE_NAME": "spec.nodeName",
}


def step_container(
    name: str, settings: PodSettings, resources: Mapping[str, str], mounts: list[Body]
) -> Body:
    """One of our own containers: `python -m algorithm_operator.steps <name>` in the steps image."""
    env: list[Body] = [
        {"name": key, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for key, path in _DOWNWARD.items()
    ]
    # Where NVIDIA's runtime is the default, an unset variable would hand every GPU to our own containers.
    env.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    return {
        "name": name,
        "image": settings.steps_image,
        "imagePullPolicy": "IfNotPresent",
        "args": [name],
        "env": env,
        # What is allowed on disk is not reserved there.
        "resources": {
            "requests": {
                **resources,
                **({scratch.RESOURCE: "16Mi"} if scratch.RESOURCE in resources else {}),
            },
            "limits": dict(resources),
        },
        "securityContext": restricted(),
        "volumeMounts": mounts,
    }


def mount(volume: str, path: str, *, read_only: bool = False, sub_path: str | None = None) -> Body:
    """One volumeMount."""
    body: Body = {"name": volume, "mountPath": path}
    if read_only:
        body["readOnly"] = True
    if sub_path is not None:
        body["subPath"] = sub_path
    return body


def plan_volume() -> Body:
    """The plan of the Pod's annotation, as a file for its steps."""
    at = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{names.ANNOTATION_PLAN}']"}
    return {"name": "plan", "downwardAPI": {"items": [{"path": "plan.json", "fieldRef": at}]}}


def stage_mounts(plan: Plan, volume_of: Mapping[str, str]) -> list[Body]:
    """What `stage` sees: of the stores exactly the files and folders that the job names; images whole."""
    mounts = [
        mount("plan", names.PLAN_MOUNT, read_only=True),
        mount("input", names.INPUT_MOUNT),
        mount("runner", names.RUNNER_MOUNT),
        mount("scratch", names.SCRATCH_MOUNT),
    ]
    for planned in plan.inputs:
        for file in planned.files or []:
            if file.store is not None:
                path = file.path.rstrip("/")
                mounts.append(mount(volume_of[file.store], file.mount, read_only=True, sub_path=path))
    mounts += [mount(volume, path, read_only=True) for path, volume in inputs.mounts(plan).items()]
    if (model := plan.model) is not None:
        mounts.append(mount("model", names.MODEL_MOUNT))
        if model.store is None:
            mounts.append(mount("model-image", model.mount, read_only=True))
        else:
            path = model.path.rstrip("/")
            mounts.append(mount(volume_of[model.store], model.mount, read_only=True, sub_path=path))
    return mounts


def collect_mounts(plan: Plan, volume_of: Mapping[str, str]) -> list[Body]:
    """What `collect` sees: of the output store the attempt's own folder alone."""
    mounts = [
        mount("plan", names.PLAN_MOUNT, read_only=True),
        mount("runner", names.RUNNER_MOUNT, read_only=True),
        mount("logs", names.LOGS_MOUNT, read_only=True),
        mount("input", names.INPUT_MOUNT, read_only=True),
        mount("output", names.OUTPUT_MOUNT, read_only=True),
        mount("scratch", names.SCRATCH_MOUNT),
    ]
    if plan.output_store is not None:
        store = plan.output_store
        mounts.append(mount(volume_of[store.name], names.STORE_MOUNT, sub_path=store.folder))
    if plan.log_store is not None:
        store = plan.log_store
        mounts.append(mount(volume_of[store.name], names.LOG_STORE_MOUNT, sub_path=store.folder))
    return mounts


def stage_resources(run: RunSnapshot, settings: PodSettings) -> dict[str, str]:
    """Staging is over before the algorithm starts: the processors and the memory that are reserved for that cost
    nothing more, and an image of any size is read in memory."""
    wanted, own = settings.stage_resources, {"cpu": run.resources.cpu, "memory": run.resources.memory}
    return {**wanted, **{name: max(wanted[name], own[name], key=quantity.parse) for name in own}}


def collect_resources(settings: PodSettings) -> dict[str, str]:
    """With a bound on the disk that is no bound: the kubelet adds the containers' bounds up to one of the Pod, and
    holds inputs and model against it, which are not the algorithm's doing."""
    return {**settings.collect_resources, scratch.RESOURCE: settings.staged_size}


def algorithm_container(run: RunSnapshot, settings: PodSettings) -> Body:
    """The user's image under the runner."""
    resources: Body = {"cpu": run.resources.cpu, "memory": run.resources.memory}
    requests, limits = scratch.bounds(run.resources)
    env: list[Body] = []
    if run.resources.gpu.count:
        gpu = settings.gpu_types[run.resources.gpu.type]
        resources[gpu.resource] = str(run.resources.gpu.count)
    else:
        env.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    body: Body = {
        "name": names.ALGORITHM,
        "image": run.image,
        "imagePullPolicy": "IfNotPresent",
        # No args, ever: the kubelet expands $(VAR) there; ENTRYPOINT and CMD travel in run.json.
        "command": [f"{names.RUNNER_MOUNT}/{names.RUNNER_BINARY}"],
        "resources": {"requests": {**resources, **requests}, "limits": {**resources, **limits}},
        "securityContext": {**_RESTRICTED, "readOnlyRootFilesystem": False},
        "volumeMounts": [
            mount("runner", names.RUNNER_MOUNT, read_only=True),
            mount("logs", names.LOGS_MOUNT),
            mount("input", names.INPUT_MOUNT, read_only=True),
            mount("output", names.OUTPUT_MOUNT),
            mount("tmp", names.TMP_MOUNT),
            *([mount("model", names.MODEL_MOUNT, read_only=True)] if run.model is not None else []),
            *([mount("shm", names.SHM_MOUNT)] if run.resources.shared_memory is not None else []),
        ],
    }
    if env:
        body["env"] = env
    return body
