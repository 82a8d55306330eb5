"""The sockets of an algorithm: what it reads and writes, in Grand Challenge's words, with the rules of their paths."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from algorithm_operator.api.base import Model, Slug, cel, list_map, rules
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
