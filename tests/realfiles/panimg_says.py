"""Write panimg.json: what panimg, and pydicom with all its decoders, make of every real file.

Run by hand, where panimg, python-gdcm, nibabel and nilearn are installed:

    python -m tests.realfiles.panimg_says
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK

from tests.realfiles.cases import Case, cases
from tests.realfiles.looks import digest, look

TARGET = Path(__file__).with_name("panimg.json")
PACKAGES = ("panimg", "pydicom", "nibabel", "nilearn", "SimpleITK")


def says(case: Case) -> dict[str, Any]:
    """Its images, or why it took none."""
    from panimg import convert

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        case.lay_out(source)
        target.mkdir()
        try:
            found = convert(input_directory=source, output_directory=target)
        except Exception as error:
            return {"refused": [f"it crashed: {type(error).__name__}: {error}"]}
        files = sorted(
            (each.file for each in found.new_image_files if each.file.suffix in (".mha", ".tif")), key=str
        )
        if files:
            return {"images": [look(SimpleITK.ReadImage(str(file))) for file in files]}
        return {
            "refused": sorted({message for messages in found.file_errors.values() for message in messages})
        }


def decoded(case: Case) -> str | None:
    """Digest of the values as pydicom decodes them, scaled as the header says; None if it does not, or they are colours
    of a palette or grey that is inverted.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            (path,) = case.lay_out(Path(folder, "in"))
            dataset = pydicom.dcmread(path)
            slope, intercept = (
                np.float64(dataset.get(keyword) or default)
                for keyword, default in (
                    ("RescaleSlope", dataset.get("DoseGridScaling", 1)),
                    ("RescaleIntercept", 0),
                )
            )
            if dataset.PhotometricInterpretation in ("MONOCHROME1", "PALETTE COLOR"):
                return None
            values = dataset.pixel_array * slope + intercept
            return digest(values if slope.is_integer() else values.astype("f4"))
        except Exception:
            return None


def main() -> None:
    """All of them."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    told = {case.name: says(case) | {"decoded": decoded(case)} for case in cases()}
    versions = {package: version(package) for package in PACKAGES}
    TARGET.write_text(
        json.dumps({"versions": versions, "cases": told}, separators=(",", ":")).replace('},"', '},\n"')
        + "\n"
    )


if __name__ == "__main__":
    main()
