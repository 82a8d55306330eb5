"""What a job runs, as its status keeps it: copied from the Algorithm when the job was accepted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from algorithm_operator.api.algorithm import LogPolicy, ObjectRef, Resources, StorePath, User
from algorithm_operator.api.base import FREE_JSON, Model, ObjectName, Sha256, Slug, list_map
from algorithm_operator.api.interface import Interface


class RunModel(Model):
    """The model of a run: from an image by digest, or from a DataStore."""

    image: Annotated[str | None, Field(max_length=700, description="Reference with digest.")] = None
    store: StorePath | None = None
    path: Annotated[str | None, Field(max_length=1024, description="Inside the image.")] = None
    sha256: Annotated[Sha256 | None, Field(description="What it must be.")] = None


class RunInput(Model):
    """An input that another job or an ImageImport has made, as its status said when this job was accepted."""

    slug: Annotated[Slug, Field(description="Of the input.")]
    job: Annotated[ObjectName | None, Field(description="The job that made it.")] = None
    output: Annotated[Slug | None, Field(description="The slug of its output.")] = None
    image_import: Annotated[ObjectName | None, Field(description="The ImageImport that made it.")] = None
    store: Annotated[ObjectName | None, Field(description="The DataStore that keeps the file.")] = None
    path: Annotated[str | None, Field(max_length=1024, description="Below its root; absent: a value.")] = None
    sha256: Annotated[Sha256 | None, Field(description="Of the file; another one is refused.")] = None
    value: Annotated[Any, Field(description="The value, if it is no file.", json_schema_extra=FREE_JSON)] = (
        None
    )


class RunSnapshot(Model):
    """What the job runs, copied from the Algorithm when the job was accepted; later edits do not change it."""

    name: Annotated[ObjectName, Field(description="The Algorithm.")]
    uid: Annotated[str, Field(max_length=64, description="Its metadata.uid.")]
    generation: Annotated[int, Field(description="Its metadata.generation.")]
    image: Annotated[str, Field(max_length=700, description="Reference with digest.")]
    image_digest: Annotated[str, Field(max_length=128, description="The digest alone.")]
    entrypoint: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None,
        Field(max_length=64, description="ENTRYPOINT of the image."),
    ] = None
    cmd: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None,
        Field(max_length=256, description="CMD of the image."),
    ] = None
    user: Annotated[
        User | None,
        Field(description="Who the algorithm runs as; absent: as the namespace's admission says."),
    ] = None
    home: Annotated[str | None, Field(max_length=1024, description="HOME, from the image's passwd.")] = None
    pull_secrets: Annotated[
        list[ObjectRef],
        Field(
            max_length=32,
            description="For the image, the model and the inputs.",
            json_schema_extra=list_map("name"),
        ),
    ] = []
    model: RunModel | None = None
    interface: Annotated[Interface, Field(description="The interface that the inputs picked.")]
    inputs: Annotated[
        list[RunInput],
        Field(
            max_length=32,
            description="Those that other jobs and ImageImports have made.",
            json_schema_extra=list_map("slug"),
        ),
    ] = []
    resources: Resources
    time_limit_seconds: Annotated[int, Field(description="The job's own, or the Algorithm's.")]
    collect_seconds: Annotated[int, Field(description="For checking and keeping the outputs.")]
    network: Annotated[str, Field(max_length=32, description="None or Loopback.")]
    output_store: Annotated[
        str | None, Field(max_length=253, description="The DataStore that keeps the outputs, if any.")
    ] = None
    log_policy: LogPolicy = LogPolicy()
    result_template: Annotated[
        str | None, Field(max_length=16384, description="The Jinja template of the report.")
    ] = None
