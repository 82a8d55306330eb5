"""The definitions as people meet them: kubectl explain, get, field selectors."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.crd.conftest import Object, Server

KINDS = ["Algorithm", "AlgorithmJob", "DataStore", "ImageImport"]


def undescribed(node: Object, path: str) -> Iterator[str]:
    for name, child in node.get("properties", {}).items():
        if not child.get("description"):
            yield f"{path}.{name}"
        yield from undescribed(child, f"{path}.{name}")
    if "items" in node:
        yield from undescribed(node["items"], f"{path}[]")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_explained(server: Server, kind: str) -> None:
    published = json.loads(server.kubectl("get", "--raw", f"/openapi/v3/apis/{server.group}/v1alpha1"))
    schema = next(
        schema
        for schema in published["components"]["schemas"].values()
        if any(each["kind"] == kind for each in schema.get("x-kubernetes-group-version-kind", ()))
    )
    properties = schema["properties"]
    assert {"spec", "status"} <= properties.keys()
    missing = [path for part in ("spec", "status") for path in undescribed(properties[part], part)]
    assert missing == []


def test_explain_shows_the_texts_of_the_models(server: Server) -> None:
    text = server.kubectl("explain", f"{server.resource('AlgorithmJob')}.spec.inputs.store.paths")
    assert "Below its root, such as case-001/t1.mha." in text
    text = server.kubectl("explain", f"{server.resource('Algorithm')}.spec.network")
    assert "None: no IP sockets at all. Loopback: 127.0.0.1 inside the Pod works." in text


COLUMNS = {
    "Algorithm": ["NAME", "READY", "REASON", "AGE"],
    "AlgorithmJob": ["NAME", "ALGORITHM", "STATE", "REASON", "STARTED", "FINISHED", "AGE"],
    "ImageImport": ["NAME", "STATE", "REASON", "SIZE", "PIXELS", "AGE"],
    "DataStore": ["NAME", "CLAIM", "DEFAULT", "READY", "REASON", "AGE"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_columns(
    server: Server, algorithm: Object, job: Object, datastore: Object, imageimport: Object, kind: str
) -> None:
    for body in (algorithm, job, datastore, imageimport):
        server.apply(body)
    out = server.kubectl("-n", server.namespace, "get", server.resource(kind))
    assert out.splitlines()[0].split() == COLUMNS[kind]


def test_a_job_shows_its_end(server: Server, job: Object) -> None:
    name = server.apply(job)["metadata"]["name"]
    status = {"state": "Failed", "reason": "ExitCode", "blame": "algorithm", "message": "It ended with 3."}
    server.patch("AlgorithmJob", name, {"status": status}, status=True)
    out = server.kubectl("-n", server.namespace, "get", server.resource("AlgorithmJob"), name, "-o", "wide")
    assert all(
        word in out for word in ("brain-tissue", "Failed", "ExitCode", "algorithm", "It ended with 3.")
    )


def test_an_import_shows_its_image(server: Server, imageimport: Object) -> None:
    name = server.apply(imageimport)["metadata"]["name"]
    geometry = {"spacing": [1, 1], "origin": [0, 0], "direction": [1, 0, 0, 1]}
    image = {
        "store": "results",
        "path": "imports/a/b.mha",
        "bytes": 9,
        "sha256": "ab" * 32,
        "name": "series",
        "format": "MHD",
        "geometry": {"size": [512, 300], "pixelType": "int16", **geometry},
    }
    server.patch("ImageImport", name, {"status": {"state": "Succeeded", "image": image}}, status=True)
    out = server.kubectl("-n", server.namespace, "get", server.resource("ImageImport"), name)
    assert all(word in out for word in ("Succeeded", "[512,300]", "int16"))


def test_jobs_are_selected_on_the_server_by_algorithm_and_state(server: Server, job: Object) -> None:
    job["spec"]["algorithmRef"]["name"] = "selected"
    job["spec"]["requestedBy"] = "alice@example.org"
    name = server.apply(job)["metadata"]["name"]
    server.patch("AlgorithmJob", name, {"status": {"state": "Queued"}}, status=True)

    def selected(selector: str) -> list[str]:
        out = server.kubectl(
            "-n",
            server.namespace,
            "get",
            server.resource("AlgorithmJob"),
            "--field-selector",
            selector,
            "-o",
            "name",
        )
        return [line.rpartition("/")[2] for line in out.split()]

    assert selected("spec.algorithmRef.name=selected") == [name]
    assert selected("spec.algorithmRef.name=selected,status.state=Queued") == [name]
    assert selected("spec.algorithmRef.name=selected,status.state=Running") == []
    assert selected("spec.algorithmRef.name=selected,spec.requestedBy=alice@example.org") == [name]
    assert selected("spec.requestedBy=alice@example.or") == []


def test_short_names_and_the_category(server: Server) -> None:
    listed = server.kubectl(
        "api-resources",
        f"--api-group={server.group}",
        "--categories=algorithm-operator",
        "-o",
        "wide",
        "--no-headers",
    )
    assert {line.split()[0]: line.split()[1] for line in listed.splitlines()} == {
        "algorithms": "algo",
        "algorithmjobs": "algojob",
        "datastores": f"{server.group}/v1alpha1",
        "imageimports": "imgimport",
    }
