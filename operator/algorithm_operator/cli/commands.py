"""What each command does, once it knows its cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.markup import escape

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.interface import Interface
from algorithm_operator.api.job import State
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli import jobs, local, results, show, transfer
from algorithm_operator.cli.connection import AlreadyExistsError, Cluster, Kind, Object, UnreachableError
from algorithm_operator.cli.each import Case, cases_of_csv, cases_of_folder
from algorithm_operator.cli.errors import FAILED, CliError, UsageError
from algorithm_operator.cli.explain import explain as explained
from algorithm_operator.cli.inputs import Place, parse_inputs, parse_place
from algorithm_operator.cli.jobs import Job, Wish
from algorithm_operator.cli.lease import open_store
from algorithm_operator.cli.logs import Asked, print_logs
from algorithm_operator.cli.progress import follow as follow_job


def upload(cluster: Cluster, files: Sequence[Path], to: str) -> None:
    """`upload LOCAL... STORE:PATH`."""
    place = parse_place(to)
    if place is None or not files:
        raise UsageError(
            "Write: upload LOCAL... STORE:PATH, for example: upload t1.mha imaging:cases/001/t1.mha"
        )
    found = transfer.sources(files, place)
    with open_store(cluster, place.store, show.note) as store, show.transferring() as begin:
        for source in found:
            sha256 = transfer.file_sha256(source.file)
            sent = transfer.upload(store, source, sha256, begin(source.path, source.size))
            what = "uploaded" if sent else "is there already"
            target = f"{place.store}:{source.path}"
            show.out.print(f"{show.text(target, 1200)}  {what}  {show.size(source.size)}  sha256 {sha256}")


def download(cluster: Cluster, what: str, folder: Path | None) -> None:
    """`download JOB|STORE:PATH [-o DIR]`."""
    place = parse_place(what)
    if place is not None:
        _download_files(cluster, place, folder or Path())
        return
    job = jobs.find_job(cluster, what)
    if not job.finished:
        raise CliError(
            f"Job {quoted(job.name)} is {job.status.state or State.PENDING}: it has no results yet."
        )
    target = folder or Path(job.name)
    if job.output_store is None:
        if not job.status.outputs:
            raise CliError(f"Job {quoted(job.name)} has neither outputs nor an output store. {_why(job)}")
        for path in results.write_values(job, target):
            show.out.print(f"{show.text(path, 1200)}  from the job's status: it has no output store")
        return
    with open_store(cluster, job.output_store, show.note) as store, show.transferring() as begin:
        files = results.fetch(store, job, target, begin)
    show.fetched(files)
    if job.logs_apart is not None:
        show.note(
            f"the logs are kept apart, in DataStore {shown(job.logs_apart)}: kubectl algorithm logs {job.name}"
        )
    if job.status.state is not State.SUCCEEDED:
        raise CliError(f"Job {quoted(job.name)} has no outputs: {_why(job)}")


def _download_files(cluster: Cluster, place: Place, target: Path) -> None:
    with open_store(cluster, place.store, show.note) as store, show.transferring() as begin:
        there = (
            None if place.is_folder else transfer.steadily(store, place.path, lambda: store.stat(place.path))
        )
        if there is None and not place.is_folder:
            raise CliError(f"There is no {quoted(place.path)} in DataStore {quoted(place.store)}.")
        if place.is_folder or (there is not None and there.folder):
            root = place.path.rstrip("/")
            paths = transfer.steadily(store, root, lambda: store.files(root))
            wanted = [(path, target / path.removeprefix(root).lstrip("/")) for path in paths]
        else:
            wanted = [(place.path, target / Path(place.path).name)]
        if not wanted:
            raise CliError(
                f"There are no files below {quoted(place.path)} in DataStore {quoted(place.store)}."
            )
        for path, file in wanted:
            sha256 = transfer.download(store, transfer.Wanted(path, file), begin(path, None))
            show.out.print(f"{show.text(file, 1200)}  {show.size(file.stat().st_size)}  sha256 {sha256}")


def run(
    cluster: Cluster, wish: Wish, given: Sequence[str], name: str | None, to: str | None, *, wait: bool
) -> None:
    """`run ALGORITHM --input …`."""
    if name is not None:
        jobs.check_name(name)
    algorithm = _algorithm(cluster, wish)
    kinds = jobs.input_kinds(algorithm)
    parsed = parse_inputs(given, kinds)
    if to is not None and not parsed.local:
        raise UsageError("--to says where local files of --input or --each DIR go; there are none.")
    name = name or jobs.fresh_name(wish.algorithm)
    inputs = parsed.inputs
    if parsed.local:
        place = _place_for_files(cluster, wish, to)
        wanted = local.sent(parsed.local, kinds, place, name)
        with open_store(cluster, place.store, show.note) as store, show.transferring() as begin:
            inputs = [*inputs, *local.send(store, wanted, begin)]
    try:
        cluster.create(Kind.JOBS, jobs.job_body(name, wish, inputs))
    except AlreadyExistsError:
        raise UsageError(
            f"There is a job {quoted(name)} already. A job runs once: take another --name."
        ) from None
    show.err.print(f"job {escape(name)} created in namespace {show.text(cluster.namespace)}")
    if not wait:
        show.out.print(escape(name))
        return
    with show.following(name) as draw:
        job = follow_job(cluster, name, draw)
    _report(job)
    if job.status.state is not State.SUCCEEDED:
        sys.exit(FAILED)


def _report(job: Job) -> None:
    """The last words of `run`."""
    ran = job.status.timing.ran_seconds if job.status.timing else None
    took = f" (ran {ran:g} s)" if ran is not None else ""
    show.out.print(f"{escape(job.name)}  {show.state(job.status.state)}{took}")
    if job.status.state is State.SUCCEEDED:
        show.out.print(show.outputs(job))
        return
    show.out.print(escape(_why(job)))
    show.out.print(f"more: kubectl algorithm explain {escape(job.name)}")


def _why(job: Job) -> str:
    """Message and blame in one line."""
    status = job.status
    blame = f" (blame: {shown(status.blame, 32)})" if status.blame else ""
    return f"{shown(status.reason or '', 64)}: {shown(status.message or '', 1024)}{blame}"


def _algorithm(cluster: Cluster, wish: Wish) -> Object | None:
    found = cluster.get(Kind.ALGORITHMS, wish.algorithm)
    if found is None:
        name, namespace = quoted(wish.algorithm), shown(cluster.namespace)
        show.note(f"there is no Algorithm {name} in namespace {namespace} yet; a job waits for it")
    return found


def run_each(
    cluster: Cluster, wish: Wish, given: Sequence[str], each: Path, to: str | None, *, wait: bool
) -> None:
    """`run ALGORITHM --each DIR|LIST.csv`: files up, jobs made as their files are there, then all followed."""
    algorithm = _algorithm(cluster, wish)
    kinds = jobs.input_kinds(algorithm)
    parsed = parse_inputs(given, kinds)
    if parsed.local:
        slug = next(iter(parsed.local))
        raise UsageError(f"Input {quoted(slug)}: upload local files before, where all cases have the same.")
    common = parsed.inputs
    place: Place | None = None
    if each.is_dir():
        place = _place_for_files(cluster, wish, to)
        cases = cases_of_folder(each, wish, common, _interfaces(algorithm, wish), place)
    elif each.is_file():
        cases = cases_of_csv(each.read_text("utf-8-sig"), wish, common, kinds)
    else:
        raise UsageError(f"--each {quoted(str(each))}: there is no such folder or list.")
    if place is not None:
        with open_store(cluster, place.store, show.note) as store, show.transferring() as begin:
            for case in cases:
                for item in case.uploads:
                    transfer.upload(
                        store, item.source, item.sha256, begin(item.source.path, item.source.size)
                    )
                _make(cluster, wish, case)
    else:
        for case in cases:
            _make(cluster, wish, case)
    found = _follow_all(cluster, cases) if wait else {}
    show.cases([(case.name, case.job, found.get(case.job)) for case in cases])
    if wait:
        well = sum(job is not None and job.status.state is State.SUCCEEDED for job in found.values())
        show.out.print(f"{well} of {len(cases)} succeeded")
        if well < len(cases):
            sys.exit(FAILED)


def _make(cluster: Cluster, wish: Wish, case: Case) -> None:
    try:
        cluster.create(Kind.JOBS, jobs.job_body(case.job, wish, case.inputs))
    except AlreadyExistsError:
        show.note(f"{shown(case.name)}: job {case.job} is there already")


def _follow_all(cluster: Cluster, cases: Sequence[Case]) -> dict[str, Job | None]:
    """Look until every case's job is finished or gone, one list a look."""
    wanted = {case.job for case in cases}
    with show.counting(len(cases)) as draw:
        while True:
            listed = [
                jobs.job_of(body) for body in cluster.list(Kind.JOBS) if body["metadata"]["name"] in wanted
            ]
            draw([str(job.status.state or State.PENDING) for job in listed])
            if all(job.finished for job in listed):
                return dict.fromkeys(wanted) | {job.name: job for job in listed}
            time.sleep(jobs.poll_seconds(len(cases)))


def _interfaces(algorithm: Object | None, wish: Wish) -> list[Interface]:
    if algorithm is None:
        raise CliError(
            f"Algorithm {quoted(wish.algorithm)} must be there to know which input the files are for."
        )
    return AlgorithmSpec.model_validate(algorithm["spec"]).interfaces


def _place_for_files(cluster: Cluster, wish: Wish, to: str | None) -> Place:
    if to is not None:
        place = parse_place(to)
        if place is None:
            raise UsageError(f"--to {quoted(to)}: write STORE:PATH.")
        return place
    store = wish.output_store or jobs.default_store(cluster.list(Kind.STORES))
    if store is None:
        raise UsageError("Which DataStore takes the files? Say it by --to STORE:PATH.")
    return Place(store, "cases/")


def get(cluster: Cluster, name: str | None, *, as_json: bool) -> None:
    """`get [JOB]`."""
    if name is not None:
        job = jobs.find_job(cluster, name)  # says clearly if there is none
        show.as_json(cluster.get(Kind.JOBS, name) or {}) if as_json else show.job(job)
        return
    bodies = cluster.list(Kind.JOBS)
    if as_json:
        show.as_json({"items": bodies})
    elif bodies:
        show.jobs([jobs.job_of(body) for body in bodies])
    else:
        show.note(f"there are no jobs in namespace {shown(cluster.namespace)}")


def logs(cluster: Cluster, name: str, asked: Asked) -> None:
    """`logs JOB [--stdout|--stderr|--combined] …`."""
    print_logs(cluster, jobs.find_job(cluster, name), asked)


def explain(cluster: Cluster, name: str) -> None:
    """`explain JOB`."""
    job = jobs.find_job(cluster, name)
    last = max(job.status.attempts, key=lambda attempt: attempt.number, default=None)
    pod = cluster.pod(last.pod) if last is not None else None
    show.explanation(explained(job, pod))


def cancel(cluster: Cluster, names: Sequence[str], *, all_: bool) -> None:
    """`cancel JOB... | --all`."""
    _each(cluster, names, all_, lambda job: jobs.cancel(cluster, job))


def suspend(cluster: Cluster, names: Sequence[str], *, held: bool) -> None:
    """`suspend JOB...` and `resume JOB...`."""
    _each(cluster, names, None, lambda job: jobs.suspend(cluster, job, held))


def _each(cluster: Cluster, names: Sequence[str], all_: bool | None, change: Callable[[Job], str]) -> None:
    """Change each job and say what came of it; what cannot be done for one does not keep the others.

    `all_`: None where the command has no --all.
    """
    if bool(names) == bool(all_):
        raise UsageError("Name the jobs." if all_ is None else "Name the jobs, or say --all; not both.")
    if all_:
        listed = [jobs.job_of(body) for body in cluster.list(Kind.JOBS)]
        found: list[Job | str] = [job for job in listed if not job.finished]
        if not found:
            show.note(f"no job of namespace {shown(cluster.namespace)} is waiting or running")
    else:
        found = list(dict.fromkeys(names))
    failed = False
    for one in found:
        try:
            job = jobs.find_job(cluster, one) if isinstance(one, str) else one
            show.out.print(escape(change(job)))
        except UnreachableError:
            raise
        except CliError as error:
            failed = True
            show.err.print(escape(f"error: {error}"))
    if failed:
        sys.exit(FAILED)
