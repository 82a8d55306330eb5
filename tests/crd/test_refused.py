"""What the API server refuses, a row a rule: how the object is spoilt, and what the message must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from algorithm_operator.api.kinds import FILE_SUFFIXES
from tests.crd.conftest import Object, Server

Spoil = Callable[[Object], object]
PINNED = "registry.example.org/cases@sha256:" + "a" * 64
UUID = "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11"


def segments(*values: int) -> list[Object]:
    return [{"name": f"s{value}", "voxelValue": value} for value in values]


def socket(**fields: Any) -> Spoil:
    """The first input with these fields, None: without."""

    def spoil(spec: Object) -> None:
        first = spec["interfaces"][0]["inputs"][0]
        first.update(fields)
        for field in [field for field, value in fields.items() if value is None]:
            del first[field]

    return spoil


def interface(**fields: Any) -> Spoil:
    return lambda spec: spec["interfaces"][0].update(fields)


def field(**fields: Any) -> Spoil:
    return lambda spec: spec.update(fields)


def per(**fields: Any) -> Spoil:
    return field(limits={"jobsPerUser": {"count": 1, "period": "1h", **fields}})


def anything(*slugs: str, **more: str) -> list[Object]:
    return [{"slug": slug, "kind": "Anything", **more} for slug in slugs]


ALGORITHM = {
    "no image": (lambda spec: spec.pop("image"), ["spec.image: Required value"]),
    "empty reference": (field(image={"reference": ""}), ["spec.image.reference", "at least 1 char"]),
    "blank in reference": (field(image={"reference": "a b"}), ["spec.image.reference"]),
    "shared memory of nothing": (
        field(resources={"sharedMemory": "0"}),
        ["spec.resources.sharedMemory", "at least 1Mi; leave it out for what the node gives"],
    ),
    "no interfaces": (field(interfaces=[]), ["spec.interfaces", "at least 1 item"]),
    "no inputs": (interface(inputs=[]), ["spec.interfaces[0].inputs", "at least 1 item"]),
    "no outputs": (interface(outputs=[]), ["spec.interfaces[0].outputs", "at least 1 item"]),
    "17 interfaces": (
        lambda spec: spec.update(interfaces=[{**spec["interfaces"][0], "name": f"i{n}"} for n in range(17)]),
        ["spec.interfaces: Too many: 17: must have at most 16 items"],
    ),
    "33 sockets": (
        interface(inputs=anything(*(f"s{n}" for n in range(33)))),
        ["spec.interfaces[0].inputs: Too many: 33: must have at most 32 items"],
    ),
    "two interfaces of one name": (
        lambda spec: spec["interfaces"].append(spec["interfaces"][0]),
        ["spec.interfaces[1]: Duplicate value", "default"],
    ),
    "a slug twice": (
        interface(inputs=anything("a", "a")),
        ["spec.interfaces[0].inputs[1]: Duplicate value", '"slug":"a"'],
    ),
    "input and output at once": (
        interface(inputs=anything("a"), outputs=anything("a")),
        ["spec.interfaces[0]", "a slug is an input or an output of an interface, not both"],
    ),
    "two inputs at one path": (
        interface(inputs=[*anything("a", relativePath="x.json"), *anything("x")]),
        ["spec.interfaces[0].inputs", "each of the inputs needs a relativePath of its own"],
    ),
    "an output inside another": (
        interface(
            outputs=[
                {"slug": "a", "kind": "Image"},
                {"slug": "b", "kind": "Image", "relativePath": "images/a/b"},
            ]
        ),
        ["spec.interfaces[0].outputs", "none may lie inside another one's"],
    ),
    "slug with capitals": (socket(slug="T1"), ["spec.interfaces[0].inputs[0].slug"]),
    "slug with two hyphens": (socket(slug="a--b"), ["spec.interfaces[0].inputs[0].slug"]),
    "long slug": (socket(slug="a" * 64), ["spec.interfaces[0].inputs[0].slug: Too long"]),
    "unknown kind": (
        socket(kind="image"),
        ['spec.interfaces[0].inputs[0].kind: Unsupported value: "image"', '"Image"', '"Segmentation"'],
    ),
    "path begins with /": (
        socket(relativePath="/images/a"),
        ["spec.interfaces[0].inputs[0].relativePath", "Path must not begin or end with '/'"],
    ),
    "path ends with /": (socket(relativePath="images/a/"), ["Path must not begin or end with '/'"]),
    "path with ..": (socket(relativePath="images/../a"), ["Relative paths are not allowed"]),
    "path with .": (socket(relativePath="images/./a"), ["Relative paths are not allowed"]),
    "path with empty name": (socket(relativePath="images//a"), ["Relative paths are not allowed"]),
    "path with a line feed": (
        socket(relativePath="images/a\nb"),
        ["spec.interfaces[0].inputs[0].relativePath"],
    ),
    "reserved path": (
        socket(kind="Anything", relativePath="Inputs.json"),
        ["This relative path is reserved"],
    ),
    "slug of a reserved path": (socket(kind="Anything", slug="inputs"), ["This relative path is reserved"]),
    "UUID in path": (socket(relativePath=f"images/{UUID.upper()}"), ["may not contain a UUID"]),
    "UUID as slug": (socket(slug=UUID), ["may not contain a UUID"]),
    "no .json": (
        socket(kind="Float", relativePath="a.txt"),
        ["spec.interfaces[0].inputs[0].relativePath", "Relative path should end with .json"],
    ),
    "image not below images/": (socket(relativePath="a"), ["Images should be a directory"]),
    "image with a suffix": (socket(relativePath="images/a.mha"), ["Images should be a directory"]),
    "JSON below images/": (
        socket(kind="Float", relativePath="images/a.json"),
        ["Only images may lie below images/"],
    ),
    "segmentation without segments": (socket(kind="Segmentation"), ["overlaySegments are needed"]),
    "image with segments": (socket(overlaySegments=segments(1)), ["overlaySegments are needed", "no other"]),
    "segments with a gap": (
        socket(kind="Segmentation", overlaySegments=segments(1, 3)),
        ["must be 1, 2, 3, ... without a gap"],
    ),
    "a voxel value twice": (
        socket(kind="Segmentation", overlaySegments=segments(1, 1)),
        ["overlaySegments[1]: Duplicate value"],
    ),
    "background as a segment": (
        socket(kind="Segmentation", overlaySegments=segments(0)),
        ["overlaySegments[0].voxelValue", "greater than or equal to 1"],
    ),
    "neither kind nor a common slug": (
        socket(kind=None, slug="of-our-own"),
        ["spec.interfaces[0].inputs[0].slug", "kind is needed", "kubectl algorithm sockets"],
    ),
    "a common slug with a path": (
        socket(kind=None, slug="t1-brain-mri", relativePath="images/a"),
        ["relativePath, schema, overlaySegments of a common socket are known"],
    ),
    "a common slug with a schema": (
        socket(kind=None, slug="stroke-metadata", schema={"type": "object"}),
        ["of a common socket are known; give kind too"],
    ),
    **{
        f"no {suffix}": (
            socket(kind=str(kind), relativePath="a.json"),
            ["spec.interfaces[0].inputs[0].relativePath", f"Relative path should end with {suffix}"],
        )
        for kind, suffix in FILE_SUFFIXES.items()
    },
    "PDF below images/": (
        socket(kind="PDF file", relativePath="images/a.pdf"),
        ["Only images may lie below images/"],
    ),
    "DICOM not below images/": (
        socket(kind="DICOM Image Set", relativePath="a"),
        ["Images should be a directory"],
    ),
    "schema of an image": (socket(schema={"type": "object"}), ["schema is for kinds that are JSON"]),
    "schema of a file": (
        socket(kind="CSV file", schema={"type": "object"}),
        ["schema is for kinds that are JSON"],
    ),
    "schema that is no object": (
        socket(kind="Anything", schema=True),
        ["spec.interfaces[0].inputs[0].schema", "must be of type object"],
    ),
    "description too long": (socket(description="x" * 1025), ["inputs[0].description: Too long"]),
    "overlayOf of an input": (
        socket(kind="Heat Map", overlayOf="t1-mri"),
        ["overlayOf and geometryCheck are for outputs"],
    ),
    "geometryCheck of an input": (
        socket(kind="Heat Map", geometryCheck="Off"),
        ["overlayOf and geometryCheck are for outputs"],
    ),
    "overlayOf of a number": (
        interface(outputs=[{"slug": "out", "kind": "Float", "overlayOf": "t1-mri"}]),
        ["overlayOf and geometryCheck are for outputs of kind Segmentation, Heat Map, Displacement field"],
    ),
    "overlayOf names no input": (
        interface(outputs=[{"slug": "out", "kind": "Heat Map", "overlayOf": "nothing"}]),
        ["spec.interfaces[0]", "overlayOf names an input of the same interface"],
    ),
    "overlayOf names an output": (
        interface(outputs=[{"slug": "out", "kind": "Heat Map", "overlayOf": "out"}]),
        ["overlayOf names an input of the same interface"],
    ),
    "geometryCheck in other words": (
        interface(outputs=[{"slug": "out", "kind": "Heat Map", "geometryCheck": "Ignore"}]),
        ['geometryCheck: Unsupported value: "Ignore"', '"Fail"', '"Warn"', '"Off"'],
    ),
    "no cpu": (field(resources={"cpu": "0m"}), ["spec.resources.cpu", "cpu must be more than 0"]),
    "negative cpu": (field(resources={"cpu": -1}), ["spec.resources.cpu", "cpu must be more than 0"]),
    "no memory": (field(resources={"memory": "0"}), ["spec.resources.memory", "at least 16Mi"]),
    "memory in milli": (field(resources={"memory": "24000m"}), ["spec.resources.memory", "at least 16Mi"]),
    "memory in words": (field(resources={"memory": "24 GB"}), ["spec.resources.memory", "24 GB"]),
    "negative GPUs": (field(resources={"gpu": {"count": -1}}), ["spec.resources.gpu.count"]),
    "no threads": (field(resources={"threads": 0}), ["spec.resources.threads"]),
    "no time": (field(timeLimitSeconds=0), ["spec.timeLimitSeconds", "greater than or equal to 10"]),
    "network": (field(network="Host"), ['spec.network: Unsupported value: "Host"', '"Loopback"']),
    "no active jobs": (
        field(limits={"activeJobsPerUser": 0}),
        ["spec.limits.activeJobsPerUser", "equal to 1"],
    ),
    "too many active jobs": (field(limits={"activeJobsPerUser": 10001}), ["spec.limits.activeJobsPerUser"]),
    "no jobs at all": (per(count=0), ["spec.limits.jobsPerUser.count", "equal to 1"]),
    "too many jobs": (per(count=100001), ["spec.limits.jobsPerUser.count"]),
    "a count without a period": (
        field(limits={"jobsPerUser": {"count": 1}}),
        ["spec.limits.jobsPerUser.period: Required value"],
    ),
    "a period in days": (per(period="30d"), ["spec.limits.jobsPerUser.period"]),
    "a period in the wrong order": (per(period="1m1h"), ["spec.limits.jobsPerUser.period"]),
    "an empty period": (per(period=""), ["spec.limits.jobsPerUser.period"]),
    "a negative period": (per(period="-1h"), ["spec.limits.jobsPerUser.period"]),
    "less than a minute": (per(period="59s"), ["spec.limits.jobsPerUser.period", "between 1m and 8760h"]),
    "more than a year": (per(period="8760h1s"), ["spec.limits.jobsPerUser.period", "between 1m and 8760h"]),
    "an endless period": (per(period="9" * 15 + "h"), ["spec.limits.jobsPerUser.period"]),
    "root": (field(security={"user": {"uid": 0, "gid": 0}}), ["spec.security.user.uid", "equal to 1"]),
    "unknown field": (field(podTemplate={}), ["unknown field", "podTemplate"]),
}


@pytest.mark.parametrize(("spoil", "says"), ALGORITHM.values(), ids=ALGORITHM)
def test_algorithm(server: Server, algorithm: Object, spoil: Spoil, says: list[str]) -> None:
    spoil(algorithm["spec"])
    check(server.refuses(algorithm), says)


def given(**fields: Any) -> Spoil:
    return lambda spec: spec.update(inputs=[{"slug": "t1-mri", **fields}])


def at(*paths: str) -> Spoil:
    return given(store={"name": "cases", "paths": list(paths)})


JOB = {
    "no algorithm": (lambda spec: spec.pop("algorithmRef"), ["spec.algorithmRef: Required value"]),
    "no inputs": (field(inputs=[]), ["spec.inputs", "at least 1 item"]),
    "a slug twice": (
        field(inputs=[{"slug": "a", "value": 1}, {"slug": "a", "value": 2}]),
        ["spec.inputs[1]: Duplicate value", '"slug":"a"'],
    ),
    "config map and image": (
        given(configMap={"name": "m", "key": "a.json"}, image={"reference": PINNED, "path": "a.json"}),
        ["spec.inputs[0]", "must validate one and only one schema (oneOf)"],
    ),
    "store and job": (
        given(store={"name": "cases", "paths": ["a"]}, job={"name": "first", "output": "a"}),
        ["spec.inputs[0]", "must validate one and only one schema (oneOf)"],
    ),
    "config map without a key": (
        given(configMap={"name": "m"}),
        ["spec.inputs[0].configMap.key: Required value"],
    ),
    "key that is a path": (
        given(configMap={"name": "m", "key": "a/b.json"}),
        ["spec.inputs[0].configMap.key"],
    ),
    "image by tag": (
        given(image={"reference": "registry.example.org/cases:1", "path": "a.json"}),
        ["spec.inputs[0].image.reference", "the image of an input is named by its digest"],
    ),
    "image without a path": (
        given(image={"reference": PINNED}),
        ["spec.inputs[0].image.path: Required value"],
    ),
    "store and import": (
        given(store={"name": "cases", "paths": ["a"]}, imageImport={"name": "first"}),
        ["spec.inputs[0]", "must validate one and only one schema (oneOf)"],
    ),
    "import without a name": (given(imageImport={}), ["spec.inputs[0].imageImport.name: Required value"]),
    "job without an output": (
        given(job={"name": "first"}),
        ["spec.inputs[0].job.output: Required value"],
    ),
    "output that is no slug": (
        given(job={"name": "first", "output": "A"}),
        ["spec.inputs[0].job.output"],
    ),
    "65 paths": (
        at(*(f"{number}.dcm" for number in range(65))),
        ["spec.inputs[0].store.paths: Too many: 65: must have at most 64 items"],
    ),
    "neither value nor store": (given(), ["spec.inputs[0]", "must validate one and only one schema (oneOf)"]),
    "value and store": (
        given(value=1, store={"name": "cases", "paths": ["a"]}),
        ["spec.inputs[0]", "must validate one and only one schema (oneOf)"],
    ),
    "null and store": (
        given(value=None, store={"name": "cases", "paths": ["a"]}),
        ["spec.inputs[0]", "must validate one and only one schema (oneOf)"],
    ),
    "no path": (at(), ["spec.inputs[0].store.paths", "at least 1 item"]),
    "empty path": (at(""), ["spec.inputs[0].store.paths[0]", "at least 1 char"]),
    "parent folder": (
        at("a", "../b"),
        ["spec.inputs[0].store", 'input "t1-mri": the path "../b" is not allowed'],
    ),
    "parent in the middle": (at("a/../b"), ['input "t1-mri": the path "a/../b" is not allowed']),
    "parent at the end": (at("a/.."), ['input "t1-mri": the path "a/.." is not allowed']),
    "here": (at("./a"), ['input "t1-mri": the path "./a" is not allowed']),
    "absolute path": (
        at("/etc/passwd"),
        ['"/etc/passwd" is not allowed', "relative to the root of the DataStore"],
    ),
    "empty name": (at("a//b"), ['the path "a//b" is not allowed']),
    "backslash": (at("a\\b"), ["backslashes"]),
    "control character": (at("a\tb"), ["control characters"]),
    "line feed": (at("a\nb"), ["control characters"]),
    "long path": (at("a" * 1025), ["spec.inputs[0].store.paths[0]: Too long"]),
    "output store without a name": (field(outputStore={}), ["spec.outputStore.name: Required value"]),
    "no time": (field(timeLimitSeconds=9), ["spec.timeLimitSeconds", "greater than or equal to 10"]),
    "nobody": (field(requestedBy=""), ["spec.requestedBy", "at least 1 char"]),
    "a long name of a user": (field(requestedBy="a" * 254), ["spec.requestedBy", "Too long"]),
    "a control character in a name": (field(requestedBy="a\x1b[2Jb"), ["spec.requestedBy"]),
    "a line feed in a name": (field(requestedBy="a\n"), ["spec.requestedBy"]),
    "no attempts": (field(attempts=0), ["spec.attempts", "greater than or equal to 1"]),
    "negative ttl": (field(ttlSecondsAfterFinished=-1), ["spec.ttlSecondsAfterFinished"]),
    "unknown field": (field(podSpecPatch="x"), ["unknown field", "podSpecPatch"]),
}


@pytest.mark.parametrize(("spoil", "says"), JOB.values(), ids=JOB)
def test_job(server: Server, job: Object, spoil: Spoil, says: list[str]) -> None:
    spoil(job["spec"])
    check(server.refuses(job), says)


IMPORT = {
    "no source": (lambda spec: spec.clear(), ["spec.source: Required value"]),
    "no path": (field(source={"name": "cases", "paths": []}), ["spec.source.paths", "at least 1 item"]),
    "65 paths": (
        field(source={"name": "cases", "paths": [f"{number}.dcm" for number in range(65)]}),
        ["spec.source.paths: Too many: 65: must have at most 64 items"],
    ),
    "parent folder": (
        field(source={"name": "cases", "paths": ["a", "../b"]}),
        ["spec.source", "relative to the root of the DataStore"],
    ),
    "absolute path": (field(source={"name": "cases", "paths": ["/a"]}), ["relative to the root"]),
    "control character": (field(source={"name": "cases", "paths": ["a\nb"]}), ["control characters"]),
    "a kind that is no image": (field(kind="Float"), ["spec.kind: Unsupported value", "Displacement field"]),
    "DICOM, which stays DICOM": (field(kind="DICOM Image Set"), ["spec.kind: Unsupported value"]),
    "no time": (field(timeLimitSeconds=29), ["spec.timeLimitSeconds", "greater than or equal to 30"]),
    "too much time": (field(timeLimitSeconds=86401), ["spec.timeLimitSeconds"]),
    "negative ttl": (field(ttlSecondsAfterFinished=-1), ["spec.ttlSecondsAfterFinished"]),
    "unknown field": (field(podSpecPatch="x"), ["unknown field", "podSpecPatch"]),
}


@pytest.mark.parametrize(("spoil", "says"), IMPORT.values(), ids=IMPORT)
def test_import(server: Server, imageimport: Object, spoil: Spoil, says: list[str]) -> None:
    spoil(imageimport["spec"])
    check(server.refuses(imageimport), says)


DATASTORE = {
    "no claim": (lambda spec: spec.clear(), ["spec.persistentVolumeClaim: Required value"]),
    "claim without a name": (field(persistentVolumeClaim={}), ["claimName: Required value"]),
    "name with a slash": (field(persistentVolumeClaim={"claimName": "a/b"}), ["claimName"]),
    "group of root": (field(gid=0), ["spec.gid", "greater than or equal to 1"]),
    "unknown field": (field(hostPath="/"), ["unknown field", "hostPath"]),
}


@pytest.mark.parametrize(("spoil", "says"), DATASTORE.values(), ids=DATASTORE)
def test_datastore(server: Server, datastore: Object, spoil: Spoil, says: list[str]) -> None:
    spoil(datastore["spec"])
    check(server.refuses(datastore), says)


@pytest.mark.parametrize(
    ("kind", "limit"), [("job", 50), ("algorithm", 63), ("datastore", 63), ("imageimport", 63)]
)
def test_name(server: Server, request: pytest.FixtureRequest, kind: str, limit: int) -> None:
    body: Object = request.getfixturevalue(kind)
    body["metadata"]["name"] = "a" * limit
    server.accepts(body)
    body["metadata"]["name"] = "a" * (limit + 1)
    check(server.refuses(body), [f"the name may have at most {limit} characters"])


@pytest.mark.parametrize("kind", ["job", "algorithm", "datastore", "imageimport"])
def test_no_spec(server: Server, request: pytest.FixtureRequest, kind: str) -> None:
    body: Object = request.getfixturevalue(kind)
    del body["spec"]
    check(server.refuses(body), ["spec: Required value"])


def check(message: str, says: list[str]) -> None:
    for words in says:
        assert words in message
