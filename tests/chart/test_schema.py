"""Mistakes in values are refused by name, before anything is sent to the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from deploy.render import CHART
from tests.chart.tools import Values, refused

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicaCount": 1}, ["'replicaCount' not allowed"]),
        ({"image": {"name": "x"}}, ["/image", "'name' not allowed"]),
        ({"stepsImage": {"pullPolicy": "Always"}}, ["/stepsImage", "'pullPolicy' not allowed"]),
        ({"rbac": {"secrets": True}}, ["/rbac", "'secrets' not allowed"]),
        ({"jobNamespaces": [{"name": "a", "labels": {}}]}, ["/jobNamespaces/0", "'labels' not allowed"]),
        ({"gpuTypes": {"T4": {"nodeSelector": {}}}}, ["/gpuTypes/T4", "'nodeSelector' not allowed"]),
        ({"resources": {"limit": {}}}, ["/resources", "'limit' not allowed"]),
        ({"replicas": "two"}, ["/replicas", "got string, want integer"]),
        ({"isolation": {"strict": "yes"}}, ["/isolation/strict", "got string, want boolean"]),
        ({"crds": {"keep": "true"}}, ["/crds/keep", "got string, want boolean"]),
        ({"watchNamespaces": "imaging"}, ["/watchNamespaces", "got string, want array"]),
        ({"jobNamespaces": ["imaging"]}, ["/jobNamespaces/0", "got string, want object"]),
        ({"jobNamespaces": [{"create": True}]}, ["/jobNamespaces/0", "missing property 'name'"]),
        ({"watchNamespaces": ["Imaging"]}, ["/watchNamespaces/0", "'Imaging' does not match"]),
        ({"image": {"digest": "sha256:12"}}, ["/image/digest", "does not match"]),
        ({"logLevel": "info"}, ["/logLevel", "'DEBUG', 'INFO', 'WARNING', 'ERROR'"]),
        ({"pullFailureSeconds": 1}, ["/pullFailureSeconds", "want 10"]),
        (
            {"stepsResources": {"stage": {"memory": 512}}},
            ["/stepsResources/stage/memory", "got number, want string"],
        ),
        ({"gpuTypes": {"A 100": {"nodeSelectorTerms": [{}]}}}, ["/gpuTypes", "A 100"]),
        ({"gpuTypes": {"L4": {"nodeSelectorTerms": []}}}, ["/gpuTypes/L4/nodeSelectorTerms", "minItems"]),
        ({"insecureRegistries": ["http://r:5000"]}, ["/insecureRegistries/0", "does not match"]),
        ({"serviceAccount": {"create": False}}, ["/serviceAccount/name"]),
        (
            {"watchNamespaces": ["a"], "jobNamespaces": [{"name": "b"}]},
            ['jobNamespaces names "b"', "not in watchNamespaces", "Add it to watchNamespaces"],
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_refused(values: Values, words: list[str]) -> None:
    message = refused(values)
    assert [word for word in words if word not in message] == [], message


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    """A value that the schema forgot could not be set; one that values.yaml forgot would be undocumented."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values.keys() == SCHEMA["properties"].keys()
    for name, value in values.items():
        schema: dict[str, Any] = SCHEMA["properties"][name]
        if isinstance(value, dict) and value and schema.get("additionalProperties") is False:
            assert value.keys() <= schema["properties"].keys(), name


def test_every_object_is_closed_or_a_free_map() -> None:
    """Only `global`, which other charts share, and whole Kubernetes types take unknown keys."""
    open_objects = []

    def walk(schema: Any, path: str) -> None:
        if isinstance(schema, dict):
            if (
                schema.get("type") == "object"
                and "properties" in schema
                and "additionalProperties" not in schema
            ):
                open_objects.append(path)
            for key, value in schema.items():
                walk(value, f"{path}/{key}")
        elif isinstance(schema, list):
            for index, value in enumerate(schema):
                walk(value, f"{path}/{index}")

    walk(SCHEMA, "")
    assert open_objects == ["/properties/global", "/definitions/image"]
