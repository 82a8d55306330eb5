"""Which interface of an algorithm a job uses: the one with exactly its set of input slugs. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from algorithm_operator.api.interface import Interface
from algorithm_operator.api.text import quoted


@dataclass(frozen=True, slots=True)
class Mismatch:
    """No interface has exactly these inputs: why, and the combinations that there are. Both are sentences' parts."""

    why: str
    allowed: str


def pick(interfaces: Sequence[Interface], slugs: Collection[str]) -> Interface | Mismatch:
    """The interface whose input slugs are exactly `slugs`."""
    given = set(slugs)
    for interface in interfaces:
        if given == input_slugs(interface):
            return interface
    return Mismatch(why=_why(interfaces, given), allowed=combinations(interfaces))


def input_slugs(interface: Interface) -> set[str]:
    """The slugs of the interface's inputs."""
    return {socket.slug for socket in interface.inputs}


def combinations(interfaces: Sequence[Interface]) -> str:
    """The allowed input combinations, for a message: `name: a, b, and c; other: a`."""
    return "; ".join(f"{each.name}: {listed([socket.slug for socket in each.inputs])}" for each in interfaces)


def _why(interfaces: Sequence[Interface], given: set[str]) -> str:
    known = set().union(*(input_slugs(interface) for interface in interfaces))
    nearest = max(map(input_slugs, interfaces), key=lambda slugs: (len(slugs & given), -len(slugs ^ given)))
    missing = sorted(nearest - given)
    parts = []
    for slug in sorted(given - known):
        close = difflib.get_close_matches(slug, missing or sorted(known), n=1)
        hint = f"; did you mean {quoted(close[0])}?" if close else "."
        parts.append(f"There is no input {quoted(slug)}{hint}")
    if missing:
        subject, verb = ("Input", "is") if len(missing) == 1 else ("Inputs", "are")
        parts.append(f"{subject} {listed([quoted(slug) for slug in missing])} {verb} missing.")
    if surplus := sorted((given & known) - nearest):
        parts.append(
            f"{listed([quoted(slug) for slug in surplus])} cannot be given together with the others."
        )
    return " ".join(parts)


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b, and c`."""
    if len(words) < 3:
        return " and ".join(words)
    return ", ".join(words[:-1]) + ", and " + words[-1]
