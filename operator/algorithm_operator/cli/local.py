"""Local files that are inputs: where they go in a DataStore, and the entries of spec.inputs that name them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.inputs import Input, Place
from algorithm_operator.cli.transfer import Source, sources
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.places import check_paths


@dataclass(frozen=True, slots=True)
class Sent:
    """An entry of spec.inputs, and the files to upload before."""

    input: Input
    sources: tuple[Source, ...]


def sent(local: Mapping[str, Sequence[Path]], kinds: Mapping[str, str], place: Place, job: str) -> list[Sent]:
    """The inputs (local files and folders by slug) below PATH/<job>/<slug>/, each under its own name.

    :raises UsageError: the kind of an input does not take such files, or they cannot be read.
    """
    found = []
    for slug, given in local.items():
        root = f"{place.path.rstrip('/')}/{job}/{slug}/".lstrip("/")
        files = sources(given, Place(place.store, root))
        paths = [f"{root}{each.resolve().name}{'/' if each.is_dir() else ''}" for each in given]
        if (refusal := check_paths(slug, paths, KINDS[kinds[slug]])) is not None:
            raise UsageError(f"{quoted(str(given[0]))}: {refusal.message}")
        found.append(Sent({"slug": slug, "store": {"name": place.store, "paths": paths}}, tuple(files)))
    return found
