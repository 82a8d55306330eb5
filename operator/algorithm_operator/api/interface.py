"""The sockets of an algorithm: what it reads and writes, in Grand Challenge's words, with the rules of their paths."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from algorithm_operator.api.base import Model, Slug, cel, list_map, rules
from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.kinds import (
    FILE_SUFFIXES,
    IMAGE_KINDS,
    OVERLAY_KINDS,
    SEGMENTED_KINDS,
    SocketKind,
)

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_IMAGES = [str(kind) for kind in IMAGE_KINDS]
_OVERLAYS = [str(kind) for kind in OVERLAY_KINDS]
_SEGMENTED = [str(kind) for kind in SEGMENTED_KINDS]
_FILES = [str(kind) for kind in FILE_SUFFIXES]
_SUFFIXES = {str(kind): suffix for kind, suffix in FILE_SUFFIXES.items()}
_DEFINITION = ("relativePath", "schema", "overlaySegments")
"""What a socket of the catalogue has already."""


def _is(kinds: list[str], socket: str = "self") -> str:
    """CEL: whether a socket says that it is of one of these kinds."""
    return f"(has({socket}.kind) && {socket}.kind in {kinds})"


def _suffix(socket: str) -> str:
    """CEL: how the file of a socket that is no image ends."""
    return f"({socket}.kind in {_FILES} ? {_SUFFIXES}[{socket}.kind] : '.json')"


def _path(socket: str) -> str:
    """CEL: the relative path of a socket, default included; of a socket of the catalogue its slug stands for it."""
    return (
        f"(has({socket}.relativePath) ? {socket}.relativePath : !has({socket}.kind) ? {socket}.slug : "
        f"{socket}.kind in {_IMAGES} ? 'images/' + {socket}.slug : {socket}.slug + {_suffix(socket)})"
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
            f"has(self.kind) || self.slug in {sorted(CATALOGUE)}",
            "kind is needed: the slug is none of the common sockets that are known without "
            "(kubectl algorithm sockets lists them)",
            fieldPath=".slug",
        ),
        cel(
            f"has(self.kind) || ({' && '.join(f'!has(self.{field})' for field in _DEFINITION)})",
            f"{', '.join(_DEFINITION)} of a common socket are known; give kind too to define a socket of your own",
        ),
        cel(
            f"!has(self.kind) || self.kind in {_IMAGES} || {_path('self')}.endsWith({_suffix('self')})",
            "Relative path should end with .json",
            messageExpression=f"'Relative path should end with ' + {_suffix('self')}",
            fieldPath=".relativePath",
        ),
        cel(
            f"!{_is(_IMAGES)} || {_path('self')}.matches('^images/([^/]*/)*[^/.]+$')",
            "Images should be a directory: relativePath is images/<name>, without a suffix",
            fieldPath=".relativePath",
        ),
        cel(
            f"!has(self.kind) || self.kind in {_IMAGES} || !{_path('self')}.startsWith('images/')",
            "Only images may lie below images/",
            fieldPath=".relativePath",
        ),
        cel(
            f"{_is(_SEGMENTED)} == has(self.overlaySegments)",
            f"overlaySegments are needed for kind {' and '.join(_SEGMENTED)}, and for no other",
        ),
        cel(
            "!has(self.overlaySegments) || self.overlaySegments.all(s, s.voxelValue <= self.overlaySegments.size())",
            "the voxel values of overlaySegments must be 1, 2, 3, ... without a gap (0 is background)",
        ),
        cel(
            f"!(has(self.kind) && has(self.schema)) || !(self.kind in {_IMAGES + _FILES})",
            "schema is for kinds that are JSON",
            fieldPath=".schema",
        ),
        cel(
            f"!(has(self.kind) && (has(self.overlayOf) || has(self.geometryCheck))) || self.kind in {_OVERLAYS}",
            f"overlayOf and geometryCheck are for outputs of kind {', '.join(_OVERLAYS)}",
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
            description="Grand Challenge's label of the kind. May be left out for the common sockets that "
            "`kubectl algorithm sockets` lists.",
            json_schema_extra={"enum": list(SocketKind), "x-optional": True},
        ),
    ]
    relative_path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="Below /input or /output. Default: images/<slug> for images, for all others the slug with "
            "the kind's suffix, mostly .json.",
        ),
    ] = None
    schema_: Annotated[
        dict[str, Any] | None,
        Field(
            alias="schema",
            description="A JSON schema (draft 7, 6 or 4; no remote references) that values must fulfil besides that "
            "of their kind. 32 KiB for all sockets of an Algorithm.",
            json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
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
    overlay_of: Annotated[
        Slug | None,
        Field(
            description="Outputs only: the input that the image lies on. Default: the interface's Image input, if it "
            "has just one."
        ),
    ] = None
    geometry_check: Annotated[
        Literal["Fail", "Warn", "Off"] | None,
        Field(
            description="Outputs only: what happens if size, spacing, origin or direction are not those of the image "
            "below. Default: Fail."
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_catalogue(cls, given: object) -> object:
        """A socket without a kind is one of the catalogue."""
        if not isinstance(given, dict) or given.get("kind") is not None:
            return given
        known = CATALOGUE.get(given.get("slug", ""))
        return given if known is None else {**known, **{k: v for k, v in given.items() if v is not None}}


class Interface(Model):
    """A named set of inputs and outputs; a job picks one by its exact set of input slugs."""

    model_config = rules(
        cel(
            "self.inputs.all(i, !self.outputs.exists(o, o.slug == i.slug))",
            "a slug is an input or an output of an interface, not both",
        ),
        cel(
            "self.inputs.all(i, !has(i.overlayOf) && !has(i.geometryCheck))",
            "overlayOf and geometryCheck are for outputs",
        ),
        cel(
            "self.outputs.all(o, !has(o.overlayOf) || self.inputs.exists(i, i.slug == o.overlayOf))",
            "overlayOf names an input of the same interface",
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
