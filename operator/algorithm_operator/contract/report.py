"""_report.json: what the results of a job look like. Made in the sealed Pod, read by whoever draws a page of it.

It is data of the algorithm like every other output: readers check and clean it again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import Model

REPORT = "_report.json"
"""In the attempt's folder; no output has that name, for no slug begins so."""
MAX_REPORT_BYTES = 16 * 1024 * 1024
MAX_PICTURE_BYTES = 1024 * 1024
MAX_HTML_BYTES = 1024 * 1024
"""Of the rendered template."""
MAX_NOTES = 64

PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Colours of segments, in turn: told apart by colour-blind people too. Source: Okabe and Ito, 2008."""


class Picture(Model):
    """A PNG, as base64. `label` says which plane it is; `width` and `height` are in pixels of a page."""

    label: str
    png: str
    width: Annotated[int, Field(ge=1, le=4096)]
    height: Annotated[int, Field(ge=1, le=4096)]


class Segment(Model):
    """An entry of a legend: the name, and the place of its colour in PALETTE."""

    name: str
    colour: Annotated[int, Field(ge=0, lt=len(PALETTE))]


class Preview(Model):
    """An image output, or a chart, as pictures."""

    slug: str
    title: str
    pictures: Annotated[list[Picture], Field(max_length=3)]
    legend: Annotated[list[Segment], Field(max_length=64)] = []
    caption: str = ""
    """What the pictures are of, such as the image that a segmentation lies on."""


class Report(Model):
    """What is shown of the outputs. Texts are display-safe as they are made, which nobody has to believe."""

    schema_: Annotated[Literal["algorithm-operator.dev/report/v1"], Field(alias="schema")] = (
        "algorithm-operator.dev/report/v1"
    )
    results_html: str | None = None
    """results.json through the Algorithm's template, as a cleaned HTML fragment (`contract/markup.py`)."""
    previews: Annotated[list[Preview], Field(max_length=32)] = []
    charts: Annotated[list[Preview], Field(max_length=32)] = []
    notes: Annotated[list[str], Field(max_length=MAX_NOTES)] = []
    """What is not shown, and why."""
