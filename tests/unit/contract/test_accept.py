"""Jobs against their algorithm: a row a rule, with the reason and what the message must name."""

from typing import Any

import pytest

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.job import AlgorithmJobSpec
from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.accept import Accepted, Refused, Waiting, accept
from algorithm_operator.contract.plan import MAX_VALUES_BYTES

MRI = {"slug": "t1-mri", "kind": "Image"}
SMOOTHING = {"slug": "smoothing", "kind": "Float"}
TISSUES = {"slug": "tissues", "kind": "Segmentation", "overlaySegments": [{"name": "CSF", "voxelValue": 1}]}
RESULTS = {"slug": "results", "kind": "Anything", "storeInStatus": True}

MRI_GIVEN = {"slug": "t1-mri", "store": {"name": "cases", "paths": ["case-001/t1.mha"]}}
SMOOTHING_GIVEN = {"slug": "smoothing", "value": 1.5}


def algorithm(*interfaces: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> AlgorithmSpec:
    named = [
        {"name": f"i{number}", "inputs": inputs, "outputs": outputs}
        for number, (inputs, outputs) in enumerate(interfaces)
    ]
    return AlgorithmSpec.model_validate({"image": {"reference": "a/b:1"}, "interfaces": named})


BRAIN = algorithm(([MRI, SMOOTHING], [TISSUES, RESULTS]))
IN_STATUS = algorithm(([SMOOTHING], [RESULTS]))


def store(default: bool = False) -> DataStoreSpec:
    return DataStoreSpec.model_validate({"persistentVolumeClaim": {"claimName": "c"}, "default": default})


STORES = {"cases": store(), "results": store()}


def job(*inputs: dict[str, Any], **more: Any) -> AlgorithmJobSpec:
    return AlgorithmJobSpec.model_validate({"algorithmRef": {"name": "a"}, "inputs": list(inputs), **more})


def settle(
    spec: AlgorithmJobSpec,
    algorithm_spec: AlgorithmSpec = BRAIN,
    stores: dict[str, DataStoreSpec] | None = None,
) -> Accepted | Refused | Waiting:
    return accept(
        spec=spec,
        algorithm_spec=algorithm_spec,
        stores=STORES if stores is None else stores,
        namespace="imaging",
    )


TO_RESULTS = {"outputStore": {"name": "results"}}


SCHEMAS: dict[str, tuple[dict[str, Any], object, str | None]] = {
    "fulfilled": ({"maximum": 2}, 1.5, None),
    "not fulfilled": (
        {"maximum": 1},
        1.5,
        "JSON does not fulfill schema: instance is 1.5, and maximum is 1.",
    ),
    "of unknown length: for stage to say": ({"allOf": [{"$ref": "#/allOf/0"}]}, 1.5, None),
}


@pytest.mark.parametrize(("schema", "value", "says"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_value_fulfils_its_sockets_schema_too(
    schema: dict[str, Any], value: object, says: str | None
) -> None:
    spec = algorithm(([{**SMOOTHING, "schema": schema}], [RESULTS]))
    settled = settle(job({"slug": "smoothing", "value": value}), spec)
    if says is None:
        assert isinstance(settled, Accepted)
    else:
        assert isinstance(settled, Refused)
        assert says in settled.message


def test_a_whole_job_is_accepted_with_what_it_will_run() -> None:
    accepted = settle(job(MRI_GIVEN, SMOOTHING_GIVEN, **TO_RESULTS))
    assert accepted == Accepted(BRAIN.interfaces[0], "results", 7200)


def test_the_order_of_inputs_does_not_matter_and_the_right_one_of_two_interfaces_is_picked() -> None:
    two = algorithm(([MRI], [TISSUES]), ([SMOOTHING, MRI], [TISSUES]))
    accepted = settle(job(MRI_GIVEN, SMOOTHING_GIVEN, **TO_RESULTS), two)
    assert isinstance(accepted, Accepted)
    assert accepted.interface.name == "i1"


def test_a_shorter_time_limit_is_kept() -> None:
    accepted = settle(job(MRI_GIVEN, SMOOTHING_GIVEN, timeLimitSeconds=60, **TO_RESULTS))
    assert isinstance(accepted, Accepted)
    assert accepted.time_limit_seconds == 60


def test_the_default_store_takes_the_outputs_and_status_alone_will_do_without_one() -> None:
    with_default = settle(job(SMOOTHING_GIVEN), IN_STATUS, {"x": store(), "y": store(default=True)})
    assert isinstance(with_default, Accepted)
    assert with_default.output_store == "y"
    without = settle(job(SMOOTHING_GIVEN), IN_STATUS, {})
    assert isinstance(without, Accepted)
    assert without.output_store is None


def test_a_null_value_is_a_value() -> None:
    anything = algorithm(([{"slug": "x", "kind": "Anything"}], [RESULTS]))
    assert isinstance(settle(job({"slug": "x", "value": None}), anything, {}), Accepted)


def at(path: str, *more: str) -> dict[str, Any]:
    return {"slug": "t1-mri", "store": {"name": "cases", "paths": [path, *more]}}


REFUSED = {
    "unknown slug": (
        job({**MRI_GIVEN, "slug": "t1-mr"}, SMOOTHING_GIVEN),
        Reason.INPUTS_MISMATCH,
        ['"t1-mr"', 'did you mean "t1-mri"?', "i0: t1-mri and smoothing"],
    ),
    "unknown slug besides": (
        job(MRI_GIVEN, SMOOTHING_GIVEN, {"slug": "zzz", "value": 1}),
        Reason.INPUTS_MISMATCH,
        ['There is no input "zzz". The algorithm accepts'],
    ),
    "missing slug": (job(MRI_GIVEN), Reason.INPUTS_MISMATCH, ['Input "smoothing" is missing.']),
    "text for a number": (
        job(MRI_GIVEN, {"slug": "smoothing", "value": "1.5"}),
        Reason.INPUT_INVALID,
        ['"smoothing"', "JSON does not fulfill schema: instance is not a number."],
    ),
    "true for a number": (
        job(MRI_GIVEN, {"slug": "smoothing", "value": True}),
        Reason.INPUT_INVALID,
        ["instance is not a number"],
    ),
    "value for an image": (
        job({"slug": "t1-mri", "value": "x"}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ['"t1-mri"', "kind Image comes as a file"],
    ),
    "neither value nor store": (
        job({"slug": "t1-mri"}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ["exactly one of"],
    ),
    "both value and store": (
        job({**MRI_GIVEN, "value": None}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ["exactly one of"],
    ),
    "parent folder": (
        job(at("../other/t1.mha"), SMOOTHING_GIVEN),
        Reason.PATH_INVALID,
        ['"t1-mri"', '"../other/t1.mha"', '".."'],
    ),
    "absolute": (job(at("/t1.mha"), SMOOTHING_GIVEN), Reason.PATH_INVALID, ['begins with "/"']),
    "two paths": (job(at("a.mha", "b.mha"), SMOOTHING_GIVEN), Reason.INPUT_INVALID, ["one path, not 2"]),
    "wrong suffix": (job(at("t1.nii.gz"), SMOOTHING_GIVEN), Reason.INPUT_INVALID, [".mha", '"t1.nii.gz"']),
    "folder for a number": (
        job(MRI_GIVEN, {"slug": "smoothing", "store": {"name": "cases", "paths": ["a/"]}}),
        Reason.INPUT_INVALID,
        ["is a folder"],
    ),
    "time limit": (
        job(MRI_GIVEN, SMOOTHING_GIVEN, timeLimitSeconds=7201),
        Reason.TIME_LIMIT_TOO_LONG,
        ["7201", "7200"],
    ),
    "no output store": (
        job(MRI_GIVEN, SMOOTHING_GIVEN),
        Reason.NO_OUTPUT_STORE,
        ['"tissues" (Segmentation)', "outputStore"],
    ),
}


@pytest.mark.parametrize(("spec", "reason", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(spec: AlgorithmJobSpec, reason: Reason, says: list[str]) -> None:
    refused = settle(spec)
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    for words in says:
        assert words in refused.message


def test_a_deep_value_is_refused_before_anything_recurses_into_it() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    anything = algorithm(([{"slug": "x", "kind": "Anything"}], [RESULTS]))
    refused = settle(job({"slug": "x", "value": deep}), anything, {})
    assert isinstance(refused, Refused)
    assert refused.message == 'Input "x" is not valid: it is nested deeper than 200 levels.'


def test_a_json_output_that_is_not_shown_in_status_needs_a_store() -> None:
    hidden = algorithm(([SMOOTHING], [{"slug": "results", "kind": "Anything"}]))
    refused = settle(job(SMOOTHING_GIVEN), hidden, {})
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.NO_OUTPUT_STORE


def test_values_are_counted_as_the_plan_carries_them() -> None:
    text = algorithm(([{"slug": "x", "kind": "String"}], [RESULTS]))
    fits = settle(job({"slug": "x", "value": "a" * (MAX_VALUES_BYTES - 6)}), text, {})
    assert isinstance(fits, Accepted)
    for value in ("a" * MAX_VALUES_BYTES, '"' * (MAX_VALUES_BYTES // 4)):
        refused = settle(job({"slug": "x", "value": value}), text, {})
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.INPUT_TOO_LARGE
        assert str(MAX_VALUES_BYTES) in refused.message


@pytest.mark.parametrize("missing", ["cases", "results"])
def test_a_missing_store_is_waited_for(missing: str) -> None:
    waiting = settle(
        job(MRI_GIVEN, SMOOTHING_GIVEN, **TO_RESULTS),
        stores={name: each for name, each in STORES.items() if name != missing},
    )
    assert isinstance(waiting, Waiting)
    assert waiting.reason is Reason.STORE_NOT_FOUND
    assert f'"{missing}" in namespace imaging' in waiting.message


def test_two_default_stores_are_waited_for_by_name() -> None:
    waiting = settle(job(SMOOTHING_GIVEN), IN_STATUS, {"a": store(default=True), "b": store(default=True)})
    assert isinstance(waiting, Waiting)
    assert "a, b all say default: true" in waiting.message


def test_what_the_owner_must_change_comes_before_what_is_waited_for() -> None:
    refused = settle(job(at("../x"), SMOOTHING_GIVEN, **TO_RESULTS), stores={})
    assert isinstance(refused, Refused)


def test_a_kind_of_a_newer_version_is_refused_by_name() -> None:
    newer = algorithm(([{"slug": "x", "kind": "Hologram"}], [RESULTS]))
    refused = settle(job({"slug": "x", "value": 1}), newer, {})
    assert isinstance(refused, Refused)
    assert '"Hologram"' in refused.message
