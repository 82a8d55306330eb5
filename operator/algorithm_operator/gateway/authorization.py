"""What somebody may do, as the cluster's own authorization says: SubjectAccessReview."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from algorithm_operator.api.base import GROUP
from algorithm_operator.gateway.errors import unavailable
from algorithm_operator.gateway.handlers import of_cluster
from algorithm_operator.gateway.identity import Person, Resource, Verb
from algorithm_operator.gateway.remembered import Remembered
from algorithm_operator.kube import errors as kube
from algorithm_operator.kube.client import Client
from algorithm_operator.kube.resources import SUBJECT_ACCESS_REVIEWS, Body
from algorithm_operator.kube.resources import Resource as Kind

HOLDS_SECONDS = 10.0
"""How long a right that was taken away still counts."""
REVIEW_SECONDS = 10.0
"""A client of ours waits a minute for its answer: what the API server does not say by then is no use."""


class Reviews:
    """Authorizer: asks the API server."""

    def __init__(self, cluster: Client) -> None:
        self._cluster = cluster
        self._answers: Remembered[bool] = Remembered()

    async def may(
        self, person: Person, namespace: str, verb: Verb, resource: Resource, name: str | None = None
    ) -> bool:
        """Whether it is allowed; what is not said to be is not."""
        attributes = {"namespace": namespace, "verb": verb, "group": GROUP, "resource": resource}
        spec = {
            "user": person.username,
            "groups": list(person.groups),
            "extra": {key: list(values) for key, values in person.extra.items()},
            "resourceAttributes": attributes | ({"name": name} if name is not None else {}),
        } | ({"uid": person.uid} if person.uid is not None else {})

        async def ask() -> tuple[bool, float]:
            status = await review(self._cluster, SUBJECT_ACCESS_REVIEWS, spec)
            return status.get("allowed") is True, HOLDS_SECONDS

        return await self._answers.get(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS), ask)


async def review(cluster: Client, kind: Kind, spec: Body) -> dict[str, Any]:
    """The status of a review: an object that the API server answers and does not keep. 503 if it does not answer."""
    try:
        async with asyncio.timeout(REVIEW_SECONDS):
            body = await cluster.create(kind, None, {"spec": spec})
    except kube.ApiError as error:
        raise of_cluster(error) from error
    except TimeoutError:
        raise unavailable("The cluster's API server does not answer. Try again in a moment.") from None
    status = body.get("status")
    return status if isinstance(status, dict) else {}
