"""The corpus against the real steps: many entries an attempt, each process limited in memory and watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from algorithm_operator.api.kinds import FILE_SUFFIXES, PANIMG_KINDS
from algorithm_operator.contract.failure import Finding
from algorithm_operator.contract.plan import PlannedFile, PlannedInput, PlannedSocket
from tests.hostile.canary import Canary
from tests.hostile.corpus import Entry, Input, Output
from tests.unit.steps.attempt import OPERATOR, Attempt, planned

ADDRESS_SPACE = 2 * 1024**3
"""SimpleITK maps 0.4 GB by being imported; anything that allocates by an image's or a file's own claims hits this."""
PEAK = 320 * 1024**2
"""What one check may allocate (192 MiB), and what collect is with SimpleITK in it; its container has 512 MiB."""
STAGE_PEAK = 1024**3
"""Stage may use what is reserved for the algorithm, here nothing said; images have room for SimpleITK (768 MiB)."""
SECONDS = 60
"""After which a step hangs; each of an attempt's checks has its own limit, which is less."""
# A container of ours has no capabilities; root of a test has all of them, and reads what nobody may read.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []


@dataclass(slots=True)
class Run:
    """What one process left: how it ended, what it told by entry, every text and file, and who opened the secret."""

    code: int
    peak: int
    told: dict[str, list[str]]
    taken: set[str]
    texts: list[bytes]
    leaked: bool
    opened: int
    kept: list[bytes] = field(default_factory=list)
    """What the algorithm would read."""
    unmade: set[str] = field(default_factory=set)
    """Entries that this machine does not let us make."""


def write(entry: Entry, where: Path, canary: Canary) -> bool:
    """Write the entry; whether that could be done."""
    where.parent.mkdir(parents=True, exist_ok=True)
    try:
        entry.write(where, canary.folder)
    except PermissionError:
        return False
    return True


def socket_of(entry: Output) -> PlannedSocket:
    """The socket of an output: its id is its slug."""
    if entry.kind in FILE_SUFFIXES:
        suffix = FILE_SUFFIXES[entry.kind]  # type: ignore[index]
        return planned(entry.id, entry.kind, f"{entry.id}{suffix}", **entry.socket)
    path = entry.socket.get("relative_path") or (
        f"images/{entry.id}" if entry.kind in PANIMG_KINDS else f"{entry.id}.json"
    )
    more = {key: value for key, value in entry.socket.items() if key != "relative_path"}
    return planned(entry.id, entry.kind, path, **more)


def place_of(entry: Output) -> str:
    """Where it is written, below /output."""
    if entry.beside:
        return f"beside/{entry.id}"
    path = socket_of(entry).relative_path
    # "above": the entry is the folder that the path goes through.
    return path.partition("/")[0] if path.startswith("above/") else path


def collect(root: Path, entries: Sequence[Output]) -> Run:
    """One attempt whose algorithm wrote all of `entries` and ended well."""
    attempt, canary = Attempt(root), Canary(root / "outside")
    try:
        attempt.plan.outputs = [socket_of(entry) for entry in entries if not entry.beside]
        for entry in entries:
            attempt.plan.settings.update(entry.settings)
            if entry.alone:  # a check gets ten seconds all the same
                attempt.plan.limits.collect_seconds = 1
        if all(entry.beside for entry in entries):
            attempt.plan.outputs = [planned("results", "Anything")]
            attempt.output("results.json", "1")
        made = {entry.id: write(entry, attempt.at(f"/output/{place_of(entry)}"), canary) for entry in entries}
        attempt.plan.outputs = [each for each in attempt.plan.outputs if made.get(each.slug, True)]
        canary.seen()
        attempt.start_collect(*attempt.measured(ADDRESS_SPACE), *UNPRIVILEGED)
        attempt.connect()
        attempt.say_exit()
        code, report = attempt.end_collect()
        opened = canary.seen()
        stored = attempt.stored()
        findings = (
            [] if code == 0 else [Finding.model_validate(each) for each in attempt.failure()["findings"]]
        )
        texts = [each.message.encode() for each in findings] + [(report.message or "").encode()]
        return Run(
            code=code,
            peak=attempt.peak_bytes,
            told=by_entry(entries, findings),
            taken={each.slug for each in attempt.manifest().outputs} if code == 0 else set(),
            texts=texts,
            leaked=canary.is_in(
                *stored.values(),
                attempt.stdout.encode(),
                attempt.stderr.encode(),
                attempt.termination().encode(),
            ),
            opened=opened,
            unmade={name for name, done in made.items() if not done},
        )
    finally:
        attempt.end()
        canary.close()


def by_entry(entries: Iterable[Output], findings: Iterable[Finding]) -> dict[str, list[str]]:
    """The messages by entry; those that belong to none are under ""."""
    told: dict[str, list[str]] = {}
    for finding in findings:
        owner = next(
            (
                entry.id
                for entry in entries
                if finding.slug == entry.id
                or (entry.beside and (finding.path + "/").startswith(f"{place_of(entry)}/"))
                or finding.path == "/output"
            ),
            "",
        )
        told.setdefault(owner, []).append(finding.message)
    return told


class Staging:
    """Stages inputs one after the other, each in an attempt of its own, by one process that forks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        program = [
            sys.executable,
            str(Path(__file__).with_name("staging.py")),
            str(ADDRESS_SPACE),
            str(SECONDS),
        ]
        self._process = subprocess.Popen(
            [*UNPRIVILEGED, *program],
            env={**os.environ, "PYTHONPATH": str(OPERATOR)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def stage(self, entry: Input) -> Run:
        """Stage one input."""
        assert self._process.stdin
        assert self._process.stdout
        attempt = Attempt(self._root / entry.id)
        file = PlannedFile(
            mount="/stores/0/0", path=entry.path, store="cases", folder=entry.path.endswith("/")
        )
        socket = planned("given", entry.kind, **entry.socket)
        attempt.plan.inputs = [PlannedInput(socket=socket, files=[file])]
        attempt.plan.settings.update(entry.settings)
        attempt.write_plan()
        canary = Canary(attempt.root / "outside")
        try:
            assert write(entry, attempt.at(file.mount), canary)
            canary.seen()
            print(attempt.root, file=self._process.stdin, flush=True)
            ended = json.loads(self._process.stdout.readline())
            opened = canary.seen()
        finally:
            canary.close()
        report = attempt.at("/dev/termination-log")
        termination = report.read_text() if report.exists() else "{}"
        message = json.loads(termination).get("message") or ""
        streams = [(attempt.root / name).read_bytes() for name in ("stdout", "stderr")]
        staged = [each.read_bytes() for each in attempt.at("/input").rglob("*") if each.is_file()]
        return Run(
            code=ended["code"],
            peak=ended["peak"],
            told={"given": [message]} if message else {},
            taken={"given"} if staged else set(),
            texts=[message.encode(), *streams],
            leaked=canary.is_in(*staged, *streams, termination.encode()),
            opened=opened,
            kept=staged,
        )
