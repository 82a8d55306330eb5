"""How images are looked up: private registries, users by name, images that are refused, tags that move, outages.

The images are the probe with another configuration. They are all looked up together, and each test looks at its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.e2e.harness import OPERATOR_NAMESPACE, Job, Namespace, Object, Store, eventually, operator_pod
from tests.e2e.registries import (
    PASSWORD,
    PRIVATE,
    PrivateRegistry,
    private,
    private_registry,
    pull_secret,
    variant,
)

WRONG: Final = "not-the-password"
DO: Final = [["look_around"], ["write_report"]]
# USER → uid, gid and home, as the image's own /etc/passwd (Debian's) has them and Docker would take them.
USERS: Final = {
    "games": (5, 60, "/usr/games"),
    "www-data:users": (33, 100, "/var/www"),
    "5": (5, 60, "/usr/games"),
    "4321": (4321, 0, None),
    "4321:0": (4321, 0, None),
    "4321:1234": (4321, 1234, None),
}
SHOW_MODEL: Final = [["python", "report['model'] = os.listdir('/opt/ml/model')"], ["write_report"]]
RUN_AS: Final = ("games", "4321:0")
"""Of these a job is run, too."""
REFUSED: Final[dict[str, tuple[Object, str, str]]] = {
    "root": ({"User": "root"}, "ImageRunsAsRoot", "RUN groupadd"),
    "root-by-number": ({"User": "0:1000"}, "ImageRunsAsRoot", "USER 1000:1000"),
    "nobody-knows": ({"User": "nobody-knows"}, "ImageUserUnknown", "useradd"),
    "no-command": ({"Entrypoint": None, "Cmd": None}, "ImageHasNoCommand", "ENTRYPOINT"),
    "preload": ({"Env": ["LD_PRELOAD=/x.so"]}, "ImageInvalid", "LD_PRELOAD=/x.so"),
    "every-gpu": ({"Env": ["NVIDIA_VISIBLE_DEVICES=0,1"]}, "ImageInvalid", "NVIDIA_VISIBLE_DEVICES=0,1"),
    "arm": ({"platform": "linux/arm64"}, "ImagePlatform", "linux/arm64"),
}
SECRETS: Final[dict[str, tuple[list[str], str, str]]] = {
    "anonymous": ([], "ImageUnauthorized", "spec.image.pullSecrets"),
    "wrong": (["wrong"], "ImageUnauthorized", "refuses the credentials of Secret wrong"),
    "elsewhere": (["elsewhere"], "ImageUnauthorized", f"no credentials for {PRIVATE}"),
    "absent": (["absent"], "PullSecretNotFound", "kubectl create secret docker-registry absent"),
}


def named(user: str) -> str:
    """The Algorithm of a USER."""
    return "user-" + user.replace(":", "-")


@pytest.fixture(scope="module")
def registry() -> Iterator[PrivateRegistry]:
    """Where one has to log in."""
    with private_registry() as started:
        yield started


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    """The store of all jobs here."""
    return module_namespace.store()


@pytest.fixture(scope="module")
def namespace(module_namespace: Namespace, registry: PrivateRegistry, store: Store) -> Namespace:
    """All Algorithms of this file but those of single tests, written at once."""
    here = module_namespace
    secrets = (
        pull_secret("right"),
        pull_secret("wrong", WRONG),
        pull_secret("elsewhere", registry="r.example"),
    )
    for secret in secrets:
        here.kube.create("secrets", secret, here.name)
    for name, (names, _, _) in SECRETS.items():
        here.algorithm(name, image=private(here.image), pull_secrets=names, ready=False)
    here.algorithm("private", image=private(here.image), pull_secrets=["right"], ready=False)
    model = {"reference": private(here.image), "pullSecrets": [{"name": "right"}]}
    here.algorithm("model", model={"image": model, "path": "opt"}, ready=False)
    absent = {"reference": f"{here.image.partition('@')[0]}:no-such-tag"}
    here.algorithm("no-model", model={"image": absent}, ready=False)
    for user in USERS:
        image = variant(here.image, f"{here.name}-{named(user)}", User=user)
        here.algorithm(named(user), image=image, ready=False)
    for name, (config, _, _) in REFUSED.items():
        here.algorithm(name, image=variant(here.image, f"{here.name}-{name}", **config), ready=False)
    return here


@pytest.fixture(scope="module")
def jobs(namespace: Namespace) -> dict[str, Job]:
    """Jobs that wait for their Algorithms by themselves."""
    wanted = ["private", *map(named, RUN_AS)]
    started = {name: namespace.job(name, algorithm=name, do=DO) for name in wanted}
    return {**started, "model": namespace.job("model", algorithm="model", do=SHOW_MODEL)}


def status(namespace: Namespace, name: str) -> Object:
    """Of an Algorithm."""
    body = namespace.kube.get("algorithms", name, namespace.name) or {}
    found: Object = body.get("status") or {}
    return found


def ready(namespace: Namespace, name: str, reason: str, timeout: float = 60) -> str:
    """The message of its Ready condition, once that has the reason."""

    def look() -> Object | None:
        conditions = status(namespace, name).get("conditions") or []
        return next((c for c in conditions if c["type"] == "Ready" and c["reason"] == reason), None)

    try:
        return str(eventually(look, timeout, f"{name}: {reason}").get("message") or "")
    except AssertionError as error:
        raise AssertionError(f"{error}; its status: {status(namespace, name)}") from None


def report(store: Store, job: Job) -> dict[str, Any]:
    """What the probe saw."""
    job.wait("Succeeded", timeout=120)
    found: dict[str, Any] = json.loads(store.files(job)["results.json"])
    return found


@pytest.mark.parametrize("name", SECRETS)
def test_what_a_private_registry_needs_is_said(namespace: Namespace, name: str) -> None:
    _, reason, told = SECRETS[name]
    assert told in ready(namespace, name, reason)


def test_a_secret_that_comes_later_is_found(namespace: Namespace) -> None:
    ready(namespace, "absent", "PullSecretNotFound")
    namespace.kube.create("secrets", pull_secret("absent"), namespace.name)
    ready(namespace, "absent", "Ready")


@pytest.mark.parametrize("user", USERS)
def test_a_user_is_whom_docker_would_take(namespace: Namespace, user: str) -> None:
    ready(namespace, named(user), "Ready", 90)
    image = status(namespace, named(user))["image"]
    assert image["user"] == user
    assert (image["uid"], image["gid"], image.get("home")) == USERS[user]


@pytest.mark.parametrize("name", REFUSED)
def test_an_image_that_cannot_run_is_refused_with_the_fix(namespace: Namespace, name: str) -> None:
    _, reason, told = REFUSED[name]
    assert told in ready(namespace, name, reason, 90)


@pytest.mark.parametrize("user", RUN_AS)
def test_a_job_runs_as_that_user(jobs: dict[str, Job], store: Store, user: str) -> None:
    seen = report(store, jobs[named(user)])
    uid, gid, home = USERS[user]
    assert seen["status"]["Uid"].split() == [str(uid)] * 4
    assert seen["status"]["Gid"].split() == [str(gid)] * 4
    assert seen["environment"]["HOME"] == home or (home is None and seen["environment"]["HOME"] == "/tmp")


def test_a_model_in_an_image_is_looked_up_and_pulled_likewise(
    namespace: Namespace, jobs: dict[str, Job], store: Store
) -> None:
    told = ready(namespace, "no-model", "ImageNotFound")
    assert told.startswith("Model image ")
    assert "spec.model.image.reference" in told
    assert report(store, jobs["model"])["model"] == ["probe.py"]
    model = status(namespace, "model")["model"]
    assert model == {"reference": private(namespace.image), "digest": namespace.image.partition("@")[2]}


def test_a_private_image_runs_and_its_registry_may_be_gone_by_then(
    namespace: Namespace, registry: PrivateRegistry, jobs: dict[str, Job], store: Store
) -> None:
    report(store, jobs["private"])
    registry.stop()
    try:
        job = namespace.job("in-an-outage", algorithm="private", do=DO)
        namespace.algorithm("late", image=private(namespace.image), pull_secrets=["right"], ready=False)
        told = ready(namespace, "late", "RegistryUnreachable")
        assert PRIVATE in told
        assert "Connection refused" in told
        report(store, job)
        ready(namespace, "private", "Ready")
    finally:
        registry.start()
    ready(namespace, "late", "Ready")


def test_a_tag_that_moves_changes_nothing_until_somebody_says_so(namespace: Namespace, store: Store) -> None:
    tag = f"{namespace.name}-moving"
    image = variant(namespace.image, tag, Labels={"version": "1"})
    namespace.algorithm("moving", image=image)
    first = status(namespace, "moving")["image"]["digest"]
    variant(namespace.image, tag, Labels={"version": "2"}, Entrypoint=["/no/such/program"])

    job = namespace.job("after-the-move", algorithm="moving", do=DO)
    report(store, job)
    assert job.status["algorithm"]["imageDigest"] == first
    assert status(namespace, "moving")["image"]["digest"] == first

    third = variant(namespace.image, f"{tag}-3", Labels={"version": "3"})
    namespace.kube.patch("algorithms", "moving", {"spec": {"image": {"reference": third}}}, namespace.name)
    namespace.algorithm_ready("moving")
    assert status(namespace, "moving")["image"]["digest"] != first


def test_nothing_is_left_of_the_look_ups_and_no_password_is_told(namespace: Namespace) -> None:
    """The last test: all Algorithms have their verdict."""
    kube = namespace.kube

    def left() -> list[str]:
        pods = [pod["metadata"]["name"] for pod in kube.list("pods", namespace.name)]
        return [name for name in pods if name.endswith(("-inspect", "-user"))]

    # Those that are refused for a Secret are asked about now and then.
    eventually(lambda: not [name for name in left() if not name.startswith(tuple(SECRETS))], 20, "tidied")
    operator = operator_pod(kube)["metadata"]["name"]
    words = kube.logs(OPERATOR_NAMESPACE, operator, "operator")
    words += str(kube.list("algorithms", namespace.name)) + str(kube.list("events", namespace.name))
    assert PASSWORD not in words
    assert WRONG not in words
