"""The commands for whoever writes an algorithm: from a starter project to an image in a registry. No cluster needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from algorithm_operator.cli.options import Output

app = typer.Typer()


@app.command()
def lint(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE|DIR...", help="YAML manifests; - is standard input.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="text|json", help="For people or for programs.")
    ] = "text",
) -> None:
    """Name everything that is wrong with Algorithms, AlgorithmJobs and DataStores, without a cluster.

    Exit code 0: nothing is; 1: something is; 2: the command was wrong.
    """
    from algorithm_operator.cli.errors import UsageError
    from algorithm_operator.cli.lint import command

    if output not in set(command.Output):
        raise UsageError(f"--output is text or json, not {output!r}.")
    command.lint(files, command.Output(output))


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the Algorithm.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A new or empty one. Default: ./NAME")
    ] = None,
    input_: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="SLUG[:KIND]", help="An input; kind Image by default. Default: scan."
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="SLUG[:KIND]",
            help="An output; kind Anything by default. Default: segmentation:Segmentation and results.",
        ),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu/--no-gpu", help="Whether it needs a GPU.")] = True,
) -> None:
    """Write a starter project: code, tests, Dockerfile, manifests, scripts. It runs as it is."""
    from algorithm_operator.cli.project import command

    command.init(name, folder, input_ or [], output or [], gpu=gpu)


@app.command("import")
def import_(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE.json", help="What Grand Challenge's API answers; - is standard input."),
    ],
    image: Annotated[
        str | None, typer.Option("--image", metavar="REFERENCE", help="Where the image is now.")
    ] = None,
) -> None:
    """Print an Algorithm made from the JSON of one at Grand Challenge; what it cannot say goes to stderr.

    Exit code 0: lint finds nothing in it; 1: it does, or the JSON is none of an algorithm.
    """
    from algorithm_operator.cli import grand_challenge

    grand_challenge.import_(file, image)


@app.command()
def push(
    file: Annotated[Path, typer.Argument(metavar="IMAGE.tar.gz", help="What save.sh or docker save wrote.")],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="REGISTRY/REPOSITORY:TAG")],
    username: Annotated[
        str | None, typer.Option("--username", metavar="NAME", help="Default: as docker login left it.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Its password is the first line of standard input.")
    ] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="The registry speaks plain HTTP.")] = False,
) -> None:
    """Check an image that was saved to a file, upload it to a registry, and print its reference by digest."""
    from algorithm_operator.cli.push import command

    command.push(file, reference, username, password_stdin=password_stdin, insecure=insecure)


@app.command()
def sockets(
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help='Only those: "Heat Map", or its code HMAP.')
    ] = None,
    kinds: Annotated[
        bool, typer.Option("--kinds", help="The kinds that a socket may be of, instead.")
    ] = False,
    output: Output = "table",
) -> None:
    """List the common sockets: an Algorithm names one by its slug alone. Needs no cluster."""
    from algorithm_operator.cli import show
    from algorithm_operator.cli import sockets as listing
    from algorithm_operator.cli.errors import UsageError

    if kinds and kind is not None:
        raise UsageError("--kinds lists the kinds themselves; leave --kind out.")
    if kinds:
        listing.kinds(show.output_of(output))
    else:
        listing.sockets(kind, show.output_of(output))
