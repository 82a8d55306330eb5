"""The real image files that pydicom, nibabel and nilearn ship in their packages: each alone, and whole series."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_SUFFIXES = ("", ".dcm", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
_PACKAGES = {"pydicom": "data", "nibabel": "", "nilearn": ""}


@dataclass(frozen=True)
class Case:
    """Files that are given as one input. `name` says where they are; `.gz` of a DICOM file is taken off."""

    name: str
    paths: tuple[Path, ...]

    def lay_out(self, folder: Path) -> list[Path]:
        """The files below a new folder, under their own names."""
        folder.mkdir(parents=True)
        laid = []
        for path in self.paths:
            zipped = path.suffix == ".gz" and not path.name.endswith(".nii.gz")
            target = folder / (path.stem if zipped else path.name)
            target.write_bytes(gzip.decompress(path.read_bytes()) if zipped else path.read_bytes())
            laid.append(target)
        return laid


def cases() -> Iterator[Case]:
    """Every file, then every folder of pydicom's own little archive, by name."""
    for package, below in _PACKAGES.items():
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted((root / below).rglob("*")):
            if path.is_file() and _is_image(path):
                yield Case(f"{package}/{path.relative_to(root)}", (path,))
        for folder in sorted((root / below).glob("test_files/dicomdirtests/*/*")):
            files = (
                tuple(sorted(path for path in folder.iterdir() if path.is_file())) if folder.is_dir() else ()
            )
            if len(files) > 1:
                yield Case(f"{package}/{folder.relative_to(root)}/", files)


def _is_image(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz") if not path.name.endswith(".nii.gz") else path.name.lower()
    if name.startswith(("readme", "license", "copying")) or "__pycache__" in path.parts:
        return False
    # Files without an ending are DICOM in pydicom's archive alone; of compressed ones, its zipMR.gz.
    suffix = ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix
    return suffix in _SUFFIXES and (suffix != "" or "test_files" in path.parts)
