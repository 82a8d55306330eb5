"""The images of an Algorithm: each resolved once to a digest, and the USER of its own to numbers.

Without pull secrets the operator asks the registry itself; with them Pods do (it may not read Secrets). Every look
begins from the Algorithm's status and the Pods that are there, so that nothing is lost or done twice by a restart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from algorithm_operator.api.algorithm import Image, ResolvedImage, ResolvedModel
from algorithm_operator.api.conditions import ConditionType, find
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract import frames
from algorithm_operator.contract.fetching import FETCH_OK, MAX_FETCH_BYTES, FetchReport, Order
from algorithm_operator.controller.context import Context
from algorithm_operator.controller.errands import remove, send
from algorithm_operator.core import names
from algorithm_operator.core.acceptable import image_refusal, unknown_user
from algorithm_operator.core.errand import Trouble
from algorithm_operator.core.inspection import Ask, ImageError, Subject, first, follow, refused, subject
from algorithm_operator.core.inspectpod import inspect_pod
from algorithm_operator.core.registry import RegistryError, endpoints
from algorithm_operator.core.userpod import answer, is_needed, user_pod
from algorithm_operator.core.world import Algorithm
from algorithm_operator.kube.registry import fetch_anonymously
from algorithm_operator.kube.resources import PODS

Found = tuple[Reason, str]


@dataclass(slots=True)
class Images:
    """What is known of an Algorithm's images by now.

    `found`: what keeps the Algorithm from being Ready. `pods`: those that are still needed. `asked`: somebody was
    asked just now; where the answer was no, then not again at once. `quiet`: what it waits for is no news.
    """

    image: ResolvedImage | None
    model: ResolvedModel | None
    found: Found | None = None
    pods: set[str] = field(default_factory=set)
    asked: bool = False
    quiet: bool = False


class _Waits(Exception):  # noqa: N818 - not an error
    """A Pod is on its way."""

    def __init__(self, pod: str, what: str, *, quiet: bool = False) -> None:
        self.pod = pod
        self.quiet = quiet
        self.found = (Reason.RESOLVING, sentence(Reason.RESOLVING, pod=pod, what=what))


class _Stuck(Exception):  # noqa: N818
    """A Pod does not get to its answer, for a reason of the cluster's."""

    def __init__(self, pod: str, trouble: Trouble) -> None:
        self.pod = pod
        self.trouble = trouble


async def look_up(of: Algorithm, context: Context) -> Images:
    """Bring the images one step on.

    The tag of an image that was refused is looked up anew, for people push a corrected one; that of one that was
    accepted never is.
    """
    known = Images(known_image(of), known_model(of))
    try:
        await _image(of, known, context)
        if known.found is None:
            await _model(of, known, context)
    except ImageError as error:
        known.found, known.asked = (error.reason, error.message), True
    except _Waits as waits:
        known.found, known.quiet, known.asked = waits.found, waits.quiet, False
        known.pods.add(waits.pod)
    except _Stuck as stuck:
        known.found, known.asked = (stuck.trouble.reason, stuck.trouble.message), stuck.trouble.over
        known.pods.add(stuck.pod)
    return known


def known_image(of: Algorithm) -> ResolvedImage | None:
    """The image as it was resolved, as long as the reference is the same: a moved tag changes nothing silently."""
    image = of.status.image
    return image if image is not None and image.reference == of.spec.image.reference else None


def known_model(of: Algorithm) -> ResolvedModel | None:
    """The model's image, likewise."""
    wanted = of.spec.model.image if of.spec.model is not None else None
    model = of.status.model
    return model if model is not None and wanted is not None and model.reference == wanted.reference else None


async def _image(of: Algorithm, known: Images, context: Context) -> None:
    old, unknown = known.image, _unknown_before(of)
    refused_before = old is not None and (unknown or image_refusal(of.spec, old))
    if old is None or (refused_before and "@" not in old.reference):
        about = subject("image", of.spec.image.reference)
        found = await _resolve(of, about, of.spec.image, known, context)
        assert isinstance(found, ResolvedImage)  # noqa: S101
        known.asked = True
        if old is None or found.digest != old.digest:
            known.image, unknown = found, None
    image = known.image
    assert image is not None  # noqa: S101
    known.found = image_refusal(of.spec, image)
    if known.found is None and is_needed(of.spec, image):
        if unknown is not None:  # no other answer is to be had from the same bytes
            known.found = unknown
            return
        known.image = await _with_user(of, image, context)
        known.found = image_refusal(of.spec, known.image)


def _unknown_before(of: Algorithm) -> Found | None:
    """The verdict that the image's accounts do not have its USER, if that is what its status says."""
    ready = find(of.status.conditions, ConditionType.READY)
    if (
        ready is None
        or ready.reason != Reason.IMAGE_USER_UNKNOWN
        or ready.observed_generation != of.generation
    ):
        return None
    return Reason.IMAGE_USER_UNKNOWN, ready.message


async def _model(of: Algorithm, known: Images, context: Context) -> None:
    wanted = of.spec.model.image if of.spec.model is not None else None
    if wanted is None or known.model is not None:
        return
    found = await _resolve(of, subject("model", wanted.reference), wanted, known, context)
    assert isinstance(found, ResolvedModel)  # noqa: S101
    known.model = found


async def _resolve(
    of: Algorithm, about: Subject, image: Image, known: Images, context: Context
) -> ResolvedImage | ResolvedModel:
    """The course of questions and answers; each answer is there already, comes at once, or is waited for."""
    secrets = [each.name for each in image.pull_secrets]
    get = _by_pods(of, about, secrets, known, context) if secrets else _anonymously(of, about, context)
    step: Ask | ResolvedImage | ResolvedModel = first(about)
    while isinstance(step, Ask):
        step = follow(about, step, await get(step))
    return step


Get = Callable[[Ask], Awaitable[bytes]]


def _order(about: Subject, ask: Ask, secrets: Sequence[str], context: Context) -> Order:
    settings = context.settings
    places = endpoints(about.reference, settings.insecure_registries, settings.registry_mirrors)
    try:
        authorities = settings.registry_authorities()
    except OSError as error:
        why = f"registries.ca of the installation cannot be read ({error.strerror})"
        raise about.refuse(Reason.REGISTRY_UNREACHABLE, why=why) from error
    return Order(endpoints=places, kind=ask.kind, version=ask.version, ca=authorities, secrets=list(secrets))


def _anonymously(of: Algorithm, about: Subject, context: Context) -> Get:
    async def get(ask: Ask) -> bytes:
        try:
            return await fetch_anonymously(_order(about, ask, [], context))
        except RegistryError as error:
            report = FetchReport(outcome=error.outcome, why=error.why)
            raise refused(about, report, [], of.namespace) from error

    return get


def _by_pods(of: Algorithm, about: Subject, secrets: Sequence[str], known: Images, context: Context) -> Get:
    async def get(ask: Ask) -> bytes:
        order = _order(about, ask, secrets, context)
        wanted = inspect_pod(of, order, ask.round, context.settings.pods)
        name = wanted["metadata"]["name"]
        ended = await send(wanted, names.INSPECT, of, context)
        if ended is None:
            noun = "image" if about.what == "image" else "model image"
            raise _Waits(name, f"The registry of {noun} {shown(about.text)} is asked", quiet=True)
        if isinstance(ended, Trouble):
            raise _Stuck(name, ended)
        known.pods.add(name)  # its log is read again until the course is over
        try:
            if ended.exit_code == FETCH_OK:
                return await _log(of, name, context)
            report = FetchReport.model_validate_json(ended.message)
        except (frames.FramesError, ValidationError):
            raise await _gave_nothing(
                of, name, f"it ended with exit code {ended.exit_code}", context
            ) from None
        known.pods.clear()
        raise refused(about, report, secrets, of.namespace)

    return get


async def _log(of: Algorithm, pod: str, context: Context) -> bytes:
    log = await context.client.pod_log(of.namespace, pod, names.INSPECT, limit_bytes=2 * MAX_FETCH_BYTES)
    if log is None:
        raise frames.FramesError("its log is gone")
    return frames.decode(log, MAX_FETCH_BYTES)


async def _gave_nothing(of: Algorithm, pod: str, why: str, context: Context) -> _Stuck:
    live = context.store.get(PODS, of.namespace, pod)
    if live is not None:
        await remove(live, context)
    told = sentence(Reason.LOOK_UP_FAILED, pod=pod, why=why)
    return _Stuck(pod, Trouble(Reason.LOOK_UP_FAILED, told, over=True))


async def _with_user(of: Algorithm, image: ResolvedImage, context: Context) -> ResolvedImage:
    """The image with USER in numbers, and its home."""
    wanted = user_pod(of, image, context.settings.pods)
    name = wanted["metadata"]["name"]
    ended = await send(wanted, names.USER, of, context)
    if ended is None:
        user = shown(image.user or "", 64)
        raise _Waits(name, f"USER {user} is looked up in the image's own /etc/passwd")
    if isinstance(ended, Trouble):
        raise _Stuck(name, ended)
    try:
        account = answer(ended)
    except ValueError as error:
        raise await _gave_nothing(of, name, str(error), context) from error
    if isinstance(account, str):
        raise ImageError(*unknown_user(image, account))
    return image.model_copy(update=account.model_dump())
