"""NIfTI and NRRD: the header is checked first, then SimpleITK reads the file by the one reader named.

The library is given the file by its descriptor; it follows no name.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

from algorithm_operator.api.text import shown
from algorithm_operator.steps.readers import nifti, nrrd
from algorithm_operator.steps.readers.reading import Given, Read, Unreadable


def read_nifti(file: Given, max_voxel_bytes: int, folder: str) -> Read:
    """One .nii or .nii.gz; `folder` is an empty one to use.

    :raises Unreadable: it is not one image that can be staged.
    """
    header = nifti.read_header(file, max_voxel_bytes)
    suffix = ".nii.gz" if file.name.lower().endswith(".gz") else ".nii"
    image = _read(file, "NiftiImageIO", os.path.join(folder, f"image{suffix}"))
    if suffix.endswith(".gz"):
        nifti.check_whole(file, header)
    scaling = f"values are stored numbers times {header.slope:g} plus {header.intercept:g}"
    return Read(image, "NIfTI", library(), (scaling,) if header.scaled else ())


def read_nrrd(file: Given, max_voxel_bytes: int, folder: str) -> Read:
    """One .nrrd with its data inside; `folder` is an empty one to use.

    :raises Unreadable: it is not one image that can be staged.
    """
    nrrd.read_header(file, max_voxel_bytes)
    return Read(_read(file, "NrrdImageIO", os.path.join(folder, "image.nrrd")), "NRRD", library())


def library() -> str:
    """SimpleITK and its version, for the manifest."""
    return f"SimpleITK {version('SimpleITK')}"


def _read(file: Given, reader: str, name: str) -> Any:
    """The image of an open file by exactly this reader of SimpleITK, under a name with the end that it looks at."""
    import SimpleITK

    os.symlink(f"/proc/self/fd/{file.descriptor}", name)
    try:
        return SimpleITK.ReadImage(name, imageIO=reader)
    except RuntimeError as error:
        if "allocat" in str(error):
            raise MemoryError from error
        raise Unreadable(f"{file}: SimpleITK cannot read it ({_why(error, name)}).", [file]) from None
    finally:
        os.unlink(name)


def _why(error: RuntimeError, name: str) -> str:
    """What SimpleITK says, without the place in its source and the name that we gave the file."""
    lines = str(error).strip().splitlines() or [""]
    return shown((lines[-1].rpartition("): ")[2] or lines[-1]).replace(name, "the file"), 160)
