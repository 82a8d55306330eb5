"""AlgorithmJob: one run of an Algorithm on one set of inputs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from algorithm_operator.api.algorithm import Interface, ObjectRef, Resources, User
from algorithm_operator.api.base import Model, ObjectName, Slug
from algorithm_operator.api.conditions import Condition


class State(StrEnum):
    """The derived one-word state; programs read the conditions."""

    PENDING = "Pending"
    SUSPENDED = "Suspended"
    QUEUED = "Queued"
    STAGING = "Staging"
    RUNNING = "Running"
    COLLECTING = "Collecting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class StorePaths(Model):
    """Files of a DataStore, by path below its root; an entry that ends in "/" is a folder."""

    name: ObjectName
    paths: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1, max_length=64)
    ]


class JobInput(Model):
    """One input: exactly one of `value` and `store` (the presence of `value` counts; it may be null)."""

    slug: Slug
    value: Any = None
    store: StorePaths | None = None

    @property
    def has_value(self) -> bool:
        """Whether `value` was written, null included."""
        return "value" in self.model_fields_set


class AlgorithmJobSpec(Model):
    """What to run on what. Immutable but for suspend, cancel and ttlSecondsAfterFinished."""

    algorithm_ref: ObjectRef
    inputs: Annotated[list[JobInput], Field(min_length=1, max_length=32)]
    output_store: ObjectRef | None = None
    time_limit_seconds: Annotated[
        int | None, Field(ge=10, le=604800, description="Default and maximum: the Algorithm's.")
    ] = None
    attempts: Annotated[
        int, Field(ge=1, le=10, description="How often infrastructure may fail before the job does.")
    ] = 3
    suspend: Annotated[bool, Field(description="Hold the job back; only before it has started.")] = False
    cancel: Annotated[bool, Field(description="End the job; cannot be taken back.")] = False
    ttl_seconds_after_finished: Annotated[int | None, Field(ge=0, le=315360000)] = None


class RunSnapshot(Model):
    """What the job runs, copied from the Algorithm when the job was accepted; later edits do not change it."""

    name: ObjectName
    uid: Annotated[str, Field(max_length=64)]
    generation: int
    image: Annotated[str, Field(max_length=700, description="Reference with digest.")]
    image_digest: Annotated[str, Field(max_length=128)]
    entrypoint: Annotated[list[str] | None, Field(max_length=64)] = None
    cmd: Annotated[list[str] | None, Field(max_length=256)] = None
    user: User
    interface: Interface
    resources: Resources
    time_limit_seconds: int
    collect_seconds: int
    network: str
    output_store: Annotated[str | None, Field(max_length=253)] = None


class Attempt(Model):
    """One run Pod of the job."""

    number: int
    pod: Annotated[str, Field(max_length=253)]
    pod_uid: Annotated[str | None, Field(max_length=64)] = None
    node: Annotated[str | None, Field(max_length=253)] = None
    reason: Annotated[str | None, Field(max_length=64)] = None
    message: Annotated[str | None, Field(max_length=1024)] = None
    finished_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None


class Timing(Model):
    """The bill of time, in seconds."""

    queued_seconds: float | None = None
    pulled_seconds: float | None = None
    staged_seconds: float | None = None
    ran_seconds: float | None = None
    collected_seconds: float | None = None


class ImageGeometry(Model):
    """Header facts of an image output: voxels, mm, direction cosines row by row."""

    size: Annotated[list[int], Field(max_length=8)]
    spacing: Annotated[list[float], Field(max_length=8)]
    origin: Annotated[list[float], Field(max_length=8)]
    direction: Annotated[list[float], Field(max_length=64)]
    pixel_type: Annotated[str, Field(max_length=32)]
    components: int = 1


class Output(Model):
    """One output of a succeeded job: where it is, or its value."""

    slug: Slug
    kind: Annotated[str, Field(max_length=64)]
    path: Annotated[str | None, Field(max_length=1024, description="Below the outputStore's root.")] = None
    bytes: int | None = None
    sha256: Annotated[str | None, Field(max_length=64)] = None
    value: Any = None
    image: ImageGeometry | None = None


class Logs(Model):
    """How much the algorithm wrote."""

    stdout_bytes: int
    stderr_bytes: int


class ManifestRef(Model):
    """The run record; it counts only if its sha256 is this one."""

    path: Annotated[str | None, Field(max_length=1024)] = None
    sha256: Annotated[str, Field(max_length=64)]


class AlgorithmJobStatus(Model):
    """What happened."""

    observed_generation: int | None = None
    state: State | None = None
    message: Annotated[str | None, Field(max_length=1024)] = None
    reason: Annotated[str | None, Field(max_length=64)] = None
    blame: Annotated[str | None, Field(max_length=32)] = None
    exit_code: int | None = None
    conditions: Annotated[list[Condition], Field(max_length=16)] = []
    algorithm: RunSnapshot | None = None
    attempts: Annotated[list[Attempt], Field(max_length=10)] = []
    timing: Timing | None = None
    outputs: Annotated[list[Output], Field(max_length=32)] = []
    logs: Logs | None = None
    manifest: ManifestRef | None = None
    accepted_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    started_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    finished_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
