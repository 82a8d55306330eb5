"""The plan as a step reads it, and the limits in it."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from algorithm_operator.api.base import Model
from algorithm_operator.contract.importing import ImportPlan
from algorithm_operator.contract.plan import MAX_PLAN_BYTES, Plan
from algorithm_operator.steps.roots import Roots

KIB, MIB, GIB = 1024, 1024**2, 1024**3

P = TypeVar("P", Plan, ImportPlan)
Positive = Annotated[int, Field(gt=0)]


class StepSettings(Model):
    """`Plan.settings`. Bytes are apparent sizes: a sparse file counts in full."""

    max_output_bytes: Positive = 64 * GIB
    """All declared outputs together, and any single file of /output."""
    max_model_bytes: Positive = 64 * GIB
    """All files of the model, unpacked."""
    max_image_bytes: Positive = 64 * GIB
    """The voxels of one image, uncompressed."""
    max_archive_bytes: Positive = 64 * GIB
    """All files of one ZIP input, unpacked."""
    max_json_bytes: Positive = 16 * MIB
    max_value_bytes: Positive = 8 * KIB
    """A value up to this size (as compact JSON) is carried in the manifest."""
    max_entries: Positive = 100_000
    max_depth: Positive = 32
    log_max_bytes: Positive = 16 * MIB
    socket_timeout_seconds: Positive = 60
    check_memory_bytes: Positive = 192 * MIB
    """What the child that checks one file may allocate, beyond what it starts with."""
    stage_memory_bytes: Positive = 512 * MIB
    """The memory limit of the stage container: the children that read inputs may use most of it."""
    read_seconds: Positive = 900
    """How long reading one input may take: a conversion, or an unpacking."""


class PlanError(Exception):
    """The plan cannot be read: the operator and the steps image do not fit together."""


def load_plan(roots: Roots) -> tuple[Plan, StepSettings]:
    """The plan of this attempt and its settings.

    :raises PlanError: it is missing, too large or not valid.
    """
    return _load(roots, Plan)


def load_import(roots: Roots) -> tuple[ImportPlan, StepSettings]:
    """The same of an import.

    :raises PlanError: it is missing, too large or not valid.
    """
    return _load(roots, ImportPlan)


def _load(roots: Roots, model: type[P]) -> tuple[P, StepSettings]:
    try:
        with open(roots.plan, "rb") as file:
            text = file.read(MAX_PLAN_BYTES + 1)
    except OSError as error:
        raise PlanError(f"the plan cannot be read: {error.strerror}") from error
    if len(text) > MAX_PLAN_BYTES:
        raise PlanError(f"the plan is larger than {MAX_PLAN_BYTES} bytes")
    try:
        plan = model.model_validate_json(text)
        return plan, StepSettings.model_validate(plan.settings)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise PlanError(
            f"the plan is not valid at {where}: {first['msg']} (do operator and steps image have the same version?)"
        ) from error
