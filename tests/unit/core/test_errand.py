"""The Pods that find things out for an Algorithm: what they are made of, and what is read from them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.api.algorithm import ResolvedImage
from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.text import shown
from algorithm_operator.contract.fetching import Endpoint, Order
from algorithm_operator.core import names
from algorithm_operator.core.errand import Ended, Trouble, outcome, same_question, tampered
from algorithm_operator.core.importpod import import_pod
from algorithm_operator.core.inspectpod import inspect_pod
from algorithm_operator.core.policies import is_closed
from algorithm_operator.core.userpod import user_pod
from algorithm_operator.core.world import Algorithm, Import
from tests.unit.core.builders import ALGORITHM, DIGEST, IMPORT, POLICY, SETTINGS, STORES

Body = dict[str, Any]
ORDER = Order(
    endpoints=[Endpoint(host="r.example", repository="a")],
    kind="manifests",
    version="1",
    ca="-----BEGIN $(CERTIFICATE)",
    secrets=["one", "two"],
)


def algorithm(**spec: Any) -> Algorithm:
    return Algorithm.of({**ALGORITHM, "spec": {**ALGORITHM["spec"], **spec}})


def made(kind: str, of: Algorithm | None = None) -> Body:
    if kind == "import":
        return import_pod(Import.of(IMPORT), 1, "results", STORES, SETTINGS)
    of = of or algorithm()
    image = ResolvedImage(reference="r.example/a:1", digest=DIGEST, user="user")
    return inspect_pod(of, ORDER, 1, SETTINGS) if kind == "inspect" else user_pod(of, image, SETTINGS)


@pytest.mark.parametrize("kind", ["inspect", "user", "import"])
def test_they_are_as_closed_as_a_pod_of_a_job(kind: str) -> None:
    body = made(kind)
    spec = body["spec"]
    security = spec["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, 65532, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["supplementalGroupsPolicy"] == "Strict"
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] > 0
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["limits"]["memory"]
    assert is_closed([POLICY], body["metadata"]["labels"]) == (kind != "inspect")
    (owner,) = body["metadata"]["ownerReferences"]
    whose = ("ImageImport", "import-uid") if kind == "import" else ("Algorithm", "algo-uid")
    assert (owner["kind"], owner["uid"], owner["controller"]) == (*whose, True)


def test_the_pod_with_credentials_runs_nothing_of_the_image_and_the_other_has_none() -> None:
    inspect, user = (
        made("inspect"),
        made("user", algorithm(image={"reference": "a", "pullSecrets": [{"name": "one"}]})),
    )
    assert [c["image"] for c in inspect["spec"]["containers"]] == [SETTINGS.steps_image]
    assert "imagePullSecrets" not in inspect["spec"]
    assert user["spec"]["imagePullSecrets"] == [{"name": "one"}]
    assert user["spec"]["volumes"] == [{"name": "runner", "emptyDir": {}}]
    (container,) = user["spec"]["containers"]
    assert [m["readOnly"] for m in container["volumeMounts"]] == [True]
    assert container["workingDir"] == "/"


def test_an_order_survives_the_kubelets_expansion() -> None:
    (variable,) = [e for e in made("inspect")["spec"]["containers"][0]["env"] if e["name"] == "AO_FETCH"]
    assert "$$(CERTIFICATE)" in variable["value"]
    assert Order.model_validate_json(variable["value"].replace("$$", "$")) == ORDER


def test_ids_are_left_to_the_namespace_where_the_algorithm_says_so() -> None:
    body = made("inspect", algorithm(security={"user": {"from": "Namespace"}}))
    assert "runAsUser" not in body["spec"]["securityContext"]
    filled = copy.deepcopy(body)
    filled["spec"]["securityContext"] |= {"runAsUser": 1000660000, "fsGroup": 5}
    assert tampered(body, filled) is None
    assert tampered(made("inspect"), {**made("inspect"), "spec": filled["spec"]}) is not None


def test_a_job_without_a_gpu_is_not_looked_up_near_one() -> None:
    without = algorithm(resources={"gpu": {"count": 0}})
    assert "affinity" in made("user")["spec"]
    assert "affinity" not in made("user", without)["spec"]
    assert made("user", without)["spec"]["tolerations"], "it may run there"


@pytest.mark.parametrize("kind", ["inspect", "user"])
def test_another_question_is_another_pod(kind: str) -> None:
    wanted, settings = made(kind), copy.deepcopy(SETTINGS)
    object.__setattr__(settings, "steps_image", "newer")
    image = ResolvedImage(reference="r.example/a:1", digest=DIGEST, user="user")
    newer = (
        inspect_pod(algorithm(), ORDER, 1, settings)
        if kind == "inspect"
        else user_pod(algorithm(), image, settings)
    )
    assert same_question(wanted, copy.deepcopy(wanted))
    assert not same_question(wanted, newer)
    assert not same_question(wanted, {"metadata": {}, "spec": {}})


def test_what_was_changed_is_named() -> None:
    def changed(change: Any) -> str:
        live = copy.deepcopy(made("inspect"))
        change(live)
        found = tampered(made("inspect"), live)
        return "" if found is None else found.message

    container = ("spec", "containers", 0)

    def at(body: Body, path: tuple[Any, ...]) -> Any:
        for key in path:
            body = body[key]
        return body

    assert changed(lambda b: None) == ""
    assert changed(lambda b: b["metadata"]["labels"].update(more="x")) == ""
    assert "labels were changed" in changed(lambda b: b["metadata"]["labels"].pop(names.LABEL_TASK))
    assert "image of container inspect" in changed(lambda b: at(b, container).update(image="x"))
    assert "environment of container inspect" in changed(
        lambda b: at(b, (*container, "env"))[-1].update(value="{}")
    )
    assert "container x was added" in changed(lambda b: b["spec"]["containers"].append({"name": "x"}))


def test_a_time_that_is_over_is_told_in_seconds() -> None:
    status = {"phase": "Failed", "reason": "DeadlineExceeded", "message": "the kubelet's words"}
    found = outcome(
        {"metadata": {"name": "p"}, "spec": {"activeDeadlineSeconds": 600}, "status": status}, "user"
    )
    assert isinstance(found, Trouble)
    assert "it was not done within its time limit of 600 s" in found.message


ENDED: Body = {"exitCode": 0, "startedAt": "2026-11-22T12:00:00Z", "message": "m"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, None),
        ({"containerStatuses": [{"name": "user", "state": {"running": {}}}]}, None),
        ({"containerStatuses": [{"name": "user", "state": {"terminated": ENDED}}]}, Ended(0, "m")),
        ({"containerStatuses": [{"name": "other", "state": {"terminated": ENDED}}]}, None),
        (
            {
                "containerStatuses": [
                    {"name": "user", "state": {"terminated": {**ENDED, "reason": "StartError"}}}
                ]
            },
            Reason.CONTAINER_CREATE_FAILED,
        ),
        (
            {
                "containerStatuses": [
                    {"name": "user", "state": {"terminated": {"exitCode": 137, "startedAt": None}}}
                ]
            },
            Reason.CONTAINER_CREATE_FAILED,
        ),
        (
            {
                "initContainerStatuses": [
                    {"name": "install", "state": {"terminated": {**ENDED, "exitCode": 75}}}
                ]
            },
            Reason.CONTAINER_CREATE_FAILED,
        ),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, Reason.LOOK_UP_FAILED),
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "containerStatuses": [{"name": "user", "state": {"terminated": ENDED}}],
            },
            Reason.LOOK_UP_FAILED,
        ),
        ({"phase": "Succeeded"}, Reason.LOOK_UP_FAILED),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
            Reason.UNSCHEDULABLE,
        ),
    ],
)
def test_what_became_of_it(status: Body, expected: Ended | Reason | None) -> None:
    found = outcome({"metadata": {"name": "p"}, "status": status}, "user")
    assert (found.reason if isinstance(found, Trouble) else found) == expected


scalars = st.sampled_from(["Failed", "user", "ImagePullBackOff", "PodScheduled", "False", "\x1b"]) | st.text(
    max_size=5
)


@given(
    phase=scalars,
    state=st.dictionaries(
        st.sampled_from(["waiting", "terminated", "running"]),
        st.dictionaries(st.sampled_from(["reason", "message", "startedAt"]), scalars)
        | st.dictionaries(st.just("exitCode"), st.integers()),
    ),
    condition=st.dictionaries(st.sampled_from(["type", "status", "message"]), scalars),
)
def test_whatever_a_status_says(phase: str, state: Body, condition: Body) -> None:
    status = {
        "phase": phase,
        "containerStatuses": [{"name": "user", "state": state}],
        "conditions": [condition],
    }
    found = outcome({"metadata": {"name": "p"}, "status": status}, "user")
    if isinstance(found, Trouble):
        assert shown(found.message, 10000) == found.message
