"""Every real file through our readers, beside what panimg made of it; each difference has its explanation here."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from algorithm_operator.steps.readers import formats
from algorithm_operator.steps.readers.reading import Given, Kept, Unreadable
from tests.realfiles.cases import Case, cases
from tests.realfiles.looks import look

PANIMG = json.loads(Path(__file__).with_name("panimg.json").read_text())
LIMIT = 1 << 32
SAME_DIRECTION = 1e-4
COMPARED = ("size", "components", "spacing", "origin", "direction", "values")


@dataclass(frozen=True)
class Compared:
    """One case. `ours` and `panimg` are looks, None: refused; `why` is our refusal."""

    case: Case
    ours: dict[str, Any] | None
    notes: tuple[str, ...]
    why: str
    panimg: list[dict[str, Any]] | None
    decoded: str | None

    @property
    def differences(self) -> list[str]:
        """What of both images is not the same."""
        if self.ours is None or self.panimg is None:
            return []
        ours, theirs = self.ours, self.panimg[0]
        found = [name for name in COMPARED if not _same(name, ours[name], theirs[name])]
        if "spacing" in found and ours["size"][2:] == [1] and ours["spacing"][2] != theirs["spacing"][2]:
            found.append("thickness")
            if ours["spacing"][:2] == theirs["spacing"][:2]:
                found.remove("spacing")
        return found


@dataclass(frozen=True)
class Explanation:
    """Why something differs in the files of a pattern.

    `what`: of COMPARED, or "thickness" (the spacing of a slice alone), "only here", "only panimg".
    """

    pattern: str
    what: str
    text: str

    def fits(self, name: str, what: str) -> bool:
        """Whether it is about this difference of this case."""
        return what == self.what and fnmatch(name, self.pattern)


_ONE_COLOUR_FRAME = "panimg cannot read a single frame of colour (its image has 2 dimensions, its geometry 3)"
_BIG_ENDIAN = "big endian: SimpleITK takes no such array, and panimg does not turn it"
_NO_STUDY = "panimg asks for a StudyInstanceUID"

EXPLANATIONS = (
    Explanation(
        "*", "thickness", "a slice alone has its thickness along the third axis, as in ITK; panimg takes 1 mm"
    ),
    Explanation(
        "*/98892001/CT2N/*",
        "spacing",
        "DICOM gives the distance between rows first, and panimg takes it for that between columns",
    ),
    Explanation(
        "*/77654033/CR*",
        "spacing",
        "there is no PixelSpacing; the detector's (ImagerPixelSpacing) is taken, as in ITK; panimg takes 1 mm",
    ),
    Explanation(
        "*/rtdose*", "spacing", "its GridFrameOffsetVector says where the frames lie; panimg takes 1 mm"
    ),
    Explanation(
        "*/rtdose*", "values", "scaled to the dose's unit (DoseGridScaling), as in ITK; panimg leaves counts"
    ),
    Explanation(
        "*/77654033/CR*", "values", "scaled in double precision and then rounded; panimg scales in single"
    ),
    Explanation(
        "*/JPGExtended.dcm", "values", "lossy JPEG of 12 bits: another decoder rounds some values by 1"
    ),
    Explanation(
        "*/examples_palette.dcm", "values", "the palette is looked up; panimg leaves its indices, as grey"
    ),
    Explanation("*/examples_palette.dcm", "components", "red, green and blue"),
    Explanation("*/SC_*", "only here", _ONE_COLOUR_FRAME),
    Explanation("*/ExplVR_BigEnd.dcm", "only here", _ONE_COLOUR_FRAME),
    Explanation("*/GDCMJ2K_TextGBR.dcm", "only here", _ONE_COLOUR_FRAME),
    Explanation("*/examples_*.dcm", "only here", _ONE_COLOUR_FRAME),
    Explanation("*/*_bigendian.dcm", "only here", _BIG_ENDIAN),
    Explanation("*/*_expb*.dcm", "only here", _BIG_ENDIAN),
    Explanation("*/JPEGLSNearLossless_*.dcm", "only here", _NO_STUDY),
    Explanation("*/decimal_rescale.dcm", "only here", _NO_STUDY),
    Explanation("*/JPEG-lossy.dcm", "only here", "lossy JPEG of 12 bits, which panimg's decoders refuse"),
    Explanation(
        "*/liver_*frame.dcm", "only panimg", "panimg fills in two frames that are described but not there"
    ),
    Explanation("*/77654033/CT2/", "only panimg", "panimg spreads the slices evenly over the gap"),
    Explanation("*/98892001/CT2N/", "only panimg", "panimg stacks the two scout views upon one another"),
    Explanation("*/98892003/MR700/", "only panimg", "panimg stacks the seven projections upon one another"),
    Explanation(
        "*/98892003/MR?/",
        "only panimg",
        "panimg makes several images; Grand Challenge refuses an input of several",
    ),
)


def compare() -> Iterator[Compared]:
    """All cases, read here and now. Folders are below the current one and go away with it."""
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            yield _compared(case, Path(folder))


def explanation(name: str, what: str) -> Explanation | None:
    """The first that fits."""
    return next((each for each in EXPLANATIONS if each.fits(name, what)), None)


def kinds(compared: Compared) -> list[str]:
    """What has to be explained."""
    if compared.ours is None:
        return ["only panimg"] if compared.panimg is not None else []
    return ["only here"] if compared.panimg is None else compared.differences


def _same(name: str, ours: Any, theirs: Any) -> bool:
    """Directions may differ by how their rounded cosines are made unit vectors."""
    if name == "direction" and len(ours) == len(theirs):
        return all(abs(a - b) < SAME_DIRECTION for a, b in zip(ours, theirs, strict=True))
    return bool(ours == theirs)


def _compared(case: Case, folder: Path) -> Compared:
    theirs = PANIMG["cases"][case.name]
    paths = case.lay_out(folder / "in")
    (folder / "scratch").mkdir()
    files = []
    try:
        for path in paths:
            files.append(Given(path.name, os.open(path, os.O_RDONLY), path.stat().st_size))
        found = formats.read(files, LIMIT, str(folder / "scratch"))
    except Unreadable as error:
        return Compared(case, None, (), str(error), theirs.get("images"), theirs["decoded"])
    finally:
        for file in files:
            os.close(file.descriptor)
    assert not isinstance(found.image, Kept), "the packages ship no such file"
    return Compared(case, look(found.image), found.notes, "", theirs.get("images"), theirs["decoded"])
