"""Conditions as metav1.Condition: set and read without losing lastTransitionTime. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import DATE_TIME, Model


class ConditionType(StrEnum):
    """Every condition type this project writes."""

    READY = "Ready"  # Algorithm, DataStore
    ACCEPTED = "Accepted"  # the job was checked and its run is fixed
    SUSPENDED = "Suspended"
    SCHEDULED = "Scheduled"  # False explains what the job waits for
    STAGED = "Staged"
    ISOLATED = "Isolated"
    COLLECTED = "Collected"
    COMPLETE = "Complete"
    FAILED = "Failed"
    STALLED = "Stalled"  # kstatus: nothing will move without a person
    STDERR_OUTPUT = "StderrOutput"
    GEOMETRY_MISMATCH = "GeometryMismatch"  # an output lies elsewhere than its input; a warning


class Condition(Model):
    """metav1.Condition, with a bounded message."""

    type: Annotated[str, Field(max_length=64, description="What it is about.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="The generation that it is about.")
    ] = None
    last_transition_time: Annotated[
        str, Field(max_length=40, description="When status last changed.", json_schema_extra=DATE_TIME)
    ]
    reason: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            max_length=64,
            description="Why, in one word for programs.",
        ),
    ]
    message: Annotated[str, Field(max_length=2048, description="Why, in a sentence for people.")] = ""


def rfc3339(moment: datetime) -> str:
    """`moment` in UTC with second precision, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether the condition of that type is there and True."""
    found = find(conditions, type_)
    return found is not None and found.status == "True"


def with_condition(
    conditions: Iterable[Condition],
    type_: str,
    status: bool | None,
    reason: str,
    message: str = "",
    *,
    generation: int | None,
    now: datetime,
) -> list[Condition]:
    """`conditions` with that one set; lastTransitionTime moves only when its status does. None is Unknown."""
    existing = list(conditions)
    word: Literal["True", "False", "Unknown"] = (
        "Unknown" if status is None else ("True" if status else "False")
    )
    before = find(existing, type_)
    unchanged = before is not None and before.status == word
    fresh = Condition(
        type=str(type_),
        status=word,
        reason=str(reason),
        message=message[:2048],
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and unchanged else rfc3339(now),
    )
    return [fresh if c.type == type_ else c for c in existing] if before else [*existing, fresh]


def without_condition(conditions: Iterable[Condition], type_: str) -> list[Condition]:
    """`conditions` less the one of that type."""
    return [c for c in conditions if c.type != type_]
