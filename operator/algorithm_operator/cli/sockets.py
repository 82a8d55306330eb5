"""The list of the common sockets, and of the kinds that sockets have. Offline: both come with the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Socket
from algorithm_operator.api.text import quoted
from algorithm_operator.cli import show
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.show import Output
from algorithm_operator.contract.kinds import KINDS, Kind
from algorithm_operator.contract.sockets import title_of


def sockets(kind: str | None, output: Output) -> None:
    """`sockets [--kind KIND]`: the catalogue."""
    wanted = None if kind is None else kind_named(kind).label
    found = [Socket.model_validate({"slug": slug}) for slug in sorted(CATALOGUE)]
    found = [each for each in found if wanted in (None, each.kind)]
    if output is Output.JSON:
        _write(each.wire() for each in found)
        return
    _table(
        ("SLUG", "KIND", "PATH", "TITLE"),
        ((each.slug, each.kind, each.relative_path or "", title_of(each)) for each in found),
    )


def kinds(output: Output) -> None:
    """`sockets --kinds`: what a socket may be of."""
    if output is Output.JSON:
        _write(_wire(kind) for kind in KINDS.values())
        return
    _table(
        ("KIND", "CODE", "CARRIED AS", "FILES"),
        ((kind.label, kind.code, str(kind.super_kind), ", ".join(kind.suffixes)) for kind in KINDS.values()),
    )


def kind_named(name: str) -> Kind:
    """A kind by its label or code, in capitals or not.

    :raises UsageError: there is none.
    """
    for kind in KINDS.values():
        if name.casefold() in (kind.label.casefold(), kind.code.casefold()):
            return kind
    raise UsageError(f"There is no kind {quoted(name)}; `kubectl algorithm sockets --kinds` lists them.")


def _wire(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": kind.label,
        "code": kind.code,
        "superKind": str(kind.super_kind),
        "suffixes": list(kind.suffixes),
    }
    return found if kind.schema is None else {**found, "schema": kind.schema, "example": kind.example}


def _write(rows: Iterable[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps(list(rows), indent=2, ensure_ascii=False) + "\n")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = show.table_of(*head)
    for row in rows:
        table.add_row(*map(show.text, row))
    show.out.print(table)
