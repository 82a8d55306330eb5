"""Options and arguments that several commands have, as typer takes them."""

from __future__ import annotations

from typing import Annotated

import typer

Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", help="Default: the kubeconfig context's namespace.")
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="Default: as kubectl does.")]
Output = Annotated[
    str, typer.Option("-o", "--output", metavar="table|json", help="For people or for programs.")
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="Name of an AlgorithmJob.")]
SomeJobs = Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Names of AlgorithmJobs.")]
