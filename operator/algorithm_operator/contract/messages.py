"""What is said about outputs, in Grand Challenge's words. Pure; paths and details are made safe to show here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from algorithm_operator.api.text import quoted, shown

MAX_IMAGE_FILES = 1000
NO_DICOM = "image must be DICOM, and no job writes DICOM image sets; declare the output as Image"
"""A DICOM Image Set as an output; Grand Challenge takes none either, for it imports .mha and .tif files only."""


def file_missing(path: str) -> str:
    """A JSON or file output that is not there."""
    return f"Output file {quoted(path)} was not produced"


def folder_empty(path: str) -> str:
    """An image output without a file; a folder that is not there is empty too."""
    return f"Output directory {quoted(path)} is empty"


def too_many_files(path: str) -> str:
    """An image folder with more than MAX_IMAGE_FILES files."""
    return f"Too many files produced in {quoted(path)}"


def no_image(path: str, why: str = "") -> str:
    """A folder in which no file is an image that can be read."""
    return _with(f"No output images could be imported from {quoted(path)}", why)


def one_image_only(path: str, found: int) -> str:
    """A folder with several images."""
    return f"Only 1 image should be produced in {quoted(path)}, we found {found}"


def image_too_large(path: str) -> str:
    """An image that cannot be checked within the collector's memory."""
    return f"The output image {quoted(path)} was too large to process, please try again with smaller images"


def image_invalid(path: str, why: str) -> str:
    """An image that is none of its socket's."""
    return _with(f"The image produced in {quoted(path)} is not valid", why, 700)


def file_too_large(path: str, limit_bytes: int | None = None) -> str:
    """A JSON output that cannot be checked within the collector's memory."""
    return _with(
        f"The output file {quoted(path)} is too large",
        f"The limit is {limit_bytes} bytes" if limit_bytes is not None else "",
    )


def not_json(path: str, why: str = "") -> str:
    """A JSON output that does not parse."""
    return _with(f"The output file {quoted(path)} is not valid json", why)


def file_invalid(path: str, why: str) -> str:
    """A JSON output that is not of its kind."""
    return _with(f"The output file {quoted(path)} is not valid", why)


def not_a_file(path: str, what: str) -> str:
    """Something other than a regular file (or folder) where an output should be, such as a symbolic link."""
    return f"The output {quoted(path)} is {what}; outputs must be regular files"


def segments_undetermined(limit: int) -> str:
    """A segmentation whose voxel values are no small set of whole numbers."""
    return (
        "Image segments could not be determined, ensure the voxel values are integers and that it contains no more "
        f"than {limit} segments. Ensure the image has the minimum and maximum voxel values set as tags if the image is "
        "a TIFF file."
    )


def segments_unknown(allowed: Iterable[int], found: Iterable[int]) -> str:
    """A segmentation with voxel values that its socket does not declare; the background is always allowed."""
    return (
        f"The valid voxel values for this segmentation are: {_set({0, *allowed})}. This segmentation is invalid as "
        f"it contains the voxel values: {_set(found)}."
    )


def no_vector_field(dimensions: int, components: int, last_side: int) -> str | None:
    """Why an image is no displacement field, or None: four axes, of which the last one holds x, y and z."""
    if dimensions + (components > 1) != 4:
        return "Deformation and displacement must be 4D images."
    if components > 1:
        return "Deformation and displacement fields cannot have a color component."
    if last_side != 3:
        return "Deformation and displacement field's 4th dimension must be a 3-component vector."
    return None


def findings(messages: Sequence[tuple[str, str]], limit: int) -> str:
    """All findings of a job as one text of at most `limit` characters: `slug: message; …`, and how many are left."""
    return together([f"{slug}: {message}" for slug, message in messages], limit, "; ")


MAX_REFUSAL = 1000
"""Characters of what is said about all inputs of a job together: what the report of `stage` holds."""


def together(messages: Sequence[str], limit: int, between: str = " ") -> str:
    """Messages as one text of at most `limit` characters, and how many are left."""
    text = ""
    for number, piece in enumerate(messages):
        rest = len(messages) - number
        tail = f" (and {rest} more)"
        more = rest > 1
        candidate = f"{text}{between}{piece}" if text else piece
        if len(candidate) + (len(tail) if more else 0) > limit:
            return text + tail if text else shown(piece, limit)
        text = candidate
    return text


def _with(head: str, why: str, limit: int = 256) -> str:
    why = shown(why.strip(), limit)
    return f"{head}. {why[:1].upper()}{why[1:]}" if why else head


def _set(values: Iterable[int]) -> str:
    listed = sorted(set(values))
    return "{" + ", ".join(map(str, listed[:32])) + (", …" if len(listed) > 32 else "") + "}"
