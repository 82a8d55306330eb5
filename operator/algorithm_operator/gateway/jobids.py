"""Which job a request for one is: names and keys made from the request itself. Pure.

The client repeats a POST by itself whenever an answer was lost or was 429, 502, 503 or 504, and could not tell us that
it does. So the pk of a job is made of all that the job is a result of, as is Grand Challenge's rule against duplicates:
the person, the Algorithm with its image and model, and the inputs. What is asked for twice has one pk, one object of
one name, and creating that object is the lock: no table can disagree with it, and two gateways cannot both make it.
Whoever asks again once such a job has failed gets the next pk of the same row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from algorithm_operator.api.base import GROUP
from algorithm_operator.api.job import State
from algorithm_operator.contract.sockets import integer_pk
from algorithm_operator.core.facts import moment
from algorithm_operator.core.names import LABEL_PK
from algorithm_operator.gateway.urls import is_pk

LABEL_REQUEST = f"{GROUP}/request"
"""Of the jobs that the gateway made: the key of the request, so that one look finds all that it has become."""
REPEATED = timedelta(minutes=10)
"""A request that comes again this soon, and whose job goes on, is the client's own repetition."""
INTERRUPTED = timedelta(minutes=2)
"""A start that was noted this recently and has no job: the gateway died in between, and the client asks again. Later
it is a job that somebody has deleted; the client has given up after a minute."""
_ROOT = UUID("d1f29a5e-6a53-4f0c-9d3c-1f8a4e0c7b62")
_PREFIX = "gcapi-"

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fresh:
    """A job is to be made, with that pk."""

    pk: str


@dataclass(frozen=True, slots=True)
class Same:
    """The request is a repetition, and that job its answer."""

    pk: str
    job: Object


@dataclass(frozen=True, slots=True)
class Duplicate:
    """There is such a job already, of earlier."""


def job_name(pk: str) -> str:
    """metadata.name of the job that the gateway makes with that pk."""
    return _PREFIX + pk


def pk_of(job: Object) -> str:
    """The pk of a job as stored: its label, if the gateway made it, else its metadata.uid."""
    meta = job["metadata"]
    pk = str((meta.get("labels") or {}).get(LABEL_PK))
    # Only where the name says the same: a label alone could claim to be somebody else's job. And only one that can be
    # ours: where no admission policy keeps the label, anything may be in it.
    return pk if is_pk(pk) and meta["name"] == job_name(pk) else str(meta["uid"])


def request_key(
    *, namespace: str, username: str, algorithm_uid: str, image: str, model: object, inputs: Mapping[str, Any]
) -> str:
    """The key of a request, as a label's value. `inputs`: what each is, by slug, as JSON; `model`: likewise."""
    whole = [namespace, username, algorithm_uid, image, model, inputs]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:63]


def pk_number(key: str, number: int) -> str:
    """The pk of the job that a request becomes when it is made for the (number + 1)th time."""
    return str(uuid5(_ROOT, f"{key}/{number}"))


def choose(
    key: str,
    jobs: Mapping[str, Object],
    noted: Callable[[str], datetime | None],
    now: datetime,
    taken: Collection[str] = (),
) -> Fresh | Same | Duplicate:
    """What a request is. `jobs`: those that it has become, as stored, by pk; `noted`: when the start of a pk was noted,
    None if never; `taken`: pks whose names something else has."""
    for number in count():
        pk = pk_number(key, number)
        job = jobs.get(pk)
        if job is not None:
            if (job.get("status") or {}).get("state") in (State.FAILED, State.CANCELLED):
                continue
            created = moment(job["metadata"].get("creationTimestamp"))
            return Same(pk, job) if created is None or now - created < REPEATED else Duplicate()
        started = noted(pk)
        if pk not in taken and (started is None or now - started < INTERRUPTED):
            return Fresh(pk)
    raise AssertionError("unreachable")


def value_pk(owner: str, direction: str, slug: str) -> int:
    """The key of a value of a job, whose pk `owner` is. `direction`: inputs or outputs."""
    return integer_pk(owner, direction, slug)


def output_image_pk(job_pk: str, slug: str) -> str:
    """The pk of the image that a job wrote."""
    return str(uuid5(UUID(job_pk), f"output/{slug}"))


def algorithm_image_pk(algorithm_uid: str, digest: str | None) -> str:
    """The pk of an Algorithm's image, by digest; also of one that is not known yet."""
    return str(uuid5(_ROOT, f"{algorithm_uid}/{digest or ''}"))


def lost_algorithm_uid(namespace: str, name: str) -> str:
    """Stands for the metadata.uid of an Algorithm that is gone, where nothing has kept it."""
    return str(uuid5(_ROOT, f"{namespace}/{name}"))
