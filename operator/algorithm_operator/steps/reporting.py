"""The report of an attempt: each part made in a child of its own. A part that cannot be made is a note, no failure."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from algorithm_operator.api.kinds import PANIMG_KINDS, SocketKind
from algorithm_operator.api.text import shown
from algorithm_operator.contract.manifest import ManifestFile
from algorithm_operator.contract.plan import Plan, PlannedSocket
from algorithm_operator.contract.report import (
    MAX_HTML_BYTES,
    MAX_NOTES,
    MAX_PICTURE_BYTES,
    MAX_REPORT_BYTES,
    PALETTE,
    REPORT,
    Picture,
    Preview,
    Report,
    Segment,
)
from algorithm_operator.steps import charts, pictures, sandbox
from algorithm_operator.steps.commit import AttemptFolder
from algorithm_operator.steps.failures import os_message
from algorithm_operator.steps.outputs import Checked
from algorithm_operator.steps.sandbox import Bounds, Ending
from algorithm_operator.steps.settings import MIB, StepSettings

RESULTS = "results.json"
TEMPLATE_SECONDS, CHART_SECONDS, PREVIEW_SECONDS, ALL_SECONDS = 2.0, 30.0, 30.0, 120.0
RESERVE_SECONDS = 10.0
"""Of the time for collecting, left for the manifest."""
_THUMBNAILS: dict[str, list[str]] = {SocketKind.JPEG: ["JPEG"], SocketKind.PNG: ["PNG"]}
_TEMPLATE_MEMORY, _PREVIEW_MEMORY = 192 * MIB, 256 * MIB
"""Of the 512 MiB that collecting has; the rest is ours, and for what reports of many outputs hold."""


class _NotShownError(Exception):
    """A part cannot be made; why."""


@dataclass(slots=True)
class Reporter:
    """Makes the report of one attempt's checked outputs. `deadline` (time.monotonic) is the end of collecting.

    `input_root`: where the images are that a segmentation lies on, as stage left them.
    """

    plan: Plan
    settings: StepSettings
    input_root: str
    deadline: float
    _notes: list[str] = field(default_factory=list)

    def made(self, checked: Sequence[Checked]) -> Report:
        """The report; it never raises for what an algorithm wrote."""
        self.deadline = min(self.deadline - RESERVE_SECONDS, time.monotonic() + ALL_SECONDS)
        report = Report()
        for each in checked:
            if each.socket.relative_path == RESULTS:
                with self._noted(each.socket):
                    report.results_html = self._results(each)
        for each in checked:
            with self._noted(each.socket):
                if each.socket.kind == SocketKind.CHART:
                    report.charts.append(self._chart(each))
                elif (preview := self._preview(each)) is not None:
                    report.previews.append(preview)
        report.notes = self._notes[:MAX_NOTES]
        return report

    @contextlib.contextmanager
    def _noted(self, socket: PlannedSocket) -> Iterator[None]:
        try:
            yield
        except (_NotShownError, OSError, ValueError) as error:
            self._notes.append(f"{shown(socket.title, 64)} is not shown: {shown(str(error), 300)}.")

    def _results(self, each: Checked) -> str:
        data, template = _content(each), self.plan.result_template
        bounds = self._bounds(TEMPLATE_SECONDS, _TEMPLATE_MEMORY)
        if template is not None:
            try:
                return str(self._child(lambda: _rendered(data, template), bounds, 4 * MAX_HTML_BYTES))
            except _NotShownError as error:
                self._notes.append(
                    f"The Algorithm's resultTemplate does not work with these results: {error}. They are shown as "
                    "they are."
                )
        return str(self._child(lambda: _rendered(data, None), bounds, 4 * MAX_HTML_BYTES))

    def _chart(self, each: Checked) -> Preview:
        data = _content(each)
        bounds = replace(self._bounds(CHART_SECONDS, charts.DATA_BYTES), resident_bytes=charts.RESIDENT_BYTES)
        drawn = self._child(
            lambda: pictures.given(charts.png(data), charts.SCALE), bounds, 2 * MAX_PICTURE_BYTES
        )
        return _preview(each.socket, [drawn])

    def _preview(self, each: Checked) -> Preview | None:
        socket, descriptor = each.socket, each.descriptor
        bounds = self._bounds(PREVIEW_SECONDS, _PREVIEW_MEMORY)
        drawn_as = {
            "segments": socket.kind == SocketKind.SEGMENTATION,
            "heat": socket.kind in (SocketKind.HEAT_MAP, SocketKind.DISPLACEMENT_FIELD),
        }
        formats = _THUMBNAILS.get(socket.kind)
        if socket.kind in PANIMG_KINDS and each.suffix == ".tif":
            formats = ["TIFF"]
        if formats is not None:
            made = self._child(
                lambda: pictures.thumbnail(descriptor, formats, **drawn_as),
                bounds,
                8 * MAX_PICTURE_BYTES,
                [descriptor],
            )
            return _preview(socket, made["pictures"])
        if socket.kind not in PANIMG_KINDS:
            return None
        limit = self.settings.max_image_bytes
        with self._below(socket) as below:
            made = self._child(
                lambda: pictures.orthogonal(descriptor, below, max_voxel_bytes=limit, **drawn_as),
                bounds,
                8 * MAX_PICTURE_BYTES,
                [descriptor] if below is None else [descriptor, below],
            )
        name = shown(socket.overlay_of or "", 64)
        caption = f"Shown on {name}." if made["below"] else ""
        if below is not None and not made["below"]:
            caption = f"Not of the same size as {name}, so not shown on it."
        return _preview(socket, made["pictures"], caption)

    @contextlib.contextmanager
    def _below(self, socket: PlannedSocket) -> Iterator[int | None]:
        """The image that an output lies on, open; None if it is not one .mha file."""
        file = self._staged(socket.overlay_of)
        if file is None:
            yield None
            return
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _staged(self, slug: str | None) -> str | None:
        for given in self.plan.inputs:
            if given.socket.slug == slug and given.socket.kind in PANIMG_KINDS:
                folder = os.path.join(self.input_root, given.socket.relative_path)
                names = os.listdir(folder)
                if len(names) == 1 and names[0].endswith(".mha"):
                    return os.path.join(folder, names[0])
        return None

    def _bounds(self, seconds: float, memory: int) -> Bounds:
        return Bounds(memory, min(seconds, self.deadline - time.monotonic()))

    def _child(
        self, function: Callable[[], Any], bounds: Bounds, max_result: int, descriptors: Sequence[int] = ()
    ) -> Any:
        """What `function` returns.

        :raises _NotShownError: it did not, in time and memory.
        """
        if bounds.seconds < 1:
            raise _NotShownError("there was no time left for it")
        outcome = sandbox.run(function, bounds, max_result, descriptors=descriptors)
        match outcome.ending:
            case Ending.DONE:
                return outcome.value
            case Ending.OUT_OF_MEMORY:
                raise _NotShownError("it takes too much memory")
            case Ending.TIMED_OUT:
                raise _NotShownError("it takes too long")
        _, _, why = outcome.detail.partition(": ")
        if not why:
            why = f"what draws it gave up ({outcome.detail}), most likely for want of memory"
        raise _NotShownError(shown(why, 200).rstrip("."))


def keep(folder: AttemptFolder | None, reporter: Reporter, checked: Sequence[Checked]) -> ManifestFile | None:
    """Make the report and keep it in the attempt's folder; None where there is nothing to show, or no folder.

    Whatever goes wrong, the outputs are worth more than it.
    """
    if folder is None:
        return None
    try:
        report = reporter.made(checked)
        data = wire(report) if report != Report() else None
    except Exception as error:
        data = wire(Report(notes=[f"The report could not be made: {shown(repr(error), 500)}"]))
    try:
        return folder.keep_bytes(REPORT, data) if data is not None else None
    except OSError as error:
        print(f"there is no report: {os_message(error)}", file=sys.stderr, flush=True)
        return None


def wire(report: Report) -> bytes:
    """The report as _report.json. What is too much of it gives way to a note, the largest preview first."""
    while True:
        data = report.model_dump_json(by_alias=True, exclude_none=True).encode()
        if len(data) <= MAX_REPORT_BYTES:
            return data
        everything = [*report.previews, *report.charts]
        largest = max(everything, key=lambda each: sum(len(picture.png) for picture in each.pictures))
        for parts in (report.previews, report.charts):
            if largest in parts:
                parts.remove(largest)
        report.notes = [*report.notes, f"{largest.title} is not shown: the report would be too large."][
            -MAX_NOTES:
        ]


def _rendered(data: bytes, template: str | None) -> str:
    # Jinja takes a while to import, and the algorithm waits for the collector's start.
    from algorithm_operator.steps import rendering

    return rendering.rendered(data, template)


def _content(each: Checked) -> bytes:
    return os.pread(each.descriptor, each.size, 0)


def _preview(socket: PlannedSocket, drawn: Sequence[dict[str, Any]], caption: str = "") -> Preview:
    legend = [
        Segment(name=shown(segment.name, 64), colour=(segment.voxel_value - 1) % len(PALETTE))
        for segment in (socket.overlay_segments or [])[:64]
    ]
    return Preview(
        slug=socket.slug,
        title=shown(socket.title, 64),
        pictures=[Picture.model_validate(each) for each in drawn],
        legend=legend,
        caption=caption,
    )
