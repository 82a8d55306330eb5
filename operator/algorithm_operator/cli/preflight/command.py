"""The command: look, judge, show."""

from __future__ import annotations

import json
import sys

from rich.markup import escape
from rich.table import Table

from algorithm_operator.cli import show
from algorithm_operator.cli.connection import Cluster
from algorithm_operator.cli.errors import FAILED
from algorithm_operator.cli.preflight.checks import Level, Report
from algorithm_operator.cli.preflight.gather import gather
from algorithm_operator.cli.preflight.judge import judge
from algorithm_operator.cli.show import Output

_STYLE = {Level.PASS: "green", Level.UNKNOWN: "cyan", Level.WARN: "yellow", Level.FAIL: "bold red"}


def preflight(
    cluster: Cluster,
    namespace: str | None,
    operator_namespace: str | None,
    output: Output,
    *,
    with_probe: bool,
) -> None:
    """`preflight`: exits with 1 if a check failed."""
    report = judge(gather(cluster, namespace, operator_namespace, show.note, with_probe=with_probe))
    if output is Output.JSON:
        sys.stdout.write(json.dumps(report.wire(), indent=2) + "\n")
    else:
        draw(report)
    if report.level is Level.FAIL:
        sys.exit(FAILED)


def draw(report: Report) -> None:
    """A table a group, the worst last; the fix below what it mends."""
    for name, found in report.groups():
        show.out.print(f"[bold]{escape(name)}[/]")
        table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", max_width=28)
        table.add_column(overflow="fold")
        for check in found:
            word = f"[{_STYLE[check.level]}]{check.level}[/]"
            table.add_row(f"  {word}", escape(check.name), escape(check.seen))
            if check.fix:
                table.add_row("", "", f"[dim]fix:[/] {escape(check.fix)}")
        show.out.print(table)
        show.out.print()
    show.out.print(f"[{_STYLE[report.level]}]{report.level}[/]  {escape(report.summary)}")
