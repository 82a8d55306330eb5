"""An Algorithm and jobs of it, as the API server has them, and requests for some."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from algorithm_operator.contract.sockets import socket_pk
from algorithm_operator.gateway.database.models import UploadSession
from algorithm_operator.kube.resources import ALGORITHM_JOBS, ALGORITHMS, Body
from tests.gateway.fakes import ALICE, NAMESPACE, ORIGIN, Service
from tests.gateway.imaging import VOLUME, image, upload, url

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
ALGORITHM_UID = "6f1c2f0e-0a51-4d3c-8a2e-0c6a4f3d9b11"
URL = f"{ORIGIN}/{NAMESPACE}/api/v1/"
ALGORITHM_URL = f"{URL}algorithms/{ALGORITHM_UID}/"
JOBS = "algorithms/jobs/"
GEOMETRY = {**VOLUME, "size": [4, 3, 2], "spacing": [1.0, 1.0, 2.0], "pixelType": "uint8"}
INTERFACES: list[Body] = [
    {
        "name": "default",
        "inputs": [
            {"slug": "t1-mri", "title": "T1 MRI", "kind": "Image"},
            {"slug": "smoothing", "kind": "Float", "schema": {"type": "number", "minimum": 0}},
        ],
        "outputs": [
            {
                "slug": "tissues",
                "kind": "Segmentation",
                "overlaySegments": [{"name": "CSF", "voxelValue": 1}],
            },
            {"slug": "findings", "kind": "Multiple points"},
            {"slug": "results", "kind": "Anything", "storeInStatus": True},
            {"slug": "score", "kind": "Float"},
        ],
    },
    {
        "name": "papers",
        "inputs": [
            {"slug": "letter", "kind": "PDF file"},
            {"slug": "marks", "kind": "Multiple points"},
        ],
        "outputs": [{"slug": "score", "kind": "Float"}],
    },
    {
        "name": "series",
        "inputs": [{"slug": "series", "kind": "DICOM Image Set"}],
        "outputs": [{"slug": "score", "kind": "Float"}],
    },
    {
        "name": "text",
        "inputs": [{"slug": "question", "kind": "String"}, {"slug": "context", "kind": "Anything"}],
        "outputs": [{"slug": "score", "kind": "Float"}],
    },
]


def algorithm(name: str = "brain", **changes: Any) -> Body:
    """A ready Algorithm. `changes`: of its spec; `ready`: whether it is; `uid`."""
    uid, ready = changes.pop("uid", ALGORITHM_UID), changes.pop("ready", True)
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "Ready" if ready else "ImageNotFound",
        "message": "" if ready else "Image brain:1.2 does not exist.",
        "lastTransitionTime": "2026-11-28T11:00:00Z",
    }
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "uid": uid,
            "generation": 3,
            "creationTimestamp": "2026-11-28T10:00:00Z",
        },
        "spec": {
            "title": "Brain tissue",
            "image": {"reference": "registry.example.org/brain:1.2"},
            "interfaces": INTERFACES,
            **changes,
        },
        "status": {
            "observedGeneration": 3,
            "conditions": [condition],
            "image": {
                "reference": "registry.example.org/brain:1.2",
                "digest": DIGEST,
                "entrypoint": ["run"],
                "uid": 1000,
                "gid": 1000,
            },
        },
    }


def snapshot(interface: int = 0, **changes: Any) -> Body:
    """What an accepted job runs."""
    return {
        "name": "brain",
        "uid": ALGORITHM_UID,
        "generation": 3,
        "image": f"registry.example.org/brain:1.2@{DIGEST}",
        "imageDigest": DIGEST,
        "interface": INTERFACES[interface],
        "resources": {},
        "timeLimitSeconds": 7200,
        "collectSeconds": 600,
        "network": "None",
        "outputStore": "data",
        **changes,
    }


def job(name: str = "case-001", status: Body | None = None, **changes: Any) -> Body:
    """A job that somebody made with kubectl, of the first interface. `changes`: of its spec, and of metadata (uid,
    labels, creationTimestamp)."""
    meta: Body = {key: changes.pop(key) for key in ("uid", "labels", "creationTimestamp") if key in changes}
    spec = {
        "algorithmRef": {"name": "brain"},
        "requestedBy": ALICE,
        "inputs": [
            {"slug": "t1-mri", "store": {"name": "data", "paths": ["case-001/t1.mha"]}},
            {"slug": "smoothing", "value": 1.5},
        ],
        **changes,
    }
    metadata = {
        "namespace": NAMESPACE,
        "name": name,
        "uid": "0b7b6a55-94a1-4c43-9f8e-5b8f4f5c0e01",
        "creationTimestamp": "2026-11-28T11:59:00Z",
        **meta,
    }
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def succeeded(folder: str = "case-001/uid/1", score: bytes = b"0.25\n", **changes: Any) -> Body:
    """The status of a job of the first interface that succeeded; its files are below `folder`."""
    outputs = [
        {
            "slug": "tissues",
            "kind": "Segmentation",
            "path": f"{folder}/tissues.mha",
            "bytes": 100,
            "sha256": "1" * 64,
            "image": GEOMETRY,
        },
        {
            "slug": "findings",
            "kind": "Multiple points",
            "path": f"{folder}/findings.json",
            "bytes": 20,
            "sha256": "2" * 64,
        },
        {
            "slug": "results",
            "kind": "Anything",
            "path": f"{folder}/results.json",
            "bytes": 14,
            "sha256": "3" * 64,
            "value": {"ml": 883.3},
        },
        {
            "slug": "score",
            "kind": "Float",
            "path": f"{folder}/score.json",
            "bytes": len(score),
            "sha256": sha256(score),
        },
    ]
    return {
        "state": "Succeeded",
        "reason": "Completed",
        "algorithm": snapshot(),
        "outputs": outputs,
        "timing": {"ranSeconds": 61.5},
        "startedAt": "2026-11-28T12:00:00Z",
        "finishedAt": "2026-11-28T12:01:02Z",
        **changes,
    }


class Clock:
    """A time that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> None:
        """Forward."""
        self.now += timedelta(**delta)


def pk(number: int) -> str:
    """A UUID to tell rows apart."""
    return f"00000000-0000-4000-8000-{number:012d}"


async def add_upload(service: Service, number: int, filename: str, **changes: Any) -> str:
    """A completed upload; its URL."""
    return url("uploads", await upload(service, filename, b"abc", id=pk(number), created=NOW, **changes))


async def add_image(service: Service, number: int, **changes: Any) -> str:
    """An image in the store; its URL."""
    changes = {"name": "t1.mha", "path": f"imports/i/{pk(number)}/{pk(number)}.mha", **changes}
    return url("cases/images", await image(service, b"abc", id=pk(number), created=NOW, **changes))


async def add_session(service: Service, number: int, **changes: Any) -> str:
    """An upload session whose import goes on; its URL."""
    row = {
        "id": pk(number),
        "namespace": NAMESPACE,
        "username": ALICE,
        "created": NOW,
        "uploads": [],
        "import_name": f"gcapi-{pk(number)}",
        "kind": "Image",
        **changes,
    }
    await service.database.run(lambda session: session.add(UploadSession(**row)))
    return f"{URL}cases/upload-sessions/{pk(number)}/"


def given(slug: str | None, **sources: Any) -> Body:
    """A value as the clients send it: all keys, those that are not used null."""
    keys = (
        "value",
        "file",
        "image",
        "upload_session",
        "user_upload",
        "user_uploads",
        "image_name",
    )
    return {"interface": slug, **dict.fromkeys(keys), **sources}


def asked(*values: Body, algorithm: str = ALGORITHM_URL) -> Body:
    """The body of a POST."""
    return {"algorithm": algorithm, "inputs": list(values)}


def jobs_of(service: Service) -> list[Body]:
    """All that are in the cluster."""
    return [
        body for (plural, _, _), body in service.cluster.objects.items() if plural == ALGORITHM_JOBS.plural
    ]


def socket(slug: str) -> int:
    """The pk of a socket."""
    return socket_pk(NAMESPACE, slug)


def put(service: Service, *bodies: Body) -> None:
    """Algorithms or jobs into the cluster."""
    for body in bodies:
        is_job = "algorithmRef" in body["spec"]
        service.cluster.add(ALGORITHM_JOBS if is_job else ALGORITHMS, body)
