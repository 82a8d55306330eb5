"""algorithms/, algorithms/images/ and components/interfaces/."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import APIRouter

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.contract.sockets import planned_socket
from algorithm_operator.gateway import algorithms, shapes, sockets
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobids import algorithm_image_pk
from algorithm_operator.gateway.values import value_problem
from algorithm_operator.kube.resources import ALGORITHM_JOBS
from tests.gateway.fakes import Service
from tests.gateway.running import (
    ALGORITHM_UID,
    DIGEST,
    INTERFACES,
    NOW,
    URL,
    algorithm,
    job,
    pk,
    put,
    snapshot,
    socket,
    succeeded,
)

SOCKETS = "components/interfaces/"


@pytest.fixture
def routers() -> list[APIRouter]:
    return [algorithms.router, sockets.router]


async def results(service: Service, path: str) -> list[dict[str, Any]]:
    answer = await service.get(path)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json()["results"]
    assert answer.json()["count"] >= len(found)
    return found


async def test_an_algorithm(service: Service) -> None:
    put(service, algorithm())
    (told,) = await results(service, "algorithms/?slug=brain&offset=0&limit=100")
    shapes.Algorithm.model_validate(told)
    url = f"{URL}algorithms/{ALGORITHM_UID}/"
    assert (told["api_url"], told["pk"], told["slug"], told["title"]) == (
        url,
        ALGORITHM_UID,
        "brain",
        "Brain tissue",
    )
    assert (told["description"], told["average_duration"], told["logo"]) == ("", None, "")
    assert [each["slug"] for each in told["interfaces"][0]["inputs"]] == ["smoothing", "t1-mri"]
    assert [each["slug"] for each in told["interfaces"][0]["outputs"]] == [
        "results",
        "score",
        "findings",
        "tissues",
    ]
    assert told["inputs"] == told["interfaces"][0]["inputs"]
    assert (await service.get(f"algorithms/{ALGORITHM_UID}/")).json() == told


async def test_lists_and_what_is_not_there(service: Service) -> None:
    young = algorithm("a-young-one", uid=pk(1), title=None)
    young["metadata"]["creationTimestamp"] = "2026-11-28T10:00:01Z"
    hologram = {"inputs": [{"slug": "a", "kind": "Hologram"}], "outputs": [{"slug": "b", "kind": "Float"}]}
    strange = algorithm("strange", uid=pk(2), interfaces=[hologram])
    put(service, young, algorithm(), strange)
    assert [each["title"] for each in await results(service, "algorithms/")] == [
        "Brain tissue",
        "a-young-one",
    ]
    assert [each["slug"] for each in await results(service, "algorithms/?limit=1&offset=1")] == [
        "a-young-one"
    ]
    assert await results(service, "algorithms/?slug=other") == []
    for path in (
        "algorithms/" + pk(9),
        "algorithms/" + pk(2),
        "algorithms/nonsense",
        f"{SOCKETS}1",
        f"{SOCKETS}x",
    ):
        assert (await service.get(f"{path}/")).status == 404, path


async def test_how_long_it_took(service: Service) -> None:
    now = [NOW]
    service.clock = lambda: now[0]
    service.restart()
    put(service, algorithm(), algorithm("other", uid=pk(1)))
    for number, seconds in enumerate((10, 20.5)):
        put(service, job(f"j{number}", status={**succeeded(), "timing": {"ranSeconds": seconds}}))
    put(service, job("failed", status={"state": "Failed", "timing": {"ranSeconds": 1000}}))
    assert [each["average_duration"] for each in await results(service, "algorithms/")] == [15.25, None]
    put(service, job("j2", status={**succeeded(), "timing": {"ranSeconds": 0}}))
    assert (await service.get(f"algorithms/{ALGORITHM_UID}/")).json()["average_duration"] == 15.25
    now[0] += timedelta(minutes=5)
    assert (await service.get(f"algorithms/{ALGORITHM_UID}/")).json()["average_duration"] == 10.167


@pytest.mark.parametrize(
    ("body", "status", "image"),
    [
        pytest.param(algorithm(), "Completed", f"registry.example.org/brain:1.2@{DIGEST}", id="ready"),
        pytest.param(
            algorithm(ready=False), "Failed", f"registry.example.org/brain:1.2@{DIGEST}", id="refused"
        ),
        pytest.param({**algorithm(), "status": {}}, "Started", None, id="not looked at yet"),
    ],
)
async def test_images(service: Service, body: dict[str, Any], status: str, image: str | None) -> None:
    put(service, body)
    (told,) = await results(service, "algorithms/images/")
    shapes.AlgorithmImage.model_validate(told)
    assert (told["import_status"], told["image"]) == (status, image)
    assert told["algorithm"] == f"{URL}algorithms/{ALGORITHM_UID}/"
    assert told["created"] == "2026-11-28T10:00:00Z"
    assert (await service.get(told["api_url"])).json() == told


async def test_an_image_of_earlier(service: Service) -> None:
    put(
        service,
        algorithm(),
        job(status={**succeeded(), "algorithm": snapshot(imageDigest="sha256:" + "9" * 64)}),
    )
    earlier = algorithm_image_pk(ALGORITHM_UID, "sha256:" + "9" * 64)
    told = (await service.get(f"algorithms/images/{earlier}/")).json()
    assert (told["pk"], told["import_status"]) == (earlier, "Completed")
    assert (await service.get(f"algorithms/images/{pk(1)}/")).status == 404
    service.authorizer.denied = {(Verb.LIST, Resource.JOBS)}
    service.cluster.calls.clear()
    assert (await service.get(f"algorithms/images/{earlier}/")).status == 404
    assert ("list", ALGORITHM_JOBS.plural, "") not in service.cluster.calls, "strangers make no work"


async def test_rights(service: Service) -> None:
    put(service, algorithm())
    image = algorithm_image_pk(ALGORITHM_UID, DIGEST)
    service.authorizer.denied = {(Verb.LIST, Resource.ALGORITHMS)}
    assert await results(service, "algorithms/") == await results(service, "algorithms/images/") == []
    assert len(await results(service, "algorithms/?slug=brain")) == 1
    assert await results(service, SOCKETS) == []
    assert (await service.get(f"{SOCKETS}{socket('t1-mri')}/")).status == 404
    service.authorizer.denied = {(Verb.GET, Resource.ALGORITHMS)}
    assert await results(service, "algorithms/?slug=brain") == []
    for path in (f"algorithms/{ALGORITHM_UID}/", f"algorithms/images/{image}/"):
        assert (await service.get(path)).status == 404


async def test_sockets(service: Service) -> None:
    put(service, algorithm())
    found = await results(service, f"{SOCKETS}?limit=1000")
    slugs = [each["slug"] for each in found]
    assert slugs == sorted(
        {"t1-mri", "tissues", "letter", "series", "question"} | set(CATALOGUE) | set(slugs)
    )
    (told,) = await results(service, f"{SOCKETS}?slug=tissues")
    shapes.Socket.model_validate(told)
    assert (told["kind"], told["super_kind"], told["relative_path"]) == (
        "Segmentation",
        "Image",
        "images/tissues",
    )
    assert told["overlay_segments"] == [{"name": "CSF", "visible": True, "voxel_value": 1}]
    assert told["pk"] == socket("tissues")
    assert (await service.get(f"{SOCKETS}{told['pk']}/")).json() == told
    assert await results(service, f"{SOCKETS}?slug=nothing") == []


async def test_the_eldest_says_what_a_socket_is(service: Service) -> None:
    young = [
        {
            "inputs": [{"slug": "t1-mri", "title": "Mine", "kind": "Image"}],
            "outputs": INTERFACES[0]["outputs"],
        }
    ]
    body = algorithm("young", uid=pk(1), interfaces=young)
    body["metadata"]["creationTimestamp"] = "2026-11-28T10:00:01Z"
    put(service, body, algorithm())
    (told,) = await results(service, f"{SOCKETS}?slug=t1-mri")
    assert told["title"] == "T1 MRI"


def planned(**socket: Any) -> PlannedSocket:
    made = Socket.model_validate({"slug": "a", **socket})
    return planned_socket(made, "n", Interface(inputs=[made], outputs=[made]))


def test_value_problem_leaves_slow_schemas_to_the_job() -> None:
    slow = planned(kind="String", schema={"pattern": "^(a+)+$"})
    assert value_problem(slow, "a" * 64 + "b") is None
    assert value_problem(slow, 1) is not None


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), "\ud800"], ids=repr)
def test_value_problem_of_what_no_json_can_say(value: Any) -> None:
    assert value_problem(planned(kind="Anything"), [value]) == "Value must be valid JSON."
