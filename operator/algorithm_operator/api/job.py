"""AlgorithmJob: one run of an Algorithm on one set of inputs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from algorithm_operator.api.algorithm import Image, ObjectRef
from algorithm_operator.api.base import (
    DATE_TIME,
    FREE_JSON,
    Model,
    ObjectName,
    Sha256,
    Slug,
    cel,
    list_map,
    rules,
    unchanged,
)
from algorithm_operator.api.conditions import Condition
from algorithm_operator.api.run import RunSnapshot


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


_FREE_FIELDS = "suspend (before the start), cancel (one way) and ttlSecondsAfterFinished"
BAD_PATH = r"^/|//|(^|/)[.]{1,2}(/|$)|[\x00-\x1f\x7f\\]"
"""What `contract/paths.py` refuses, as far as a regular expression can tell."""


def _fixed(field: str, *, optional: bool = False) -> dict[str, str]:
    return cel(
        unchanged(field, optional=optional),
        f"{field} cannot be changed: of a job only {_FREE_FIELDS} can. Apply it under a new name to run it anew",
        fieldPath=f".{field}",
    )


class StorePaths(Model):
    """Files of a DataStore, by path below its root; an entry that ends in "/" is a folder."""

    name: Annotated[ObjectName, Field(description="A DataStore of the namespace.")]
    paths: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1024)]],
        Field(min_length=1, max_length=64, description="Below its root, such as case-001/t1.mha."),
    ]


class ConfigMapKey(Model):
    """One key of a ConfigMap of the namespace."""

    name: Annotated[ObjectName, Field(description="A ConfigMap of the namespace.")]
    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[-._a-zA-Z0-9]+$",
            description="Of data or binaryData; it ends as the file would, such as t1.mha.",
        ),
    ]


class ImagePath(Image):
    """A file or folder in a container image (or OCI artifact), by digest: what a job ran on does not change."""

    model_config = rules(
        cel(
            "self.reference.matches('@sha256:[0-9a-f]{64}$')",
            "the image of an input is named by its digest (NAME@sha256:...), so that the job stays what it was",
            fieldPath=".reference",
        ),
    )

    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            description='Inside the image, without a leading "/"; an entry that ends in "/" is a folder.',
        ),
    ]


class JobOutput(Model):
    """An output of another job of the namespace. It is waited for, and then taken as that job's status says."""

    name: Annotated[ObjectName, Field(description="An AlgorithmJob of the namespace.")]
    output: Annotated[Slug, Field(description="The slug of one of its outputs.")]


_SOURCES = ("value", "store", "configMap", "image", "job", "imageImport")


class JobInput(Model):
    """One input, from exactly one place (the presence of `value` counts; it may be null)."""

    model_config = rules(
        cel(
            f"!has(self.store) || !self.store.paths.exists(p, p.matches({BAD_PATH!r}))",
            "a path is relative to the root of the DataStore, without '..', '.' or empty names, backslashes and "
            "control characters",
            messageExpression=(
                "'input \"' + self.slug + '\": the path \"' + "
                f"self.store.paths.filter(p, p.matches({BAD_PATH!r}))[0] + "
                '\'" is not allowed: write it relative to the root of the DataStore, without "..", "." or empty '
                "names, backslashes and control characters'"
            ),
            fieldPath=".store",
        ),
        # CEL cannot see a field of free JSON; the schema itself can.
        oneOf=[{"required": [source]} for source in _SOURCES],
    )

    slug: Annotated[Slug, Field(description="The slug of an input of the Algorithm.")]
    value: Annotated[
        Any,
        Field(
            description="The value itself, for kinds that are JSON (128 KiB for all of them).",
            json_schema_extra=FREE_JSON,
        ),
    ] = None
    store: StorePaths | None = None
    config_map: ConfigMapKey | None = None
    image: ImagePath | None = None
    job: JobOutput | None = None
    image_import: Annotated[
        ObjectRef | None,
        Field(description="An ImageImport of the namespace. It is waited for, and its image is taken."),
    ] = None

    @property
    def has_value(self) -> bool:
        """Whether `value` was written, null included."""
        return "value" in self.model_fields_set

    @model_serializer(mode="wrap")
    def _keep_null(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A null that was written is a value, also where `wire` leaves out nulls."""
        wire: dict[str, Any] = handler(self)
        if self.has_value:
            wire.setdefault("value", self.value)
        return wire


class AlgorithmJobSpec(Model):
    """What to run on what. Immutable but for suspend, cancel and ttlSecondsAfterFinished."""

    model_config = rules(
        _fixed("algorithmRef"),
        _fixed("inputs"),
        _fixed("outputStore", optional=True),
        _fixed("timeLimitSeconds", optional=True),
        _fixed("attempts"),
        _fixed("requestedBy", optional=True),
        cel(
            "!oldSelf.cancel || self.cancel",
            "cancel cannot be taken back; apply the job under a new name to run it anew",
            fieldPath=".cancel",
        ),
    )

    algorithm_ref: ObjectRef
    inputs: Annotated[
        list[JobInput],
        Field(
            min_length=1,
            max_length=32,
            description="Exactly the inputs of one interface of the Algorithm.",
            json_schema_extra=list_map("slug"),
        ),
    ]
    output_store: Annotated[
        ObjectRef | None,
        Field(
            description="The DataStore that keeps the outputs. Default: the namespace's DataStore with default: true."
        ),
    ] = None
    time_limit_seconds: Annotated[
        int | None, Field(ge=10, le=604800, description="Default and maximum: the Algorithm's.")
    ] = None
    attempts: Annotated[
        int, Field(ge=1, le=10, description="How often infrastructure may fail before the job does.")
    ] = 3
    requested_by: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
            description="The user who asked for the job. Leave it out: where it is known, the cluster writes it.",
        ),
    ] = None
    suspend: Annotated[bool, Field(description="Hold the job back; only before it has started.")] = False
    cancel: Annotated[bool, Field(description="End the job; cannot be taken back.")] = False
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(ge=0, le=315360000, description="Delete the job that long after its end. Default: never."),
    ] = None


class Attempt(Model):
    """One run Pod of the job."""

    number: Annotated[int, Field(description="From 1.")]
    pod: Annotated[str, Field(max_length=253, description="Its name.")]
    pod_uid: Annotated[str | None, Field(max_length=64, description="Its metadata.uid.")] = None
    node: Annotated[str | None, Field(max_length=253, description="Where it ran.")] = None
    reason: Annotated[str | None, Field(max_length=64, description="How it ended, in one word.")] = None
    message: Annotated[str | None, Field(max_length=1024, description="How it ended, in a sentence.")] = None
    finished_at: Annotated[str | None, Field(description="When it ended.", json_schema_extra=DATE_TIME)] = (
        None
    )
    counted: Annotated[
        bool,
        Field(description="Whether it counts against spec.attempts; waiting for a registry does not."),
    ] = True


class Timing(Model):
    """The bill of time, in seconds."""

    queued_seconds: Annotated[float | None, Field(description="From acceptance to a node.")] = None
    pulled_seconds: Annotated[float | None, Field(description="From the node to the start of staging.")] = (
        None
    )
    staged_seconds: Annotated[float | None, Field(description="Staging, with the proof of isolation.")] = None
    ran_seconds: Annotated[float | None, Field(description="The algorithm itself.")] = None
    collected_seconds: Annotated[float | None, Field(description="Checking and keeping the outputs.")] = None


_AXES = "one number an axis, in the order x, y, z."


class ImageGeometry(Model):
    """Header facts of an image output: voxels, mm, direction cosines row by row."""

    size: Annotated[list[int], Field(max_length=8, description=f"In voxels, {_AXES}")]
    spacing: Annotated[list[float], Field(max_length=8, description=f"Of voxels in mm, {_AXES}")]
    origin: Annotated[list[float], Field(max_length=8, description=f"Of the first voxel in mm, {_AXES}")]
    direction: Annotated[list[float], Field(max_length=64, description="Direction cosines, row by row.")]
    pixel_type: Annotated[str, Field(max_length=32, description="Such as uint8 or float32.")]
    components: Annotated[int, Field(description="Numbers a voxel.")] = 1


class Output(Model):
    """One output of a succeeded job: where it is, or its value."""

    slug: Annotated[Slug, Field(description="The slug of an output of the Algorithm.")]
    kind: Annotated[str, Field(max_length=64, description="Grand Challenge's label of the kind.")]
    path: Annotated[str | None, Field(max_length=1024, description="Below the outputStore's root.")] = None
    bytes: Annotated[int | None, Field(description="Size of the stored file.")] = None
    sha256: Annotated[Sha256 | None, Field(description="Of the stored file, in hex.")] = None
    value: Annotated[Any, Field(description="The value, if storeInStatus.", json_schema_extra=FREE_JSON)] = (
        None
    )
    image: ImageGeometry | None = None


class Logs(Model):
    """How much the algorithm wrote."""

    stdout_bytes: Annotated[int, Field(description="Bytes on stdout.")]
    stderr_bytes: Annotated[int, Field(description="Bytes on stderr.")]


class ManifestRef(Model):
    """The run record; it counts only if its sha256 is this one."""

    path: Annotated[str | None, Field(max_length=1024, description="Below the outputStore's root.")] = None
    sha256: Annotated[Sha256, Field(description="Of manifest.json, in hex.")]


class AlgorithmJobStatus(Model):
    """What happened."""

    observed_generation: Annotated[int | None, Field(description="The generation that this is about.")] = None
    state: Annotated[
        State | None, Field(description="In one word, for people; programs read the conditions.")
    ] = None
    message: Annotated[
        str | None, Field(max_length=1024, description="What happened, in one sentence for the owner.")
    ] = None
    reason: Annotated[str | None, Field(max_length=64, description="Why, in one word for programs.")] = None
    blame: Annotated[
        str | None,
        Field(max_length=32, description="Whose fault a failure is: input, algorithm or infrastructure."),
    ] = None
    exit_code: Annotated[int | None, Field(description="The algorithm's, if it ended by itself.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16, description="Complete or Failed say the end.", json_schema_extra=list_map("type")
        ),
    ] = []
    algorithm: RunSnapshot | None = None
    attempts: Annotated[
        list[Attempt],
        Field(max_length=10, description="One run Pod each.", json_schema_extra=list_map("number")),
    ] = []
    timing: Timing | None = None
    outputs: Annotated[
        list[Output],
        Field(
            max_length=32, description="All outputs of a succeeded job.", json_schema_extra=list_map("slug")
        ),
    ] = []
    logs: Logs | None = None
    manifest: ManifestRef | None = None
    accepted_at: Annotated[
        str | None, Field(description="When its run was fixed.", json_schema_extra=DATE_TIME)
    ] = None
    admitted_at: Annotated[
        str | None,
        Field(description="When its Algorithm's limits let it start.", json_schema_extra=DATE_TIME),
    ] = None
    started_at: Annotated[
        str | None, Field(description="When the first Pod started.", json_schema_extra=DATE_TIME)
    ] = None
    finished_at: Annotated[str | None, Field(description="When it ended.", json_schema_extra=DATE_TIME)] = (
        None
    )
