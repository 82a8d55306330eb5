"""The commands for whoever writes an algorithm: from a starter project to an image in a registry. No cluster needed."""

from __future__ import annotations

from typing import Annotated

import typer

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
