"""Algorithm: an image that is approved to run here, what it reads and writes, and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import Model, ObjectName, Quantity, Slug, cel, list_map, rules
from algorithm_operator.api.conditions import Condition
from algorithm_operator.api.kinds import IMAGE_KINDS, SEGMENTED_KINDS, SocketKind

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_IMAGES = [str(kind) for kind in IMAGE_KINDS]
_SEGMENTED = [str(kind) for kind in SEGMENTED_KINDS]


def _path(socket: str) -> str:
    """CEL: the relative path of a socket, default included."""
    return (
        f"(has({socket}.relativePath) ? {socket}.relativePath : "
        f"{socket}.kind in {_IMAGES} ? 'images/' + {socket}.slug : {socket}.slug + '.json')"
    )


def _paths_apart(sockets: str) -> dict[str, str]:
    """CEL: no two sockets of that list share a path, and none lies inside another one's."""
    return cel(
        f"self.{sockets}.map(s, {_path('s')}).all(p, "
        f"self.{sockets}.exists_one(s, ({_path('s')} + '/').startsWith(p + '/')))",
        f"each of the {sockets} needs a relativePath of its own, and none may lie inside another one's",
        fieldPath=f".{sockets}",
    )


class OverlaySegment(Model):
    """One segment of a Segmentation: a name and its voxel value."""

    name: Annotated[str, Field(min_length=1, max_length=128, description="What the segment shows.")]
    voxel_value: Annotated[int, Field(ge=1, le=65535, description="Its value in the image; 0 is background.")]
    visible: Annotated[bool, Field(description="Whether viewers show it at first.")] = True


class Socket(Model):
    """One input or output of an algorithm (Grand Challenge: socket, formerly component interface)."""

    model_config = rules(
        cel(
            "!has(self.relativePath) || (!self.relativePath.startsWith('/') && !self.relativePath.endsWith('/'))",
            "Path must not begin or end with '/'",
            fieldPath=".relativePath",
        ),
        cel(
            r"!has(self.relativePath) || !self.relativePath.matches('(^|/)[.]{0,2}(/|$)')",
            "Relative paths are not allowed: relativePath may not contain '.', '..' or empty segments",
            fieldPath=".relativePath",
        ),
        cel(
            f"{_path('self')}.lowerAscii() != 'inputs.json'",
            "This relative path is reserved: /input/inputs.json lists the inputs",
        ),
        cel(
            f"!{_path('self')}.lowerAscii().matches('{_UUID}')",
            "relativePath, or the slug it is made of, may not contain a UUID: image files are named by one",
        ),
        cel(
            f"self.kind in {_IMAGES} || {_path('self')}.endsWith('.json')",
            "Relative path should end with .json",
            fieldPath=".relativePath",
        ),
        cel(
            f"!(self.kind in {_IMAGES}) || {_path('self')}.matches('^images/([^/]*/)*[^/.]+$')",
            "Images should be a directory: relativePath is images/<name>, without a suffix",
            fieldPath=".relativePath",
        ),
        cel(
            f"self.kind in {_IMAGES} || !{_path('self')}.startsWith('images/')",
            "Only images may lie below images/",
            fieldPath=".relativePath",
        ),
        cel(
            f"(self.kind in {_SEGMENTED}) == has(self.overlaySegments)",
            f"overlaySegments are needed for kind {' and '.join(_SEGMENTED)}, and for no other",
        ),
        cel(
            "!has(self.overlaySegments) || self.overlaySegments.all(s, s.voxelValue <= self.overlaySegments.size())",
            "the voxel values of overlaySegments must be 1, 2, 3, ... without a gap (0 is background)",
        ),
    )

    slug: Annotated[Slug, Field(description="Its name; one definition in a namespace.")]
    title: Annotated[
        str | None, Field(max_length=255, description="Its name for people. Default: from the slug.")
    ] = None
    description: Annotated[str | None, Field(max_length=1024, description="What it is, for people.")] = None
    kind: Annotated[
        str,
        Field(
            max_length=64,
            description="Grand Challenge's label of the kind.",
            json_schema_extra={"enum": list(SocketKind)},
        ),
    ]
    relative_path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="Below /input or /output. Default: images/<slug> for images, <slug>.json for all others.",
        ),
    ] = None
    overlay_segments: Annotated[
        list[OverlaySegment] | None,
        Field(
            min_length=1,
            max_length=256,
            description="The segments of a Segmentation, with voxel values 1, 2, 3, ...",
            json_schema_extra=list_map("voxelValue"),
        ),
    ] = None
    store_in_status: Annotated[
        bool,
        Field(description="Outputs only: show the value in the job's status (8 KiB for all of them)."),
    ] = False


class Interface(Model):
    """A named set of inputs and outputs; a job picks one by its exact set of input slugs."""

    model_config = rules(
        cel(
            "self.inputs.all(i, !self.outputs.exists(o, o.slug == i.slug))",
            "a slug is an input or an output of an interface, not both",
        ),
        _paths_apart("inputs"),
        _paths_apart("outputs"),
    )

    name: Annotated[Slug, Field(description="Its name; needed where there are several.")] = "default"
    inputs: Annotated[
        list[Socket],
        Field(
            min_length=1,
            max_length=32,
            description="What a job must give: all of them, and no other.",
            json_schema_extra=list_map("slug"),
        ),
    ]
    outputs: Annotated[
        list[Socket],
        Field(
            min_length=1,
            max_length=32,
            description="What the algorithm must write: all of them.",
            json_schema_extra=list_map("slug"),
        ),
    ]


class Image(Model):
    """The container image; resolved once to a digest that is kept in status."""

    reference: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^\S+$",
            description="As `docker pull` takes it: by tag, or better by digest.",
        ),
    ]


class Gpu(Model):
    """Which GPU and how many; type names an entry of the installation's gpuTypes."""

    type: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=63,
            description="An entry of the installation's gpuTypes.",
        ),
    ] = "T4"
    count: Annotated[int, Field(ge=0, le=8, description="How many; 0 runs without a GPU.")] = 1


class Resources(Model):
    """What the algorithm's container gets; requests equal limits."""

    model_config = rules(
        cel(
            "type(self.cpu) == int ? self.cpu > 0 : quantity(self.cpu).isGreaterThan(quantity('0'))",
            "cpu must be more than 0",
            fieldPath=".cpu",
        ),
        cel(
            "type(self.memory) == int ? self.memory >= 16777216 : "
            "quantity(self.memory).compareTo(quantity('16Mi')) >= 0",
            "memory must be at least 16Mi",
            fieldPath=".memory",
        ),
    )

    cpu: Annotated[Quantity, Field(description='Processors, such as "2" or "500m".')] = "2"
    memory: Annotated[Quantity, Field(description='Memory, such as "24G" (decimal) or "24Gi" (binary).')] = (
        "24G"
    )
    gpu: Gpu = Gpu()
    threads: Annotated[int, Field(ge=1, le=32768, description="Threads and processes at the same time.")] = (
        512
    )


class User(Model):
    """An explicit user for images whose USER is a name, or to override the image's."""

    uid: Annotated[int, Field(ge=1, le=2147483647, description="User id.")]
    gid: Annotated[int, Field(ge=1, le=2147483647, description="Group id.")]


class Security(Model):
    """Who the algorithm runs as. Without `user`: the numeric USER of the image; never root."""

    user: User | None = None


class AlgorithmSpec(Model):
    """What an algorithm is."""

    title: Annotated[str | None, Field(max_length=255, description="Its name for people.")] = None
    description: Annotated[str | None, Field(max_length=4096, description="What it does, for people.")] = None
    image: Image
    interfaces: Annotated[
        list[Interface],
        Field(
            min_length=1,
            max_length=16,
            description="The sets of inputs that it takes, and what it writes for each.",
            json_schema_extra=list_map("name"),
        ),
    ]
    resources: Resources = Resources()
    time_limit_seconds: Annotated[
        int, Field(ge=10, le=604800, description="From the start of the Pod: with image pull and staging.")
    ] = 7200
    collect_seconds: Annotated[
        int, Field(ge=5, le=86400, description="For checking and keeping the outputs, after the algorithm.")
    ] = 600
    network: Annotated[
        Literal["None", "Loopback"],
        Field(description="None: no IP sockets at all. Loopback: 127.0.0.1 inside the Pod works."),
    ] = "None"
    security: Security = Security()


class ResolvedImage(Model):
    """What the registry said about the image when it was resolved."""

    reference: Annotated[str, Field(max_length=512, description="spec.image.reference as it was then.")]
    digest: Annotated[str, Field(max_length=128, description="What runs.")]
    entrypoint: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=64, description="ENTRYPOINT.")
    ] = None
    cmd: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=256, description="CMD.")
    ] = None
    working_dir: Annotated[str | None, Field(max_length=1024, description="WORKDIR.")] = None
    user: Annotated[str | None, Field(max_length=255, description="USER, as the image says it.")] = None
    uid: Annotated[int | None, Field(description="USER as a number, where it is one.")] = None
    gid: Annotated[int | None, Field(description="The group of USER, where it is a number.")] = None
    size_bytes: Annotated[int | None, Field(description="Compressed size of its layers.")] = None


class AlgorithmStatus(Model):
    """What the operator found out."""

    observed_generation: Annotated[int | None, Field(description="The generation that this is about.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="Ready: jobs can run it.",
            json_schema_extra=list_map("type"),
        ),
    ] = []
    image: ResolvedImage | None = None


class ObjectRef(Model):
    """Another object of the same namespace, by name."""

    name: Annotated[ObjectName, Field(description="Its metadata.name, in the same namespace.")]
