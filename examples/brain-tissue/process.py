"""Brain tissue segmentation: cerebrospinal fluid, grey matter and white matter of a skull-stripped T1 MRI.

Reads   /input/images/t1-mri/*.mha          one 3D image; the brain is every voxel above 0
        /input/smoothing.json               a number: width (FWHM) of the Gaussian neighbourhood, in mm
Writes  /output/images/tissues/tissues.mha  uint8, the input's grid: 0 none, 1 CSF, 2 grey, 3 white matter
        /output/results.json                {"csf_ml": …, "grey_matter_ml": …, "white_matter_ml": …}

Method: the histogram of the brain is explained by three pure tissues and the two mixtures that voxels on a
border hold (half CSF and half grey matter, half grey and half white matter), all with one noise level, fitted
by expectation-maximisation. A voxel's tissue is the one that its value says it holds most of. Last, a
Gaussian-weighted vote among neighbours takes away speckle.

Bad input ends it with exit code 1; the last line on stderr names what is wrong.
"""

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

Floats = npt.NDArray[np.float64]

TISSUES = {1: "csf_ml", 2: "grey_matter_ml", 3: "white_matter_ml"}
# What each component of the histogram is made of: columns CSF, grey matter, white matter.
MIXTURES: Floats = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]])
BINS = 256
MAX_SMOOTHING_MM = 20.0
MAX_ITERATIONS = 1000
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))


class InputError(Exception):
    """The input cannot be segmented; the message names it and says why."""


def read_image(folder: Path) -> sitk.Image:
    """Return the one 3D scalar image in `folder`, as float32."""
    files = sorted(folder.glob("*.mha"))
    if len(files) != 1:
        raise InputError(f"{folder} must hold exactly one .mha file, it holds {len(files)}")
    try:
        image = sitk.ReadImage(str(files[0]))
    except RuntimeError:
        raise InputError(f"{files[0]} cannot be read as a MetaImage (.mha)") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{files[0]} must be a 3D image with one value a voxel")
    if min(image.GetSize()) < 4:
        raise InputError(f"{files[0]} must have at least 4 voxels along each axis, not {image.GetSize()}")
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{files[0]} must hold real numbers, not complex ones")
    floats: sitk.Image = sitk.Cast(image, sitk.sitkFloat32)
    return floats


def read_smoothing(file: Path) -> float:
    """Return the width of the smoothing neighbourhood: FWHM in mm, 0 for none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{file} is not JSON") from None
    # bool is an int in Python, but not a number of millimetres.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SMOOTHING_MM:
        raise InputError(f"{file} must hold a number from 0 to {MAX_SMOOTHING_MM:g} (mm)")
    return float(value)


def brain_mask(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return where the brain is (voxels above 0), or raise InputError if the image is not a stripped T1."""
    if not np.isfinite(voxels).all():
        raise InputError("the T1 MRI holds values that are not finite numbers")
    brain = voxels > 0
    if brain.all():
        raise InputError("the T1 MRI has no background of 0: set everything but brain to 0 (skull-stripping)")
    if np.unique(voxels[brain]).size < 3:
        raise InputError("the T1 MRI holds fewer than three different values above 0")
    return brain


def fit_tissue_means(brain_voxels: npt.NDArray[np.float32]) -> Floats:
    """Return the mean intensity of CSF, grey matter and white matter, by EM on the histogram."""
    top = np.percentile(brain_voxels, 99.9)  # a few very bright voxels must not stretch the bins
    counts, edges = np.histogram(np.minimum(brain_voxels, top), bins=BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    share = counts / counts.sum()

    means = start_means(brain_voxels, share, centres)
    width = edges[1] - edges[0]
    least = width**2 / 12  # the variance inside one bin: what the histogram itself adds to the noise
    deviation = math.sqrt(share @ np.min((centres[:, None] - means) ** 2, axis=1) + least)
    weights = np.full(len(MIXTURES), 1 / len(MIXTURES))
    for _ in range(MAX_ITERATIONS):
        # Expectation: how much of each bin belongs to each component.
        distance = (centres[:, None] - MIXTURES @ means) / deviation
        exponent = -0.5 * distance**2
        belongs = weights * np.exp(exponent - exponent.max(axis=1, keepdims=True))
        belongs *= share[:, None] / belongs.sum(axis=1, keepdims=True)
        # Maximisation: the means by least squares (a mixture pulls at both its tissues), then the noise.
        weights = belongs.sum(axis=0)
        before = means
        normal = MIXTURES.T @ (weights[:, None] * MIXTURES)
        means = np.linalg.solve(normal, MIXTURES.T @ (belongs.T @ centres))
        residual = (belongs * (centres[:, None] - MIXTURES @ means) ** 2).sum()
        deviation = math.sqrt(residual + least)
        if np.abs(means - before).max() < 1e-3 * width:
            break
    return means


def start_means(brain_voxels: npt.NDArray[np.float32], share: Floats, centres: Floats) -> Floats:
    """Return the mean intensity of the three classes of Otsu's multi-threshold, a start for EM."""
    otsu = sitk.OtsuMultipleThresholdsImageFilter()
    otsu.SetNumberOfThresholds(2)
    otsu.SetNumberOfHistogramBins(BINS)
    otsu.Execute(sitk.GetImageFromArray(np.minimum(brain_voxels, centres[-1])[None, None, :]))
    classes = np.digitize(centres, otsu.GetThresholds())
    members = [share * (classes == k) for k in range(3)]
    if not all(m.any() for m in members):
        raise InputError("the T1 MRI does not show three tissues: its values fall into fewer groups")
    return np.array([m @ centres / m.sum() for m in members])


def vote(labels: sitk.Image, brain: npt.NDArray[np.bool_], fwhm_mm: float) -> npt.NDArray[np.uint8]:
    """Give every brain voxel the label with the largest Gaussian-weighted share of its neighbourhood."""
    winner = np.ones(brain.shape, np.uint8)
    highest = np.full(brain.shape, -np.inf, np.float32)
    for label in TISSUES:  # one map at a time: memory stays a few images
        mask = sitk.Cast(labels == label, sitk.sitkFloat32)
        share = sitk.SmoothingRecursiveGaussian(mask, fwhm_mm / FWHM_PER_SIGMA)
        votes = sitk.GetArrayViewFromImage(share)
        better = votes > highest
        winner[better] = label
        highest[better] = votes[better]
    return winner * brain


def segment(image: sitk.Image, smoothing_mm: float) -> sitk.Image:
    """Return the tissues of `image` as uint8 labels on the same grid."""
    voxels = sitk.GetArrayViewFromImage(image)
    brain = brain_mask(voxels)
    csf, grey, white = fit_tissue_means(voxels[brain])
    if not csf < grey < white:
        raise InputError("the T1 MRI does not show CSF darker than grey matter darker than white matter")
    # Halfway between two pure tissues a voxel holds as much of the one as of the other.
    array = ((np.digitize(voxels, [(csf + grey) / 2, (grey + white) / 2]) + 1) * brain).astype(np.uint8)
    labels = on_grid_of(image, array)
    return on_grid_of(image, vote(labels, brain, smoothing_mm)) if smoothing_mm else labels


def on_grid_of(image: sitk.Image, array: npt.NDArray[np.uint8]) -> sitk.Image:
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(image)
    return labels


def volumes_ml(labels: sitk.Image) -> dict[str, float]:
    counts = np.bincount(sitk.GetArrayViewFromImage(labels).ravel(), minlength=4)
    voxel_ml = math.prod(labels.GetSpacing()) / 1000
    return {name: round(int(counts[label]) * voxel_ml, 3) for label, name in TISSUES.items()}


def main() -> None:
    """Segment; the roots /input and /output can be given by ALGORITHM_INPUT and ALGORITHM_OUTPUT."""
    source = Path(os.environ.get("ALGORITHM_INPUT", "/input"))
    target = Path(os.environ.get("ALGORITHM_OUTPUT", "/output"))
    image = read_image(source / "images" / "t1-mri")
    labels = segment(image, read_smoothing(source / "smoothing.json"))
    results = volumes_ml(labels)

    (target / "images" / "tissues").mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(labels, str(target / "images" / "tissues" / "tissues.mha"), useCompression=True)
    (target / "results.json").write_text(json.dumps(results) + "\n", encoding="utf-8")
    print("\n".join(f"{name}: {volume:.1f}" for name, volume in results.items()))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
