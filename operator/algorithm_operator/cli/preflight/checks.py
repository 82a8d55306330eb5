"""What preflight says: one check, its level, what was seen and how to mend it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from algorithm_operator.api.text import shown

MAX_TEXT = 1500
_LISTED = 5


class Level(StrEnum):
    """How good it looks, from good to bad."""

    PASS = "pass"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


_ORDER = tuple(Level)


def badness(level: Level) -> int:
    """0 is good; for sorting."""
    return _ORDER.index(level)


def worst(levels: Iterable[Level]) -> Level:
    """The worst of them; PASS if there are none."""
    return max(levels, key=badness, default=Level.PASS)


@dataclass(frozen=True, slots=True)
class Check:
    """One question, answered. All texts are display-safe; `fix` is a command, a values key or advice."""

    group: str
    name: str
    level: Level
    seen: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at, and why: the API server's words."""

    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """Makes the checks of one group; whatever it is given is escaped and bounded."""

    name: str

    def check(self, name: str, level: Level, seen: str, fix: str = "") -> Check:
        """A check of that level."""
        fix = "" if level is Level.PASS else shown(fix, MAX_TEXT)
        return Check(shown(self.name, 100), shown(name, 100), level, shown(seen, MAX_TEXT), fix)

    def passed(self, name: str, seen: str) -> Check:
        """It is as it should be."""
        return self.check(name, Level.PASS, seen)

    def warned(self, name: str, seen: str, fix: str) -> Check:
        """Jobs run, but something is weaker or slower than it should be."""
        return self.check(name, Level.WARN, seen, fix)

    def failed(self, name: str, seen: str, fix: str) -> Check:
        """Jobs do not run, or are not kept apart."""
        return self.check(name, Level.FAIL, seen, fix)

    def unknown(self, name: str, seen: str, fix: str) -> Check:
        """It cannot be seen from here."""
        return self.check(name, Level.UNKNOWN, seen, fix)

    def unseen(self, name: str, unseen: Unseen) -> Check:
        """A right is missing, or the API server did not answer."""
        return self.unknown(
            name, f"not looked at: {unseen.why}", "Run preflight as somebody who may read it."
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All checks."""

    checks: Sequence[Check]

    @property
    def level(self) -> Level:
        """The worst of all."""
        return worst(check.level for check in self.checks)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each level."""
        return {str(level): sum(c.level is level for c in self.checks) for level in Level}

    @property
    def summary(self) -> str:
        """One line."""
        parts = ", ".join(f"{count} {level}" for level, count in self.counts.items())
        return f"{len(self.checks)} checks: {parts}"

    def groups(self) -> list[tuple[str, list[Check]]]:
        """By group, the worst last: that is what is still on the screen in the end. Else in the order of judging."""
        by_name: dict[str, list[Check]] = {}
        for check in self.checks:
            by_name.setdefault(check.group, []).append(check)
        inside = [(name, sorted(found, key=lambda c: badness(c.level))) for name, found in by_name.items()]
        return sorted(inside, key=lambda group: badness(worst(c.level for c in group[1])))

    def wire(self) -> dict[str, object]:
        """For programs; the keys stay as they are."""
        checks = [{**asdict(check), "level": str(check.level)} for check in self.checks]
        return {"level": str(self.level), "summary": dict(self.counts), "checks": checks}


def listed(names: Iterable[str]) -> str:
    """`a, b, c and 4 more`."""
    found = sorted(names)
    rest = len(found) - _LISTED
    return ", ".join(found[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def by_value(values: Mapping[str, str]) -> str:
    """`1024 (node-a, node-b), 4096 (node-c)`: what holds where, from value by node."""
    nodes: dict[str, list[str]] = {}
    for node, value in values.items():
        nodes.setdefault(value, []).append(node)
    return ", ".join(f"{value} ({listed(where)})" for value, where in sorted(nodes.items()))
