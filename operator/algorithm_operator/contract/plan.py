"""The plan that the operator hands to the steps of one attempt.

It travels as an annotation of the Pod and reaches the steps as a file of a downwardAPI volume, so it is created
with the Pod in one request and the algorithm never sees it. Written by core/pods.py, read by steps/.
"""

from __future__ import annotations

from typing import Any, Literal

from algorithm_operator.api.base import Model
from algorithm_operator.api.interface import OverlaySegment

MAX_PLAN_BYTES = 192 * 1024
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
    overlay_segments: list[OverlaySegment] | None = None
    store_in_status: bool = False


class PlannedFile(Model):
    """One path of a DataStore as `stage` sees it.

    `mount` is where its parent sits in the stage container (a subPath mount of exactly this file or folder);
    `path` is what the owner wrote, for messages.
    """

    mount: str
    path: str
    store: str
    folder: bool = False


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
    settings: dict[str, Any] = {}
