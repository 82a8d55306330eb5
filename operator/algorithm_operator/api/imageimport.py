"""ImageImport: one or more files of a DataStore become exactly one image of it, or its status says by file why not."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from algorithm_operator.api.algorithm import ObjectRef
from algorithm_operator.api.base import (
    DATE_TIME,
    Model,
    ObjectName,
    Sha256,
    cel,
    list_map,
    rules,
    unchanged,
)
from algorithm_operator.api.conditions import Condition
from algorithm_operator.api.job import BAD_PATH, ImageGeometry, StorePaths
from algorithm_operator.api.kinds import PANIMG_KINDS, SocketKind

MAX_FILES = 64
"""Of those that are told why they are no image."""
MAX_FILE_NAME, MAX_FILE_MESSAGE = 256, 512
MAX_NOTES, MAX_NOTE = 8, 256


class ImportState(StrEnum):
    """The derived one-word state; programs read the conditions."""

    PENDING = "Pending"
    IMPORTING = "Importing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


ENDED = frozenset({ImportState.SUCCEEDED, ImportState.FAILED})


def _fixed(field: str, *, optional: bool = False) -> dict[str, str]:
    return cel(
        unchanged(field, optional=optional),
        f"{field} cannot be changed: of an import only ttlSecondsAfterFinished can. Apply it under a new name",
        fieldPath=f".{field}",
    )


class ImageImportSpec(Model):
    """Which files, and where the image goes. Immutable but for ttlSecondsAfterFinished."""

    model_config = rules(
        cel(
            f"!self.source.paths.exists(p, p.matches({BAD_PATH!r}))",
            "a path is relative to the root of the DataStore, without '..', '.' or empty names, backslashes and "
            "control characters",
            fieldPath=".source",
        ),
        _fixed("source"),
        _fixed("kind"),
        _fixed("outputStore", optional=True),
        _fixed("timeLimitSeconds"),
    )

    source: Annotated[
        StorePaths,
        Field(description='The files; they are one image together. An entry that ends in "/" is a folder.'),
    ]
    kind: Annotated[
        str,
        Field(
            max_length=64,
            description="Grand Challenge's label of the kind of image.",
            json_schema_extra={"enum": list(PANIMG_KINDS)},
        ),
    ] = str(SocketKind.IMAGE)
    output_store: Annotated[
        ObjectRef | None,
        Field(
            description="The DataStore that keeps the image. Default: the namespace's DataStore with default: true."
        ),
    ] = None
    time_limit_seconds: Annotated[
        int, Field(ge=30, le=86400, description="For one attempt, with the pull of our own image.")
    ] = 600
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=315360000,
            description="Delete the import that long after its end; the image stays. Default: never.",
        ),
    ] = None


class ImportedImage(Model):
    """The image as it is kept. Its id is the import's metadata.uid."""

    store: Annotated[ObjectName, Field(description="The DataStore that keeps it.")]
    path: Annotated[str, Field(max_length=1024, description="Below its root: one .mha or .tif.")]
    bytes: Annotated[int, Field(description="Size of the file.")]
    sha256: Annotated[Sha256, Field(description="Of the file, in hex.")]
    name: Annotated[
        str,
        Field(
            max_length=MAX_FILE_NAME, description="What people call it: its file, or the folder of its files."
        ),
    ]
    format: Annotated[str, Field(max_length=8, description="MHD (a .mha) or TIFF.")]
    geometry: ImageGeometry
    notes: Annotated[
        list[Annotated[str, Field(max_length=MAX_NOTE)]],
        Field(
            max_length=MAX_NOTES,
            description="What was not simply carried over from the files, such as a rescale or uneven slices.",
        ),
    ] = []


class RefusedFile(Model):
    """A file that is no image, or of none together with the others."""

    name: Annotated[str, Field(max_length=MAX_FILE_NAME, description="Its path as it was given.")]
    message: Annotated[str, Field(max_length=MAX_FILE_MESSAGE, description="Why, in a sentence.")]


class ImageImportStatus(Model):
    """What became of the files."""

    observed_generation: Annotated[int | None, Field(description="The generation that this is about.")] = None
    state: Annotated[
        ImportState | None, Field(description="In one word, for people; programs read the conditions.")
    ] = None
    message: Annotated[
        str | None, Field(max_length=1024, description="What happened, in one sentence for the owner.")
    ] = None
    reason: Annotated[str | None, Field(max_length=64, description="Why, in one word for programs.")] = None
    blame: Annotated[
        str | None, Field(max_length=32, description="Whose fault a failure is: input or infrastructure.")
    ] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16, description="Complete or Failed say the end.", json_schema_extra=list_map("type")
        ),
    ] = []
    image: ImportedImage | None = None
    files: Annotated[
        list[RefusedFile],
        Field(max_length=MAX_FILES, description="Those that it failed for, if it is the files' fault."),
    ] = []
    failures: Annotated[int, Field(description="How often infrastructure has failed.")] = 0
    pod: Annotated[str | None, Field(max_length=253, description="The Pod that reads the files.")] = None
    started_at: Annotated[
        str | None, Field(description="When the first Pod was made.", json_schema_extra=DATE_TIME)
    ] = None
    finished_at: Annotated[str | None, Field(description="When it ended.", json_schema_extra=DATE_TIME)] = (
        None
    )
