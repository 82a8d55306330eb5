"""An AlgorithmJob as answers show it: Grand Challenge's status label, inputs, outputs, durations. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from algorithm_operator.api.interface import Interface
from algorithm_operator.api.job import AlgorithmJobStatus, JobInput, Output, State
from algorithm_operator.api.reasons import Blame
from algorithm_operator.contract.inputs_json import position
from algorithm_operator.contract.interfaces import Mismatch, pick
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.plan import MAX_VALUES_BYTES, PlannedSocket
from algorithm_operator.contract.sockets import planned_socket
from algorithm_operator.contract.values import depth_problem, dump_json
from algorithm_operator.core.world import Algorithm, Job
from algorithm_operator.gateway import shapes
from algorithm_operator.gateway.catalogue import knows_kinds, value_shape
from algorithm_operator.gateway.jobids import (
    algorithm_image_pk,
    lost_algorithm_uid,
    output_image_pk,
    pk_of,
    value_pk,
)
from algorithm_operator.gateway.urls import Urls
from algorithm_operator.kube.resources import Body

VALIDATING = "Validating inputs"
QUEUED, REQUEUED, CANCELLED = "Queued", "Re-Queued", "Cancelled"
_LABELS = {
    State.STAGING: "Provisioning",
    State.RUNNING: "Executing",
    State.COLLECTING: "Parsing Outputs",
    State.SUCCEEDED: "Succeeded",
    State.FAILED: "Failed",
    State.CANCELLED: CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a DataStore, by its path below the root."""

    store: str
    path: str


@dataclass(frozen=True, slots=True)
class Known:
    """What answers need besides the jobs themselves: the Algorithms by name, images' pks by place and by ImageImport,
    and the content of outputs that are values, as JSON, by sha256."""

    algorithms: Mapping[str, Algorithm] = field(default_factory=dict)
    images: Mapping[Place, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A job with its pk, and how many bytes of JSON it was given as values."""

    pk: str
    job: Job
    value_bytes: int

    @classmethod
    def of(cls, body: Body) -> SeenJob:
        """Raises ValueError for one that this version cannot read."""
        inputs, size = _allowed(body["spec"]["inputs"])
        job = _read({**body, "spec": {**body["spec"], "inputs": inputs}})
        run = job.status.algorithm
        if run is not None and not knows_kinds(run.interface):
            raise ValueError(f"interface {run.interface.name} has a socket of a kind that is not known")
        return cls(pk_of(body), job, size)

    def interface(self, known: Known) -> Interface | None:
        """What it runs with, or will run with; None where nothing says so."""
        if self.job.status.algorithm is not None:
            return self.job.status.algorithm.interface
        algorithm = known.algorithms.get(self.job.spec.algorithm_ref.name)
        if algorithm is None:
            return None
        picked = pick(algorithm.spec.interfaces, [each.slug for each in self.job.spec.inputs])
        return None if isinstance(picked, Mismatch) else picked

    def input_place(self, slug: str) -> Place | None:
        """Where an input lies that is one file of a DataStore: one that it names, or that something else made."""
        run = self.job.status.algorithm
        for made in run.inputs if run is not None else ():
            if made.slug == slug and made.store is not None and made.path is not None:
                return Place(made.store, made.path)
        for given in self.job.spec.inputs:
            if given.slug == slug and given.store is not None and len(given.store.paths) == 1:
                (path,) = given.store.paths
                return None if path.endswith("/") else Place(given.store.name, path)
        return None

    def output_place(self, output: Output) -> Place | None:
        """Where an output lies; None for one that is in status alone."""
        run = self.job.status.algorithm
        store = run.output_store if run is not None else None
        return Place(store, output.path) if store is not None and output.path is not None else None

    def is_read(self, output: Output) -> bool:
        """Whether the value of an output is in its file alone."""
        kind = KINDS.get(output.kind)
        is_value = kind is not None and kind.super_kind is SuperKind.VALUE
        return is_value and output.value is None and self.output_place(output) is not None


def _allowed(inputs: list[Body]) -> tuple[list[Body], int]:
    """Inputs with null in place of values that no job may have, and the bytes of all others. Such a job is refused, but
    not before it is stored, and no answer could hold them."""
    sizes = {
        number: 0 if depth_problem(each["value"]) else len(dump_json(each["value"]))
        for number, each in enumerate(inputs)
        if "value" in each
    }
    few = sum(sizes.values()) <= MAX_VALUES_BYTES
    allowed = [
        each if few and sizes.get(number, 1) else {**each, "value": None} if number in sizes else each
        for number, each in enumerate(inputs)
    ]
    return allowed, sum(sizes.values()) if few else 0


def _read(body: Body) -> Job:
    spec = body["spec"]
    if spec["inputs"]:
        return Job.of(body)
    # Made of a record that does not name them; the model wants one.
    job = Job.of({**body, "spec": {**spec, "inputs": [{"slug": "none"}]}})
    return replace(job, spec=job.spec.model_copy(update={"inputs": []}))


def label(status: AlgorithmJobStatus) -> str:
    """The status in Grand Challenge's words."""
    if status.state is State.FAILED and status.blame == Blame.INPUT and status.exit_code is None:
        return CANCELLED  # inputs that fail validation end a job so there
    if status.state in _LABELS:
        return _LABELS[status.state]
    if status.algorithm is None and status.state is not State.SUSPENDED:
        return VALIDATING
    return REQUEUED if any(each.finished_at is not None for each in status.attempts) else QUEUED


def duration(seconds: float | None) -> str:
    """ISO 8601, as Django writes it. Before a job has ended it is nothing, not null: some clients take no null."""
    micros = round((seconds or 0) * 1_000_000)
    whole, fraction = divmod(micros, 1_000_000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    part = f".{fraction:06d}" if fraction else ""
    return f"P{days}DT{hour:02d}H{minute:02d}M{second:02d}{part}S"


def job_shape(seen: SeenJob, known: Known, urls: Urls) -> shapes.Job:
    """The job as answers show it."""
    job, status = seen.job, seen.job.status
    uid, digest = _algorithm(job, known)
    url = urls.job(seen.pk)
    ran = duration(status.timing.ran_seconds if status.timing is not None else None)
    return shapes.Job(
        pk=seen.pk,
        url=url,
        api_url=url,
        algorithm=urls.algorithm(uid),
        algorithm_image=urls.algorithm_image(algorithm_image_pk(uid, digest)),
        inputs=list(_inputs(seen, known, urls)),
        outputs=list(_outputs(seen, known, urls)),
        status=label(status),
        exec_duration=ran,
        invoke_duration=ran,
        started_at=status.started_at,
        completed_at=status.finished_at,
    )


def _algorithm(job: Job, known: Known) -> tuple[str, str | None]:
    """metadata.uid and image digest of what the job runs, or will run."""
    run, name = job.status.algorithm, job.spec.algorithm_ref.name
    if run is not None:
        return run.uid, run.image_digest
    algorithm = known.algorithms.get(name)
    if algorithm is None:
        return lost_algorithm_uid(job.namespace, name), None
    return algorithm.uid, algorithm.status.image.digest if algorithm.status.image is not None else None


def _inputs(seen: SeenJob, known: Known, urls: Urls) -> Iterator[shapes.SocketValue]:
    given = {each.slug: each for each in seen.job.spec.inputs}
    for socket in _sockets(seen, known, "inputs"):
        if socket.slug not in given:
            continue
        place, file, image = seen.input_place(socket.slug), None, None
        match KINDS[socket.kind].super_kind:
            case SuperKind.IMAGE:
                found = _input_image(given[socket.slug], place, known)
                image = urls.image(found) if found is not None else None
            case SuperKind.FILE if place is not None:
                file = urls.job_file(seen.pk, "inputs", socket.slug, place.path.rsplit("/", 1)[-1])
            case _:
                pass
        pk = value_pk(seen.pk, "inputs", socket.slug)
        value = _input_value(seen, given[socket.slug])
        yield value_shape(socket, pk, value=value, file=file, image=image)


def _input_image(given: JobInput, place: Place | None, known: Known) -> str | None:
    if place is not None and place in known.images:
        return known.images[place]
    return known.imports.get(given.image_import.name) if given.image_import is not None else None


def _input_value(seen: SeenJob, given: JobInput) -> Any:
    if given.has_value:
        return given.value
    run = seen.job.status.algorithm
    made = next((each for each in run.inputs if each.slug == given.slug), None) if run is not None else None
    return made.value if made is not None and made.path is None else None


def _outputs(seen: SeenJob, known: Known, urls: Urls) -> Iterator[shapes.SocketValue]:
    there = {each.slug: each for each in seen.job.status.outputs}
    for socket in _sockets(seen, known, "outputs"):
        output = there.get(socket.slug)
        if output is None:
            continue
        value, file, image = output.value, None, None
        match KINDS[socket.kind].super_kind:
            case SuperKind.IMAGE:
                value, image = None, urls.image(output_image_pk(seen.pk, socket.slug))
            case SuperKind.FILE if output.path is not None:
                name = output.path.rsplit("/", 1)[-1]
                value, file = None, urls.job_file(seen.pk, "outputs", socket.slug, name)
            case _ if seen.is_read(output):
                value = known.values.get(output.sha256 or "")
        pk = value_pk(seen.pk, "outputs", socket.slug)
        yield value_shape(socket, pk, value=value, file=file, image=image)


def _sockets(seen: SeenJob, known: Known, direction: str) -> list[PlannedSocket]:
    interface = seen.interface(known)
    if interface is None:
        return []
    listed = interface.inputs if direction == "inputs" else interface.outputs
    return sorted((planned_socket(each, seen.job.namespace, interface) for each in listed), key=position)
