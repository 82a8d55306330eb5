"""The inputs of a job as people type them, each `slug=` and where it comes from. Pure but for @file.

VALUE; @FILE; STORE:PATH; configmap:NAME/KEY; image:NAME@sha256:DIGEST:PATH; job:NAME/OUTPUT; import:NAME.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.contract.kinds import KINDS, Form
from algorithm_operator.contract.paths import check_store_path

Input = dict[str, Any]
"""One entry of spec.inputs, on the wire."""

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CONFIG_MAP = re.compile(r"configmap:(?P<name>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)/(?P<path>[-._a-zA-Z0-9]+)")
_IMAGE = re.compile(r"image:(?P<reference>\S+@sha256:[0-9a-f]{64}):(?P<path>.+)", re.DOTALL)
_JOB = re.compile(r"job:(?P<name>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)/(?P<output>[a-z0-9]+(-[a-z0-9]+)*)")
_IMPORT = re.compile(r"import:(?P<name>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)")
_PLACES = {
    "configmap:": "configmap:NAME/KEY",
    "image:": "image:NAME@sha256:DIGEST:PATH",
    "job:": "job:NAME/OUTPUT",
    "import:": "import:NAME",
}
"""No DataStore of such a name can be written as STORE:PATH."""
_STORE_PATH = re.compile(r"(?P<store>[a-z0-9]([-a-z0-9.]*[a-z0-9])?):(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """A path below the root of a DataStore; "" is the root, an ending "/" says that it is a folder."""

    store: str
    path: str

    def __str__(self) -> str:
        return f"{self.store}:{self.path}"

    @property
    def is_folder(self) -> bool:
        """Whether it was written as a folder."""
        return self.path == "" or self.path.endswith("/")


def parse_place(text: str) -> Place | None:
    """`STORE:PATH`, or None if `text` is not of that form.

    :raises UsageError: it is, but no store takes such a path.
    """
    match = _STORE_PATH.fullmatch(text)
    if match is None:
        return None
    place = Place(match["store"], match["path"])
    if place.path and (why := check_store_path(place.path)):
        raise UsageError(f"The path {quoted(place.path)} is not allowed: {why}")
    return place


@dataclass(frozen=True, slots=True)
class Parsed:
    """spec.inputs as far as they are known, and the local files and folders of inputs that must be uploaded first."""

    inputs: list[Input] = field(default_factory=list)
    local: dict[str, list[Path]] = field(default_factory=dict)


def parse_inputs(
    given: Iterable[str],
    kinds: Mapping[str, str] | None = None,
    read: Callable[[str], str] = lambda path: Path(path).read_text("utf-8"),
) -> Parsed:
    """The `--input` options. `kinds`: the kind of each input of the algorithm, where it is known.

    An input may be given several times: by files of one DataStore, or by local ones.
    """
    inputs: dict[str, Input] = {}
    local: dict[str, list[Path]] = {}
    for text in given:
        slug, equals, right = text.partition("=")
        if not equals or not _SLUG.fullmatch(slug):
            raise UsageError(
                f"--input {quoted(text)}: write slug=VALUE, slug=@FILE, slug=STORE:PATH, "
                f"{', '.join('slug=' + place for place in _PLACES.values())}; a slug has lower-case letters, digits "
                "and single hyphens."
            )
        kind = (kinds or {}).get(slug)
        if right.startswith("@") and is_file(kind) and slug not in inputs:
            local.setdefault(slug, []).append(Path(right[1:]))
            continue
        one = parse_input(slug, right, kind, read)
        if slug in local or (slug in inputs and not _add_path(inputs[slug], one)):
            raise UsageError(f"Input {quoted(slug)} is given twice.")
        inputs.setdefault(slug, one)
    return Parsed(list(inputs.values()), local)


def is_file(kind: str | None) -> bool:
    """Whether inputs of that kind are files and no JSON."""
    row = KINDS.get(kind or "")
    return row is not None and row.form is not Form.JSON


def _add_path(known: Input, one: Input) -> bool:
    """Whether both are files of one DataStore; `known` has the paths of both then."""
    if "store" not in known or known["store"]["name"] != (one.get("store") or {}).get("name"):
        return False
    known["store"]["paths"] += one["store"]["paths"]
    return True


def parse_input(
    slug: str,
    right: str,
    kind: str | None = None,
    read: Callable[[str], str] = lambda path: Path(path).read_text("utf-8"),
) -> Input:
    """One entry of spec.inputs.

    @FILE is JSON from a local file. What is in a DataStore, ConfigMap or image must end with .json for a kind that is
    carried as JSON, so that a String may hold a colon. All else is JSON, or the text itself.
    """
    file = is_file(kind)
    if right.startswith("@") and not file:
        return {"slug": slug, "value": _json_file(slug, right[1:], read)}
    quoted_text = right[:1] in ('"', "{", "[")
    if not quoted_text and (place := _input_place(right, kind)) is not None:
        return {"slug": slug, **place}
    if file:
        raise UsageError(
            f"Input {quoted(slug)} is of kind {kind}, a file: write {slug}=@FILE, {slug}=STORE:PATH, "
            f"{', '.join(slug + '=' + place for place in _PLACES.values())}."
        )
    if kind == SocketKind.STRING and not quoted_text:
        return {"slug": slug, "value": right}
    if not quoted_text and (_CONFIG_MAP.fullmatch(right) or _IMAGE.fullmatch(right)):
        raise UsageError(
            f"Input {quoted(slug)} is of kind {kind}: what is in a ConfigMap or image must end with .json for it, and "
            f"{quoted(right)} does not. If it is the value, write it as JSON, in quotes."
        )
    try:
        return {"slug": slug, "value": _json(right)}
    except ValueError:
        return {"slug": slug, "value": right}


def _input_place(text: str, kind: str | None) -> Input | None:
    """The place that `text` names; None if it is none, which a kind that is JSON may mean."""
    json_only = kind is not None and not is_file(kind)
    if (match := _JOB.fullmatch(text)) is not None:
        return {"job": {"name": match["name"], "output": match["output"]}}
    if not json_only and (match := _IMPORT.fullmatch(text)) is not None:
        return {"imageImport": {"name": match["name"]}}
    for pattern in (_CONFIG_MAP, _IMAGE, _STORE_PATH):
        match = pattern.fullmatch(text)
        if match is None or not match["path"] or (json_only and not match["path"].endswith(".json")):
            continue
        if pattern is _CONFIG_MAP:
            return {"configMap": {"name": match["name"], "key": match["path"]}}
        if pattern is _IMAGE:
            return {"image": {"reference": match["reference"], "path": match["path"]}}
        if form := next((form for word, form in _PLACES.items() if text.startswith(word)), None):
            raise UsageError(f"{quoted(text)}: write {form}.")
        place = parse_place(text)
        return None if place is None else {"store": {"name": place.store, "paths": [place.path]}}
    return None


def _json(text: str) -> Any:
    def refuse(token: str) -> None:
        raise ValueError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _json_file(slug: str, path: str, read: Callable[[str], str]) -> Any:
    try:
        return _json(read(path))
    except OSError as error:
        raise UsageError(f"Input {quoted(slug)}: {quoted(path)} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"Input {quoted(slug)}: {quoted(path)} is not JSON: {shown(str(error))}") from None
