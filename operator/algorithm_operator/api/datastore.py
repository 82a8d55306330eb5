"""DataStore: a place for inputs and outputs, written by admins; tenants name it and a path below it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from algorithm_operator.api.base import Model, ObjectName, list_map
from algorithm_operator.api.conditions import Condition


class PersistentVolumeClaimSource(Model):
    """A claim in the DataStore's namespace."""

    claim_name: Annotated[ObjectName, Field(description="Its metadata.name.")]


class DataStoreSpec(Model):
    """Where the bytes are."""

    persistent_volume_claim: PersistentVolumeClaimSource
    gid: Annotated[
        int | None,
        Field(
            ge=1,
            le=2147483647,
            description="Group of the store's root (mode 2770); run Pods get it as a supplemental group.",
        ),
    ] = None
    default: Annotated[
        bool,
        Field(description="Outputs of jobs that name no outputStore go here; one DataStore a namespace."),
    ] = False


class DataStoreStatus(Model):
    """Whether the store can be used, and the Pod through which files get in and out."""

    observed_generation: Annotated[int | None, Field(description="The generation that this is about.")] = None
    conditions: Annotated[
        list[Condition],
        Field(max_length=16, description="Ready: jobs can use it.", json_schema_extra=list_map("type")),
    ] = []
    pod: Annotated[str | None, Field(max_length=253, description="The running store Pod, if any.")] = None
