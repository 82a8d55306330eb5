"""The plan that the operator hands to the steps of one attempt.

It travels as an annotation of the Pod and reaches the steps as a file of a downwardAPI volume, so it is created
with the Pod in one request and the algorithm never sees it. Written by core/pods.py, read by steps/.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from algorithm_operator.api.base import Model
from algorithm_operator.api.interface import OverlaySegment
from algorithm_operator.api.text import shown

MAX_PLAN_BYTES = 224 * 1024
"""Annotations of an object may take 256 KiB in all."""
MAX_VALUES_BYTES = 128 * 1024
"""All inline values of a job together, as JSON."""


class PlannedSocket(Model):
    """A socket with every default filled in."""

    slug: str
    title: str
    kind: str
    relative_path: str
    pk: int
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """The socket's own JSON schema, besides that of its kind."""
    overlay_segments: list[OverlaySegment] | None = None
    store_in_status: bool = False
    overlay_of: str | None = None
    """Of an output: the slug of the input in whose place its image must lie; None: of none, or not checked."""
    geometry_check: Literal["Fail", "Warn"] = "Fail"


class PlannedFile(Model):
    """One path of an input as `stage` sees it; exactly one of `store`, `config_map` and `image` says where it is from.

    `mount` is where it sits in the stage container: of a store exactly this file or folder, of a ConfigMap the folder
    of its keys, of an image its whole file system. `path` is what the owner wrote (of a ConfigMap the key), for
    messages; of a ConfigMap or an image it is looked up below `mount`. `sha256`: what it must be, where the status of
    another `job` or of an `image_import` says so.
    """

    mount: str
    path: str
    store: str | None = None
    config_map: str | None = None
    image: str | None = None
    folder: bool = False
    sha256: str | None = None
    job: str | None = None
    image_import: str | None = None

    @property
    def holder(self) -> str:
        """What it is in, for messages; safe to show."""
        if self.store is not None:
            return f"DataStore {shown(self.store)}"
        if self.config_map is not None:
            return f"ConfigMap {shown(self.config_map)}"
        return f"image {shown(self.image or '', 700)}"

    @property
    def source(self) -> str:
        """What it is in, for the manifest."""
        if self.store is not None:
            return f"store:{self.store}"
        return f"configMap:{self.config_map}" if self.config_map is not None else f"image:{self.image}"


class PlannedInput(Model):
    """An input: its socket and either a value (JSON text) or files."""

    socket: PlannedSocket
    value_json: str | None = None
    files: list[PlannedFile] | None = None


class Target(Model):
    """An address the gate must find closed; a UDP one is a DNS server's."""

    name: str
    host: str
    port: int
    protocol: Literal["TCP", "UDP"] = "TCP"

    @property
    def address(self) -> str:
        """Host and port as people write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + ("/udp" if self.protocol == "UDP" else "")


class Isolation(Model):
    """What the gate probes. Node-local targets fail the job only if `strict`."""

    strict: bool = True
    targets: list[Target] = []
    node_local: list[Target] = []
    probe_node: bool = True
    """Probe the kubelet at port 10250 of each of $HOST_IPS, and what is known on nodes, as node-local targets too."""
    rounds: int = 3
    timeout_seconds: float = 60


class Command(Model):
    """The image's own start, for the runner. `home`: HOME, where the image's passwd says it."""

    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    home: str | None = None


class PlannedModel(Model):
    """The model as `stage` sees it below `mount`: a file or folder of a store, or an image's whole file system.

    `path`: what the owner wrote; in an image it is looked up below `mount`, "" is all of it. `store` or `image`
    says where it is from. `sha256`: what it must be, if that is fixed.
    """

    mount: str
    path: str = ""
    store: str | None = None
    image: str | None = None
    sha256: str | None = None


class Limits(Model):
    """What was asked for, for the runner and the manifest."""

    cpu: str
    memory: str
    gpu_type: str
    gpu_count: int
    threads: int
    scratch: str = "30G"
    scratch_medium: str = "Disk"
    shared_memory: str | None = None
    time_limit_seconds: int
    collect_seconds: int
    enforced_by: dict[str, str] = {}
    """In a manifest: who was seen to hold each of them (`contract/enforcement.py`)."""


class PlannedJob(Model):
    """Which job and attempt this is."""

    namespace: str
    name: str
    uid: str
    attempt: int


class PlannedAlgorithm(Model):
    """Which algorithm is run."""

    name: str
    generation: int
    image: str
    image_digest: str
    interface: str


class PlannedOutputStore(Model):
    """Where outputs or logs go: the DataStore, and the attempt's folder below the volume's root."""

    name: str
    folder: str


class Plan(Model):
    """All that stage, gate and collect need to know."""

    version: Literal[1] = 1
    job: PlannedJob
    algorithm: PlannedAlgorithm
    command: Command
    inputs: list[PlannedInput]
    outputs: list[PlannedSocket]
    model: PlannedModel | None = None
    output_store: PlannedOutputStore | None = None
    log_store: PlannedOutputStore | None = None
    """Set where the logs are kept apart from the outputs; the Pod's own log is silent then."""
    error_in_status: bool = True
    """Whether the last line of stderr may be told to whoever reads the job and its Pod."""
    limits: Limits
    network: str = "None"
    isolation: Isolation
    result_template: str | None = None
    settings: dict[str, Any] = {}
