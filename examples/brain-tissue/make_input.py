"""Write the example's input: the MNI152 T1 template that the package nilearn ships, as MetaImage.

    python examples/brain-tissue/make_input.py t1.mha

The template (ICBM 2009a symmetric, 197 × 233 × 189 voxels of 1 mm) is the average of 152 people's brains,
skull-stripped.
"""

import argparse
import importlib.util
from pathlib import Path

import SimpleITK as sitk


def mni152(map_name: str) -> Path:
    """Return nilearn's file of an MNI152 map: "t1", "gm" (grey matter) or "wm" (white matter)."""
    nilearn = importlib.util.find_spec("nilearn")  # found, not imported: the import costs seconds
    if nilearn is None or nilearn.origin is None:
        raise ModuleNotFoundError("the MNI152 template comes with the package nilearn: install it")
    data = Path(nilearn.origin).parent / "datasets" / "data"
    return data / f"mni_icbm152_{map_name}_tal_nlin_sym_09a_converted.nii.gz"


def make_input(target: Path) -> None:
    """Write the T1 template to `target` (.mha), compressed, with the geometry that it came with."""
    image = sitk.ReadImage(str(mni152("t1")))
    for key in image.GetMetaDataKeys():  # NIfTI's own fields have no place in a MetaImage
        image.EraseMetaData(key)
    sitk.WriteImage(image, str(target), useCompression=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, metavar="T1.mha")
    make_input(parser.parse_args().target)
