"""From YAML text to objects that know on which line each of their fields stands. The text is hostile until read.

YAML as kubectl reads it: timestamps are text, 1e-3 is a number, 1:30 is not, y and n are true and false. What an anchor
stands for is counted each time that it is used, so that a few lines cannot become a billion values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from algorithm_operator.api.text import quoted, shown

MAX_BYTES = 3 * 1024 * 1024
"""As much as the API server takes in one request."""
MAX_VALUES = 50_000
MAX_DEPTH = 64

Path = tuple[str | int, ...]
"""Of a field in its object: names and indices."""


class ManifestError(Exception):
    """The text cannot be read as manifests: the line, why, and what to do. Safe to show."""

    def __init__(self, line: int, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.line = line
        self.why = why
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Manifest:
    """One YAML document. `body` is JSON; `lines` has the line of every field in it, counted from 1."""

    file: str
    body: Any
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int:
        """Where a field stands, or what should hold it, if it is not there."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


class _Loader(yaml.SafeLoader):
    """With the resolvers below instead of YAML 1.1's for numbers and dates."""


_Loader.yaml_implicit_resolvers = {
    first: [each for each in found if not each[0].endswith((":timestamp", ":int", ":float"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+)")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


def read(file: str, data: bytes) -> Iterator[Manifest]:
    """The documents of a file, those before a broken one too; empty ones are left out.

    :raises ManifestError: it is no YAML, or not such as an API server would take.
    """
    if len(data) > MAX_BYTES:
        raise ManifestError(1, f"it has {len(data)} bytes; an API server takes {MAX_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(line, "it is not UTF-8", "save it as UTF-8") from None
    counter = _Counter()
    try:
        for node in yaml.compose_all(text, _Loader):
            lines: dict[Path, int] = {}
            body = _value(node, (), lines, counter)
            if body is not None:
                yield Manifest(file, body, lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ManifestError(line, f"YAML has no character U+{error.character:04X}") from None
    except yaml.MarkedYAMLError as error:
        raise _broken(error) from None
    except RecursionError:
        raise ManifestError(1, "it is nested too deeply") from None


def _broken(error: yaml.MarkedYAMLError) -> ManifestError:
    mark = error.problem_mark or error.context_mark
    why = ", ".join(filter(None, [error.context, error.problem])) or "it cannot be read"
    tab = "'\\t'" in why
    return ManifestError(
        mark.line + 1 if mark else 1,
        f"it is no YAML: {shown(why)}",
        "indent with spaces instead of tabs" if tab else "",
    )


class _Counter:
    """How many values there are by now, in all documents."""

    def __init__(self) -> None:
        self._values = 0

    def count(self, node: yaml.Node) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise ManifestError(
                node.start_mark.line + 1, f"it stands for more than {MAX_VALUES} values", "use fewer anchors"
            )


def _value(node: yaml.Node, path: Path, lines: dict[Path, int], counter: _Counter) -> Any:
    counter.count(node)
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > MAX_DEPTH:
        raise ManifestError(line, f"it is nested more than {MAX_DEPTH} deep")
    match node:
        case yaml.MappingNode():
            return _mapping(node, path, lines, counter)
        case yaml.SequenceNode():
            return [_value(each, (*path, i), lines, counter) for i, each in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int], counter: _Counter) -> dict[str, Any]:
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ManifestError(line, "a name in it is no text")
        key = key_node.value
        if key_node.tag == "tag:yaml.org,2002:merge":
            parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for part in reversed(parts):
                value = _value(part, path, {(): 0}, counter)
                if not isinstance(value, dict):
                    raise ManifestError(line, '"<<" merges mappings, and this is none')
                merged |= value
            continue
        if key in found:
            raise ManifestError(
                line, f"{quoted(key, 64)} stands twice in one mapping", "take one of them away"
            )
        lines[(*path, key)] = line
        found[key] = _value(value_node, (*path, key), lines, counter)
    return merged | found


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    line = node.start_mark.line + 1
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str" and node.style is None:  # plain
        if _INT.fullmatch(text):
            return _integer(text, line)
        if _FLOAT.fullmatch(text):
            return _float(text, line)
        if text in ("y", "Y", "n", "N"):
            return text in ("y", "Y")
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() in ("yes", "true", "on")
        case "str":
            return text
    raise ManifestError(
        line, f"the YAML tag {quoted(node.tag, 64)} is not for manifests", "write plain values"
    )


def _float(text: str, line: int) -> float:
    try:
        number = float(text)
    except ValueError:  # .inf and .nan
        number = math.nan
    if not math.isfinite(number):
        raise ManifestError(line, f"{shown(text, 64)} is no number that JSON has")
    return number


def _integer(text: str, line: int) -> int:
    if len(text) > 64:
        raise ManifestError(line, f"a number of {len(text)} digits is too large")
    digits = text.replace("_", "")
    octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
    return int(octal[1] + octal[2], 8) if octal else int(digits, 0)


def fields_of(path: Path) -> str:
    """The path as people and the API server write it: spec.interfaces[0].inputs."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{shown(part, 64)}" for part in path]
    return "".join(parts).removeprefix(".")
