"""POST algorithms/jobs/: an AlgorithmJob of a request, once; jobids.py says how a repeated request is known.

Nothing is used up before all checks have passed: what was uploaded for a request that is refused can be used for the
next one. Then the start is counted, then the object is created, then the uploads are its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from algorithm_operator.api.interface import Interface
from algorithm_operator.api.job import AlgorithmJobStatus, JobInput
from algorithm_operator.api.text import shown
from algorithm_operator.contract.accept import check_size
from algorithm_operator.contract.interfaces import Mismatch, listed, pick
from algorithm_operator.contract.sockets import planned_socket, title_of
from algorithm_operator.core.admission import not_ready
from algorithm_operator.core.names import LABEL_PK, MANAGED_BY
from algorithm_operator.core.world import Algorithm
from algorithm_operator.gateway import catalogue, joblimits, uploaduse, values
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.database.models import JobStart, Upload
from algorithm_operator.gateway.errors import (
    NO_OBJECT,
    NON_FIELD,
    ApiError,
    invalid,
    no_slug,
    refused,
    unavailable,
)
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobids import (
    LABEL_REQUEST,
    Duplicate,
    Fresh,
    Same,
    choose,
    job_name,
    pk_of,
    request_key,
)
from algorithm_operator.gateway.jobinputs import job_input
from algorithm_operator.gateway.jobviews import VALIDATING, label
from algorithm_operator.gateway.requests import JobRequest, ValueRequest
from algorithm_operator.gateway.urls import pk_in
from algorithm_operator.gateway.values import UNSET, Given
from algorithm_operator.kube import errors
from algorithm_operator.kube.resources import ALGORITHM_JOBS, Body

MANAGER = "algorithm-operator-gateway"
NOT_READY = "Algorithm image is not ready to be used"
DUPLICATE = "A result for these inputs with the current image and model already exists."
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Started:
    """The job that a request has become; `status` in Grand Challenge's words."""

    pk: str
    status: str
    algorithm: Algorithm
    given: Sequence[Given]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as far as it is understood: of each value what it says, or why it is refused. `key` only of one that
    is understood: no job was ever made of another."""

    algorithm: Algorithm
    interface: Interface | Mismatch
    named: Sequence[Given | ApiError]
    key: str | None


async def start(caller: Caller, request: JobRequest) -> Started:
    """Make a job of a request, or find the one that it has become already. Raises ApiError 400."""
    algorithm = await _usable(caller, request.algorithm)
    # One at a time of a person and an Algorithm: see joblimits.py.
    async with caller.gateway.memory.locks("start", caller.namespace, caller.username, algorithm.name):
        if (why := not_ready(algorithm)) is not None:
            raise refused(NOT_READY, f"Algorithm {algorithm.name}: {why}")
        asked = _asked(caller, algorithm, request.inputs)
        taken: set[str] = set()
        for _ in range(_TRIES):
            choice = await _choice(caller, asked, taken)
            if isinstance(choice, Same):
                return await _again(caller, asked, choice)
            pk = choice.pk if isinstance(choice, Fresh) else ""
            await joblimits.check(caller, algorithm, pk)
            if isinstance(asked.interface, Mismatch):
                raise await _mismatch(caller, algorithm, asked.interface, request.inputs)
            given = await _checked(caller, asked, pk)
            if isinstance(choice, Duplicate):
                raise refused(DUPLICATE)
            if await _created(caller, asked, given, pk):
                await _claim(caller, given, pk)
                return Started(pk, VALIDATING, algorithm, given)
            if not await _is_own(caller, asked, pk):
                taken.add(pk)
    raise unavailable("Others start the same job at the same time.")


async def _usable(caller: Caller, url: str) -> Algorithm:
    """The Algorithm of a URL, if the caller may run it."""
    uid = pk_in(url, caller.urls.algorithm)
    found = await catalogue.algorithms(caller.gateway, caller.namespace) if uid is not None else []
    algorithm = next((each for each in found if each.uid == uid), None)
    if (
        algorithm is None
        or not await caller.rights.may(Verb.GET, Resource.ALGORITHMS, algorithm.name)
        or not await caller.rights.may(Verb.CREATE, Resource.JOBS)
    ):
        raise invalid(algorithm=[NO_OBJECT])
    return algorithm


def _asked(caller: Caller, algorithm: Algorithm, given: Sequence[ValueRequest]) -> _Asked:
    slugs = [each.interface or "" for each in given]
    interface = pick(algorithm.spec.interfaces, slugs)
    if isinstance(interface, Interface) and len(slugs) != len(set(slugs)):
        interface = Mismatch(why="An input is given twice.", allowed="")
    if isinstance(interface, Mismatch):
        return _Asked(algorithm, interface, [], None)
    sockets = {each.slug: planned_socket(each, caller.namespace, interface) for each in interface.inputs}
    named: list[Given | ApiError] = []
    for each in given:
        try:
            named.append(values.named(caller.urls, sockets[each.interface or ""], each))
        except ApiError as error:
            named.append(error)
    understood = [each for each in named if isinstance(each, Given)]
    key = _key(caller, algorithm, understood) if len(understood) == len(named) else None
    return _Asked(algorithm, interface, named, key)


def _key(caller: Caller, algorithm: Algorithm, given: Iterable[Given]) -> str:
    spec, status = algorithm.spec, algorithm.status
    return request_key(
        namespace=caller.namespace,
        username=caller.username,
        algorithm_uid=algorithm.uid,
        image=status.image.digest if status.image is not None else "",
        model=[
            spec.model.wire() if spec.model is not None else None,
            status.model.digest if status.model is not None else None,
        ],
        inputs={each.slug: each.identity for each in given},
    )


async def _choice(caller: Caller, asked: _Asked, taken: Collection[str]) -> Fresh | Same | Duplicate | None:
    """What the request is; None for one that is refused in any case."""
    gateway, key = caller.gateway, asked.key
    if key is None:
        return None
    bodies, _ = await gateway.cluster.list(
        ALGORITHM_JOBS, caller.namespace, label_selector=f"{LABEL_REQUEST}={key}"
    )
    own = {pk_of(body): body for body in bodies if _is_of(body, caller, key)}
    now = gateway.now()

    def look(session: Session) -> Fresh | Same | Duplicate:
        def noted(pk: str) -> datetime | None:
            row = session.get(JobStart, pk)
            return row.created if row is not None else None

        return choose(key, own, noted, now, taken)

    return await gateway.database.run(look)


def _is_of(body: Body, caller: Caller, key: str) -> bool:
    """Whether the gateway has made a job of that request. Who may create jobs could give one our labels, but not
    another person's name."""
    labels = body["metadata"].get("labels") or {}
    return labels.get(LABEL_REQUEST) == key and body["spec"].get("requestedBy") == caller.username


async def _is_own(caller: Caller, asked: _Asked, pk: str) -> bool:
    body = await caller.gateway.cluster.get(ALGORITHM_JOBS, caller.namespace, job_name(pk))
    return body is None or (pk_of(body) == pk and _is_of(body, caller, asked.key or ""))


async def _again(caller: Caller, asked: _Asked, choice: Same) -> Started:
    """The answer to a repeated request; what the first one could not finish is done."""
    given = [each for each in asked.named if isinstance(each, Given)]
    await _claim(caller, given, choice.pk)
    status = AlgorithmJobStatus.model_validate(choice.job.get("status") or {})
    return Started(choice.pk, label(status), asked.algorithm, given)


async def _mismatch(
    caller: Caller, algorithm: Algorithm, mismatch: Mismatch, given: Sequence[ValueRequest]
) -> ApiError:
    known = await catalogue.sockets(caller.gateway, caller.namespace)
    told = [_socket_refusal(each.interface, known) for each in given]
    if any(told):
        return invalid(inputs=told)
    allowed = [
        f"Interface {number}: {listed([title_of(socket) for socket in each.inputs])}"
        for number, each in enumerate(algorithm.spec.interfaces, start=1)
    ]
    return refused(
        "The set of inputs provided does not match any of the algorithm's interfaces. This algorithm supports the "
        f"following input combinations: {listed(allowed)}",
        mismatch.why,
    )


def _socket_refusal(slug: str | None, known: Collection[str]) -> dict[str, list[str]]:
    if not slug:
        return {NON_FIELD: ["An interface must be specified"]}
    return {} if slug in known else {"interface": [no_slug(slug)]}


async def _checked(caller: Caller, asked: _Asked, pk: str) -> list[Given]:
    """All values, checked; all that is wrong with them is told at once."""
    checked: list[Given] = []
    told: list[Mapping[str, object]] = []
    for each in asked.named:
        try:
            if isinstance(each, ApiError):
                raise each
            checked.append(await values.checked(caller, each, uploaduse.by_job(pk)))
            told.append({})
        except ApiError as error:
            if error.status != 400:
                raise
            told.append(error.body)
    if any(told):
        raise invalid(inputs=told)
    inline = [JobInput(slug=each.slug, value=each.value) for each in checked if each.value is not UNSET]
    if problem := check_size(inline, []):
        raise refused(problem.message)
    return checked


async def _created(caller: Caller, asked: _Asked, given: Sequence[Given], pk: str) -> bool:
    """Count the start and create the job. False: its name is taken."""
    gateway, namespace = caller.gateway, caller.namespace
    store = await caller.store()
    inputs = [await job_input(caller, await values.settle(caller, each), store) for each in given]
    body: Body = {
        "metadata": {
            "name": job_name(pk),
            "labels": {MANAGED_BY: MANAGER, LABEL_PK: pk, LABEL_REQUEST: asked.key or ""},
        },
        "spec": {
            "algorithmRef": {"name": asked.algorithm.name},
            "requestedBy": caller.username,
            "inputs": inputs,
            "outputStore": {"name": store},
        },
    }
    counted = await joblimits.note(caller, asked.algorithm.name, pk)
    try:
        await gateway.cluster.create(ALGORITHM_JOBS, namespace, body)
    except (errors.AlreadyExists, errors.Forbidden, errors.Invalid, errors.NotFound) as error:
        if counted:
            await joblimits.forget(gateway, pk)
        if isinstance(error, errors.AlreadyExists):
            return False
        if isinstance(error, errors.Invalid):
            raise refused(f"The cluster refuses the job: {shown(error.message, 1024)}") from error
        if isinstance(error, errors.Forbidden) and error.is_quota:
            raise refused(
                f"The namespace's quota leaves no room for another job: {shown(error.message, 1024)}"
            ) from error
        raise
    return True


async def _claim(caller: Caller, given: Iterable[Given], pk: str) -> None:
    """What was uploaded for the job is kept from now on."""
    ids = [each.upload_id for each in given if each.upload_id is not None]

    def unused(session: Session) -> list[str]:
        rows = [session.get(Upload, each) for each in ids]
        return [row.id for row in rows if row is not None and row.used_by is None]

    if ids and (free := await caller.gateway.database.run(unused)):
        await uploaduse.claim(caller.gateway, free, uploaduse.by_job(pk))
