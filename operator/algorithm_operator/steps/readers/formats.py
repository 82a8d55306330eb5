"""Which reader the files of an input are for: by the ends of their names, and DICOM by its magic bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from algorithm_operator.steps import images
from algorithm_operator.steps.readers import itk, kept
from algorithm_operator.steps.readers.reading import Given, Read, Unreadable

HEADER = ".mhd"
TAKEN = "MetaImage (.mha, or .mhd with its data file), NIfTI (.nii, .nii.gz), NRRD (.nrrd), TIFF (.tif, .tiff), DICOM"
_BY_LIBRARY = (".nii", ".nii.gz", ".nrrd")
_MAX_NAMED = 5
_DICOM_MAGIC = (128, b"DICM")


def read(files: Sequence[Given], max_voxel_bytes: int, folder: str) -> Read:
    """The one image that all the files of an input are; `folder` is an empty one that readers may use.

    :raises Unreadable: they are none, or more than one, or none that can be staged.
    """
    found = [file for file in files if _ends(file, HEADER, *_ONE_FILE)]
    if not found and any(_is_dicom(file) for file in files):
        from algorithm_operator.steps.readers import dicom

        return dicom.read(files, max_voxel_bytes)
    if not found:
        raise Unreadable(f"{named(files)}: no image in a format that is read, which are {TAKEN}.")
    if len(found) > 1:
        raise Unreadable(f"an input is exactly one image, but these are {len(found)}: {named(found)}.", found)
    (image,) = found
    if _ends(image, HEADER):
        return kept.read_mhd(files, max_voxel_bytes)
    if others := [file for file in files if file is not image]:
        raise Unreadable(f"{image} is one image in one file, but beside it lies {named(others)}.", others)
    reader = next(reader for suffix, reader in _ONE_FILE.items() if _ends(image, suffix))
    return reader(image, max_voxel_bytes, folder)


def preload(files: Sequence[Given]) -> None:
    """Import the libraries that reading these files needs, as far as their names tell; most need none."""
    if any(_ends(file, *_BY_LIBRARY) for file in files):
        images.preload()
    elif not any(_ends(file, HEADER, *_ONE_FILE) for file in files):
        preload_dicom()


def preload_dicom() -> None:
    """Import what reading DICOM needs."""
    from algorithm_operator.steps.readers import dicom  # noqa: F401


def named(files: Sequence[Given]) -> str:
    """The first names, quoted, and how many more there are."""
    more = f" and {len(files) - _MAX_NAMED} more" if len(files) > _MAX_NAMED else ""
    return ", ".join(str(file) for file in files[:_MAX_NAMED]) + more


def _is_dicom(file: Given) -> bool:
    place, magic = _DICOM_MAGIC
    return os.pread(file.descriptor, len(magic), place) == magic


def _ends(file: Given, *suffixes: str) -> bool:
    return file.name.lower().endswith(suffixes)


def _kept(reader: Callable[[Given, int], Read]) -> Callable[[Given, int, str], Read]:
    return lambda file, max_voxel_bytes, _: reader(file, max_voxel_bytes)


_ONE_FILE: dict[str, Callable[[Given, int, str], Read]] = {
    ".mha": _kept(kept.read_mha),
    ".nii": itk.read_nifti,
    ".nii.gz": itk.read_nifti,
    ".nrrd": itk.read_nrrd,
    ".tif": _kept(kept.read_tiff),
    ".tiff": _kept(kept.read_tiff),
}
"""Formats whose images are one file each, by the end of its name."""
