"""Algorithm: an image that is approved to run here, what it reads and writes, and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import Model, ObjectName, Quantity, Slug
from algorithm_operator.api.conditions import Condition


class OverlaySegment(Model):
    """One segment of a Segmentation: a name and its voxel value."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    voxel_value: Annotated[int, Field(ge=1, le=65535)]
    visible: bool = True


class Socket(Model):
    """One input or output of an algorithm (Grand Challenge: socket, formerly component interface)."""

    slug: Slug
    title: Annotated[str | None, Field(max_length=255)] = None
    description: Annotated[str | None, Field(max_length=1024)] = None
    kind: Annotated[
        str, Field(max_length=64, description='Grand Challenge\'s label of the kind, for example "Image".')
    ]
    relative_path: Annotated[
        str | None,
        Field(max_length=255, description="Below /input or /output. Default: images/<slug> or <slug>.json."),
    ] = None
    overlay_segments: Annotated[list[OverlaySegment] | None, Field(max_length=256)] = None
    store_in_status: Annotated[
        bool, Field(description="Outputs only: show the value in the job's status (8 KiB in all).")
    ] = False


class Interface(Model):
    """A named set of inputs and outputs; a job picks one by its exact set of input slugs."""

    name: Slug = "default"
    inputs: Annotated[list[Socket], Field(min_length=1, max_length=32)]
    outputs: Annotated[list[Socket], Field(min_length=1, max_length=32)]


class Image(Model):
    """The container image; resolved once to a digest that is kept in status."""

    reference: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]


class Gpu(Model):
    """Which GPU and how many; type names an entry of the installation's gpuTypes."""

    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63)] = "T4"
    count: Annotated[int, Field(ge=0, le=8)] = 1


class Resources(Model):
    """What the algorithm's container gets; requests equal limits."""

    cpu: Quantity = "2"
    memory: Quantity = "24G"
    gpu: Gpu = Gpu()
    threads: Annotated[int, Field(ge=1, le=32768)] = 512


class User(Model):
    """An explicit user for images whose USER is a name, or to override the image's."""

    uid: Annotated[int, Field(ge=1, le=4294967294)]
    gid: Annotated[int, Field(ge=1, le=4294967294)]


class Security(Model):
    """Who the algorithm runs as. Without `user`: the numeric USER of the image; never root."""

    user: User | None = None


class AlgorithmSpec(Model):
    """What an algorithm is."""

    title: Annotated[str | None, Field(max_length=255)] = None
    description: Annotated[str | None, Field(max_length=4096)] = None
    image: Image
    interfaces: Annotated[list[Interface], Field(min_length=1, max_length=16)]
    resources: Resources = Resources()
    time_limit_seconds: Annotated[int, Field(ge=10, le=604800)] = 7200
    collect_seconds: Annotated[int, Field(ge=5, le=86400)] = 600
    network: Annotated[
        Literal["None", "Loopback"],
        Field(description="None: no IP sockets at all. Loopback: 127.0.0.1 inside the Pod works."),
    ] = "None"
    security: Security = Security()


class ResolvedImage(Model):
    """What the registry said about the image when it was resolved."""

    reference: Annotated[str, Field(max_length=512)]
    digest: Annotated[str, Field(max_length=128)]
    entrypoint: Annotated[list[str] | None, Field(max_length=64)] = None
    cmd: Annotated[list[str] | None, Field(max_length=256)] = None
    working_dir: Annotated[str | None, Field(max_length=1024)] = None
    user: Annotated[str | None, Field(max_length=255)] = None
    uid: int | None = None
    gid: int | None = None
    size_bytes: int | None = None


class AlgorithmStatus(Model):
    """What the operator found out."""

    observed_generation: int | None = None
    conditions: Annotated[list[Condition], Field(max_length=16)] = []
    image: ResolvedImage | None = None


class ObjectRef(Model):
    """Another object of the same namespace, by name."""

    name: ObjectName
