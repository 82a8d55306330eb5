"""Images that Pods are sent about: pull secrets, the USER, the model; and an operator that is killed in between."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.text import shown
from algorithm_operator.contract.fetching import Outcome
from algorithm_operator.core import names
from algorithm_operator.core.registry import RegistryError
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import ALGORITHMS, NAMESPACES, NETWORK_POLICIES, PODS
from tests.unit.controller.cluster import NAMESPACE, Cluster, Killed, MortalClient, Operator, cluster_at
from tests.unit.controller.registry import Registry, end
from tests.unit.core.builders import ALGORITHM, NOW, POLICY
from tests.unit.kube.fake_api import status as answer

Body = dict[str, Any]
USER_POD = "a-user"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry.installed(monkeypatch)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with cluster_at(NOW) as made:
        seal(made)
        yield made


@pytest.fixture
async def operator(cluster: Cluster, registry: Registry) -> AsyncIterator[Operator]:
    async with Client(Connection(server=cluster.url)) as client:
        yield Operator(cluster, client)


def seal(cluster: Cluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.put(NAMESPACES, {"metadata": {"name": NAMESPACE, "labels": labels}}, None)
    cluster.put(NETWORK_POLICIES, POLICY)


def write(cluster: Cluster, *, secrets: tuple[str, ...] = (), tag: str = "1", **more: Any) -> None:
    spec = copy.deepcopy(ALGORITHM["spec"]) | more
    spec["image"] = {"reference": f"r.example/a:{tag}", "pullSecrets": [{"name": name} for name in secrets]}
    known = cluster.get(ALGORITHMS, "a")
    cluster.put(
        ALGORITHMS,
        {"metadata": {"name": "a"}, "spec": spec, **({"status": known["status"]} if known else {})},
    )


def status(cluster: Cluster) -> Body:
    body = cluster.get(ALGORITHMS, "a")
    assert body is not None
    found: Body = body["status"]
    return found


def ready(cluster: Cluster) -> tuple[str, str]:
    condition = next(c for c in status(cluster)["conditions"] if c["type"] == "Ready")
    return condition["reason"], condition.get("message", "")


def pods(cluster: Cluster) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in cluster.pods())


async def work(cluster: Cluster, operator: Operator, registry: Registry) -> None:
    """Until nothing moves any more."""
    await operator.run()
    while registry.run_pods(cluster):
        await operator.run()


def found(cluster: Cluster, code: int = 0, **account: Any) -> None:
    """The runner in the user Pod has ended."""
    end(cluster, USER_POD, names.USER, code, json.dumps(account))


# --- pull secrets


@pytest.mark.parametrize(("index", "rounds"), [(False, 2), (True, 3)])
async def test_with_pull_secrets_pods_ask(
    cluster: Cluster, operator: Operator, registry: Registry, index: bool, rounds: int
) -> None:
    registry.index = index
    write(cluster, secrets=("one", "two"))
    await operator.run()
    assert ready(cluster)[0] == "Resolving"
    assert registry.asked == 0, "the operator itself asks nobody"
    (pod,) = cluster.pods()
    labels = pod["metadata"]["labels"]
    assert labels[names.LABEL_TASK] == "inspect"
    assert names.LABEL_ROLE not in labels
    assert [v["secret"]["secretName"] for v in pod["spec"]["volumes"]] == ["one", "two"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    await work(cluster, operator, registry)
    assert ready(cluster) == ("Ready", "")
    assert status(cluster)["image"]["digest"] == registry.digest
    assert registry.asked == rounds
    assert pods(cluster) == []
    assert operator.errors == []


@pytest.mark.parametrize(
    ("error", "missing", "reason", "told"),
    [
        (RegistryError(Outcome.UNAUTHORIZED, "no"), ["one"], "PullSecretNotFound", "docker-registry one"),
        (RegistryError(Outcome.NOT_FOUND, "no"), ["one"], "PullSecretNotFound", "--namespace imaging"),
        (
            RegistryError(Outcome.UNAUTHORIZED, "no", "one"),
            [],
            "ImageUnauthorized",
            "credentials of Secret one",
        ),
        (RegistryError(Outcome.UNAUTHORIZED, "no"), [], "ImageUnauthorized", "no credentials for r.example"),
        (RegistryError(Outcome.UNREACHABLE, "down"), ["one"], "RegistryUnreachable", "down"),
    ],
)
async def test_what_pods_report(
    cluster: Cluster,
    operator: Operator,
    registry: Registry,
    error: RegistryError,
    missing: list[str],
    reason: str,
    told: str,
) -> None:
    registry.error, registry.missing = error, missing
    write(cluster, secrets=("one",))
    await work(cluster, operator, registry)
    assert ready(cluster)[0] == reason
    assert told in ready(cluster)[1]
    assert pods(cluster) == []
    registry.error, registry.missing = None, []
    await operator.after(6)
    assert ready(cluster)[0] == reason, "a Pod that asks again is no news"
    await work(cluster, operator, registry)
    assert ready(cluster)[0] == "Ready"


async def test_an_answer_that_is_lost_is_asked_for_again(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    write(cluster, secrets=("one",))
    await operator.run()
    registry.run_pods(cluster)
    cluster.logs.clear()
    await operator.run()
    assert ready(cluster)[0] == "LookUpFailed"
    await operator.after(11)
    await work(cluster, operator, registry)
    assert ready(cluster)[0] == "Ready"


async def test_another_reference_is_another_question(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    write(cluster, secrets=("one",))
    await operator.run()
    write(cluster, secrets=("one",), tag="2")
    await work(cluster, operator, registry)
    assert ready(cluster)[0] == "Ready"
    assert {order.version for order in registry.orders[:-1]} == {"2"}


async def test_a_pod_that_was_changed_does_not_count(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    def admission(pod: Body) -> None:
        pod["spec"]["containers"].append({"name": "proxy", "image": "proxy"})

    cluster.admission = admission
    write(cluster, secrets=("one",))
    await operator.run()
    await operator.run()
    assert ready(cluster)[0] == "PodMutated"
    assert "container proxy was added" in ready(cluster)[1]


async def test_somebody_elses_pod_is_left_alone(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    theirs = {"metadata": {"name": "a-1-inspect", "labels": {names.MANAGED_BY: names.OPERATOR}}}
    cluster.put(PODS, {**theirs, "spec": {"containers": []}, "status": {}})
    write(cluster, secrets=("one",))
    await operator.run()
    assert ready(cluster)[0] == "NameTaken"
    assert pods(cluster) == ["a-1-inspect"]


# --- the user


async def test_a_name_is_looked_up_in_the_image(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.config |= {"User": "user$:grp"}
    write(cluster)
    await operator.run()
    assert ready(cluster)[0] == "Resolving"
    assert "user$:grp" in ready(cluster)[1]
    (pod,) = cluster.pods(names.ROLE_USER)
    (container,) = pod["spec"]["containers"]
    assert container["command"][-2:] == ["user", "user$$:grp"]
    assert container["image"].endswith(registry.digest)
    assert pod["spec"]["securityContext"]["runAsUser"] == 65532
    assert pod["spec"]["dnsPolicy"] == "None"
    found(cluster, uid=1001, gid=1002, home="/home/user")
    await operator.run()
    image = status(cluster)["image"]
    assert (image["user"], image["uid"], image["gid"], image["home"]) == (
        *("user$:grp", 1001, 1002),
        "/home/user",
    )
    assert ready(cluster)[0] == "Ready"
    assert pods(cluster) == []
    assert operator.errors == []


@pytest.mark.parametrize(("user", "asked"), [("1000", True), ("1000:0", False), ("1000:1000", False)])
async def test_the_group_of_a_number_is_the_images_to_say(
    cluster: Cluster, operator: Operator, registry: Registry, user: str, asked: bool
) -> None:
    registry.config["User"] = user
    write(cluster)
    await operator.run()
    assert (pods(cluster) == [USER_POD]) == asked
    if asked:
        found(cluster, uid=1000, gid=0, home=None)
        await operator.run()
    assert ready(cluster)[0] == "Ready"


@pytest.mark.parametrize("user", [{"uid": 7, "gid": 0}, {"from": "Namespace"}])
async def test_a_stated_user_needs_no_look_up(
    cluster: Cluster, operator: Operator, registry: Registry, user: Body
) -> None:
    registry.config["User"] = "nobody-knows"
    write(cluster, security={"user": user})
    await operator.run()
    assert ready(cluster)[0] == "Ready"
    assert pods(cluster) == []


async def test_a_name_for_root_is_root(cluster: Cluster, operator: Operator, registry: Registry) -> None:
    registry.config["User"] = "admin"
    write(cluster, tag=f"1@{registry.digest}")
    await operator.run()
    found(cluster, uid=0, gid=0, home="/root")
    await operator.run()
    assert ready(cluster)[0] == "ImageRunsAsRoot"
    await operator.after(600)
    assert len(cluster.created) == 1


async def test_an_unknown_user_is_not_looked_up_twice_in_the_same_bytes(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.config["User"] = "nobody"
    write(cluster)
    await operator.run()
    found(cluster, 65, error="it is not in /etc/passwd\x1b")
    await operator.run()
    reason, message = ready(cluster)
    assert reason == "ImageUserUnknown"
    assert "it is not in /etc/passwd\\x1b" in message
    assert "useradd" in message
    await operator.after(600)
    assert len(cluster.created) == 1
    registry.config["Labels"] = {"pushed": "again"}
    await operator.after(301)
    assert len(cluster.created) == 2
    found(cluster, uid=5, gid=5)
    await operator.run()
    assert ready(cluster)[0] == "Ready"


async def test_a_namespace_that_is_not_sealed(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.config["User"] = "user"
    cluster.remove(NETWORK_POLICIES, POLICY["metadata"]["name"])
    # The operator may not put it back there.
    cluster.admission = lambda body: (
        answer(403, "Forbidden", "no") if body["kind"] == "NetworkPolicy" else None
    )
    write(cluster)
    await operator.run()
    assert ready(cluster)[0] == "PolicyMissing"
    assert cluster.created == []
    assert status(cluster)["image"]["digest"] == registry.digest
    cluster.put(NETWORK_POLICIES, POLICY)
    await operator.after(11)
    assert pods(cluster) == [USER_POD]


async def test_a_cluster_that_refuses_the_pod_is_not_asked_all_the_time(
    cluster: Cluster, operator: Operator, registry: Registry
) -> None:
    registry.config["User"] = "user"
    asked = 0

    def quota(pod: Body) -> Any:
        nonlocal asked
        asked += 1
        return answer(403, "Forbidden", f"exceeded quota: used {asked}")

    cluster.admission = quota
    write(cluster)
    await operator.run()
    await operator.after(60)
    assert ready(cluster)[0] == "QuotaExceeded"
    assert 4 <= asked <= 8


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [("ImagePullBackOff", "ImagePullFailed"), ("CreateContainerConfigError", "ContainerCreateFailed")],
)
async def test_a_pod_that_does_not_start(
    cluster: Cluster, operator: Operator, registry: Registry, waiting: str, reason: str
) -> None:
    registry.config["User"] = "user"
    write(cluster)
    await operator.run()
    state = {"waiting": {"reason": waiting, "message": "no\x07 such thing"}}

    def stuck(pod: Body) -> None:
        pod["status"] = {"phase": "Pending", "containerStatuses": [{"name": names.USER, "state": state}]}

    cluster.update(PODS, USER_POD, stuck)
    await operator.run()
    assert ready(cluster)[0] == reason
    assert "no\\x07 such thing" in ready(cluster)[1]
    found(cluster, uid=1000, gid=1000)
    await operator.run()
    assert ready(cluster)[0] == "Ready"


@pytest.mark.parametrize(
    ("code", "message"),
    [(0, ""), (0, "{}"), (0, '{"uid": -1, "gid": 5}'), (0, "[]"), (65, "{"), (127, ""), (0, '{"uid": "x"}')],
)
async def test_answers_that_are_none(
    cluster: Cluster, operator: Operator, registry: Registry, code: int, message: str
) -> None:
    registry.config["User"] = "user"
    write(cluster)
    await operator.run()
    end(cluster, USER_POD, names.USER, code, message)
    await operator.run()
    assert ready(cluster)[0] == "LookUpFailed"
    assert pods(cluster) == []
    await operator.after(11)
    assert pods(cluster) == [USER_POD]
    assert operator.errors == []


async def test_an_evicted_pod_is_made_again(cluster: Cluster, operator: Operator, registry: Registry) -> None:
    registry.config["User"] = "user"
    write(cluster)
    await operator.run()
    cluster.update(PODS, USER_POD, lambda pod: pod.update(status={"phase": "Failed", "reason": "Evicted"}))
    await operator.run()
    assert ready(cluster)[0] == "LookUpFailed"
    await operator.after(11)
    assert pods(cluster) == [USER_POD]


# --- the model


@pytest.mark.parametrize("secrets", [(), ("one",)])
async def test_the_models_image_is_resolved_after_the_algorithms(
    cluster: Cluster, operator: Operator, registry: Registry, secrets: tuple[str, ...]
) -> None:
    image = {"reference": "r.example/weights:1", "pullSecrets": [{"name": name} for name in secrets]}
    write(cluster, model={"image": image})
    await work(cluster, operator, registry)
    assert ready(cluster)[0] == "Ready"
    assert status(cluster)["model"] == {"reference": "r.example/weights:1", "digest": registry.digest}
    assert registry.asked == 3, "a model has no configuration"
    write(cluster, model={"image": {**image, "reference": "r.example/weights:2"}})
    registry.error = RegistryError(Outcome.NOT_FOUND, "none")
    await work(cluster, operator, registry)
    assert ready(cluster)[0] == "ImageNotFound"
    assert ready(cluster)[1].startswith("Model image r.example/weights:2 does not exist")
    assert "spec.model.image.reference" in ready(cluster)[1]
    assert "model" not in status(cluster)
    assert operator.errors == []


# --- restarts


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("at", range(1, 12))
async def test_an_operator_that_is_killed_anywhere_loses_and_doubles_nothing(
    cluster: Cluster, registry: Registry, at: int, after: bool
) -> None:
    registry.index = True
    registry.config["User"] = "user"
    write(cluster, secrets=("one",), model={"image": {"reference": "r.example/m:1"}})
    for attempt in range(4):
        client = MortalClient(Connection(server=cluster.url), at if attempt == 0 else None, after=after)
        async with client:
            operator = Operator(cluster, client)
            try:
                for _ in range(30):
                    await operator.run()
                    registry.run_pods(cluster)
                    user = cluster.get(PODS, USER_POD)
                    if user is not None and not user["status"].get("containerStatuses"):
                        found(cluster, uid=1001, gid=1002, home="/home/user")
                    if ready(cluster)[0] == "Ready":
                        break
                await operator.run()
            except Killed:
                continue
            assert operator.errors == []
            break
    assert ready(cluster) == ("Ready", "")
    assert status(cluster)["image"]["uid"] == 1001
    assert pods(cluster) == []
    assert len([p for p in cluster.created if p["metadata"]["name"] == USER_POD]) == 1


messages = st.one_of(
    st.text(max_size=200),
    st.builds(
        json.dumps,
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda x: st.lists(x) | st.dictionaries(st.text(), x),
            max_leaves=8,
        ),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    code=st.sampled_from([0, 1, 65, 137]), message=messages, log=st.binary(max_size=300), user=st.booleans()
)
async def test_whatever_pods_say_the_status_stays_valid(
    registry: Registry, code: int, message: str, log: bytes, user: bool
) -> None:
    async with cluster_at(NOW) as cluster, Client(Connection(server=cluster.url)) as client:
        seal(cluster)
        operator = Operator(cluster, client)
        registry.config["User"] = "user"
        write(cluster, secrets=() if user else ("one",))
        await operator.run()
        name, container = (USER_POD, names.USER) if user else ("a-1-inspect", names.INSPECT)
        cluster.logs[name, container] = log
        end(cluster, name, container, code, message)
        await operator.run()
        assert operator.errors == []
        reason, told = ready(cluster)
        assert Reason(reason) is not Reason.READY
        assert shown(told, 10000) == told
