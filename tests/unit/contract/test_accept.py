"""Jobs against their algorithm: a row a rule, with the reason and what the message must name."""

from typing import Any

import pytest

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.imageimport import ImageImportStatus
from algorithm_operator.api.job import AlgorithmJobSpec, AlgorithmJobStatus
from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.accept import Accepted, accept
from algorithm_operator.contract.outcome import Refused, Waiting
from algorithm_operator.contract.plan import MAX_VALUES_BYTES

MRI = {"slug": "t1-mri", "kind": "Image"}
SMOOTHING = {"slug": "smoothing", "kind": "Float"}
TISSUES = {"slug": "tissues", "kind": "Segmentation", "overlaySegments": [{"name": "CSF", "voxelValue": 1}]}
RESULTS = {"slug": "results", "kind": "Anything", "storeInStatus": True}

IMAGE = "registry.example.org/cases@sha256:" + "a" * 64
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
    jobs: dict[str, AlgorithmJobStatus] | None = None,
    imports: dict[str, ImageImportStatus] | None = None,
) -> Accepted | Refused | Waiting:
    return accept(
        job="case-001",
        spec=spec,
        algorithm_spec=algorithm_spec,
        stores=STORES if stores is None else stores,
        jobs=jobs or {},
        imports=imports or {},
        namespace="imaging",
    )


POINTS = {
    "type": "Multiple points",
    "version": {"major": 1, "minor": 0},
    "points": [{"point": [1.0, 2.0, 3.0]}],
}
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


def test_a_large_value_is_measured_before_anybody_looks_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "jsonschema.Draft7Validator.iter_errors", lambda *_: pytest.fail("it was looked through")
    )
    outline = [[1, 2, 3]] * MAX_VALUES_BYTES
    spec = algorithm(([{"slug": "outline", "kind": "Multiple points"}], [RESULTS]))
    settled = settle(job({"slug": "outline", "value": {"points": outline}}), spec)
    assert isinstance(settled, Refused)
    assert settled.reason is Reason.INPUT_TOO_LARGE


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
    "one path twice": (
        job(at("a.dcm", "a.dcm"), SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ['the path "a.dcm" stands there twice'],
    ),
    "two paths for a number": (
        job(MRI_GIVEN, {"slug": "smoothing", "store": {"name": "cases", "paths": ["a.json", "b.json"]}}),
        Reason.INPUT_INVALID,
        ["kind Float takes one path, not 2"],
    ),
    "wrong suffix": (
        job(at("t1.png"), SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ["files that end with .mha, .mhd", ".tiff or .dcm", "a folder of one image", '"t1.png" is none'],
    ),
    "wrong suffix of a key": (
        job({"slug": "t1-mri", "configMap": {"name": "m", "key": "t1.txt"}}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ['"t1.txt" is none'],
    ),
    "the kubelet's own key": (
        job({"slug": "t1-mri", "configMap": {"name": "m", "key": "..data"}}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ['a ConfigMap has no key "..data"'],
    ),
    "image by tag": (
        job({"slug": "t1-mri", "image": {"reference": "a/b:1", "path": "t1.mha"}}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ['"a/b:1" is not named by its digest'],
    ),
    "out of the image": (
        job({"slug": "t1-mri", "image": {"reference": IMAGE, "path": "../t1.mha"}}, SMOOTHING_GIVEN),
        Reason.PATH_INVALID,
        ['"../t1.mha"', "the root of the image"],
    ),
    "its own output": (
        job({"slug": "t1-mri", "job": {"name": "case-001", "output": "tissues"}}, SMOOTHING_GIVEN),
        Reason.INPUT_INVALID,
        ["a job cannot have its own output as an input"],
    ),
    "folder for a number": (
        job(MRI_GIVEN, {"slug": "smoothing", "store": {"name": "cases", "paths": ["a/"]}}),
        Reason.INPUT_INVALID,
        ['takes one .json file, and "a/" is a folder'],
    ),
    "time limit": (
        job(MRI_GIVEN, SMOOTHING_GIVEN, timeLimitSeconds=7201),
        Reason.TIME_LIMIT_TOO_LONG,
        ["7201", "7200"],
    ),
    "every input that is refused": (
        job(at("../t1.mha"), {"slug": "smoothing", "value": "1.5"}),
        Reason.PATH_INVALID,
        ['Input "t1-mri": ', '. Input "smoothing" is not valid: JSON does not fulfill schema'],
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


@pytest.mark.parametrize(
    "given",
    [
        {"store": {"name": "cases", "paths": ["t1.mhd", "t1.raw"]}},
        {"store": {"name": "cases", "paths": ["series/", "more/"]}},
        {"store": {"name": "cases", "paths": ["T1.NII.GZ"]}},
        {"store": {"name": "cases", "paths": ["IM0001", "1.2.840.113619.2.55"]}},
        {"configMap": {"name": "small", "key": "t1.mha"}},
        {"image": {"reference": IMAGE, "path": "cases/001/"}},
    ],
    ids=["header and data", "folders", "upper case", "DICOM without suffix", "ConfigMap", "image"],
)
def test_where_an_image_may_come_from(given: dict[str, Any]) -> None:
    assert isinstance(settle(job({"slug": "t1-mri", **given}, SMOOTHING_GIVEN, **TO_RESULTS)), Accepted)


FILES = {
    "jpg": ("Thumbnail jpg", {"store": {"name": "cases", "paths": ["a.JPG"]}}, None),
    "jpeg": ("Thumbnail jpg", {"store": {"name": "cases", "paths": ["a.jpeg"]}}, None),
    "png for jpeg": (
        "Thumbnail jpg",
        {"store": {"name": "cases", "paths": ["a.png"]}},
        "one .jpeg or .jpg file",
    ),
    "folder for ZIP": ("ZIP file", {"store": {"name": "cases", "paths": ["a/"]}}, '"a/" is a folder'),
    "two for ZIP": ("ZIP file", {"store": {"name": "cases", "paths": ["a.zip", "b.zip"]}}, "one path, not 2"),
    "value for ZIP": ("ZIP file", {"value": {}}, "comes as a file"),
    "mha for a set": (
        "DICOM Image Set",
        {"store": {"name": "cases", "paths": ["a.mha"]}},
        "end with .dcm or have no",
    ),
    "folder for a set": ("DICOM Image Set", {"store": {"name": "cases", "paths": ["a/"]}}, None),
    "value of a file kind": ("Multiple points", {"value": POINTS}, None),
}


@pytest.mark.parametrize(("kind", "given", "why"), FILES.values(), ids=FILES)
def test_what_kinds_take(kind: str, given: dict[str, Any], why: str | None) -> None:
    outcome = settle(job({"slug": "x", **given}), algorithm(([{"slug": "x", "kind": kind}], [RESULTS])))
    assert isinstance(outcome, Accepted if why is None else Refused)
    assert why is None or (isinstance(outcome, Refused) and why in outcome.message)


def test_pull_secrets_of_all_inputs_are_bounded_together() -> None:
    slugs = ["a", "b", "c"]
    three = algorithm(([{"slug": slug, "kind": "Image"} for slug in slugs], [RESULTS]))

    def given(slug: str, secrets: int) -> dict[str, Any]:
        names = [{"name": f"{slug}-{number}"} for number in range(secrets)]
        return {"slug": slug, "image": {"reference": IMAGE, "path": "t1.mha", "pullSecrets": names}}

    assert isinstance(settle(job(given("a", 8), given("b", 8), given("c", 0)), three), Accepted)
    refused = settle(job(given("a", 8), given("b", 8), given("c", 1)), three)
    assert isinstance(refused, Refused)
    assert refused.message.startswith('Input "c" is not valid: the images of the inputs name more than 16')
