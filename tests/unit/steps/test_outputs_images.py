"""Image outputs: the one image of a folder, of its socket's kind, in the place of the input that it lies on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.messages import MAX_IMAGE_FILES
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps.tiff import Tag
from tests.unit.steps.attempt import planned
from tests.unit.steps.inspected import inspected, write
from tests.unit.steps.mha import compressed, mha
from tests.unit.steps.tiffs import SHORT, Page, tiff

SEGMENTS = [OverlaySegment(name="CSF", voxel_value=1), OverlaySegment(name="Grey matter", voxel_value=2)]
FIELD = {
    "NDims": "4",
    "DimSize": "2 2 2 3",
    "ElementSpacing": "1 1 1 1",
    "Offset": "0 0 0 0",
    "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
}


def tagged(least: int, most: int, **page: Any) -> bytes:
    return tiff(Page(changes={Tag.MINIMUM: (SHORT, [least]), Tag.MAXIMUM: (SHORT, [most])}, **page))


@pytest.mark.parametrize(
    ("name", "data", "suffix", "size"),
    [
        ("any.mha", mha(), ".mha", [4, 3, 2]),
        ("any.MHA", compressed(), ".mha", [4, 3, 2]),
        ("any.tif", tiff(), ".tif", [4, 3]),
        ("any.TIFF", tiff(Page(), big=True), ".tif", [4, 3]),
        ("deep/down/any.mha", mha(), ".mha", [4, 3, 2]),
    ],
)
@pytest.mark.parametrize("kind", ["Image", "Heat Map"])
def test_an_image_is_taken_whatever_its_name(
    tmp_path: Path, name: str, data: bytes, suffix: str, size: list[int], kind: str
) -> None:
    write(tmp_path, f"images/out/{name}", data)
    found = inspected(tmp_path, planned("out", kind))
    assert not found.findings
    out = found.checked["out"]
    assert out.image is not None
    assert (out.suffix, out.size, out.image.size) == (suffix, len(data), size)


def test_other_files_beside_the_image_are_counted_and_dropped(tmp_path: Path) -> None:
    write(tmp_path, "images/out/x.mha", mha())
    write(tmp_path, "images/out/notes.txt", "hello")
    write(tmp_path, "debug/x.png", "12345")
    found = inspected(tmp_path, planned("out", "Image"))
    assert not found.findings
    assert (found.undeclared.files, found.undeclared.bytes) == (2, 10)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({}, 'Output directory "images/out" is empty', id="empty"),
        pytest.param({"out/": None}, 'Output directory "images/out" is empty', id="empty folder"),
        pytest.param(
            {f"out/{number}.txt": b"" for number in range(MAX_IMAGE_FILES + 1)},
            'Too many files produced in "images/out"',
            id="many files",
        ),
        pytest.param(
            {"out/x.nii.gz": b"", "out/y.mhd": b""},
            'No output images could be imported from "images/out". "',
            id="other formats",
        ),
        pytest.param(
            {"out/x.mha": b"\x89PNG"},
            'No output images could be imported from "images/out". "images/out/x.mha": it does not begin with a '
            "MetaImage header.",
            id="no MetaImage",
        ),
        pytest.param(
            {"out/x.tif": mha()},
            'No output images could be imported from "images/out". "images/out/x.tif": it does not begin with a '
            "TIFF header.",
            id="a MetaImage named .tif",
        ),
        pytest.param(
            {"out/x.tif": tiff(Page(changes={Tag.X_RESOLUTION: None}))},
            'No output images could be imported from "images/out". "images/out/x.tif": Not a valid tif: Voxel width '
            "could not be determined",
            id="no resolution",
        ),
        pytest.param(
            {"out/x.mha": mha(), "out/y.mha": b"", "out/z/x.tif": tiff()},
            'Only 1 image should be produced in "images/out", we found 3',
            id="three",
        ),
        pytest.param(
            {"out/x.mha": mha(bytes(48), ElementNumberOfChannels="2")},
            'No output images could be imported from "images/out". "images/out/x.mha" has 2 numbers a voxel',
            id="two components",
        ),
        pytest.param({"out": b"x"}, 'The output "images/out" is a file, not a folder', id="a file"),
    ],
)
def test_no_image_to_take(tmp_path: Path, files: dict[str, bytes | None], message: str) -> None:
    for name, data in files.items():
        if data is None:
            (tmp_path / "images" / name).mkdir(parents=True)
        else:
            write(tmp_path, f"images/{name}", data)
    assert inspected(tmp_path, planned("out", "Image")).message.startswith(message)


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    for name in ("a.nii", "b.png", "c\n.raw", "d.raw", "e.raw"):
        write(tmp_path, f"images/out/{name}", b"")
    message = inspected(tmp_path, planned("out", "Image")).message
    assert message.endswith(" and 2 more are no .mha files (with the data inside) and no .tif files")
    assert message.isprintable()


def test_a_dicom_image_set_is_no_output(tmp_path: Path) -> None:
    write(tmp_path, "images/out/1.dcm", b"")
    message = inspected(tmp_path, planned("out", "DICOM Image Set")).message
    assert message.startswith(
        'The image produced in "images/out" is not valid. Image must be DICOM, and no job'
    )


DETERMINED = (
    'The image produced in "images/out" is not valid. Image segments could not be determined, ensure the voxel values '
    "are integers and that it contains no more than 256 segments. Ensure the image has the minimum and maximum voxel "
    "values set as tags if the image is a TIFF file."
)


def unknown(values: str) -> str:
    return (
        'The image produced in "images/out" is not valid. The valid voxel values for this segmentation are: {0, 1, 2}. '
        f"This segmentation is invalid as it contains the voxel values: {values}."
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        pytest.param("x.mha", mha(bytes([0, 1, 2] * 8)), None, id="mha"),
        pytest.param("x.mha", mha(bytes([0, 1, 3] * 8)), unknown("{3}"), id="mha, other values"),
        pytest.param("x.mha", mha(bytes(96), ElementType="MET_FLOAT"), DETERMINED, id="mha of fractions"),
        pytest.param("x.tif", tagged(0, 2, voxels=bytes([0, 1, 2] * 4)), None, id="tif"),
        pytest.param("x.tif", tagged(1, 2, voxels=bytes([1] * 12)), None, id="tif without background"),
        pytest.param("x.tif", tagged(0, 3), unknown("{3}"), id="tif, other values in its tags"),
        pytest.param(
            "x.tif", tagged(0, 2, voxels=bytes([0, 1, 7] * 4)), unknown("{7}"), id="tif, tags that lie"
        ),
        pytest.param(
            "x.tif",
            tagged(0, 2, width=20, height=17, voxels=bytes(339) + b"\x07", tile=(16, 16)),
            unknown("{7}"),
            id="tif in tiles, tags that lie",
        ),
        pytest.param(
            "x.tif",
            tagged(0, 2, width=20, height=17, voxels=bytes([2] * 340), tile=(16, 16)),
            None,
            id="tif in tiles: padding is no voxel",
        ),
        pytest.param("x.tif", tiff(), DETERMINED, id="tif without tags"),
        pytest.param("x.tif", tagged(0, 256), DETERMINED, id="tif of too many"),
        pytest.param("x.tif", tagged(2, 1), DETERMINED, id="tif of none"),
        pytest.param("x.tif", tagged(0, 1, samples=3, voxels=bytes(36)), DETERMINED, id="tif in colour"),
        pytest.param(
            "x.tif",
            tiff(Page(voxels=bytes([0, 1] * 12), bits=16, changes={
                Tag.MINIMUM: (SHORT, [0]), Tag.MAXIMUM: (SHORT, [1])}), order=">"),
            None,
            id="tif of 16 bits, big endian",
        ),
    ],
)  # fmt: skip
def test_segments(tmp_path: Path, name: str, data: bytes, message: str | None) -> None:
    write(tmp_path, f"images/out/{name}", data)
    found = inspected(tmp_path, planned("out", "Segmentation", overlay_segments=SEGMENTS))
    assert found.findings.get("out") == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(mha(bytes(24), **FIELD), None, id="x, y, z along the fourth axis"),
        pytest.param(mha(), "Deformation and displacement must be 4D images.", id="3D"),
        pytest.param(
            mha(bytes(72), ElementNumberOfChannels="3"),
            "Deformation and displacement fields cannot have a color component.",
            id="vectors as colour",
        ),
        pytest.param(
            mha(bytes(16), **{**FIELD, "DimSize": "2 2 2 2"}),
            "Deformation and displacement field's 4th dimension must be a 3-component vector.",
            id="two components",
        ),
    ],
)
def test_displacement_fields(tmp_path: Path, data: bytes, message: str | None) -> None:
    write(tmp_path, "images/out/x.mha", data)
    found = inspected(tmp_path, planned("out", "Displacement field"))
    want = message and f'The image produced in "images/out" is not valid. {message}'
    assert found.findings.get("out") == want


BELOW = ImageGeometry(
    size=[4, 3, 2],
    spacing=[1, 1, 5],
    origin=[0, 0, 0],
    direction=[1, 0, 0, 0, 1, 0, 0, 0, 1],
    pixel_type="int16",
)
WHY = (
    'It does not lie on input "t1": its spacing is (1, 1, 1) mm, not (1, 1, 5) mm. With SimpleITK, before it is '
    "written: output.CopyInformation(input)."
)


def overlay(**more: Any) -> PlannedSocket:
    return planned("out", "Heat Map", overlay_of="t1", **more)


def test_an_overlay_lies_where_its_input_lies(tmp_path: Path) -> None:
    write(tmp_path, "images/out/x.mha", mha(ElementSpacing="1 1 5"))
    found = inspected(tmp_path, overlay(), inputs={"t1": BELOW})
    assert not found.findings
    assert found.checked["out"].warnings == ()


def test_an_overlay_elsewhere_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, "images/out/x.mha", mha())
    found = inspected(tmp_path, overlay(), inputs={"t1": BELOW})
    assert found.message == f'The image produced in "images/out" is not valid. {WHY}'


def test_or_a_warning(tmp_path: Path) -> None:
    write(tmp_path, "images/out/x.mha", mha())
    found = inspected(tmp_path, overlay(geometry_check="Warn"), inputs={"t1": BELOW})
    assert not found.findings
    assert found.checked["out"].warnings == (WHY,)


def test_what_lies_on_nothing_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path, "images/out/x.mha", mha())
    assert not inspected(tmp_path, planned("out", "Heat Map"), inputs={"t1": BELOW}).findings
    assert not inspected(tmp_path, overlay(), inputs={}).findings


def test_a_tiff_cannot_say_its_origin(tmp_path: Path) -> None:
    write(tmp_path, "images/out/x.tif", tiff())
    flat = BELOW.model_copy(
        update={"size": [4, 3, 1], "spacing": [0.5, 0.25, 5], "origin": [9, 9, 9]}, deep=True
    )
    assert not inspected(tmp_path, overlay(), inputs={"t1": flat}).findings
    flat.spacing[0] = 1
    assert (
        "its spacing is (0.5, 0.25) mm, not (1, 0.25) mm"
        in inspected(tmp_path, overlay(), inputs={"t1": flat}).message
    )
