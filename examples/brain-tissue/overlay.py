"""Draw a segmentation on its MRI: three orthogonal slices of the brain, plain above and in colours below.

    python examples/brain-tissue/overlay.py INPUT.mha TISSUES.mha OUT.png

Shown as radiologists do: the patient's right on the left of the picture, superior and anterior up;
in the sagittal slice anterior is left.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

Pixels = npt.NDArray[np.uint8]  # rows × columns × red, green, blue

TISSUES: dict[int, tuple[str, tuple[int, int, int]]] = {
    1: ("CSF", (66, 165, 245)),
    2: ("GREY MATTER", (239, 83, 80)),
    3: ("WHITE MATTER", (255, 213, 79)),
}
OPACITY = 0.55
PANEL = 460  # pixels of the brain's longest side
MARGIN = 16
TEXT = (235, 235, 235)

# Letters of 5 × 7 pixels, a row a number, the leftmost pixel its highest bit. SimpleITK draws no text.
GLYPHS = {
    "A": (14, 17, 17, 31, 17, 17, 17), "C": (14, 17, 16, 16, 16, 17, 14), "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16), "G": (14, 17, 16, 23, 17, 17, 15), "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14), "L": (16, 16, 16, 16, 16, 16, 31), "M": (17, 27, 21, 21, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16), "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4), "W": (17, 17, 17, 21, 21, 21, 10), "Y": (17, 17, 10, 4, 4, 4, 4),
    "m": (0, 0, 26, 21, 21, 21, 21), "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31), "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14), "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14), "9": (14, 17, 17, 15, 1, 2, 12), " ": (0, 0, 0, 0, 0, 0, 0),
}  # fmt: skip


def write_overlay(mri_file: Path, tissues_file: Path, target: Path) -> None:
    """Write the picture; ValueError if the two images are not on one grid or the segmentation is empty."""
    mri = sitk.ReadImage(str(mri_file), sitk.sitkFloat32)
    tissues = sitk.ReadImage(str(tissues_file), sitk.sitkUInt8)
    if mri.GetSize() != tissues.GetSize() or not np.allclose(mri.GetOrigin(), tissues.GetOrigin(), atol=1e-3):
        raise ValueError(f"{mri_file} and {tissues_file} are not on the same grid")
    # Axes from now on: x to the patient's left, y to posterior, z to superior.
    mri, tissues = sitk.DICOMOrient(mri, "LPS"), sitk.DICOMOrient(tissues, "LPS")
    brain = sitk.LabelShapeStatisticsImageFilter()
    brain.Execute(tissues > 0)
    if not brain.GetNumberOfLabels():
        raise ValueError(f"{tissues_file} has no voxel of any tissue")
    box = brain.GetBoundingBox(1)
    start, size = box[:3], box[3:]
    mri, tissues = (sitk.RegionOfInterest(image, size, start) for image in (mri, tissues))
    mm = max(n * s for n, s in zip(size, mri.GetSpacing(), strict=True)) / PANEL
    labels = sitk.GetArrayViewFromImage(tissues)
    brightest = float(np.percentile(sitk.GetArrayViewFromImage(mri)[labels > 0], 99.5))
    # The sagittal slice lies beside the middle: there is only the gap between the hemispheres.
    at = (size[0] * 3 // 5, size[1] // 2, size[2] // 2)

    plain, coloured = [], []
    for axis in (2, 1, 0):  # axial, coronal, sagittal
        grey = panel(mri, axis, at[axis], mm, sitk.sitkLinear)
        label = panel(tissues, axis, at[axis], mm, sitk.sitkNearestNeighbor)
        picture = np.repeat(np.clip(grey / brightest, 0, 1)[..., None] * 255, 3, axis=2).astype(np.uint8)
        tinted = tint(picture, label)
        if axis:
            for pixels in (picture, tinted):  # both show left and right: say which is which
                write(pixels, "R", 0, 0)
                write(pixels, "L", 0, pixels.shape[1] - 10)
        plain.append(picture)
        coloured.append(tinted)
    rows = [side_by_side(plain), side_by_side(coloured)]
    picture = np.concatenate([*rows, legend(tissues, labels, rows[0].shape[1])])
    sitk.WriteImage(sitk.GetImageFromArray(picture, isVector=True), str(target))


def panel(image: sitk.Image, axis: int, index: int, mm: float, interpolator: int) -> npt.NDArray[Any]:
    """Return one slice, drawn at `mm` a pixel; superior is up in coronal and sagittal slices."""
    cut: list[int | slice] = [slice(None)] * 3
    cut[axis] = index
    flat = image[tuple(cut)]
    flat.SetDirection((1, 0, 0, 1))
    flat.SetOrigin((0, 0))
    size = [max(1, round(n * s / mm)) for n, s in zip(flat.GetSize(), flat.GetSpacing(), strict=True)]
    drawn = sitk.Resample(flat, size, sitk.Transform(2, sitk.sitkIdentity), interpolator, (0, 0), (mm, mm))
    array: npt.NDArray[Any] = sitk.GetArrayFromImage(drawn)
    return array if axis == 2 else array[::-1]


def tint(picture: Pixels, label: npt.NDArray[Any]) -> Pixels:
    tinted = picture.astype(float)
    for value, (_, colour) in TISSUES.items():
        here = label == value
        tinted[here] = (1 - OPACITY) * tinted[here] + OPACITY * np.array(colour)
    return tinted.astype(np.uint8)


def side_by_side(panels: list[Pixels]) -> Pixels:
    height = max(panel.shape[0] for panel in panels) + 2 * MARGIN
    width = sum(panel.shape[1] for panel in panels) + (len(panels) + 1) * MARGIN
    row = np.zeros((height, width, 3), np.uint8)
    left = MARGIN
    for pixels in panels:
        top = (height - pixels.shape[0]) // 2
        row[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        left += pixels.shape[1] + MARGIN
    return row


def legend(tissues: sitk.Image, labels: npt.NDArray[Any], width: int) -> Pixels:
    """Return a strip that names each colour, with the tissue's volume."""
    strip = np.zeros((48, width, 3), np.uint8)
    voxel_ml = float(np.prod(tissues.GetSpacing())) / 1000
    for column, (value, (name, colour)) in enumerate(TISSUES.items()):
        left = MARGIN + column * (width - MARGIN) // len(TISSUES)
        strip[12:30, left : left + 18] = colour
        write(strip, f"{name} {np.count_nonzero(labels == value) * voxel_ml:.0f} mL", 14, left + 28)
    return strip


def write(pixels: Pixels, text: str, top: int, left: int, scale: int = 2) -> None:
    """Write `text` onto `pixels`, in letters of 5 × 7 times `scale` pixels."""
    for letter in text:
        glyph = np.array([[row >> bit & 1 for bit in range(4, -1, -1)] for row in GLYPHS[letter]])
        dots = np.kron(glyph, np.ones((scale, scale), int)).astype(bool)
        pixels[top : top + 7 * scale, left : left + 5 * scale][dots] = TEXT
        left += 6 * scale


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("input", "tissues", "out"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    try:
        write_overlay(arguments.input, arguments.tissues, arguments.out)
    except (ValueError, RuntimeError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
