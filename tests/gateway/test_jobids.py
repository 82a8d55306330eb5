"""Which job a request is: table tests, no gateway."""

from datetime import timedelta
from typing import Any

import pytest

from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway.jobids import (
    Duplicate,
    Fresh,
    Same,
    choose,
    job_name,
    output_image_pk,
    pk_number,
    pk_of,
    request_key,
    value_pk,
)
from tests.gateway.running import NOW

KEY = "k"
FIRST, SECOND = pk_number(KEY, 0), pk_number(KEY, 1)


def stored(state: str | None, minutes: float) -> dict[str, Any]:
    created = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"metadata": {"creationTimestamp": created}, "status": {"state": state} if state else {}}


@pytest.mark.parametrize(
    ("jobs", "noted", "taken", "expected"),
    [
        pytest.param({}, {}, (), ("Fresh", FIRST), id="nothing yet"),
        pytest.param({FIRST: (None, 1)}, {FIRST: 1}, (), ("Same", FIRST), id="repeated at once"),
        pytest.param({FIRST: ("Running", 9)}, {FIRST: 9}, (), ("Same", FIRST), id="repeated while it runs"),
        pytest.param({FIRST: ("Succeeded", 9)}, {FIRST: 9}, (), ("Same", FIRST), id="repeated, it was quick"),
        pytest.param({FIRST: ("Running", 11)}, {FIRST: 11}, (), ("Duplicate",), id="asked again, it runs"),
        pytest.param(
            {FIRST: ("Succeeded", 999)}, {FIRST: 999}, (), ("Duplicate",), id="asked again, it is there"
        ),
        pytest.param(
            {FIRST: ("Failed", 1)}, {FIRST: 1}, (), ("Fresh", SECOND), id="once more after a failure"
        ),
        pytest.param(
            {FIRST: ("Cancelled", 99)}, {}, (), ("Fresh", SECOND), id="once more after a cancellation"
        ),
        pytest.param(
            {FIRST: ("Failed", 20), SECOND: (None, 1)}, {}, (), ("Same", SECOND), id="the second is repeated"
        ),
        pytest.param({}, {FIRST: 1}, (), ("Fresh", FIRST), id="noted, then the gateway died"),
        pytest.param({}, {FIRST: 3}, (), ("Fresh", SECOND), id="noted, and deleted later"),
        pytest.param({}, {}, (FIRST,), ("Fresh", SECOND), id="the name is somebody else's"),
    ],
)
def test_choose(
    jobs: dict[str, tuple[str | None, float]],
    noted: dict[str, float],
    taken: tuple[str, ...],
    expected: tuple[str, ...],
) -> None:
    found = choose(
        KEY,
        {pk: stored(*each) for pk, each in jobs.items()},
        lambda pk: NOW - timedelta(minutes=noted[pk]) if pk in noted else None,
        NOW,
        taken,
    )
    match found:
        case Fresh(pk):
            assert ("Fresh", pk) == expected
        case Same(pk, job):
            assert ("Same", pk) == expected
            assert job == stored(*jobs[pk])
        case Duplicate():
            assert expected == ("Duplicate",)


WHOLE: dict[str, Any] = {
    "namespace": "imaging",
    "username": "alice",
    "algorithm_uid": "u",
    "image": "sha256:1",
    "model": None,
    "inputs": {"a": [[1], None], "b": [None, "x"]},
}


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "other"},
        {"username": "bob"},
        {"algorithm_uid": "v"},
        {"image": "sha256:2"},
        {"model": "m"},
        {"inputs": {"a": [[2], None], "b": [None, "x"]}},
        {"inputs": {"a": [None, None], "b": [None, "x"]}},
    ],
    ids=str,
)
def test_another_request_has_another_key(other: dict[str, Any]) -> None:
    assert request_key(**WHOLE) != request_key(**{**WHOLE, **other})


def test_the_order_of_inputs_and_keys_means_nothing() -> None:
    turned = {"b": [None, "x"], "a": [[1], None]}
    assert request_key(**WHOLE) == request_key(**{**WHOLE, "inputs": turned})
    objects = [
        request_key(**{**WHOLE, "inputs": {"a": value}}) for value in ({"x": 1, "y": 2}, {"y": 2, "x": 1})
    ]
    assert objects[0] == objects[1]


def test_a_key_is_a_label_value_and_a_name_fits() -> None:
    assert len(request_key(**WHOLE)) <= 63
    assert len(job_name(FIRST)) <= 50


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        pytest.param(job_name(FIRST), {LABEL_PK: FIRST}, FIRST, id="the gateway's"),
        pytest.param("case-001", {}, "uid", id="kubectl's"),
        pytest.param("case-001", {LABEL_PK: FIRST}, "uid", id="a label that claims to be another job"),
        pytest.param(job_name(FIRST), None, "uid", id="a name alone"),
    ],
)
def test_pk_of(name: str, labels: dict[str, str] | None, expected: str) -> None:
    assert pk_of({"metadata": {"name": name, "labels": labels, "uid": "uid"}}) == expected


def test_pks_of_values_are_stable_and_apart() -> None:
    pks = {value_pk(FIRST, direction, slug) for direction in ("inputs", "outputs") for slug in ("a", "b")}
    assert len(pks) == 4
    assert all(0 <= pk < 2**31 for pk in pks)
    assert output_image_pk(FIRST, "a") == output_image_pk(FIRST, "a") != output_image_pk(FIRST, "b")
