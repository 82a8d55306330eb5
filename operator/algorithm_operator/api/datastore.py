"""DataStore: a place for inputs and outputs, written by admins; tenants name it and a path below it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from algorithm_operator.api.base import Model, ObjectName
from algorithm_operator.api.conditions import Condition


class PersistentVolumeClaimSource(Model):
    """A claim in the DataStore's namespace."""

    claim_name: ObjectName


class DataStoreSpec(Model):
    """Where the bytes are."""

    persistent_volume_claim: PersistentVolumeClaimSource
    gid: Annotated[
        int | None,
        Field(
            ge=1,
            le=4294967294,
            description="Group of the store's root (mode 2770); run Pods get it as a supplemental group.",
        ),
    ] = None
    default: Annotated[
        bool,
        Field(description="Outputs of jobs that name no outputStore go here; one DataStore a namespace."),
    ] = False


class DataStoreStatus(Model):
    """Whether the store can be used, and the Pod through which files get in and out."""

    observed_generation: int | None = None
    conditions: Annotated[list[Condition], Field(max_length=16)] = []
    pod: Annotated[str | None, Field(max_length=253, description="The running store Pod, if any.")] = None
