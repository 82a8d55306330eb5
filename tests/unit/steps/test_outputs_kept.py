"""What is kept of outputs: each under its slug with the suffix of its form, and in the manifest where it lies."""

from __future__ import annotations

from algorithm_operator.steps.tiff import Tag
from tests.unit.steps.attempt import Attempt, planned
from tests.unit.steps.files import PDF
from tests.unit.steps.mha import mha
from tests.unit.steps.test_attempt import SEGMENTS, add_image
from tests.unit.steps.tiffs import SHORT, Page, tiff


def test_each_form_keeps_its_suffix_and_a_warning_is_no_failure(attempt: Attempt) -> None:
    add_image(attempt, mha(ElementSpacing="1 1 5"))
    attempt.plan.outputs += [
        planned("heat", "Heat Map", overlay_of="t1-mri", geometry_check="Warn"),
        planned("slide", "Segmentation", overlay_segments=SEGMENTS),
        planned("letter", "PDF file", "deep/letter.pdf"),
        planned("report", "Multiple points", "places.json"),
    ]
    slide = tiff(Page(changes={Tag.MINIMUM: (SHORT, [0]), Tag.MAXIMUM: (SHORT, [2])}))
    points = '{"type": "Multiple points", "points": [], "version": {"major": 1, "minor": 0}}'
    attempt.output("images/heat/x.mha", mha())
    attempt.output("images/slide/x.tiff", slide)
    attempt.output("deep/letter.pdf", PDF)
    attempt.output("places.json", points)
    assert attempt.stage()[0] == 0, attempt.stderr

    code, _ = attempt.collect()

    assert code == 0, attempt.stderr
    kept = attempt.stored()
    del kept["manifest.json"], kept["_report.json"]
    assert kept == {
        "heat.mha": mha(),
        "slide.tif": slide,
        "letter.pdf": PDF,
        "report.json": points.encode(),
    }
    outputs = {each.slug: each for each in attempt.manifest().outputs}
    (warning,) = outputs["heat"].warnings
    assert 'input "t1-mri": its spacing is (1, 1, 1) mm, not (1, 1, 5) mm' in warning
    assert outputs["slide"].image is not None
    assert outputs["slide"].image.size == [4, 3]
    assert not any(outputs[slug].has_value for slug in outputs)


def test_an_overlay_elsewhere_fails_with_both_numbers(attempt: Attempt) -> None:
    add_image(attempt, mha(Offset="-10 2.5 7"))
    attempt.plan.outputs.append(
        planned("mask", "Segmentation", overlay_of="t1-mri", overlay_segments=SEGMENTS)
    )
    attempt.output("images/mask/x.mha", mha())
    assert attempt.stage()[0] == 0, attempt.stderr
    code, report = attempt.collect()
    assert (code, report.reason, report.findings) == (65, "OutputInvalid", 1)
    assert report.message == (
        'mask: The image produced in "images/mask" is not valid. It does not lie on input "t1-mri": its origin is '
        "(0, 0, 0) mm, not (-10, 2.5, 7) mm. With SimpleITK, before it is written: output.CopyInformation(input)."
    )
    assert set(attempt.stored()) == {"failure.json"}
