"""failure.json: why an attempt has no outputs. Beside the logs in the attempt's folder; people and the CLI read it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import Model
from algorithm_operator.contract.exits import ExitRecord
from algorithm_operator.contract.manifest import ManifestFile
from algorithm_operator.contract.plan import PlannedAlgorithm, PlannedJob

FAILURE = "failure.json"
UNDECLARED = "(undeclared)"
"""Stands for the slug of what lies in /output without being an output."""


class Finding(Model):
    """One thing that is wrong with what the algorithm wrote. `path` is below /output, escaped."""

    slug: str
    path: str
    message: str


class Failure(Model):
    """What is kept of an attempt that has no result."""

    schema_: Annotated[Literal["algorithm-operator.dev/failure/v1"], Field(alias="schema")] = (
        "algorithm-operator.dev/failure/v1"
    )
    job: PlannedJob
    algorithm: PlannedAlgorithm
    reason: str
    message: str
    findings: list[Finding] = []
    exit: ExitRecord | None = None
    logs: list[ManifestFile] = []
    finished_at: str
