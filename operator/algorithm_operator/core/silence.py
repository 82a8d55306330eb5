"""A node that says nothing about a Pod: its events tell what its status will tell late or never. Pure.

The kubelet writes into the Pod's status that an image could not be pulled up to 15 s after it knows, and never why a
volume is not mounted or a sandbox not made. Its events say so at once. They are asked for only when a container that
should have started by now has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from algorithm_operator.core.facts import Container, Facts, Phase

Event = Mapping[str, Any]

SILENT_SECONDS = 3.0
_VOLUME_OR_SANDBOX = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says: about which container ("" if about none alone), whether it is a pull, and in what words."""

    container: str
    is_pull: bool
    message: str


def starts_since(facts: Facts) -> datetime | None:
    """Since when the node should be starting the next container; None where none is due."""
    if facts.node is None or facts.ended or facts.deleted_at is not None:
        return None
    if _is_due(facts.stage):
        return facts.scheduled_at
    if facts.stage.exit_code == 0 and (_is_due(facts.collect) or _is_due(facts.algorithm)):
        return facts.stage.finished_at
    return None


def _is_due(container: Container) -> bool:
    return container.phase in (Phase.ABSENT, Phase.WAITING)


def is_silent(facts: Facts, now: datetime) -> bool:
    """Whether a container has been due for a moment, so that the events are worth a look."""
    since = starts_since(facts)
    return since is not None and (now - since).total_seconds() >= SILENT_SECONDS


def last_warning(events: Iterable[Event]) -> Told | None:
    """The newest warning that tells why a container does not start."""
    told = [(_when(event), found) for event in events if (found := _told(event)) is not None]
    return max(told, key=lambda pair: pair[0])[1] if told else None


def _told(event: Event) -> Told | None:
    reason, message = str(event.get("reason") or ""), str(event.get("message") or "")
    path = str((event.get("involvedObject") or {}).get("fieldPath") or "")
    container = path.partition("{")[2].rstrip("}")
    if event.get("type") != "Warning":
        return None
    if reason == "Failed" and message.startswith("Failed to pull image"):
        return Told(container, True, message)
    return Told("", False, message) if reason in _VOLUME_OR_SANDBOX else None


def _when(event: Event) -> str:
    # RFC 3339 in UTC: the order of the texts is that of the times, as far as it matters.
    meta = event.get("metadata") or {}
    return str(event.get("lastTimestamp") or event.get("eventTime") or meta.get("creationTimestamp") or "")
