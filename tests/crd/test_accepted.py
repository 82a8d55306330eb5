"""What the API server takes, and the defaults that it stores."""

from __future__ import annotations

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Socket
from algorithm_operator.api.kinds import SEGMENTED_KINDS, SocketKind
from tests.crd.conftest import Object, Server


def test_an_algorithm_without_resources_is_stored_with_the_seeds_shape(
    server: Server, algorithm: Object
) -> None:
    spec = server.accepts(algorithm)["spec"]
    assert spec["resources"] == {
        "cpu": "2",
        "memory": "24G",
        "gpu": {"type": "T4", "count": 1},
        "scratch": {"size": "30G", "medium": "Disk"},
        "threads": 512,
    }
    assert spec["timeLimitSeconds"] == 7200
    assert spec["collectSeconds"] == 600
    assert spec["network"] == "None"
    assert spec["interfaces"][0]["name"] == "default"


def test_half_given_resources_keep_the_other_defaults(server: Server, algorithm: Object) -> None:
    algorithm["spec"]["resources"] = {"memory": "8Gi", "cpu": 4, "gpu": {"count": 0}}
    stored = server.accepts(algorithm)["spec"]["resources"]
    scratch = {"size": "30G", "medium": "Disk"}
    gpu = {"type": "T4", "count": 0}
    assert stored == {"cpu": 4, "memory": "8Gi", "gpu": gpu, "scratch": scratch, "threads": 512}


def test_an_algorithm_with_all_its_fields(server: Server, algorithm: Object) -> None:
    algorithm["spec"] |= {
        "title": "Brain tissue segmentation",
        "description": "Grey matter, white matter and CSF.",
        "network": "Loopback",
        "security": {"user": {"uid": 1000, "gid": 1000}},
        "timeLimitSeconds": 600,
        "collectSeconds": 60,
        "limits": {"activeJobsPerUser": 10000, "jobsPerUser": {"count": 100000, "period": "8759h59m60s"}},
    }
    tissues = {
        "slug": "tissues",
        "title": "Tissues",
        "description": "Of the brain.",
        "kind": "Segmentation",
        "relativePath": "images/tissues",
        "overlaySegments": [
            {"name": "CSF", "voxelValue": 1},
            {"name": "Grey matter", "voxelValue": 2, "visible": False},
        ],
    }
    results = {"slug": "results", "kind": "Anything", "relativePath": "results.json", "storeInStatus": True}
    algorithm["spec"]["interfaces"] = [
        {"name": "one", "inputs": [{"slug": "a", "kind": "String"}], "outputs": [tissues, results]},
        {
            "name": "two",
            "inputs": [{"slug": "a", "kind": "String"}, {"slug": "b", "kind": "Bool"}],
            "outputs": [results],
        },
    ]
    stored = server.accepts(algorithm)["spec"]
    assert stored["interfaces"][0]["outputs"][0]["overlaySegments"][0]["visible"] is True
    assert stored["interfaces"][1]["outputs"][0]["storeInStatus"] is True


def test_an_import_with_its_defaults(server: Server, imageimport: Object) -> None:
    assert server.accepts(imageimport)["spec"] == {
        "source": {"name": "cases", "paths": ["series/"]},
        "kind": "Image",
        "timeLimitSeconds": 600,
    }


def test_a_job_may_take_the_image_of_an_import(server: Server, job: Object) -> None:
    job["spec"]["inputs"][0] = {"slug": "t1-mri", "imageImport": {"name": "series-1"}}
    assert server.accepts(job)["spec"]["inputs"][0]["imageImport"] == {"name": "series-1"}


def test_every_kind_with_its_defaults(server: Server, algorithm: Object) -> None:
    given = [
        {"slug": kind.name.lower().replace("_", "-"), "kind": str(kind)}
        | ({"overlaySegments": [{"name": "x", "voxelValue": 1}]} if kind in SEGMENTED_KINDS else {})
        for kind in SocketKind
    ]
    first = algorithm["spec"]["interfaces"][0]
    first |= {"inputs": given[:20], "outputs": given[20:]}
    stored = server.accepts(algorithm)["spec"]["interfaces"][0]
    read = [Socket.model_validate(each) for each in [*stored["inputs"], *stored["outputs"]]]
    assert read == [Socket.model_validate(each) for each in given]


def test_a_common_socket_by_its_slug_alone(server: Server, algorithm: Object) -> None:
    algorithm["spec"]["interfaces"][0]["inputs"] = [{"slug": slug} for slug in list(CATALOGUE)[:16]]
    algorithm["spec"]["interfaces"][0]["outputs"] = [{"slug": slug} for slug in list(CATALOGUE)[16:48]]
    stored = server.accepts(algorithm)["spec"]["interfaces"][0]["inputs"][0]
    assert "kind" not in stored


def test_what_is_said_of_an_output(server: Server, algorithm: Object) -> None:
    first = algorithm["spec"]["interfaces"][0]
    first["inputs"] = [
        {"slug": "t1-mri", "kind": "Image"},
        {"slug": "age", "kind": "Integer", "title": "Age"},
    ]
    first["outputs"] = [
        {
            "slug": "map",
            "kind": "Heat Map",
            "overlayOf": "t1-mri",
            "geometryCheck": "Warn",
            "description": "A map.",
        },
        {"slug": "free", "kind": "Displacement field", "geometryCheck": "Off"},
        {"slug": "score", "kind": "Float", "schema": {"minimum": 0, "x": [{"any": "thing"}]}},
    ]
    stored = server.accepts(algorithm)["spec"]["interfaces"][0]["outputs"]
    assert [Socket.model_validate(each) for each in stored] == [
        Socket.model_validate(e) for e in first["outputs"]
    ]


def test_as_many_interfaces_and_sockets_as_are_allowed(server: Server, algorithm: Object) -> None:
    def sockets(word: str, count: int) -> list[Object]:
        return [{"slug": f"{word}-{number}", "kind": "Image"} for number in range(count)]

    algorithm["spec"]["interfaces"] = [
        {"name": f"i-{number}", "inputs": sockets("in", 17 + number), "outputs": sockets("out", 32)}
        for number in range(16)
    ]
    assert len(server.accepts(algorithm)["spec"]["interfaces"]) == 16


def test_a_job_with_its_defaults(server: Server, job: Object) -> None:
    spec = server.accepts(job)["spec"]
    assert spec == {**job["spec"], "attempts": 3, "suspend": False, "cancel": False}


def test_any_json_is_a_value_null_included(server: Server, job: Object) -> None:
    values: list[object] = [None, 1, 1.5, "text", True, [1, [2]], {"a": None, "b": {"c": []}}]
    job["spec"]["inputs"] = [{"slug": f"v-{number}", "value": value} for number, value in enumerate(values)]
    stored = server.apply(job)["spec"]["inputs"]
    assert [given["value"] for given in stored] == values


def test_a_job_with_inputs_of_all_places(server: Server, job: Object) -> None:
    image = {"reference": "registry.example.org/cases@sha256:" + "a" * 64, "path": "cases/1/"}
    job["spec"]["inputs"] = [
        {"slug": "value", "value": None},
        {"slug": "store", "store": {"name": "cases", "paths": [f"{number}.dcm" for number in range(64)]}},
        {"slug": "config-map", "configMap": {"name": "small", "key": "a.json"}},
        {"slug": "image", "image": {**image, "pullSecrets": [{"name": "pull"}]}},
        {"slug": "job", "job": {"name": "first", "output": "tissues"}},
    ]
    assert server.apply(job)["spec"]["inputs"] == job["spec"]["inputs"]


def test_a_job_with_all_its_fields(server: Server, job: Object) -> None:
    job["spec"] |= {
        "outputStore": {"name": "results"},
        "timeLimitSeconds": 60,
        "attempts": 1,
        "suspend": True,
        "ttlSecondsAfterFinished": 0,
        "requestedBy": "oidc:Zoë Ångström <zoe@example.org>",
    }
    assert server.accepts(job)["spec"]["suspend"] is True


def test_a_datastore_with_its_defaults(server: Server, datastore: Object) -> None:
    assert server.accepts(datastore)["spec"] == {
        "persistentVolumeClaim": {"claimName": "cases"},
        "default": False,
    }
