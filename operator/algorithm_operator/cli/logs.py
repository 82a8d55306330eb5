"""A job's log: from its store when it is over, from its Pod while it runs. The text is the algorithm's: hostile."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli import show
from algorithm_operator.cli.connection import Cluster
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.lease import open_store
from algorithm_operator.core.names import ALGORITHM

_LONGEST_LINE = 64 * 1024


def print_log(cluster: Cluster, job: Job, *, stderr: bool, follow: bool) -> None:
    """Write the log to stdout, and to stderr where it comes from."""
    if job.finished and job.output_store is not None and job.folder is not None:
        path = f"{job.folder}/logs/{'stderr' if stderr else 'stdout'}.log"
        if _from_store(cluster, job, job.output_store, path):
            return
        show.note("the algorithm has removed or replaced the file that its output was kept in")
    _from_pod(cluster, job, stderr=stderr, follow=follow)


def _from_store(cluster: Cluster, job: Job, store_name: str, path: str) -> bool:
    """Whether the store has the log of an algorithm that ran."""
    with open_store(cluster, store_name, show.note) as store:
        there = store.stat(path)
        if there is None and job.status.logs is not None:
            return False
        if there is None:
            raise CliError(
                f"The store has no log of job {quoted(job.name)}: its algorithm was never started, or its Pod was "
                "lost. kubectl algorithm explain says more."
            )
        show.note(f"from DataStore {store_name}, {shown(path, 1024)} ({show.size(there.size)})")
        _write(store.read(path) if there.size else ())
    return True


def _from_pod(cluster: Cluster, job: Job, *, stderr: bool, follow: bool) -> None:
    if not job.status.attempts:
        raise CliError(f"Job {quoted(job.name)} has not started yet: {job.status.state or 'Pending'}.")
    pod = max(job.status.attempts, key=lambda attempt: attempt.number).pod
    pieces = cluster.pod_log(pod, ALGORITHM, follow=follow)
    if pieces is None:
        raise CliError(f"Pod {quoted(pod)} of job {quoted(job.name)} is gone, and its log with it.")
    both = (
        ": stdout and stderr together, a Pod's log does not tell them apart"
        if stderr
        else ", stdout and stderr"
    )
    show.note(f"from Pod {shown(pod)}{both}")
    _write(pieces)


def _write(pieces: Iterable[bytes]) -> None:
    """To a file or pipe as it is; to a terminal line by line, with what could steer the terminal escaped."""
    if not sys.stdout.isatty():
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    for line in lines(pieces):
        sys.stdout.write(safe_line(line) + "\n")


def safe_line(line: bytes) -> str:
    """One line of a log as a terminal may get it; tabs stay."""
    return "\t".join(shown(part, _LONGEST_LINE) for part in line.split(b"\t"))


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream that comes in pieces; endless ones are cut into several."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in whole)
        while len(rest) > _LONGEST_LINE:
            yield rest[:_LONGEST_LINE]
            rest = rest[_LONGEST_LINE:]
    if rest:
        yield rest
