"""kubectl-algorithm: `kubectl algorithm …`. The commands; what they do is in the modules beside.

Only typer is imported here: everything else waits until a command needs it, so that --help is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from algorithm_operator.cli import authoring
from algorithm_operator.cli.errors import CliError, ReaderGoneError
from algorithm_operator.cli.options import Context, JobName, Kubeconfig, Namespace, Output, SomeJobs

if TYPE_CHECKING:
    from algorithm_operator.cli.connection import Cluster

app = typer.Typer(
    name="kubectl-algorithm",
    help="Run medical-imaging algorithms on Kubernetes: inputs up, job run, results down and checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def upload(
    files: Annotated[
        list[str], typer.Argument(metavar="LOCAL... STORE:PATH", help="Files and folders; where to.")
    ],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Send files and folders to a DataStore. What is there already is skipped, what was interrupted continues.

    One file becomes PATH; a folder's files go below PATH. With several, or if PATH ends with "/", each keeps its name.
    """
    from algorithm_operator.cli import commands

    commands.upload(_cluster(namespace, context, kubeconfig), [Path(each) for each in files[:-1]], files[-1])


@app.command()
def download(
    what: Annotated[
        str, typer.Argument(metavar="JOB|STORE:PATH", help="A finished job, or a file or folder.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Default: ./JOB or .")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Fetch a job's outputs, logs and manifest, every byte checked; or a file or folder of a DataStore."""
    from algorithm_operator.cli import commands

    commands.download(_cluster(namespace, context, kubeconfig), what, output)


@app.command()
def run(
    algorithm: Annotated[str, typer.Argument(metavar="ALGORITHM", help="Name of an Algorithm.")],
    input_: Annotated[
        list[str] | None,
        typer.Option(
            "-i",
            "--input",
            metavar="SLUG=VALUE",
            help="slug=VALUE, slug=@FILE, slug=STORE:PATH, slug=configmap:NAME/KEY, "
            "slug=image:NAME@sha256:DIGEST:PATH or slug=job:NAME/OUTPUT; several files: once for each.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the job. Default: a fresh one.")] = None,
    output_store: Annotated[
        str | None, typer.Option("--output-store", metavar="STORE", help="Default: the namespace's.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    attempts: Annotated[
        int | None,
        typer.Option("--attempts", min=1, max=10, help="How often the infrastructure may fail."),
    ] = None,
    time_limit: Annotated[
        int | None,
        typer.Option("--time-limit", metavar="SECONDS", min=10, help="At most the algorithm's."),
    ] = None,
    each: Annotated[
        Path | None,
        typer.Option(
            "--each", metavar="DIR|LIST.csv", help="One job a case: a file or folder each, or a line each."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="STORE:PATH",
            help="Where local files of --input and --each DIR go. Default: DEFAULT-STORE:cases/",
        ),
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Run an algorithm: on one set of inputs, or with --each on many (run it again to resume).

    Exit code 0: all succeeded; 1: one did not; 2: the command was wrong.
    """
    from algorithm_operator.cli import commands
    from algorithm_operator.cli.errors import UsageError
    from algorithm_operator.cli.jobs import Wish

    wish = Wish(algorithm, output_store, attempts, time_limit)
    given = input_ or []
    if each is not None and name is not None:
        raise UsageError("--name names one job; the jobs of --each are named by their cases.")
    cluster = _cluster(namespace, context, kubeconfig)
    if each is None:
        commands.run(cluster, wish, given, name, to, wait=wait)
    else:
        commands.run_each(cluster, wish, given, each, to, wait=wait)


@app.command()
def get(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job in detail.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="As the API server has it.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the jobs, or show one in detail."""
    from algorithm_operator.cli import commands

    commands.get(_cluster(namespace, context, kubeconfig), job, as_json=json_)


@app.command()
def logs(
    job: JobName,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only what it wrote to stdout.")] = False,
    stderr: Annotated[
        bool, typer.Option("--stderr", help="Only what it wrote to stderr; to our stdout.")
    ] = False,
    combined: Annotated[
        bool, typer.Option("--combined", help="Both in one, a line each with its time and stream.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="From the start of the job to its end.")
    ] = False,
    attempt: Annotated[
        int | None, typer.Option("--attempt", metavar="N", min=1, help="Default: the last.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Byte by byte: control characters are not escaped.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print what the algorithm wrote, stdout to stdout and stderr to stderr.

    Of a finished job from its store; of a running one from its Pod, where most clusters have both streams mixed.
    """
    from algorithm_operator.cli import commands
    from algorithm_operator.cli.errors import UsageError
    from algorithm_operator.cli.logs import Asked

    if stdout + stderr + combined > 1:
        raise UsageError("Take one of --stdout, --stderr and --combined.")
    asked = Asked(stdout, stderr, combined, follow, raw, attempt)
    commands.logs(_cluster(namespace, context, kubeconfig), job, asked)


@app.command()
def report(
    job: JobName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: ./JOB.html")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write a job as one HTML page: results, pictures, logs, record. It needs no network and runs no script."""
    from algorithm_operator.cli import commands

    commands.report(_cluster(namespace, context, kubeconfig), job, output, in_browser=open_)


@app.command()
def explain(
    job: JobName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Say why a job is where it is: the verdict, whose fault it is, the evidence, what to change."""
    from algorithm_operator.cli import commands

    commands.explain(_cluster(namespace, context, kubeconfig), job)


@app.command()
def cancel(
    job: SomeJobs = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every job of the namespace that has not ended.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """End jobs. It cannot be taken back; logs are kept, outputs are not."""
    from algorithm_operator.cli import commands

    commands.cancel(_cluster(namespace, context, kubeconfig), job or [], all_=all_)


@app.command()
def suspend(
    job: SomeJobs = None, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Hold jobs back before they start."""
    from algorithm_operator.cli import commands

    commands.suspend(_cluster(namespace, context, kubeconfig), job or [], held=True)


@app.command()
def resume(
    job: SomeJobs = None, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Let suspended jobs start."""
    from algorithm_operator.cli import commands

    commands.suspend(_cluster(namespace, context, kubeconfig), job or [], held=False)


@app.command()
def preflight(
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="Of jobs. Default: all that are prepared for them."),
    ] = None,
    operator_namespace: Annotated[
        str | None, typer.Option("--operator-namespace", help="Where the operator is. Default: looked for.")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="See with two short-lived Pods whether policies hold.")
    ] = True,
    output: Output = "table",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check the cluster: what keeps jobs from running or from being kept apart, and the fix.

    Exit code 0: nothing failed; 1: something did; 2: the command was wrong.
    """
    from algorithm_operator.cli import show
    from algorithm_operator.cli.preflight import command

    command.preflight(
        _cluster(namespace, context, kubeconfig),
        namespace,
        operator_namespace,
        show.output_of(output),
        with_probe=probe,
    )


@app.command()
def token(
    duration: Annotated[
        str, typer.Option("--duration", metavar="TIME", help="How long it counts; the cluster may give less.")
    ] = "720h",
    service_account: Annotated[
        str, typer.Option("--service-account", metavar="NAME", help="Whose token: its rights are yours then.")
    ] = "gcapi",
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Of the gateway. Default: as the cluster says.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file", metavar="FILE", help="Where a private authority goes. Default: below ~/.config."
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="snippet|token|json", help="What is printed.")
    ] = "snippet",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print what a script with Grand Challenge's client gcapi begins with: where the gateway is, and a token for it."""
    from algorithm_operator.cli import token as tokens

    wish = tokens.Wish(duration, service_account, tokens.form_of(output), url, ca_file)
    tokens.token(_cluster(namespace, context, kubeconfig), wish)


app.add_typer(authoring.app)


@app.command()
def version() -> None:
    """Print the version of this command."""
    from algorithm_operator import __version__

    print(__version__)


def _cluster(namespace: str | None, context: str | None, kubeconfig: str | None) -> Cluster:
    from algorithm_operator.cli.connection import Target, connect

    return connect(Target(namespace, context, kubeconfig))


def command_first(arguments: list[str]) -> list[str]:
    """`-n NAME get` as `get -n NAME`: kubectl takes these options in either place."""
    leading, rest = [], list(arguments)
    while rest and rest[0].partition("=")[0] in ("-n", "--namespace", "--context", "--kubeconfig"):
        leading.append(rest.pop(0))
        if "=" not in leading[-1] and rest:
            leading.append(rest.pop(0))
    return [*rest[:1], *leading, *rest[1:]]


def main() -> None:
    """The console script; also `python -m algorithm_operator.cli`."""
    try:
        app(command_first(sys.argv[1:]))
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except (BrokenPipeError, ReaderGoneError):
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
