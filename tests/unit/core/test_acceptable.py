"""Which Algorithms are acceptable: their neighbours' sockets, and the user and command of their image."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from algorithm_operator.api.algorithm import AlgorithmSpec, ResolvedImage
from algorithm_operator.api.reasons import Reason
from algorithm_operator.core.acceptable import MAX_COMMAND_BYTES, MAX_ID, MAX_PROBLEMS, image_refusal, refusal
from algorithm_operator.core.world import Algorithm
from tests.unit.core.builders import ALGORITHM, SETTINGS


def spec(**changes: Any) -> AlgorithmSpec:
    return AlgorithmSpec.model_validate({**ALGORITHM["spec"], **changes})


def image(**fields: Any) -> ResolvedImage:
    return ResolvedImage(**{"reference": "a", "digest": "d", "cmd": ["x"], **fields})


def reason(spec_: AlgorithmSpec, image_: ResolvedImage) -> Reason | None:
    found = image_refusal(spec_, image_)
    return found[0] if found else None


@pytest.mark.parametrize("user", [None, "", "root", "0", "root:root"])
def test_root_is_refused(user: str | None) -> None:
    assert reason(spec(), image(user=user)) is Reason.IMAGE_RUNS_AS_ROOT


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (0, 1000)])
def test_roots_id_is_refused(uid: int, gid: int) -> None:
    assert reason(spec(), image(user=f"{uid}:{gid}", uid=uid, gid=gid)) is Reason.IMAGE_RUNS_AS_ROOT


def test_roots_group_is_not_root() -> None:
    assert reason(spec(), image(user="1000:0", uid=1000, gid=0)) is None


def test_a_name_is_looked_up_unless_it_cannot_be_one() -> None:
    assert reason(spec(), image(user="algo")) is None
    found = image_refusal(spec(), image(user="algo\x1b"))
    assert found is not None
    assert found[0] is Reason.IMAGE_USER_UNKNOWN
    assert "algo\\x1b" in found[1]


def test_numbers_are_taken_and_a_stated_user_wins() -> None:
    assert reason(spec(), image(user="1000", uid=1000, gid=1000)) is None
    stated = spec(security={"user": {"uid": 7, "gid": 8}})
    assert all(reason(stated, image(user=user)) is None for user in (None, "root", "algorithm", "5"))


def test_ids_that_kubernetes_does_not_take_are_refused() -> None:
    large = MAX_ID + 1
    assert reason(spec(), image(user=str(large), uid=large, gid=large)) is Reason.IMAGE_INVALID
    assert reason(spec(), image(user=str(MAX_ID), uid=MAX_ID, gid=MAX_ID)) is None
    with pytest.raises(ValueError, match="less than or equal to"):
        spec(security={"user": {"uid": 1, "gid": large}})


def test_a_command_is_needed_and_must_fit_into_a_plan() -> None:
    user = {"user": "1", "uid": 1, "gid": 1}
    assert reason(spec(), image(cmd=None, **user)) is Reason.IMAGE_NO_COMMAND
    assert reason(spec(), image(entrypoint=["sh"], cmd=None, **user)) is None
    words = ["x" * 4096] * (MAX_COMMAND_BYTES // 4096)
    assert reason(spec(), image(cmd=words, **user)) is None
    assert reason(spec(), image(cmd=[*words, "x"], **user)) is Reason.IMAGE_INVALID


def algorithm(name: str, kind: str) -> Algorithm:
    body = copy.deepcopy(ALGORITHM)
    body["metadata"]["name"] = name
    body["spec"]["interfaces"][0]["inputs"][1]["kind"] = kind
    return Algorithm.of(body)


def test_of_several_definitions_the_eldests_counts() -> None:
    eldest, refused = algorithm("z", "Integer"), algorithm("a", "String")
    assert refusal(algorithm("new", "Integer").spec, [eldest, refused], SETTINGS) is None
    found = refusal(algorithm("new", "String").spec, [eldest, refused], SETTINGS)
    assert found is not None
    assert found[0] is Reason.SOCKET_CONFLICT
    assert 'by Algorithm "z"' in found[1]


def problems(*outputs: dict[str, Any]) -> str:
    inputs = [{"slug": "a", "kind": "Image"}]
    found = refusal(spec(interfaces=[{"inputs": inputs, "outputs": list(outputs)}]), [], SETTINGS)
    assert found is not None
    assert found[0] is Reason.SPEC_INVALID
    return found[1]


def test_all_errors_of_the_contract_are_one_message() -> None:
    hologram, reserved = (
        {"slug": "x", "kind": "Image", "relativePath": "x"},
        {"slug": "metrics-json-file", "kind": "Float"},
    )
    assert problems(hologram).startswith(
        'Interface "default": output "x": relativePath "x": Images should be'
    )
    both = problems(hologram, reserved)
    assert both.startswith(
        '2 errors: (1) Interface "default": output "x": relativePath "x": Images should be'
    )
    assert ' (2) Interface "default": output "metrics-json-file": this slug is reserved' in both


def test_of_very_many_errors_the_first_are_told() -> None:
    wrong = [{"slug": f"a-{n}", "kind": "Float", "relativePath": "\u202e" * 200 + str(n)} for n in range(30)]
    message = problems(*wrong)
    assert message.startswith("30 errors: (1) ")
    assert message.endswith(f" … and {30 - MAX_PROBLEMS} more.")
    assert len(message) < 32768


def test_what_counts_as_memory_must_fit_into_it() -> None:
    assert refusal(spec(resources={"memory": "1Gi", "sharedMemory": "1Gi"}), [], SETTINGS) is None
    found = refusal(spec(resources={"memory": "1Gi", "sharedMemory": "2Gi"}), [], SETTINGS)
    assert found is not None
    assert found[0] is Reason.SPEC_INVALID
    assert "sharedMemory (2Gi)" in found[1]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"store": {"name": "w", "path": "unet/v3.tar.gz"}}, None),
        ({"store": {"name": "w", "path": "unet/"}}, None),
        ({"image": {"reference": "w"}}, None),
        ({"image": {"reference": "w"}, "path": "/opt/model/"}, None),
        ({"store": {"name": "w", "path": "../other/x"}}, 'spec.model.store.path "../other/x" is not allowed'),
        ({"store": {"name": "w", "path": "/x"}}, 'it begins with "/"'),
        (
            {"image": {"reference": "w"}, "path": "a/../../etc"},
            'spec.model.path "a/../../etc" is not allowed: it contains ".."; a job sees only what lies below the root '
            "of the image.",
        ),
    ],
)
def test_the_path_of_a_model(model: dict[str, Any], words: str | None) -> None:
    found = refusal(spec(model=model), [], SETTINGS)
    if words is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] is Reason.SPEC_INVALID
        assert words in found[1]
