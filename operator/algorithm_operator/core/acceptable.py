"""Whether an Algorithm can be run here: its sockets, its limits, its neighbours, its image. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from algorithm_operator.api.algorithm import AlgorithmSpec, ResolvedImage
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.contract.problems import spec_problems
from algorithm_operator.contract.sockets import definition_difference
from algorithm_operator.contract.template import template_problem
from algorithm_operator.core import scratch
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.world import Algorithm

MAX_ID = 2**31 - 1
"""The largest user and group id of a Pod."""
MAX_COMMAND_BYTES = 32 * 1024
"""ENTRYPOINT and CMD together: they travel in the plan of every attempt, beside the values of the job."""
MAX_PROBLEMS = 20
MAX_PROBLEM = 1000
"""Errors that one message tells, and the characters of each: a condition's message takes 32768."""


def refusal(
    spec: AlgorithmSpec, elders: Iterable[Algorithm], settings: PodSettings
) -> tuple[Reason, str] | None:
    """Why the Algorithm is not acceptable, but for its image, or None.

    `elders`: the older Algorithms of its namespace, the eldest first; of several definitions of a slug the eldest's
    counts.
    """
    if problems := [*spec_problems(spec), *(told for _, _, told in field_problems(spec))]:
        return Reason.SPEC_INVALID, _told(problems)
    gpu = spec.resources.gpu
    if gpu.count and gpu.type not in settings.gpu_types:
        known = ", ".join(sorted(settings.gpu_types)) or "none"
        return Reason.GPU_TYPE_UNKNOWN, sentence(Reason.GPU_TYPE_UNKNOWN, type=gpu.type, known=known)
    defined = {
        socket.slug: (other.name, socket)
        for other in reversed(list(elders))  # the eldest last, so that it stays
        for interface in other.spec.interfaces
        for socket in [*interface.inputs, *interface.outputs]
    }
    for interface in spec.interfaces:
        for socket in [*interface.inputs, *interface.outputs]:
            if socket.slug not in defined:
                continue
            name, known_socket = defined[socket.slug]
            difference = definition_difference(socket, known_socket)
            if difference is not None:
                return Reason.SOCKET_CONFLICT, sentence(
                    Reason.SOCKET_CONFLICT, slug=socket.slug, other=name, difference=shown(difference, 400)
                )
    return None


def _told(problems: list[str]) -> str:
    """All of them in one message; of very many the first."""
    if len(problems) == 1:
        return shown(problems[0], MAX_PROBLEM)
    listed = [
        f"({number}) {shown(why, MAX_PROBLEM)}" for number, why in enumerate(problems[:MAX_PROBLEMS], start=1)
    ]
    more = len(problems) - MAX_PROBLEMS
    return f"{len(problems)} errors: {' '.join(listed)}" + (f" … and {more} more." if more > 0 else "")


def field_problems(spec: AlgorithmSpec) -> Iterator[tuple[str, str, str]]:
    """What is wrong beside the interfaces: the field of spec, why, and the same as a sentence that stands alone."""
    if why := scratch.problem(spec.resources):
        yield "resources", why, why
    if why := _model_problem(spec):
        yield "model", why, why
    if spec.result_template is not None and (why := template_problem(spec.result_template)):
        yield "resultTemplate", why, f"spec.resultTemplate: {why}."


def _model_problem(spec: AlgorithmSpec) -> str | None:
    """Why the model's path cannot be mounted or walked, or None."""
    if spec.model is None:
        return None
    field, path, of = "spec.model.path", (spec.model.path or "").strip("/"), "the image"
    if spec.model.store is not None:
        field, path, of = "spec.model.store.path", spec.model.store.path, "the DataStore"
    why = check_store_path(path, of) if path else None
    return f"{field} {quoted(path)} is not allowed: {why}" if why else None


def image_refusal(spec: AlgorithmSpec, image: ResolvedImage) -> tuple[Reason, str] | None:
    """Why the image is not acceptable, or None: it needs a command, and a user that is not root.

    Group 0 is no reason: it gives no rights but to files of that group, and OpenShift's images are made for it. A USER
    that is not known in numbers yet is still to be looked up (userpod.py).
    """
    words = [*(image.entrypoint or []), *(image.cmd or [])]
    if not words:
        return Reason.IMAGE_NO_COMMAND, sentence(Reason.IMAGE_NO_COMMAND)
    if (size := sum(len(word.encode("utf-8", "surrogatepass")) for word in words)) > MAX_COMMAND_BYTES:
        why = f"its ENTRYPOINT and CMD take {size} bytes, more than {MAX_COMMAND_BYTES}"
        return Reason.IMAGE_INVALID, sentence(Reason.IMAGE_INVALID, why=why, noun="image")
    if spec.security.user is not None:
        return None
    user = image.user or ""
    name, _, group = user.partition(":")
    if name in ("", "root") or _number(name) == 0 or image.uid == 0:
        return Reason.IMAGE_RUNS_AS_ROOT, sentence(Reason.IMAGE_RUNS_AS_ROOT)
    if not user.isprintable():
        return unknown_user(image, "it is not printable text")
    if max(_number(name), _number(group)) > MAX_ID:
        why = f"its USER is {user}; Kubernetes takes ids up to {MAX_ID}"
        return Reason.IMAGE_INVALID, sentence(Reason.IMAGE_INVALID, why=why, noun="image")
    return None


def unknown_user(image: ResolvedImage, why: str) -> tuple[Reason, str]:
    """The words for a USER that the image's accounts do not explain."""
    facts = {"user": shown(image.user or "", 64), "why": shown(why, 300)}
    return Reason.IMAGE_USER_UNKNOWN, sentence(Reason.IMAGE_USER_UNKNOWN, **facts)


def _number(text: str) -> int:
    """An id; -1 for a name."""
    return int(text) if text.isascii() and text.isdecimal() else -1
