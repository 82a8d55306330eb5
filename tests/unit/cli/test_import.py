"""What becomes of Grand Challenge's JSON of an algorithm: an Algorithm that lint takes, and words about the rest."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from algorithm_operator.api.text import shown
from algorithm_operator.cli.authoring import app
from algorithm_operator.cli.errors import CliError
from algorithm_operator.contract.kinds import KINDS


def socket(slug: str, kind: str, path: str, **more: Any) -> dict[str, Any]:
    """As the API has it: all keys of gcapi's ComponentInterface."""
    return {
        "title": slug.upper(),
        "description": "",
        "slug": slug,
        "kind": kind,
        "pk": 7,
        "default_value": None,
        "super_kind": str(KINDS[kind].super_kind),
        "relative_path": path,
        "overlay_segments": None,
        "look_up_table": None,
        **more,
    }


SEGMENTS = [{"name": f"S{value}", "visible": value != 2, "voxel_value": value} for value in range(3)]
INTERFACE = {
    "inputs": [
        socket("t1-mri", "Image", "images/t1-mri"),
        socket("level", "Float", "level.json", default_value=0.5),
    ],
    "outputs": [socket("lesions", "Segmentation", "images/lesions", overlay_segments=SEGMENTS)],
}
ALGORITHM: dict[str, Any] = {
    "api_url": "https://grand-challenge.org/api/v1/algorithms/a/",
    "url": "https://grand-challenge.org/algorithms/lesions/",
    "description": "Finds läsions",
    "pk": "a",
    "title": "Lesions",
    "logo": "",
    "slug": "lesions",
    "average_duration": 12.5,
    "interfaces": [INTERFACE],
}


def import_(document: object, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", "-", *arguments], input=json.dumps(document))


def test_an_algorithm_of_the_api() -> None:
    told = import_(ALGORITHM, "--image", "registry.example.org/lesions:3")
    assert told.exit_code == 0
    assert yaml.safe_load(told.stdout) == {
        "apiVersion": "algorithm-operator.dev/v1alpha1",
        "kind": "Algorithm",
        "metadata": {"name": "lesions"},
        "spec": {
            "title": "Lesions",
            "description": "Finds läsions",
            "image": {"reference": "registry.example.org/lesions:3"},
            "interfaces": [
                {
                    "inputs": [
                        {
                            "slug": "t1-mri",
                            "kind": "Image",
                            "title": "T1-MRI",
                            "relativePath": "images/t1-mri",
                        },
                        {"slug": "level", "kind": "Float", "title": "LEVEL", "relativePath": "level.json"},
                    ],
                    "outputs": [
                        {
                            "slug": "lesions",
                            "kind": "Segmentation",
                            "title": "LESIONS",
                            "relativePath": "images/lesions",
                            "overlaySegments": [
                                {"name": "S1", "voxelValue": 1},
                                {"name": "S2", "voxelValue": 2, "visible": False},
                            ],
                        }
                    ],
                }
            ],
            "resources": {},
        },
    }
    assert "läsions" in told.stdout
    assert 'note: socket "level": default_value is not carried over: "0.5"' in told.stderr
    assert '# socket "level": default_value is not carried over: "0.5"' in told.stdout
    for field in ("memory", "gpu", "timeLimitSeconds"):
        assert f"{field}: the JSON has no" in told.stderr


@pytest.mark.parametrize(
    ("gpu", "wire"), [("T4", {"type": "T4", "count": 1}), ("", {"count": 0}), ("No GPU", {"count": 0})]
)
def test_what_it_needs(gpu: str, wire: object) -> None:
    more = {"time_limit": 1800, "job_requires_gpu_type": gpu, "job_requires_memory_gb": 16}
    spec = yaml.safe_load(import_({**ALGORITHM, **more}).stdout)["spec"]
    assert spec["resources"] == {"memory": "16G", "gpu": wire}
    assert spec["timeLimitSeconds"] == 1800


def test_older_ones_have_one_list_of_inputs_and_one_of_outputs() -> None:
    older = {key: value for key, value in ALGORITHM.items() if key != "interfaces"} | INTERFACE
    assert import_(older).stdout == import_(ALGORITHM).stdout


def test_several_interfaces_get_names_and_their_common_sockets_are_told_of_once() -> None:
    other = {"inputs": INTERFACE["inputs"][1:], "outputs": INTERFACE["outputs"]}
    told = import_({**ALGORITHM, "interfaces": [INTERFACE, other]})
    names = [each["name"] for each in yaml.safe_load(told.stdout)["spec"]["interfaces"]]
    assert (told.exit_code, names) == (0, ["interface-1", "interface-2"])
    assert told.stderr.count("default_value") == 1


def test_a_page_with_one_algorithm() -> None:
    page = {"count": 1, "next": None, "previous": None, "results": [ALGORITHM]}
    assert import_(page).stdout == import_(ALGORITHM).stdout
    assert "a page of 2 algorithms" in str(import_({**page, "results": [ALGORITHM] * 2}).exception)


def test_codes_of_kinds_and_schemas_of_json() -> None:
    document = copy.deepcopy(ALGORITHM)
    document["interfaces"][0]["inputs"][1] |= {"kind": "FLT", "schema": {"minimum": 0}}
    document["interfaces"][0]["inputs"][0]["schema"] = {}
    told = import_(document)
    inputs = yaml.safe_load(told.stdout)["spec"]["interfaces"][0]["inputs"]
    assert (told.exit_code, inputs[1]["kind"], inputs[1]["schema"]) == (0, "Float", {"minimum": 0})
    assert "schema" not in inputs[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_goes_through(kind: str) -> None:
    row = KINDS[kind]
    path = "images/x" if row.super_kind == "Image" else f"x{row.suffixes[0]}"
    more = {"overlay_segments": SEGMENTS} if row.segments else {}
    document = copy.deepcopy(ALGORITHM)
    document["interfaces"][0]["inputs"].append(socket("x", kind, path, **more))
    assert import_(document).exit_code == 0


def test_what_cannot_run_here_is_found_by_lint() -> None:
    document = copy.deepcopy(ALGORITHM)
    document["interfaces"][0]["outputs"][0]["overlay_segments"] = None
    told = import_(document)
    assert told.exit_code == 1
    assert "spec.interfaces[0].outputs[0]: overlaySegments are needed" in told.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "that is no algorithm of Grand Challenge"),
        ("[]", "that is no algorithm of Grand Challenge"),
        ('{"slug": "a"}', "neither interfaces, nor inputs and outputs"),
        ('{"title": "a"}', "slug: Field required"),
        ('{"results": [1]}', "that is no algorithm of Grand Challenge"),
        ("[" * 100_000, "that is no algorithm of Grand Challenge"),
        ('{"slug": NaN}', "that is no algorithm of Grand Challenge"),
        (" " * (3 * 1024 * 1024 + 1), "has more than 3145728 bytes"),
        (
            json.dumps(ALGORITHM).replace(
                '"default_value": 0.5', '"schema": ' + '{"not":' * 90 + "{}" + "}" * 90
            ),
            "nested too deeply",
        ),
    ],
    ids=[
        "no JSON",
        "a list",
        "no sockets",
        "no slug",
        "a page of numbers",
        "deep",
        "NaN",
        "too long",
        "a deep schema",
    ],
)
def test_no_algorithm(text: str, says: str) -> None:
    told = CliRunner().invoke(app, ["import", "-"], input=text)
    assert isinstance(told.exception, CliError)
    assert says in str(told.exception)
    assert told.stdout == ""


def test_no_such_file(tmp_path: Path) -> None:
    assert "cannot be read" in str(CliRunner().invoke(app, ["import", str(tmp_path / "x")]).exception)


@settings(deadline=None)
@given(st.text(max_size=40), st.sampled_from(["slug", "title", "description", "url", "other"]))
def test_no_text_leaves_its_place(text: str, key: str) -> None:
    told = import_({**ALGORITHM, key: text})
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        assert isinstance(told.exception, CliError)
        return
    (document,) = yaml.safe_load_all(told.stdout)
    assert document.keys() == {"apiVersion", "kind", "metadata", "spec"}
    if key in ("title", "description") and text:
        assert document["spec"][key] == text
    assert all(shown(line, 10_000) == line for line in told.stdout.split("\n"))
