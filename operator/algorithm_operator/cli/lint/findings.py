"""What lint found: one thing that is wrong, where it stands, why it is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from algorithm_operator.api.text import shown
from algorithm_operator.cli.lint.manifests import Manifest, Path, fields_of


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`line` counts from 1. `object` is "Algorithm NAME", `field` a path such as "spec.image"; "" where there is none.

    All texts are safe to show.
    """

    file: str
    line: int
    object: str
    field: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        where = [f"{shown(self.file, 1024)}:{self.line}", self.object, self.field]
        return ": ".join([*filter(None, where), self.why]) + (f"; {self.fix}" if self.fix else "")

    def wire(self) -> dict[str, str | int]:
        """As JSON has it."""
        return {
            "file": shown(self.file, 1024),
            "line": self.line,
            "object": self.object,
            "field": self.field,
            "why": self.why,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class Object:
    """A manifest of ours. `name` and `namespace` are "" where it has none; of a generateName the name is that."""

    manifest: Manifest
    kind: str
    name: str
    namespace: str

    def __str__(self) -> str:
        return f"{shown(self.kind, 64)} {shown(self.name, 64)}"

    def finding(self, path: Path, why: str, fix: str = "") -> Finding:
        """That something is wrong with the field at `path`."""
        line = self.manifest.line(path)
        return Finding(self.manifest.file, line, str(self), fields_of(path), why, fix)

    @property
    def place(self) -> str:
        """File and line where it begins."""
        return f"{shown(self.manifest.file, 1024)}:{self.manifest.line(())}"
