"""The Pod that looks the USER of an image up in the image's own /etc/passwd: sealed, and nothing of the image runs.

An init container of ours brings the runner; the image's container runs that, as our own uid, with no volume but it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError

from algorithm_operator.api.algorithm import AlgorithmSpec, ResolvedImage
from algorithm_operator.api.base import Model
from algorithm_operator.core import attempt, errand, names
from algorithm_operator.core.containers import mount, restricted, step_container
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.storepod import near_gpus
from algorithm_operator.core.world import Algorithm

Body = dict[str, Any]
DEADLINE_SECONDS = 3600
"""With the pull of the image."""
EXIT_UNKNOWN = 65
_RESOURCES = {"cpu": "50m", "memory": "64Mi"}


class Account(Model):
    """What the runner found."""

    uid: Annotated[int, Field(ge=0, le=2**31 - 1)]
    gid: Annotated[int, Field(ge=0, le=2**31 - 1)]
    home: Annotated[str | None, Field(max_length=1024)] = None


class _Unknown(Model):
    error: str


def is_needed(spec: AlgorithmSpec, image: ResolvedImage) -> bool:
    """Whether the image's own accounts decide: USER is a name, or a number whose group it does not say."""
    return spec.security.user is None and (image.uid is None or image.gid is None)


def user_pod(of: Algorithm, image: ResolvedImage, settings: PodSettings) -> Body:
    """The Pod. It prefers the nodes that jobs run on: the image that it pulls is theirs."""
    places = near_gpus(settings)
    if not of.spec.resources.gpu.count:
        places.pop("affinity", None)
    runner = mount("runner", names.RUNNER_MOUNT)
    install = step_container(names.INSTALL, settings, settings.collect_resources, [runner])
    user = (image.user or "").replace("$", "$$")  # the kubelet expands $(VAR) and $$
    container: Body = {
        "name": names.USER,
        "image": attempt.pinned(image.reference, image.digest),
        "imagePullPolicy": "IfNotPresent",
        "command": [f"{names.RUNNER_MOUNT}/{names.RUNNER_BINARY}", "user", user],
        # The image's own may be closed to others than its user.
        "workingDir": "/",
        # What the image's own ENV may say otherwise.
        "env": [
            {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},
            {"name": "TERMINATION_LOG_PATH", "value": "/dev/termination-log"},
        ],
        "resources": {"requests": dict(_RESOURCES), "limits": dict(_RESOURCES)},
        "securityContext": restricted(),
        "volumeMounts": [{**runner, "readOnly": True}],
    }
    secrets = [{"name": each.name} for each in of.spec.image.pull_secrets]
    spec: Body = {
        **({"imagePullSecrets": secrets} if secrets else {}),
        **places,
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "initContainers": [install],
        "containers": [container],
        "volumes": [{"name": "runner", "emptyDir": {}}],
    }
    labels = {names.LABEL_ROLE: names.ROLE_USER}
    seconds, who = DEADLINE_SECONDS, errand.user_for(of.spec)
    return errand.pod(of, names.user_pod(of.name), labels, spec, seconds=seconds, user=who)


def answer(ended: errand.Ended) -> Account | str:
    """The account, or why there is none. ValueError: that is no answer of the runner's."""
    try:
        if ended.exit_code == 0:
            return Account.model_validate_json(ended.message)
        if ended.exit_code == EXIT_UNKNOWN:
            return _Unknown.model_validate_json(ended.message).error
    except ValidationError as error:
        raise ValueError("its answer cannot be read") from error
    raise ValueError(f"it ended with exit code {ended.exit_code}")
