"""manifest.json: the list of outputs and the run record in one. Written last; counts only by its announced sha256."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from algorithm_operator.api.base import Model
from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.exits import ExitRecord
from algorithm_operator.contract.plan import Limits, PlannedAlgorithm, PlannedJob

MANIFEST = "manifest.json"
"""In the attempt's folder, beside the outputs."""
MAX_MANIFEST_BYTES = 1024 * 1024


class ManifestFile(Model):
    """A stored file, by path below the attempt's folder; of a log that is kept in another DataStore `STORE:PATH`."""

    path: str
    bytes: int
    sha256: str


class Conversion(Model):
    """How an image input became the one file that the algorithm reads. Notes are ours and display-safe."""

    format: str
    """What it was: DICOM, NIfTI, NRRD, MetaImage or TIFF."""
    reader: str
    """Who read it, with its version."""
    files: int
    """How many files it was."""
    notes: list[str] = []
    """What was not simply carried over, such as a rescale or uneven slices."""


class ManifestInput(Model):
    """An input as it was staged: where it came from, and its hash (of the staged file; of several, of their list)."""

    slug: str
    kind: str
    relative_path: str
    source: str
    bytes: int
    sha256: str
    image: ImageGeometry | None = None
    conversion: Conversion | None = None


class ManifestModel(Model):
    """The model as it was unpacked. `sha256`: of the .tar.gz itself, or of a folder's list of files."""

    source: str
    bytes: int
    files: int
    sha256: str


class ManifestOutput(Model):
    """A checked output: a file of the attempt's folder, and the value where it is small enough to carry."""

    slug: str
    kind: str
    relative_path: str
    file: ManifestFile | None = None
    value: Any = None
    has_value: bool = False
    image: ImageGeometry | None = None
    overlay_segments: list[OverlaySegment] | None = None
    warnings: list[str] = []
    """What is odd and no failure, such as another geometry than the image below has. Display-safe."""


class Probe(Model):
    """What the gate saw of one target."""

    name: str
    address: str
    closed: bool
    node_local: bool = False
    attempts: int
    open_attempts: int


class IsolationSeen(Model):
    """The gate's observation."""

    probes: list[Probe]
    seconds: float
    seccomp: bool | None = None


class StageRecord(Model):
    """What stage leaves for collect (a file on the runner volume, written before the gate's end)."""

    started_at: str
    started_at_boottime: float
    staged_seconds: float
    inputs: list[ManifestInput]
    model: ManifestModel | None = None
    isolation: IsolationSeen | None = None


class Manifest(Model):
    """The run record."""

    schema_: Annotated[Literal["algorithm-operator.dev/manifest/v1"], Field(alias="schema")] = (
        "algorithm-operator.dev/manifest/v1"
    )
    job: PlannedJob
    algorithm: PlannedAlgorithm
    pod: dict[str, str]
    limits: Limits
    isolation: IsolationSeen
    started_at: str
    finished_at: str
    exit: ExitRecord
    identity: str = ""
    """Hex sha256 of image, model and inputs: what the result is the result of (`contract/identity.py`)."""
    model: ManifestModel | None = None
    inputs: list[ManifestInput]
    outputs: list[ManifestOutput]
    logs: list[ManifestFile]
    report: ManifestFile | None = None
    """What the results look like, made in the sealed Pod (`contract/report.py`)."""
    undeclared_files: int = 0
    undeclared_bytes: int = 0
    timing: dict[str, float]
