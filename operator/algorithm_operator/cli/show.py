"""Tables and bars. What comes from people or algorithms passes `text` before it reaches a terminal."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from algorithm_operator.api.job import State
from algorithm_operator.api.text import shown
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.explain import Explanation, waits_for, warning, warnings
from algorithm_operator.cli.jobs import Job, input_place
from algorithm_operator.cli.progress import Moment, clock
from algorithm_operator.cli.results import Fetched
from algorithm_operator.core.facts import moment

# A pipe has no width: lines stay whole there, for grep and awk.
out = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 4096)
err = Console(stderr=True, highlight=False, emoji=False, width=None if sys.stderr.isatty() else 4096)

_STYLE = {
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.CANCELLED: "yellow",
    State.RUNNING: "cyan",
    State.STAGING: "cyan",
    State.COLLECTING: "cyan",
}


class Output(StrEnum):
    """How a result is written: for people or for programs."""

    TABLE = "table"
    JSON = "json"


def output_of(word: str) -> Output:
    """What `--output` says.

    :raises UsageError: neither.
    """
    if word not in set(Output):
        raise UsageError(f"--output is table or json, not {word!r}.")
    return Output(word)


def text(value: object, limit: int = 256) -> str:
    """Anything, safe for rich's markup and for a terminal."""
    return escape(shown(str(value), limit))


def state(word: str | None) -> str:
    """A state in its colour."""
    word = word or State.PENDING
    style = _STYLE.get(State(word)) if word in set(State) else None
    return f"[{style}]{text(word)}[/]" if style else text(word)


def size(count: int | None) -> str:
    """Bytes for people: 4.2 MB."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def age(created: str, now: datetime) -> str:
    """How long ago, roughly, as kubectl says it."""
    since = moment(created)
    seconds = max(0, int((now - since).total_seconds())) if since else 0
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def jobs(found: Sequence[Job]) -> None:
    """The table of `get`."""
    table = table_of("NAME", "ALGORITHM", "STATE", "REASON", "RAN", "AGE")
    now = datetime.now(UTC)
    for job in sorted(found, key=lambda each: each.created_at):
        ran = job.status.timing.ran_seconds if job.status.timing else None
        held = waits_for(job)
        reason = held.reason if held else job.status.reason or ""
        if warned := warnings(job):
            reason += f" ({', '.join(warned)})"
        table.add_row(
            text(job.name),
            text(job.spec.algorithm_ref.name),
            state(job.status.state),
            text(reason),
            f"{ran:g} s" if ran is not None else "",
            age(job.created_at, now),
        )
    out.print(table)


def job(one: Job) -> None:
    """One job in detail: what it was given, how far it is, what came out."""
    status, run = one.status, one.status.algorithm
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_row("job", f"{text(one.name)}  (uid {text(one.uid)})")
    grid.add_row(
        "algorithm", text(one.spec.algorithm_ref.name) + (f"  {text(run.image, 700)}" if run else "")
    )
    if one.spec.requested_by is not None:
        grid.add_row("requested by", text(one.spec.requested_by))
    for each in one.spec.inputs:
        grid.add_row(f"input {text(each.slug)}", text(input_place(each) or _json(each.value), 500))
    grid.add_row("state", state(status.state))
    held = waits_for(one)
    if held is not None:
        grid.add_row("waits for", text(held.message or held.reason, 2048))
    elif status.message:
        grid.add_row("message", text(status.message, 1024))
    if status.blame:
        grid.add_row("blame", text(status.blame))
    if (warned := warning(one)) is not None:
        grid.add_row("[yellow]warning[/]", text(warned, 2048))
    for attempt in status.attempts:
        node = f" on {text(attempt.node)}" if attempt.node else ""
        grid.add_row(f"attempt {attempt.number}", f"{text(attempt.pod)}{node}  {text(attempt.reason or '')}")
    if status.manifest is not None and status.manifest.path:
        grid.add_row("manifest", f"{text(one.output_store or '')}:{text(status.manifest.path, 1024)}")
    out.print(grid)
    if status.outputs:
        out.print()
        out.print(outputs(one))


def outputs(one: Job) -> Table:
    """The outputs of a job."""
    table = table_of("OUTPUT", "KIND", "SIZE", "SHA256", "VALUE OR IMAGE")
    for each in one.status.outputs:
        what = ""
        if each.image is not None:
            shape = "×".join(str(n) for n in each.image.size)
            spacing = "×".join(f"{mm:g}" for mm in each.image.spacing)
            what = f"{shape} voxels of {spacing} mm, {each.image.pixel_type}"
        elif "value" in each.model_fields_set:
            what = _json(each.value)
        table.add_row(
            text(each.slug),
            text(each.kind),
            size(each.bytes),
            text((each.sha256 or "")[:16]),
            text(what, 500),
        )
    return table


def fetched(files: Sequence[Fetched]) -> None:
    """The table of `download`."""
    table = table_of("FILE", "SIZE", "SHA256", "CHECKED AGAINST")
    for each in files:
        table.add_row(text(each.path, 1024), size(each.bytes), each.sha256[:16], each.checked_by)
    out.print(table)


def cases(rows: Sequence[tuple[str, str, Job | None]]) -> None:
    """The table at the end of `run --each`: case, the name of its job, the job (None: not looked at, or deleted)."""
    table = table_of("CASE", "JOB", "STATE", "MESSAGE")
    for name, job_name, one in rows:
        word, message = (state(one.status.state), one.status.message or "") if one else ("", "")
        table.add_row(text(name), text(job_name), word, text(message, 500))
    out.print(table)


@contextmanager
def counting(total: int) -> Iterator[Callable[[Sequence[str]], None]]:
    """How many of many jobs are in which state: a line that changes on a terminal, a line a change elsewhere."""
    last = ""
    with err.status("") if err.is_terminal else nullcontext() as status:

        def draw(states: Sequence[str]) -> None:
            nonlocal last
            counts = ", ".join(f"{count} {word}" for word, count in sorted(Counter(states).items()))
            gone = f", {total - len(states)} deleted" if len(states) < total else ""
            line = f"{total} jobs: {counts}{gone}"
            if status is not None:
                status.update(escape(line))
            elif line != last:
                err.print(escape(line))
            last = line

        yield draw


def note(line: str) -> None:
    """A remark beside the result."""
    err.print(escape(line), style="dim")


def explanation(found: Explanation) -> None:
    """What `explain` prints."""
    out.print(f"[bold]verdict[/]   {escape(found.verdict)}")
    if found.fault:
        out.print(f"[bold]fault of[/]  {escape(found.fault)}")
    if found.warning:
        out.print(f"[bold yellow]warning[/]   {escape(found.warning)}")
    for line in found.evidence:
        out.print(f"[bold]evidence[/]  {escape(line)}")
    if found.advice:
        out.print(f"[bold]to do[/]     {escape(found.advice)}")


@contextmanager
def following(name: str) -> Iterator[Callable[[Moment], None]]:
    """Draw a job's progress: in place on a terminal, a line a change elsewhere."""
    if not err.is_terminal:
        last = ""

        def line(now: Moment) -> None:
            nonlocal last
            if now.line != last:
                last = now.line
                err.print(f"{escape(name)}: {escape(now.line)}")

        yield line
        return
    with Live(console=err, refresh_per_second=8, transient=True) as live:
        spinner = Spinner("dots")

        def redraw(now: Moment) -> None:
            spinner.update(text=Text.from_markup(f"{escape(name)}  {state(now.state)}", emoji=False))
            parts: list[Any] = [spinner]
            if now.used_seconds is not None and now.limit_seconds:
                grid = Table.grid(padding=(0, 1))
                bar = ProgressBar(
                    total=now.limit_seconds, completed=min(now.used_seconds, now.limit_seconds), width=40
                )
                grid.add_row(
                    "  time limit", bar, f"{clock(now.used_seconds)} of {clock(now.limit_seconds)} used"
                )
                parts.append(grid)
            if now.waits_for:
                parts.append(Text(f"  {now.waits_for}", style="yellow"))
            live.update(Group(*parts))

        yield redraw


@contextmanager
def transferring() -> Iterator[Callable[[str, int | None], Callable[[int], None]]]:
    """A bar a file: call with name and size in bytes; what comes back takes the bytes that are there by now."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:

        def begin(name: str, total: int | None) -> Callable[[int], None]:
            task = bars.add_task(text(name, 60), total=total)
            return lambda done: bars.update(task, completed=done)

        yield begin


def table_of(*columns: str) -> Table:
    """An empty table with that head line, for people and for awk."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_json(body: Mapping[str, Any]) -> None:
    """An object as the API server has it, for programs."""
    sys.stdout.write(json.dumps(body, indent=2) + "\n")
