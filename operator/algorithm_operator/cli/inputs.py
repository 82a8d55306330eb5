"""The inputs of a job as people type them: `slug=VALUE`, `slug=@file.json`, `slug=STORE:PATH`. Pure but for @file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithm_operator.api.kinds import IMAGE_KINDS, SocketKind
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.contract.paths import check_store_path

Input = dict[str, Any]
"""One entry of spec.inputs, on the wire."""

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
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


def parse_inputs(
    given: Iterable[str],
    kinds: Mapping[str, str] | None = None,
    read: Callable[[str], str] = lambda path: Path(path).read_text("utf-8"),
) -> list[Input]:
    """spec.inputs of the `--input` options. `kinds`: the kind of each input of the algorithm, where it is known."""
    inputs: dict[str, Input] = {}
    for text in given:
        slug, equals, right = text.partition("=")
        if not equals or not _SLUG.fullmatch(slug):
            raise UsageError(
                f"--input {quoted(text)}: write slug=VALUE, slug=@file.json or slug=STORE:PATH; a slug has lower-case "
                "letters, digits and single hyphens."
            )
        if slug in inputs:
            raise UsageError(f"Input {quoted(slug)} is given twice.")
        inputs[slug] = parse_input(slug, right, (kinds or {}).get(slug), read)
    return list(inputs.values())


def parse_input(
    slug: str,
    right: str,
    kind: str | None = None,
    read: Callable[[str], str] = lambda path: Path(path).read_text("utf-8"),
) -> Input:
    """One entry of spec.inputs.

    @FILE is JSON from a local file. STORE:PATH names a file of a DataStore; for a kind that is carried as JSON its
    path must end with .json, so that a String may hold a colon. All else is JSON, or the text itself.
    """
    if right.startswith("@"):
        return {"slug": slug, "value": _json_file(slug, right[1:], read)}
    image = kind in IMAGE_KINDS
    quoted_text = right[:1] in ('"', "{", "[")
    if (
        not quoted_text
        and (place := _input_place(right, json_only=kind is not None and not image)) is not None
    ):
        return {"slug": slug, "store": {"name": place.store, "paths": [place.path]}}
    if image:
        raise UsageError(
            f"Input {quoted(slug)} is of kind {kind}, a file of a DataStore: write {slug}=STORE:PATH. A local file "
            "gets there by: kubectl algorithm upload FILE STORE:PATH"
        )
    if kind == SocketKind.STRING and not quoted_text:
        return {"slug": slug, "value": right}
    try:
        return {"slug": slug, "value": _json(right)}
    except ValueError:
        return {"slug": slug, "value": right}


def _input_place(text: str, *, json_only: bool) -> Place | None:
    match = _STORE_PATH.fullmatch(text)
    if match is None or not match["path"] or (json_only and not match["path"].endswith(".json")):
        return None
    return parse_place(text)


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
