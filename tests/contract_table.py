"""Writes docs/contract.md: kind × (what it is, where it is staged, what is taken, what is refused and why).

`python -m tests.contract_table` writes, `--check` compares and fails. The examples are those of `contract_cases.py`,
which a test runs through collect and stage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract.kinds import KINDS, Form
from tests.contract_cases import PATHS, ROWS, Row

TARGET = Path(__file__).parents[1] / "docs" / "contract.md"
MAX_EXAMPLE = 160
_GROUPS = {
    Form.JSON: "JSON",
    Form.IMAGE: "Images",
    Form.DICOM: "DICOM",
    Form.FILE: "Other files",
}
HEAD = """<!-- Written by `make docs` from kinds.py, catalogue.py and tests/contract_cases.py: edit those. -->
# The contract: every kind of socket

What an algorithm reads and writes, kind by kind. The kinds, their codes and their rules are Grand Challenge's; each
example below is run through the real `stage` and `collect` by `tests/unit/steps/test_contract.py`.

- **Carried as**: a *Value* stands in `inputs.json` and may be shown in a job's status (`storeInStatus`), a *File* and
  an *Image* stand there by name. JSON of kinds that are Files is checked all the same.
- **Schema**: what the JSON must be; `name?` may be left out, a *point* is `[x, y, z]`, a *version* is
  `{"major": 1, "minor": 0}`. A socket's own `schema` must be fulfilled besides: JSON Schema draft 7, 6 or 4, references
  only within itself, patterns without Python's flags (`(?i)`), 32 KiB for all sockets of an Algorithm, 4000 parts each.
  Values that a job holds itself are checked before it starts, unless the schema has patterns, references or uniqueItems
  or is large: then `stage` checks them.
- **Taken** and **refused** hold for inputs and outputs alike; the words are those about an output `a`. An input says
  `Input "a" is not valid: …`. What differs: inputs may also be DICOM, NIfTI, NRRD and other images and are converted,
  and JSON with NaN is refused there, for nothing is changed in what was given. A DICOM Image Set is an input alone:
  an Algorithm that has one as an output is not Ready.

"""
PATHS_HEAD = """## Relative paths

| kind | relativePath | refused with |
|---|---|---|"""
CATALOGUE_HEAD = """## Common sockets

A socket of these needs only `{slug}`; `kubectl algorithm sockets` lists them too.

| slug | kind | relativePath |
|---|---|---|"""


def document() -> str:
    """The whole page."""
    return HEAD + "\n".join([*_lines(), *_paths(), "", *_catalogue()]) + "\n"


def _lines() -> Iterator[str]:
    for form, title in _GROUPS.items():
        yield f"## {title}\n"
        yield "| kind | code | carried as | schema | staged below `/input` | taken | refused, and why |"
        yield "|---|---|---|---|---|---|---|"
        for kind, row in ROWS.items():
            if KINDS[kind].form is form:
                yield f"| {' | '.join(_cells(kind, row))} |"
        yield ""


def _paths() -> Iterator[str]:
    yield PATHS_HEAD
    for (kind, path), says in PATHS.items():
        yield f"| {kind} | `{path}` | {_plain(says)} |"


def _catalogue() -> Iterator[str]:
    yield CATALOGUE_HEAD
    for slug, row in sorted(CATALOGUE.items()):
        yield f"| `{slug}` | {row['kind']} | `{row['relativePath']}` |"


def _cells(kind: SocketKind, row: Row) -> Iterator[str]:
    found = KINDS[kind]
    yield found.label
    yield found.code
    yield f"{found.super_kind}, {' or '.join(found.suffixes)}"
    yield f"`{summary(found.schema)}`" if found.schema is not None else ""
    yield _code(row.staged)
    yield _example(row.taken.words, found.form)
    yield f"{_example(row.refused.words, found.form)}<br>{_plain(row.refused.says)}"


def summary(schema: dict[str, Any]) -> str:
    """A schema in a line, as people write JSON."""
    match schema:
        case {"const": constant}:
            return json.dumps(constant)
        case {"oneOf": forms}:
            return "an object with one of " + ", ".join("+".join(form["required"]) for form in forms)
        case {"type": "array", "items": items}:
            return _list(summary(items), schema.get("minItems"))
        case {"type": "object", "properties": {"major": _}}:
            return "version"
        case {"type": "object", "properties": fields}:
            listed = (_field(key, summary(each), key in schema["required"]) for key, each in fields.items())
            return "{" + ", ".join(listed) + "}"
        case {"type": "number", "minimum": low, "maximum": high}:
            return f"{low} to {high}"
        case {"type": plain}:
            return str(plain)
    return "anything"


def _list(items: str, count: int | None) -> str:
    if (items, count) == ("number", 3):
        return "point"
    return f"[{items}, …]" if count is None else f"[{count} × {items}]"


def _field(key: str, what: str, required: bool) -> str:
    name = key if required else f"{key}?"
    return name if what == key else f"{name}: {what}"


def _example(words: str, form: Form) -> str:
    return _code(words) if form is Form.JSON else _plain(words)


def _code(text: str) -> str:
    short = text if len(text) <= MAX_EXAMPLE else text[:MAX_EXAMPLE] + "…"
    return f"`{short.replace('|', chr(92) + '|')}`"


def _plain(text: str) -> str:
    return text.replace("|", chr(92) + "|").replace("<", "&lt;").replace("{", "&#123;")


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args(arguments).check:
        if TARGET.exists() and TARGET.read_text() == document():
            return 0
        print(f"{TARGET} is not current; run `make docs` and commit it", file=sys.stderr)
        return 1
    TARGET.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
