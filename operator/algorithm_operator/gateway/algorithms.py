"""algorithms/ and algorithms/images/: what can be run here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from uuid import UUID

from fastapi import APIRouter, Response

from algorithm_operator.api.conditions import ConditionType, find, rfc3339
from algorithm_operator.core.admission import not_ready
from algorithm_operator.core.world import Algorithm
from algorithm_operator.gateway import shapes
from algorithm_operator.gateway.answers import Windowed, answer
from algorithm_operator.gateway.catalogue import algorithms, interface_shape
from algorithm_operator.gateway.context import Caller, Calling, Gateway
from algorithm_operator.gateway.errors import not_found
from algorithm_operator.gateway.identity import Resource, Verb
from algorithm_operator.gateway.jobids import algorithm_image_pk
from algorithm_operator.gateway.urls import API
from algorithm_operator.kube.resources import ALGORITHM_JOBS, Body

router = APIRouter(prefix=f"{API}/algorithms", tags=["algorithms"])


@router.get("/", response_model=shapes.Page[shapes.Algorithm])
async def list_algorithms(caller: Calling, window: Windowed, slug: str | None = None) -> Response:
    """The Algorithms of the namespace; `slug` is the name of one."""
    found = await _visible(caller, slug)
    seconds = await _durations(caller.gateway, caller.namespace) if window.part(found) else {}
    shown = [_shape(caller, each, seconds.get(each.name)) for each in window.part(found)]
    return window.page(shown, len(found))


@router.get("/images/", response_model=shapes.Page[shapes.AlgorithmImage])
async def list_algorithm_images(caller: Calling, window: Windowed) -> Response:
    """The images that the Algorithms run now."""
    found = await _visible(caller)
    return window.page([_image_shape(caller, each) for each in window.part(found)], len(found))


@router.get("/images/{pk:uuid}/", response_model=shapes.AlgorithmImage)
async def get_algorithm_image(caller: Calling, pk: UUID) -> Response:
    """The image of an Algorithm, by digest; also one that only earlier jobs have run."""
    for each in await algorithms(caller.gateway, caller.namespace):
        image = _image_shape(caller, each)
        if image.pk == str(pk):
            await caller.rights.see(Resource.ALGORITHMS, each.name)
            return answer(image)
    return answer(await _earlier_image(caller, str(pk)))


@router.get("/{pk:uuid}/", response_model=shapes.Algorithm)
async def get_algorithm(caller: Calling, pk: UUID) -> Response:
    """One Algorithm."""
    found = next((x for x in await algorithms(caller.gateway, caller.namespace) if x.uid == str(pk)), None)
    if found is None:
        raise not_found()
    await caller.rights.see(Resource.ALGORITHMS, found.name)
    seconds = await _durations(caller.gateway, caller.namespace)
    return answer(_shape(caller, found, seconds.get(found.name)))


async def _visible(caller: Caller, name: str | None = None) -> list[Algorithm]:
    """Those that the caller may see, or the one of that name: the right to get a single one is enough for it."""
    verb = Verb.LIST if name is None else Verb.GET
    if not await caller.rights.may(verb, Resource.ALGORITHMS, name):
        return []
    found = await algorithms(caller.gateway, caller.namespace)
    return found if name is None else [each for each in found if each.name == name]


def _shape(caller: Caller, algorithm: Algorithm, seconds: float | None) -> shapes.Algorithm:
    interfaces = [interface_shape(each, algorithm.namespace) for each in algorithm.spec.interfaces]
    url = caller.urls.algorithm(algorithm.uid)
    return shapes.Algorithm(
        api_url=url,
        url=url,
        description=algorithm.spec.description or "",
        pk=algorithm.uid,
        title=algorithm.spec.title or algorithm.name,
        slug=algorithm.name,
        average_duration=seconds,
        interfaces=interfaces,
        inputs=interfaces[0].inputs,
        outputs=interfaces[0].outputs,
    )


def _image_shape(caller: Caller, algorithm: Algorithm) -> shapes.AlgorithmImage:
    image, ready = algorithm.status.image, find(algorithm.status.conditions, ConditionType.READY)
    why_not = not_ready(algorithm)
    refused = ready is not None and ready.status == "False"
    return _image(
        caller,
        algorithm.uid,
        digest=image.digest if image is not None else None,
        reference=image.reference if image is not None else algorithm.spec.image.reference,
        created=rfc3339(algorithm.created_at) if algorithm.created_at is not None else "",
        status="Completed" if why_not is None else "Failed" if refused else "Started",
    )


def _image(
    caller: Caller, uid: str, *, digest: str | None, reference: str, created: str, status: str
) -> shapes.AlgorithmImage:
    pk = algorithm_image_pk(uid, digest)
    url = caller.urls.algorithm_image(pk)
    return shapes.AlgorithmImage(
        pk=pk,
        url=url,
        api_url=url,
        algorithm=caller.urls.algorithm(uid),
        created=created,
        import_status=status,
        image=f"{reference.split('@')[0]}@{digest}" if digest is not None else None,
    )


async def _earlier_image(caller: Caller, pk: str) -> shapes.AlgorithmImage:
    # Asked first: whoever has no right here should not have us read all jobs.
    if not await caller.rights.may(Verb.LIST, Resource.JOBS):
        raise not_found()

    def of_job(job: Body) -> shapes.AlgorithmImage | None:
        run = (job.get("status") or {}).get("algorithm") or {}
        if not run or algorithm_image_pk(run["uid"], run["imageDigest"]) != pk:
            return None
        return _image(
            caller,
            run["uid"],
            digest=run["imageDigest"],
            reference=run["image"],
            created=job["status"].get("acceptedAt") or "",
            status="Completed",
        )

    async with caller.gateway.memory.lists:
        found = await caller.gateway.cluster.collect(ALGORITHM_JOBS, caller.namespace, of_job)
    if not found:
        raise not_found()
    return found[0]


async def _durations(gateway: Gateway, namespace: str) -> dict[str, float]:
    """How long the Algorithms ran on average, in seconds, by name; of the succeeded jobs that are there. As of a few
    minutes ago: to count anew takes all those jobs."""
    kept = gateway.memory.durations
    async with gateway.memory.locks("durations", namespace):
        known = kept.get(namespace, gateway.now())
        if known is None:
            async with gateway.memory.lists:
                known = _means(
                    await gateway.cluster.collect(
                        ALGORITHM_JOBS, namespace, _ran, field_selector="status.state=Succeeded"
                    )
                )
            kept.put(namespace, known, gateway.now())
        return known


def _ran(job: Body) -> tuple[str, float] | None:
    """The name of a job's Algorithm and how many seconds that ran."""
    ran = ((job.get("status") or {}).get("timing") or {}).get("ranSeconds")
    return (job["spec"]["algorithmRef"]["name"], ran) if ran is not None else None


def _means(ran: Iterable[tuple[str, float]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for name, each in ran:
        seconds[name].append(each)
    return {name: round(fmean(each), 3) for name, each in seconds.items()}
