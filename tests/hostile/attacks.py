"""The part of docs/attacks.md that is about files: `python -m tests.hostile.attacks` writes it anew from the corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.hostile.corpus import INPUTS, OUTPUTS, Entry, Row

PAGE: Final = Path(__file__).parents[2] / "docs" / "attacks.md"
BEGIN, END = "<!-- files: written by tests/hostile/attacks.py -->", "<!-- files: end -->"
MOST_SAID: Final = 4
"""Messages that a row shows; the corpus has them all."""
HEADINGS: Final = {
    "E.2": "What an algorithm leaves in `/output`",
    "E.3": "What lies in a store and is named as an input",
}


def tables() -> str:
    """Both tables, in Markdown."""
    parts = []
    for source, heading in HEADINGS.items():
        entries = [each for each in (*OUTPUTS, *INPUTS) if each.row.source == source]
        rows = dict.fromkeys(each.row for each in entries)
        lines = [_line(row, [each for each in entries if each.row is row]) for row in rows]
        head = "| attempt | what stopped it | the owner reads |\n|---|---|---|"
        parts.append("\n".join([f"### {heading}", head, *lines]))
    return "\n\n".join(parts)


def _line(row: Row, entries: Iterable[Entry]) -> str:
    entries = list(entries)
    said = list(dict.fromkeys(each.says for each in entries if each.says is not None))
    words = [_code(text) for text in said[:MOST_SAID]]
    if len(said) > MOST_SAID:
        words.append(f"and {len(said) - MOST_SAID} more")
    if any(each.says is None for each in entries):
        words.append("or it is taken, and harms nobody" if said else "nothing: it is taken, and harms nobody")
    count = f"{len(entries)} `{entries[0].id}` …" if len(entries) > 1 else f"`{entries[0].id}`"
    return f"| {row.attempt} [{count}] | {row.stopped} | {', '.join(words)} |"


def _code(text: str) -> str:
    """Inline code; a table's bars are escaped even there."""
    return "`" + text.replace("`", "'").replace("|", "\\|").strip() + "`"


def written(page: str) -> str:
    """The page with the tables as they should be."""
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{tables()}\n{END}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
