"""MetaImage, NIfTI and NRRD: the header is checked first, then SimpleITK reads the file by the one reader named.

No library follows a name: it is given a file by its descriptor, and the two files of a .mhd become one .mha by their
bytes alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import algorithm_operator
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.steps import images, metaimage
from algorithm_operator.steps.metaimage import MetaImageError
from algorithm_operator.steps.readers import nifti, nrrd
from algorithm_operator.steps.readers.reading import Given, Kept, Read, Unreadable


def read_mha(file: Given, max_voxel_bytes: int) -> Read:
    """One .mha: it stays as it is.

    :raises Unreadable: it is not a whole, self-contained image.
    """
    try:
        header = images.read_header(file.descriptor, max_voxel_bytes)
        images.check_stored(file.descriptor, header)
    except MetaImageError as error:
        raise Unreadable(f"{file}: {error}") from None
    return Read(Kept(file, ".mha", geometry=header.geometry), "MetaImage", _ourselves())


def read_mhd(files: Sequence[Given], max_voxel_bytes: int) -> Read:
    """A .mhd and the file beside it that its ElementDataFile names: the voxels as they are, under the header.

    :raises Unreadable: they are not one whole image.
    """
    header_file = next(file for file in files if file.name.lower().endswith(".mhd"))
    others = {file.name: file for file in files if file is not header_file}
    try:
        name, header = metaimage.attached(os.pread(header_file.descriptor, metaimage.MAX_HEADER, 0))
        folder = header_file.name.rpartition("/")[0]
        data = others.pop(f"{folder}/{name}" if folder else name, None)
        if data is None:
            raise MetaImageError(f"its data file {quoted(name, 128)} is not among the files of this input.")
        if others:
            extra = ", ".join(str(file) for file in list(others.values())[:3])
            raise MetaImageError(f"beside it and its data file lies {extra}; an input is exactly one image.")
        parsed = metaimage.parse(header, len(header) + data.size, max_voxel_bytes)
        if parsed.compressed:
            metaimage.read_voxels(data.descriptor, replace(parsed, offset=0), data.size, lambda _: None)
    except MetaImageError as error:
        raise Unreadable(f"{header_file}: {error}") from None
    kept = Kept(data, ".mha", header, parsed.geometry)
    return Read(kept, "MetaImage", _ourselves(), ("the voxels of a second file were put under the header",))


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


def _ourselves() -> str:
    return f"algorithm-operator {algorithm_operator.__version__}"


def _read(file: Given, reader: str, name: str) -> Any:
    """The image of an open file by exactly this reader of SimpleITK, under a name with the end that it looks at."""
    import SimpleITK

    os.symlink(f"/proc/self/fd/{file.descriptor}", name)
    try:
        return SimpleITK.ReadImage(name, imageIO=reader)
    except RuntimeError as error:
        if "allocat" in str(error):
            raise MemoryError from error
        raise Unreadable(f"{file}: SimpleITK cannot read it ({_why(error, name)}).") from None
    finally:
        os.unlink(name)


def _why(error: RuntimeError, name: str) -> str:
    """What SimpleITK says, without the place in its source and the name that we gave the file."""
    lines = str(error).strip().splitlines() or [""]
    return shown((lines[-1].rpartition("): ")[2] or lines[-1]).replace(name, "the file"), 160)
