"""A thin asynchronous client of the API server: JSON in, JSON out, typed errors, retries where they are safe."""

from __future__ import annotations

from typing import Literal

from algorithm_operator.kube.resources import Body, Resource

ContentType = Literal["merge", "json"]


class Client:
    """Requests to one API server. Every method may raise `errors.ApiError`; a request takes 15 s at most.

    Connection errors, 429 (Retry-After is honoured) and 5xx are retried with jittered backoff, for the verbs that
    can be repeated: get, list, apply, delete, pod_log, merge patches. `create` is repeated as well, as its names
    are deterministic: a repeated create that had got through raises AlreadyExists, and the caller looks.
    """

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        """The live object; None if there is none (404)."""
        raise NotImplementedError

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
    ) -> tuple[list[Body], str]:
        """All objects (namespace None: of the cluster), fetched in pages of `limit`, and the list's resourceVersion.

        `metadata_only` asks for PartialObjectMetadata: apiVersion, kind and metadata alone.
        """
        raise NotImplementedError

    async def create(self, resource: Resource, namespace: str | None, body: Body) -> Body:
        """Create; returns the object as stored. AlreadyExists if the name is taken."""
        raise NotImplementedError

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Body,
        *,
        subresource: str | None = None,
        field_manager: str,
        force: bool = True,
    ) -> Body:
        """Server-side apply; returns the object as stored. apiVersion, kind and metadata.name are filled in.

        With metadata.uid in `body` an object of another uid is a Conflict, so a status never lands on a successor.
        """
        raise NotImplementedError

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Body | list[Body],
        *,
        content_type: ContentType = "merge",
        subresource: str | None = None,
    ) -> Body:
        """Merge patch (an object) or JSON patch (a list of operations); NotFound if there is no such object."""
        raise NotImplementedError

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> bool:
        """Ask for deletion; False if it is gone already (404). `uid`: Conflict if the object is another one."""
        raise NotImplementedError

    async def pod_log(
        self,
        namespace: str,
        name: str,
        container: str,
        *,
        limit_bytes: int,
        tail_lines: int | None = None,
        previous: bool = False,
    ) -> bytes | None:
        """At most `limit_bytes` of the container's log as the kubelet has it; None if Pod or log is gone (404, 400)."""
        raise NotImplementedError
