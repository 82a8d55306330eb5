"""A job's logs: from their store when an attempt is over, from its Pod while it runs. The algorithm's text is hostile.

stdout and stderr are kept apart in the store. A Pod's log mixes them, unless the cluster's API can split them (the
option `stream`, PodLogsQuerySplitStreams of Kubernetes, off on most clusters).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from algorithm_operator.api.job import Attempt, State
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli import jobs, show
from algorithm_operator.cli.connection import Cluster, UnreachableError
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.lease import open_store
from algorithm_operator.cli.lines import Sink, Stream, carry, combined
from algorithm_operator.core.names import ALGORITHM, STAGE, attempt_folder

_HAS_A_LOG = (State.RUNNING, State.COLLECTING)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the logs is wanted. Without `stdout` and `stderr`: both, each to where it belongs.

    `combined`: both in one, a line each with its time and stream. `raw`: byte by byte, nothing is escaped.
    """

    stdout: bool = False
    stderr: bool = False
    combined: bool = False
    follow: bool = False
    raw: bool = False
    attempt: int | None = None

    @property
    def streams(self) -> Sequence[Stream]:
        """Which."""
        both = self.stdout == self.stderr
        return [stream for stream in Stream if both or (stream is Stream.STDERR) == self.stderr]

    @property
    def sinks(self) -> dict[Stream, Sink]:
        """Where each goes: stderr to stderr, unless it is asked for alone."""
        alone = len(self.streams) == 1
        return {
            each: Sink(raw=self.raw, to_stderr=each is Stream.STDERR and not alone) for each in self.streams
        }


def print_logs(cluster: Cluster, job: Job, asked: Asked) -> None:
    """Print them to stdout and stderr, and remarks to stderr."""
    if asked.follow:
        job = _has_begun(cluster, job, asked)
    attempt = _attempt(job, asked)
    over = job.finished or attempt.finished_at is not None
    if not over and job.logs_apart is not None:
        if not asked.follow:
            raise CliError(
                f"Job {quoted(job.name)} is {job.status.state}: its Algorithm keeps logs apart, in DataStore "
                f"{shown(job.logs_apart)}; they are there once the algorithm has ended."
            )
        job, over = _followed_to_its_end(cluster, job), True
    store = job.logs_apart or job.output_store
    if over and store is not None:
        if _from_store(cluster, job, attempt, store, asked):
            return
        if job.logs_apart is not None:
            raise _none(job)  # the Pod's own log is silent
        show.note("the store has none: the algorithm removed its log files, or nobody could keep them")
    _from_pod(cluster, job, attempt, asked, over=over)


def _attempt(job: Job, asked: Asked) -> Attempt:
    attempts = {each.number: each for each in job.status.attempts}
    if asked.attempt is not None and asked.attempt not in attempts:
        had = ", ".join(map(str, sorted(attempts))) or "none"
        raise CliError(f"Job {quoted(job.name)} has no attempt {asked.attempt}; its attempts: {had}.")
    if not attempts:
        if job.finished:
            raise _none(job)
        state = job.status.state or State.PENDING
        raise CliError(
            f"Job {quoted(job.name)} has not started yet: {state}. {shown(job.status.message or '')}".rstrip()
        )
    return attempts[asked.attempt if asked.attempt is not None else max(attempts)]


def _has_begun(cluster: Cluster, job: Job, asked: Asked) -> Job:
    """Wait until there is a log to follow."""
    told = None
    while not (job.finished or asked.attempt is not None or job.status.state in _HAS_A_LOG):
        if job.status.state != told:
            told = job.status.state
            show.note(f"job {shown(job.name)} is {told or State.PENDING}; waiting for its start")
        time.sleep(jobs.poll_seconds(1))
        job = jobs.find_job(cluster, job.name)
    return job


def _followed_to_its_end(cluster: Cluster, job: Job) -> Job:
    show.note(f"the logs are kept apart, in DataStore {shown(job.logs_apart or '')}; waiting for the end")
    while not job.finished:
        time.sleep(jobs.poll_seconds(1))
        job = jobs.find_job(cluster, job.name)
    return job


def _from_store(cluster: Cluster, job: Job, attempt: Attempt, store_name: str, asked: Asked) -> bool:
    """Print what the store has of an attempt that is over; whether it has anything that was asked for."""
    folder = attempt_folder(job.name, job.uid, attempt.number) + "/logs"
    try:
        with open_store(cluster, store_name, show.note) as store:
            wanted = ["combined.jsonl"] if asked.combined else [f"{each}.log" for each in asked.streams]
            there = {name: found for name in wanted if (found := store.stat(f"{folder}/{name}")) is not None}
            if not there:
                return False
            lacking = ", ".join(name for name in wanted if name not in there)
            lacks = f" (there is no {lacking}: the algorithm removed it)" if lacking else ""
            show.note(f"from DataStore {shown(store_name)}, {shown(folder, 1024)}{lacks}")
            for name, found in there.items():
                pieces = store.read(f"{folder}/{name}") if found.size else iter(())
                if asked.combined:
                    Sink(raw=asked.raw).take(pieces if asked.raw else combined(pieces))
                else:
                    asked.sinks[Stream(name.removesuffix(".log"))].take(pieces)
            return True
    except CliError as error:
        if job.logs_apart is None:
            raise
        raise CliError(
            f"The logs of job {quoted(job.name)} are kept apart, in DataStore {shown(store_name)} (logPolicy of its "
            f"Algorithm): whoever may connect to that store reads them. {error}"
        ) from None


def _from_pod(cluster: Cluster, job: Job, attempt: Attempt, asked: Asked, *, over: bool) -> None:
    name = shown(attempt.pod)
    apart = not asked.combined and splits(cluster, attempt.pod)
    if apart:
        show.note(f"from Pod {name}")
        sources = {
            each: cluster.pod_log(attempt.pod, ALGORITHM, follow=asked.follow, stream=str(each).capitalize())
            for each in asked.streams
        }
        carry([(asked.sinks[each], pieces) for each, pieces in sources.items() if pieces is not None])
        if any(pieces is not None for pieces in sources.values()):
            return
    timed = {"timestamps": True} if asked.combined else {}
    try:
        merged = cluster.pod_log(attempt.pod, ALGORITHM, follow=asked.follow, **timed)
    except UnreachableError:
        raise
    except CliError:
        if over:
            raise _none(job) from None
        raise
    if merged is None:
        raise _none(job)
    later = "" if over else "; apart they are in the store once the algorithm has ended"
    show.note(
        f"from Pod {name}: stdout and stderr together, this cluster's API does not tell them apart{later}"
    )
    Sink(raw=asked.raw).take(merged)


def _none(job: Job) -> CliError:
    return CliError(
        f"There is no log of job {quoted(job.name)}: its algorithm was never started, or its Pod is gone and the log "
        "with it. kubectl algorithm explain says how it ended."
    )


def splits(cluster: Cluster, pod: str) -> bool:
    """Whether API server and kubelet keep the streams of that Pod apart: `stage` prints to stdout alone, so a server
    that takes the option for nothing answers with its words."""
    try:
        errors = cluster.pod_log(pod, STAGE, stream="Stderr")
        words = cluster.pod_log(pod, STAGE, stream="Stdout")
        return errors is not None and words is not None and not any(errors) and any(words)
    except CliError:  # it does not know the option, or the feature is off
        return False
