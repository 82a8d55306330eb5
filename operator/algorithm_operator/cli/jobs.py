"""AlgorithmJobs as the commands make, read and end them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.job import (
    TERMINAL,
    AlgorithmJobSpec,
    AlgorithmJobStatus,
    Attempt,
    JobInput,
    State,
)
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.connection import Cluster, Kind, Object
from algorithm_operator.cli.errors import CliError, UsageError
from algorithm_operator.cli.inputs import Input
from algorithm_operator.core.names import MAX_JOB_NAME, attempt_folder

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels: random names spell no words."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was read."""

    name: str
    uid: str
    created_at: str
    generation: int
    spec: AlgorithmJobSpec
    status: AlgorithmJobStatus

    @property
    def finished(self) -> bool:
        """Whether its state will not change any more."""
        return self.status.state in TERMINAL

    @property
    def output_store(self) -> str | None:
        """The DataStore that its outputs and logs are in, once that is settled."""
        return self.status.algorithm.output_store if self.status.algorithm else None

    @property
    def logs_apart(self) -> str | None:
        """The DataStore that keeps its logs instead of the output store, if its Algorithm says so."""
        policy = self.status.algorithm.log_policy if self.status.algorithm else None
        return policy.store.name if policy is not None and policy.store is not None else None

    @property
    def last_attempt(self) -> Attempt | None:
        """The attempt that runs, or ran last."""
        return max(self.status.attempts, key=lambda each: each.number, default=None)

    @property
    def folder(self) -> str | None:
        """The folder of its last attempt, below the root of the store."""
        last = self.last_attempt
        return attempt_folder(self.name, self.uid, last.number) if last is not None else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What `run` asks for besides inputs; None leaves it to the algorithm or the operator."""

    algorithm: str
    output_store: str | None = None
    attempts: int | None = None
    time_limit_seconds: int | None = None


def job_of(body: Object) -> Job:
    """Read an AlgorithmJob from the API server's JSON."""
    meta = body["metadata"]
    return Job(
        name=str(meta["name"]),
        uid=str(meta["uid"]),
        created_at=str(meta["creationTimestamp"]),
        generation=int(meta.get("generation", 1)),
        spec=AlgorithmJobSpec.model_validate(body["spec"]),
        status=AlgorithmJobStatus.model_validate(body.get("status") or {}),
    )


def job_body(name: str, wish: Wish, inputs: Sequence[Input]) -> Object:
    """The AlgorithmJob to create; what was not asked for is left out."""
    spec: dict[str, Any] = {"algorithmRef": {"name": wish.algorithm}, "inputs": list(inputs)}
    if wish.output_store is not None:
        spec["outputStore"] = {"name": wish.output_store}
    if wish.attempts is not None:
        spec["attempts"] = wish.attempts
    if wish.time_limit_seconds is not None:
        spec["timeLimitSeconds"] = wish.time_limit_seconds
    return {"apiVersion": API_VERSION, "kind": "AlgorithmJob", "metadata": {"name": name}, "spec": spec}


def check_name(name: str) -> None:
    """:raises UsageError: the API server would refuse a job of that name."""
    if len(name) > MAX_JOB_NAME or not _NAME.fullmatch(name):
        raise UsageError(
            f"A job cannot be called {quoted(name)}: a name has lower-case letters, digits and hyphens, begins and "
            f"ends with a letter or digit, and is at most {MAX_JOB_NAME} long."
        )


def fresh_name(algorithm: str) -> str:
    """A name that no job has: the algorithm's and random letters."""
    tail = "".join(secrets.choice(_LETTERS) for _ in range(6))
    return f"{name_part(algorithm, MAX_JOB_NAME - 7)}-{tail}"


def name_part(text: str, limit: int) -> str:
    """`text` as a part of an object's name: lower-case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-")


def input_kinds(algorithm: Object | None) -> dict[str, str]:
    """The kind of each input of an Algorithm (over all its interfaces), by slug."""
    interfaces = ((algorithm or {}).get("spec") or {}).get("interfaces") or []
    return {str(each["slug"]): str(each["kind"]) for interface in interfaces for each in interface["inputs"]}


def input_place(given: JobInput) -> str | None:
    """Where an input comes from, as `--input` takes it; None: it is a value."""
    if given.store is not None:
        return f"{given.store.name}:{', '.join(given.store.paths)}"
    if given.config_map is not None:
        return f"configmap:{given.config_map.name}/{given.config_map.key}"
    if given.image is not None:
        return f"image:{given.image.reference}:{given.image.path}"
    if given.image_import is not None:
        return f"import:{given.image_import.name}"
    return f"job:{given.job.name}/{given.job.output}" if given.job is not None else None


def find_job(cluster: Cluster, name: str) -> Job:
    """:raises CliError: there is none of that name."""
    body = cluster.get(Kind.JOBS, name)
    if body is None:
        raise CliError(
            f"There is no job {quoted(name)} in namespace {shown(cluster.namespace)}. "
            "kubectl algorithm get lists those that there are."
        )
    return job_of(body)


def cancel(cluster: Cluster, job: Job) -> str:
    """Ask the operator to end the job, and say what comes of it. A finished job stays as it is."""
    name = quoted(job.name)
    if job.finished:
        return f"job {name} is finished already: {job.status.state}"
    if job.spec.cancel:
        return f"job {name} is being cancelled already"
    cluster.patch(Kind.JOBS, job.name, {"spec": {"cancel": True}})
    if job.status.state is State.COLLECTING:
        return f"job {name} is being cancelled; its algorithm has ended, so it may still succeed"
    return f"job {name} is being cancelled"


def suspend(cluster: Cluster, job: Job, held: bool) -> str:
    """Hold the job back before its start, or let it go, and say what comes of it.

    :raises CliError: it has started, so it cannot be held back.
    """
    name = quoted(job.name)
    if job.finished:
        return f"job {name} is finished already: {job.status.state}"
    if job.spec.suspend == held:
        return f"job {name} is " + ("suspended already" if held else "not suspended")
    if held and job.status.attempts:
        raise CliError(
            f"job {name} is {job.status.state}: it has started and cannot be suspended any more; "
            "kubectl algorithm cancel ends it"
        )
    cluster.patch(Kind.JOBS, job.name, {"spec": {"suspend": held}})
    return f"job {name} " + ("is suspended; kubectl algorithm resume starts it" if held else "goes on")


def poll_seconds(jobs: int) -> float:
    """How often to look: every second for one job, less for many."""
    return min(5.0, 1.0 + jobs / 20)


def default_store(stores: Sequence[Mapping[str, Any]]) -> str | None:
    """The namespace's DataStore with `default: true`, if it is one."""
    names = [str(each["metadata"]["name"]) for each in stores if each["spec"].get("default")]
    return names[0] if len(names) == 1 else None
