"""Many cases with one command: which they are, what their jobs are called, and running it again without doing twice.

A job's name is made of the case's name and a hash of all that goes in: run again, the same case has the same name, its
job is found instead of made, and its files are already there. Change an input, and it is another job.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algorithm_operator.api.interface import Interface
from algorithm_operator.api.kinds import IMAGE_KINDS
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.inputs import Input, Place, parse_input
from algorithm_operator.cli.jobs import Wish, name_part
from algorithm_operator.cli.transfer import Source, file_sha256
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.core.names import MAX_JOB_NAME

MAX_CASES = 10_000
_HASH = 8
_NAME_COLUMN = "name"


@dataclass(frozen=True, slots=True)
class Upload:
    """A local file of a case, where it goes, and its hash."""

    source: Source
    sha256: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its name for people, its job's name, spec.inputs, and the files to upload before."""

    name: str
    job: str
    inputs: tuple[Input, ...]
    uploads: tuple[Upload, ...] = ()


def cases_of_csv(text: str, wish: Wish, common: Sequence[Input], kinds: Mapping[str, str]) -> list[Case]:
    """The cases of a list: a column an input, written as after `--input slug=`; a column `name` names the cases.

    :raises UsageError: a row is incomplete, or two rows are the same case.
    """
    rows = list(csv.reader(io.StringIO(text, newline="")))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise UsageError(
            "The list has no cases: it needs a head line with the slugs of the inputs, and a line a case."
        )
    head = [cell.strip().removeprefix("\ufeff") for cell in rows[0]]
    if len(set(head)) != len(head) or "" in head:
        raise UsageError("The head line of the list must name every column, each by another slug.")
    given = {str(each["slug"]) for each in common}
    if both := given & set(head):
        raise UsageError(f"Input {quoted(min(both))} is a column of the list and an --input as well.")
    cases: list[Case] = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(head) or not all(cell.strip() for cell in row):
            raise UsageError(f"Line {number} of the list does not fill its {len(head)} columns.")
        cells = dict(zip(head, (cell.strip() for cell in row), strict=True))
        name = cells.pop(_NAME_COLUMN, "")
        inputs = (*common, *(parse_input(slug, cell, kinds.get(slug)) for slug, cell in cells.items()))
        cases.append(_case(name or f"line {number}", name, wish, inputs))
    return _apart(cases)


def cases_of_folder(
    folder: Path, wish: Wish, common: Sequence[Input], interfaces: Sequence[Interface], place: Place
) -> list[Case]:
    """The cases of a folder: a file a case, for the one input that no --input gives; or a folder a case, with a file
    for each input, named by its slug (`t1-mri.mha`, `smoothing.json`), or a folder of one image (`t1-mri/`).

    A file goes to PATH/<case>/<its sha256, shortened>/<slug>.<suffix>, the files of a folder below <slug>/: other
    bytes under the same name are another case, and no two cases share a file.

    :raises UsageError: a file belongs to no input, or a case lacks one.
    """
    entries = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    if not entries:
        raise UsageError(f"{quoted(str(folder))} holds no cases.")
    given = {str(each["slug"]) for each in common}
    cases: list[Case] = []
    for entry in entries:
        files = _files_by_slug(entry, given, interfaces)
        name = entry.name if entry.is_dir() else entry.name.partition(".")[0]
        root = f"{place.path.rstrip('/')}/{name}".lstrip("/")
        stored: list[Input] = []
        uploads: list[Upload] = []
        for slug, file in files.items():
            path, sent = _uploads(file, root, slug)
            stored.append({"slug": slug, "store": {"name": place.store, "paths": [path]}})
            uploads += sent
        cases.append(_case(name, name, wish, (*common, *stored), tuple(uploads)))
    return _apart(cases)


def _files_by_slug(entry: Path, given: set[str], interfaces: Sequence[Interface]) -> dict[str, Path]:
    """The files of one case by the input that they are for."""
    known = {socket.slug: socket.kind for interface in interfaces for socket in interface.inputs}
    if entry.is_dir():
        files: dict[str, Path] = {}
        for file in sorted(each for each in entry.iterdir() if not each.name.startswith(".")):
            slug = file.name.partition(".")[0]
            fits = file.is_file() or (file.is_dir() and known.get(slug) in IMAGE_KINDS)
            if slug not in known or slug in files or not fits:
                raise UsageError(
                    f"{quoted(str(file))} is for no input: name the files of a case <slug>.<suffix>; the algorithm "
                    f"has {', '.join(sorted(known))}."
                )
            files[slug] = file
        return files
    missing = {
        socket.slug: socket
        for interface in interfaces
        for socket in interface.inputs
        if socket.slug not in given
    }
    images = [slug for slug, socket in missing.items() if socket.kind in IMAGE_KINDS]
    candidates = list(missing) if len(missing) == 1 else images
    if len(candidates) != 1:
        raise UsageError(
            f"{quoted(str(entry))} could be for any of {', '.join(sorted(missing)) or 'no input'}: give all inputs but "
            "one by --input, or make a folder for each case, with files named <slug>.<suffix>."
        )
    return {candidates[0]: entry}


def _uploads(given: Path, root: str, slug: str) -> tuple[str, list[Upload]]:
    """Where an input is in the store, and the files to send there: one, or all that a folder holds."""
    if given.is_dir():
        files = sorted(file for file in given.rglob("*") if file.is_file())
        hashes = [file_sha256(file) for file in files]
        named = [file.relative_to(given).as_posix() for file in files]
        whole = hashlib.sha256(json.dumps([named, hashes]).encode()).hexdigest()
        folder = f"{root}/{whole[:12]}/{slug}/"
        sent = zip(files, named, hashes, strict=True)
        return folder, [_upload(file, folder + name, sha256) for file, name, sha256 in sent]
    sha256 = file_sha256(given)
    path = f"{root}/{sha256[:12]}/{slug}{''.join(given.suffixes)[-16:]}"
    return path, [_upload(given, path, sha256)]


def _upload(file: Path, path: str, sha256: str) -> Upload:
    if why := check_store_path(path):
        raise UsageError(f"{quoted(str(file))} cannot become {quoted(path)}: {why}")
    return Upload(Source(file, path, file.stat().st_size), sha256)


def _case(
    label: str, name: str, wish: Wish, inputs: tuple[Input, ...], uploads: tuple[Upload, ...] = ()
) -> Case:
    ordered = tuple(sorted(inputs, key=lambda each: str(each["slug"])))
    return Case(label, job_name(wish, name, ordered), ordered, uploads)


def job_name(wish: Wish, case: str, inputs: Sequence[Input]) -> str:
    """The name of a case's job: `<algorithm>-<case>-<hash of all that goes in>`, at most 50 letters."""
    settled = [wish.algorithm, wish.output_store, wish.time_limit_seconds, list(inputs)]
    text = json.dumps(settled, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    tail = hashlib.sha256(text.encode()).hexdigest()[:_HASH]
    head = name_part(wish.algorithm, 20)
    middle = name_part(case, MAX_JOB_NAME - len(head) - _HASH - 2)
    return "-".join(part for part in (head, middle, tail) if part)


def _apart(cases: list[Case]) -> list[Case]:
    if len(cases) > MAX_CASES:
        raise UsageError(f"{len(cases)} cases at once are too many; the limit is {MAX_CASES}.")
    seen: dict[str, Case] = {}
    for case in cases:
        if case.job in seen:
            raise UsageError(f"{quoted(case.name)} and {quoted(seen[case.job].name)} are the same case.")
        seen[case.job] = case
    return cases
