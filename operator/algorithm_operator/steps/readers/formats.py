"""Which reader the files of an input are for: by the ends of their names, and DICOM by its magic bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from algorithm_operator.steps.readers import itk
from algorithm_operator.steps.readers.reading import Given, Read, Unreadable

ONE_FILE = (".mha", ".nii", ".nii.gz", ".nrrd")
"""Formats whose images are one file each."""
HEADER = ".mhd"
TAKEN = "MetaImage (.mha, or .mhd and its data file), NIfTI (.nii, .nii.gz), NRRD (.nrrd), DICOM"
_DICOM_MAGIC = (128, b"DICM")
_MAX_NAMED = 5


def read(files: Sequence[Given], max_voxel_bytes: int, folder: str) -> Read:
    """The one image that all the files of an input are; `folder` is an empty one that readers may use.

    :raises Unreadable: they are none, or more than one, or none that can be staged.
    """
    images = [file for file in files if file.name.lower().endswith((*ONE_FILE, HEADER))]
    if not images:
        raise Unreadable(f"{named(files)} is no image in a format that is read: {TAKEN}.")
    if len(images) > 1:
        raise Unreadable(f"an input is exactly one image, but these are {len(images)}: {named(images)}.")
    image = images[0]
    if image.name.lower().endswith(HEADER):
        return itk.read_mhd(files, max_voxel_bytes)
    if others := [file for file in files if file is not image]:
        raise Unreadable(f"{image} is one image in one file, but beside it lies {named(others)}.")
    if image.name.lower().endswith(".mha"):
        return itk.read_mha(image, max_voxel_bytes)
    if image.name.lower().endswith(".nrrd"):
        return itk.read_nrrd(image, max_voxel_bytes, folder)
    return itk.read_nifti(image, max_voxel_bytes, folder)


def named(files: Sequence[Given]) -> str:
    """The first names, quoted, and how many more there are."""
    more = f" and {len(files) - _MAX_NAMED} more" if len(files) > _MAX_NAMED else ""
    return ", ".join(str(file) for file in files[:_MAX_NAMED]) + more


def _is_dicom(file: Given) -> bool:
    place, magic = _DICOM_MAGIC
    return os.pread(file.descriptor, len(magic), place) == magic
