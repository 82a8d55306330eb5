"""Local files that are inputs: sent to a DataStore, and the entries of spec.inputs that name them there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.inputs import Input, Place
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.cli.transfer import Progress, Source, file_sha256, sources, upload
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


def send(
    store: StoreClient, wanted: Sequence[Sent], begin: Callable[[str, int | None], Progress]
) -> list[Input]:
    """Upload the files, each with a progress of its own; the inputs."""
    for source in (source for each in wanted for source in each.sources):
        upload(store, source, file_sha256(source.file), begin(source.path, source.size))
    return [each.input for each in wanted]
