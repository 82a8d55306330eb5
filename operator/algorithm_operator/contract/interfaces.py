"""Which interface of an algorithm a job uses: the one with exactly its set of input slugs. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from algorithm_operator.api.algorithm import Interface
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
    return "; ".join(
        f"{each.name}: {_listed([socket.slug for socket in each.inputs])}" for each in interfaces
    )


def _why(interfaces: Sequence[Interface], given: set[str]) -> str:
    known = sorted(set().union(*(input_slugs(interface) for interface in interfaces)))
    nearest = min(interfaces, key=lambda interface: len(input_slugs(interface) ^ given))
    missing = sorted(input_slugs(nearest) - given)
    parts = []
    for slug in sorted(given - set(known)):
        close = difflib.get_close_matches(slug, missing or known, n=1)
        parts.append(
            f"There is no input {quoted(slug)}" + (f"; did you mean {quoted(close[0])}?" if close else ".")
        )
    if missing:
        word = "Input" if len(missing) == 1 else "Inputs"
        verb = "is" if len(missing) == 1 else "are"
        parts.append(f"{word} {_listed([quoted(slug) for slug in missing])} {verb} missing.")
    if not parts:
        surplus = sorted(given - input_slugs(nearest))
        parts.append(
            f"{_listed([quoted(slug) for slug in surplus])} cannot be given together with the others."
        )
    return " ".join(parts)


def _listed(words: Sequence[str]) -> str:
    if len(words) < 3:
        return " and ".join(words)
    return ", ".join(words[:-1]) + ", and " + words[-1]
