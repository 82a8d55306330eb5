"""The report of an attempt: what is made of each output, and that nothing which goes wrong is more than a note."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.contract.plan import PlannedInput, PlannedSocket
from algorithm_operator.contract.png import drawable
from algorithm_operator.contract.report import MAX_REPORT_BYTES, Picture, Preview, Report
from algorithm_operator.steps import pictures, planes, reporting
from algorithm_operator.steps.commit import AttemptFolder
from algorithm_operator.steps.outputs import Checked
from algorithm_operator.steps.reporting import RESERVE_SECONDS, Reporter, wire
from algorithm_operator.steps.settings import StepSettings
from tests.unit.steps.attempt import Attempt, planned
from tests.unit.steps.mha import compressed, mha

SEGMENTS = [OverlaySegment(name="CSF", voxel_value=1), OverlaySegment(name="Grey matter", voxel_value=2)]
CHART = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": [{"tissue": "CSF", "ml": 281}, {"tissue": "GM", "ml": 883}]},
    "mark": "bar",
    "encoding": {"x": {"field": "ml", "type": "quantitative"}, "y": {"field": "tissue", "type": "nominal"}},
}


class Outputs:
    """Checked outputs of an attempt, and its report."""

    def __init__(self, attempt: Attempt, root: Path) -> None:
        self.attempt, self.root = attempt, root
        self.checked: list[Checked] = []
        self.opened = ExitStack()
        self.seconds = 600.0

    def add(self, socket: PlannedSocket, data: bytes, suffix: str = ".json") -> None:
        path = self.root / f"{socket.slug}{suffix}"
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        self.opened.callback(os.close, descriptor)
        self.checked.append(Checked(socket, descriptor, len(data), suffix))

    def results(self, value: Any, template: str | None = None) -> None:
        self.attempt.plan.result_template = template
        self.add(planned("results", "Anything", "results.json"), json.dumps(value).encode())

    def staged(self, slug: str, data: bytes) -> None:
        folder = self.attempt.at(f"/input/images/{slug}")
        folder.mkdir(parents=True)
        (folder / "0.mha").write_bytes(data)
        self.attempt.plan.inputs.append(PlannedInput(socket=planned(slug, "Image"), files=[]))

    @property
    def reporter(self) -> Reporter:
        return Reporter(
            self.attempt.plan, StepSettings(), self.attempt.roots.input, time.monotonic() + self.seconds
        )

    def report(self) -> Report:
        return self.reporter.made(self.checked)


@pytest.fixture
def outputs(attempt: Attempt, tmp_path: Path) -> Iterator[Outputs]:
    root = tmp_path / "outputs"
    root.mkdir()
    made = Outputs(attempt, root)
    with made.opened:
        yield made


def image_of(picture: Picture) -> Image.Image:
    png = base64.b64decode(picture.png)
    assert drawable(png) is not None
    return Image.open(io.BytesIO(png)).convert("RGB")


def segmentation(overlay_of: str | None = None) -> PlannedSocket:
    return planned("tissues", "Segmentation", overlay_segments=SEGMENTS, overlay_of=overlay_of)


def test_results_through_the_template(outputs: Outputs) -> None:
    outputs.results({"ml": 883.3}, "Grey matter: **{{ results.ml }}** mL")
    report = outputs.report()
    assert report.results_html == "<p>Grey matter: <strong>883.3</strong> mL</p>\n"
    assert report.notes == []


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ results.missing }}", "'dict object' has no attribute 'missing'"),
        ("{{ results.", "expected name or number"),
        ("{{ 'x' * 10**9 }}", "it takes too much memory"),
        ("{{ 10 ** (10 ** 10) }}", "it takes too long"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "it takes too long",
        ),
        ("{% for a in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}", "it writes more than"),
        ("{% include '/etc/passwd' %}", "no loader"),
    ],
    ids=["not there", "broken", "memory", "endless arithmetic", "endless loop", "too long", "a file"],
)
def test_a_template_that_fails_is_a_note_and_the_results_are_shown(
    outputs: Outputs, template: str, why: str
) -> None:
    outputs.results({"ml": 883.3}, template)
    report = outputs.report()
    (note,) = report.notes
    assert why in note
    assert report.results_html is not None
    assert '"ml": 883.3' in report.results_html.replace("&quot;", '"')


def test_a_segmentation_on_its_image_in_its_colours(outputs: Outputs) -> None:
    outputs.staged("t1-mri", mha(bytes([100] * 24)))
    outputs.add(segmentation("t1-mri"), compressed(bytes([0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0] * 2)), ".mha")
    (preview,) = outputs.report().previews
    assert [picture.label for picture in preview.pictures] == ["Axial", "Coronal", "Sagittal"]
    assert [(segment.name, segment.colour) for segment in preview.legend] == [("CSF", 0), ("Grey matter", 1)]
    assert preview.caption == "Shown on t1-mri."
    axial = image_of(preview.pictures[0])
    assert axial.size == (320, 240)
    orange, blue, grey = (axial.getpixel(at) for at in ((120, 120), (200, 120), (40, 40)))
    assert isinstance(orange, tuple)
    assert isinstance(blue, tuple)
    assert isinstance(grey, tuple)
    assert orange[0] > orange[2]
    assert blue[2] > blue[0]
    assert grey[0] == grey[1] == grey[2]


@pytest.mark.parametrize("overlay_of", [None, "t1-mri", "elsewhere"])
def test_a_segmentation_alone(outputs: Outputs, overlay_of: str | None) -> None:
    outputs.staged("t1-mri", mha(bytes(60), DimSize="5 4 3"))
    outputs.add(segmentation(overlay_of), mha(bytes([1] * 24)), ".mha")
    (preview,) = outputs.report().previews
    assert preview.caption.startswith("Not of the same size") == (overlay_of == "t1-mri")
    assert image_of(preview.pictures[0]).getpixel((0, 0)) == (230, 159, 0)


def test_the_patients_left_is_on_the_right_and_superior_above(outputs: Outputs) -> None:
    """One bright voxel: left, anterior, superior, in a file whose axes run the other way."""
    voxels = bytearray(24)
    voxels[0 + 4 * 2 + 12 * 0] = 255
    matrix = "-1 0 0 0 -1 0 0 0 -1"
    outputs.add(
        planned("spot", "Segmentation", overlay_segments=[OverlaySegment(name="x", voxel_value=255)]),
        mha(bytes(voxels), TransformMatrix=matrix),
        ".mha",
    )
    (preview,) = outputs.report().previews
    axial, coronal, sagittal = (image_of(picture) for picture in preview.pictures)

    def lit(image: Image.Image, across: float, down: float) -> bool:
        return image.getpixel((int(across * image.width), int(down * image.height))) != (0, 0, 0)

    assert lit(axial, 0.99, 0.01)  # left, anterior
    assert not lit(axial, 0.01, 0.01)
    assert not lit(axial, 0.99, 0.99)
    assert lit(coronal, 0.99, 0.01)  # left, superior
    assert not lit(coronal, 0.99, 0.99)
    assert lit(sagittal, 0.01, 0.01)  # anterior, superior
    assert not lit(sagittal, 0.99, 0.01)


def test_spacing_gives_the_shape(outputs: Outputs) -> None:
    outputs.add(planned("scan", "Image"), mha(bytes(24), ElementSpacing="1 1 10"), ".mha")
    (preview,) = outputs.report().previews
    assert [(picture.width, picture.height) for picture in preview.pictures] == [
        (64, 48),
        (64, 320),
        (48, 320),
    ]


@pytest.mark.parametrize("element", ["MET_FLOAT", "MET_DOUBLE"])
def test_numbers_that_are_none_are_dark(outputs: Outputs, element: str) -> None:
    size = 4 if element == "MET_FLOAT" else 8
    outputs.add(
        planned("scan", "Heat Map", "images/scan"), mha(b"\xff" * 24 * size, ElementType=element), ".mha"
    )
    report = outputs.report()
    assert report.notes == []
    assert image_of(report.previews[0].pictures[0]).getpixel((0, 0)) == (0, 0, 0)


def test_thumbnails_and_tiffs(outputs: Outputs) -> None:
    for kind, format_, suffix in (
        ("Thumbnail png", "PNG", ".png"),
        ("Thumbnail jpg", "JPEG", ".jpeg"),
        ("Image", "TIFF", ".tif"),
    ):
        data = io.BytesIO()
        Image.new("RGB", (40, 20), "#0072b2").save(data, format_)
        outputs.add(planned(f"a-{format_.lower()}", kind), data.getvalue(), suffix)
    report = outputs.report()
    assert report.notes == []
    assert [(preview.pictures[0].width, preview.pictures[0].height) for preview in report.previews] == [
        (40, 20)
    ] * 3


def test_a_flat_segmentation_and_numbers_of_16_bits(outputs: Outputs) -> None:
    labels, grey = io.BytesIO(), io.BytesIO()
    Image.frombytes("L", (2, 1), bytes([1, 2])).save(labels, "TIFF")
    Image.frombytes("I;16", (2, 1), b"\x00\x01\x00\x02").save(grey, "TIFF")
    outputs.add(segmentation(), labels.getvalue(), ".tif")
    outputs.add(planned("scan", "Image"), grey.getvalue(), ".tif")
    report = outputs.report()
    assert report.notes == []
    tissues, scan = (image_of(preview.pictures[0]) for preview in report.previews)
    assert [tissues.getpixel((x, 0)) for x in (0, 1)] == [(230, 159, 0), (86, 180, 233)]
    assert [scan.getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0), (255, 255, 255)]


def test_a_chart(outputs: Outputs) -> None:
    outputs.add(planned("volumes", "Chart"), json.dumps(CHART).encode())
    report = outputs.report()
    assert report.notes == []
    ((picture,),) = [chart.pictures for chart in report.charts]
    image = image_of(picture)
    assert image.width == pytest.approx(2 * picture.width, abs=1)


@pytest.mark.parametrize(
    ("chart", "why"),
    [
        ({**CHART, "data": {"url": "https://example.org/x.csv"}}, "it takes data from a URL"),
        ({**CHART, "data": {"url": "file:///etc/passwd"}}, "it takes data from a URL"),
        ({**CHART, "layer": [{"mark": {"type": "image", "url": "x"}}]}, "it takes data from a URL"),
        ([], "it is no object"),
        ({"mark": 3}, "it is no Vega-Lite specification that can be drawn"),
        ({**CHART, "data": {"sequence": {"start": 0, "stop": 10**9}}}, "memory"),
    ],
    ids=["data of a host", "data of a file", "a picture of a host", "a list", "no mark", "too large"],
)
def test_a_chart_that_cannot_be_drawn_is_a_note(outputs: Outputs, chart: Any, why: str) -> None:
    outputs.add(planned("volumes", "Chart"), json.dumps(chart).encode())
    report = outputs.report()
    assert report.charts == []
    (note,) = report.notes
    assert note.startswith("volumes is not shown: ")
    assert why in note


def test_a_chart_that_nobody_could_hold_is_not_shown() -> None:
    drawn = io.BytesIO()
    Image.new("1", (4001, 4000)).save(drawn, "PNG")
    assert drawable(drawn.getvalue()) is None
    with pytest.raises(planes.NoPlanesError, match="its picture is too large"):
        pictures.given(drawn.getvalue(), 2.0)


@pytest.mark.parametrize(
    ("kind", "suffix", "data"),
    [
        ("Image", ".mha", b"garbage"),
        ("Image", ".mha", mha(bytes(5))),
        ("Image", ".tif", b"II*\0garbage"),
        ("Thumbnail png", ".png", b"<svg/>"),
        ("Thumbnail jpg", ".jpeg", b"\xff\xd8\xff"),
    ],
    ids=["garbage for MetaImage", "too few voxels", "garbage for TIFF", "SVG for PNG", "a cut JPEG"],
)
def test_a_file_that_cannot_be_drawn_is_a_note(outputs: Outputs, kind: str, suffix: str, data: bytes) -> None:
    outputs.results({"a": 1})
    outputs.add(planned("bad", kind), data, suffix)
    report = outputs.report()
    assert report.results_html is not None
    assert report.previews == []
    assert len(report.notes) == 1
    assert report.notes[0].startswith("bad is not shown: ")


def test_no_time_left_is_a_note(outputs: Outputs) -> None:
    outputs.seconds = RESERVE_SECONDS
    outputs.results({"a": 1})
    outputs.add(planned("scan", "Image"), mha(bytes(24)), ".mha")
    report = outputs.report()
    assert (report.results_html, report.previews) == (None, [])
    assert all("there was no time left for it" in note for note in report.notes)


def test_a_report_that_breaks_is_a_report_of_that(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch, attempt: Attempt
) -> None:
    def broken(*_: object) -> Report:
        raise RuntimeError("of our own \x1b")

    monkeypatch.setattr(Reporter, "made", broken)
    folder = AttemptFolder(attempt.roots.store)
    kept = reporting.keep(folder, outputs.reporter, [])
    assert kept is not None
    assert "of our own" in attempt.stored()[kept.path].decode()
    assert reporting.keep(None, outputs.reporter, []) is None
    folder.close()


def test_a_report_that_is_no_text_is_a_report_of_that(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch, attempt: Attempt
) -> None:
    """As only a child could answer that is not ours any more."""
    monkeypatch.setattr(Reporter, "made", lambda *_: Report.model_construct(results_html="\ud800", notes=[]))
    folder = AttemptFolder(attempt.roots.store)
    kept = reporting.keep(folder, outputs.reporter, [])
    assert kept is not None
    assert "The report could not be made" in attempt.stored()[kept.path].decode()
    folder.close()


def test_nothing_to_show_is_no_file(outputs: Outputs, attempt: Attempt) -> None:
    outputs.add(planned("score", "Float"), b"1.5")
    folder = AttemptFolder(attempt.roots.store)
    assert reporting.keep(folder, outputs.reporter, outputs.checked) is None
    assert attempt.stored() == {}
    folder.close()


def test_a_report_that_would_be_too_large_gives_up_pictures() -> None:
    def preview(slug: str, size: int) -> Preview:
        return Preview(
            slug=slug,
            title=slug,
            pictures=[Picture(label="", png="A" * size, width=1, height=1)],
        )

    half = MAX_REPORT_BYTES // 2
    report = Report(previews=[preview("a", half), preview("b", half + 1), preview("c", 100)])
    data = wire(report)
    assert len(data) <= MAX_REPORT_BYTES
    found = Report.model_validate_json(data)
    assert [each.slug for each in found.previews] == ["a", "c"]
    assert found.notes == ["b is not shown: the report would be too large."]
