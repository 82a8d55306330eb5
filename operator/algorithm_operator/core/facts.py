"""What a Pod object says, as facts: the only place that knows the shape of Pod status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import ValidationError

from algorithm_operator.api.base import Model
from algorithm_operator.contract.exits import CollectReport, StageReport
from algorithm_operator.core import names

Pod = Mapping[str, Any]


class Phase(StrEnum):
    """Where one container is."""

    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Container:
    """One container's status. Times are the kubelet's."""

    phase: Phase = Phase.ABSENT
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def started(self) -> bool:
        """Whether its process ever ran."""
        return self.started_at is not None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the verdict and the progress of an attempt rest on."""

    name: str
    uid: str
    node: str | None
    created_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    deleted_at: datetime | None
    """When deletion was asked for (deletionTimestamp less its grace)."""
    gone_at: datetime | None
    """deletionTimestamp: when the grace ends."""
    pod_reason: str
    pod_message: str
    disruption: str
    """Reason of the DisruptionTarget condition, "" without one."""
    unschedulable: str
    """The scheduler's message while there is no node."""
    stage: Container
    collect: Container
    algorithm: Container
    stage_report: StageReport | None
    collect_report: CollectReport | None
    phase: str
    has_finalizer: bool

    @property
    def ended(self) -> bool:
        """No container of the Pod runs or will run."""
        if self.phase in ("Succeeded", "Failed"):
            return True
        if self.deleted_at is not None and self.node is None:
            return True
        return self.algorithm.phase is Phase.TERMINATED and self.collect.phase is Phase.TERMINATED


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API server."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def facts_of(pod: Pod) -> Facts:
    """The facts of a run Pod; never raises on strange status, absent fields are absent facts."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    disruption = conditions.get("DisruptionTarget", {})
    statuses = {
        c["name"]: c
        for c in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    }
    gone_at = moment(meta.get("deletionTimestamp"))
    grace = meta.get("deletionGracePeriodSeconds") or 0
    return Facts(
        name=meta["name"],
        uid=meta["uid"],
        node=spec.get("nodeName"),
        created_at=moment(meta.get("creationTimestamp")),
        scheduled_at=moment(scheduled.get("lastTransitionTime"))
        if scheduled.get("status") == "True"
        else None,
        started_at=moment(status.get("startTime")),
        deleted_at=datetime.fromtimestamp(gone_at.timestamp() - grace, gone_at.tzinfo) if gone_at else None,
        gone_at=gone_at,
        pod_reason=str(status.get("reason") or ""),
        pod_message=str(status.get("message") or ""),
        disruption=str(disruption.get("reason") or "Unknown") if disruption.get("status") == "True" else "",
        unschedulable=str(scheduled.get("message") or "") if scheduled.get("status") == "False" else "",
        stage=_container(statuses.get(names.STAGE)),
        collect=_container(statuses.get(names.COLLECT)),
        algorithm=_container(statuses.get(names.ALGORITHM)),
        stage_report=_report(statuses.get(names.STAGE), StageReport),
        collect_report=_report(statuses.get(names.COLLECT), CollectReport),
        phase=str(status.get("phase") or ""),
        has_finalizer=names.POD_FINALIZER in (meta.get("finalizers") or []),
    )


def _container(status: Mapping[str, Any] | None) -> Container:
    state = (status or {}).get("state") or {}
    if terminated := state.get("terminated"):
        return Container(
            phase=Phase.TERMINATED,
            reason=str(terminated.get("reason") or ""),
            message=str(terminated.get("message") or ""),
            exit_code=terminated.get("exitCode"),
            # The kubelet writes the epoch for a container that it could not start.
            started_at=_after_epoch(moment(terminated.get("startedAt"))),
            finished_at=_after_epoch(moment(terminated.get("finishedAt"))),
        )
    if running := state.get("running"):
        return Container(phase=Phase.RUNNING, started_at=moment(running.get("startedAt")))
    if waiting := state.get("waiting"):
        return Container(
            phase=Phase.WAITING,
            reason=str(waiting.get("reason") or ""),
            message=str(waiting.get("message") or ""),
        )
    return Container()


def _after_epoch(when: datetime | None) -> datetime | None:
    return when if when is not None and when.timestamp() > 0 else None


ReportT = TypeVar("ReportT", bound=Model)


def _report(status: Mapping[str, Any] | None, model: type[ReportT]) -> ReportT | None:
    terminated = ((status or {}).get("state") or {}).get("terminated") or {}
    text = terminated.get("message")
    if not text:
        return None
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None
