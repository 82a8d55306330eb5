"""Uploads that are complete, imports that ended, images: as the tests of images, sessions, archives and files need."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from algorithm_operator.gateway.database.models import Image, Upload
from algorithm_operator.kube.resources import IMAGE_IMPORTS, Body
from tests.gateway.fakes import ALICE, NAMESPACE, ORIGIN, Service

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
VOLUME: Body = {
    "size": [5, 4, 3],
    "spacing": [0.5, 0.6, 2.5],
    "origin": [0.0, 0.0, 0.0],
    "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    "pixelType": "int16",
    "components": 1,
}


def url(kind: str, pk: str, namespace: str = NAMESPACE) -> str:
    """The URL of something, such as `uploads` or `cases/images`."""
    return f"{ORIGIN}/{namespace}/api/v1/{kind}/{pk}/"


async def upload(
    service: Service, filename: str = "a.mha", content: bytes = b"voxels", **changes: Any
) -> str:
    """The pk of a file that has arrived."""
    pk = str(changes.get("id") or uuid4())
    path = f"gateway/uploads/{pk}/{filename}"
    row = Upload(
        **{
            "id": pk,
            "namespace": NAMESPACE,
            "username": ALICE,
            "filename": filename,
            "multipart_id": "m",
            "status": "Completed",
            "created": NOW,
            "store": "data",
            "path": path,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **changes,
        }
    )
    service.stores.of(row.namespace, row.store).files[str(row.path)] = content
    await service.database.run(lambda session: session.add(row))
    return pk


async def image(service: Service, content: bytes = b"voxels", **changes: Any) -> str:
    """The pk of an image that is there."""
    pk = str(changes.get("id") or uuid4())
    row = Image(
        **{
            "id": pk,
            "namespace": NAMESPACE,
            "name": "scan",
            "store": "data",
            "path": f"imports/x/{pk}/{pk}.mha",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "geometry": VOLUME,
            "created": NOW,
            **changes,
        }
    )
    service.stores.of(row.namespace, row.store).files[row.path] = content
    await service.database.run(lambda session: session.add(row))
    return pk


def import_of(service: Service, session: str) -> Body:
    """The ImageImport of a session, as it is in the cluster."""
    return service.cluster.objects[IMAGE_IMPORTS.plural, NAMESPACE, f"gcapi-{session}"]


def ended(service: Service, session: str, **status: Any) -> str:
    """Let the operator end the import of a session; by default it succeeds. Returns its uid."""
    body = import_of(service, session)
    uid: str = body["metadata"]["uid"]
    made = {
        "store": "data",
        "path": f"imports/gcapi-{session}/{uid}/{uid}.mha",
        "bytes": 6,
        "sha256": hashlib.sha256(b"voxels").hexdigest(),
        "name": "scan",
        "format": "MHD",
        "geometry": VOLUME,
    }
    body["status"] = {
        "state": "Succeeded",
        "finishedAt": NOW.isoformat(),
        **({} if status.get("state", "Succeeded") != "Succeeded" else {"image": made}),
        **status,
    }
    return uid


def later(service: Service, **by: float) -> None:
    """Turn the gateway's clock: so long after NOW."""
    service.gateway.clocks.append(lambda: NOW + timedelta(**by))
