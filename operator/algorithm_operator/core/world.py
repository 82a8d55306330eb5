"""What a decision is made of (World) and what it says (Decision). Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from algorithm_operator.api.algorithm import AlgorithmSpec, AlgorithmStatus
from algorithm_operator.api.conditions import rfc3339
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.imageimport import ImageImportSpec, ImageImportStatus
from algorithm_operator.api.job import AlgorithmJobSpec, AlgorithmJobStatus
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.plan import Target
from algorithm_operator.core import names
from algorithm_operator.core.facts import moment
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.verdict import Verdict

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """An AlgorithmJob as the operator reads it."""

    namespace: str
    name: str
    uid: str
    generation: int
    created_at: datetime | None
    deleting: bool
    of_gateway: bool
    """Made by the gateway, which has asked the limits before."""
    spec: AlgorithmJobSpec
    status: AlgorithmJobStatus

    @classmethod
    def of(cls, body: Object) -> Job:
        """Parse a stored object; unknown fields are ignored. Raises pydantic.ValidationError."""
        meta = body["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            created_at=moment(meta.get("creationTimestamp")),
            deleting=bool(meta.get("deletionTimestamp")),
            of_gateway=names.LABEL_PK in (meta.get("labels") or {}),
            spec=AlgorithmJobSpec.model_validate(body["spec"]),
            status=AlgorithmJobStatus.model_validate(body.get("status") or {}),
        )


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An Algorithm as the operator reads it."""

    kind: ClassVar[str] = "Algorithm"

    namespace: str
    name: str
    uid: str
    generation: int
    spec: AlgorithmSpec
    status: AlgorithmStatus
    created_at: datetime | None = None

    @classmethod
    def of(cls, body: Object) -> Algorithm:
        """Parse a stored object; unknown fields are ignored. Raises pydantic.ValidationError."""
        meta = body["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            spec=AlgorithmSpec.model_validate(body["spec"]),
            status=AlgorithmStatus.model_validate(body.get("status") or {}),
            created_at=moment(meta.get("creationTimestamp")),
        )


@dataclass(frozen=True, slots=True)
class Import:
    """An ImageImport as the operator reads it."""

    kind: ClassVar[str] = "ImageImport"

    namespace: str
    name: str
    uid: str
    generation: int
    spec: ImageImportSpec
    status: ImageImportStatus

    @classmethod
    def of(cls, body: Object) -> Import:
        """Parse a stored object; unknown fields are ignored. Raises pydantic.ValidationError."""
        meta = body["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            spec=ImageImportSpec.model_validate(body["spec"]),
            status=ImageImportStatus.model_validate(body.get("status") or {}),
        )


@dataclass(frozen=True, slots=True)
class World:
    """All that a decision about one job may look at.

    `pods`, `salvage`: its run and salvage Pods by attempt. `foreign`: Pods of an earlier job of the same name.
    `jobs`, `imports`: the status of each other job and ImageImport whose output the job waits to have as an input.
    `unreadable`: why what is named in the namespace (Algorithm, DataStore, ImageImport, job) could not be read, by
    "Kind/name".
    `restricted`: whether the namespace enforces the restricted Pod Security Standard. `targets`: what the gate must
    find closed; None while the canary is not proven alive. `nodes`: None where they may not be listed or were not
    needed yet. `events`: those about the Pod of the open attempt; None where they were not needed.
    """

    job: Job
    now: datetime
    settings: PodSettings
    algorithm: Algorithm | None = None
    stores: Mapping[str, DataStoreSpec] = field(default_factory=dict)
    jobs: Mapping[str, AlgorithmJobStatus] = field(default_factory=dict)
    imports: Mapping[str, ImageImportStatus] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    pods: Mapping[int, Object] = field(default_factory=dict)
    salvage: Mapping[int, Object] = field(default_factory=dict)
    foreign: Sequence[Object] = field(default_factory=list)
    restricted: bool = False
    terminating: bool = False
    policies: Sequence[Object] = field(default_factory=list)
    targets: list[Target] | None = None
    nodes: Sequence[Object] | None = None
    events: Sequence[Object] | None = None

    @property
    def run(self) -> RunSnapshot:
        """What the job runs, as fixed when it was accepted. Raises ValueError before that."""
        if self.job.status.algorithm is None:
            raise ValueError(f"job {self.job.name} is not accepted yet")
        return self.job.status.algorithm


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Create that Pod; where the name is taken already: look whose it is."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Ask whether the Algorithm's limits let the job start: one job at a time, for each answer changes the next."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete that very Pod."""

    name: str
    uid: str
    grace_seconds: int = 10


@dataclass(frozen=True, slots=True)
class EndPod:
    """End that Pod by lowering its deadline: it keeps its object, logs and outputs."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ReleasePod:
    """Take our finalizer off that Pod: all that it had to say is in status."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """Read the framed manifest from that Pod's log and settle the attempt with it."""

    pod: str
    container: str
    number: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ConfirmGone:
    """The Pod of attempt `number` is not in our store though it was created: believe it only after a live look."""

    pod: str
    number: int


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Its time to live is over."""


Action = CreatePod | TakeTurn | DeletePod | EndPod | ReleasePod | ReadManifest | ConfirmGone | DeleteJob


@dataclass(frozen=True, slots=True)
class Decision:
    """Write `status` if it differs from the stored one, then carry out `actions` in order, then look again."""

    status: AlgorithmJobStatus
    actions: list[Action] = field(default_factory=list)
    requeue: float | None = None
    needs_nodes: bool = False
    needs_events: str | None = None
    """uid of the Pod whose events would tell more."""


def stamp(now: datetime) -> str:
    """A time as status carries it."""
    return rfc3339(now)
