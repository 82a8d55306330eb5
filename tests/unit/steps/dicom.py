"""DICOM files for tests, written by pydicom from what a test says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

CT, MR, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2", "4", "4.1"))
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def normal(orientation: Sequence[float]) -> Any:
    """The direction from slice to slice."""
    return np.cross(orientation[:3], orientation[3:])


def dataset(pixels: Any, **elements: Any) -> Dataset:
    """One image with these pixels (rows × columns, or frames, or colours last); other elements as given, None: none."""
    pixels = np.asarray(pixels)
    found = Dataset()
    said: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "ImageOrientationPatient": list(AXIAL),
        "ImagePositionPatient": [-10.0, -20.0, 30.0],
        "PixelSpacing": [0.75, 0.5],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    } | elements
    said.setdefault("HighBit", said["BitsStored"] - 1)
    for keyword, value in said.items():
        if value is not None:
            setattr(found, keyword, value)
    if "PixelData" in found:
        found["PixelData"].VR = "OW"
    return found


def write(path: Path, found: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """The file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(
        path, found, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=little
    )
    return path


def volume(slices: int = 4, rows: int = 3, columns: int = 5, dtype: str = "i2") -> Any:
    """Voxels, all different."""
    return np.arange(slices * rows * columns).reshape(slices, rows, columns).astype(dtype)


def series(
    folder: Path,
    voxels: Any,
    *,
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    step: float = 2.5,
    places: Iterable[Any] | None = None,
    names: Sequence[str] | None = None,
    changes: dict[int, dict[str, Any]] | None = None,
    **elements: Any,
) -> list[Path]:
    """One file a slice. `places`: positions instead of a regular stack; `changes`: elements of single slices."""
    regular = [np.array(origin) + number * step * normal(orientation) for number in range(len(voxels))]
    paths = []
    for number, place in enumerate(regular if places is None else places):
        found = dataset(
            voxels[number],
            **{
                "SOPInstanceUID": f"1.2.3.4.{number + 1}",
                "InstanceNumber": number + 1,
                "ImageOrientationPatient": list(orientation),
                "ImagePositionPatient": [float(each) for each in place],
                **elements,
                **(changes or {}).get(number, {}),
            },
        )
        paths.append(write(folder / (names[number] if names else f"{number:04}.dcm"), found))
    return paths
