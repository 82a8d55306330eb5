"""A socket's own JSON schema, besides that of its kind: what it may be, and where values are checked against it. Pure.

Such a schema is a tenant's program. It can take for ever: by a pattern that tries without end, by references that
double with every step, by comparing all entries of a list with each other. So it runs

- in `stage` and `collect`, in the sandbox's child process with its limits of time and memory, over every value;
- in the operator, before anything is started, only where its work is bounded beforehand (`is_bounded`): without
  references, patterns and uniqueItems every part of a schema looks at every part of a value at most once. All other
  values wait for `stage`; nothing is let through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import referencing
import referencing.exceptions
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from referencing.jsonschema import specification_with

from algorithm_operator.api.text import quoted, shown

MAX_SCHEMA_BYTES = 32 * 1024
"""Of all sockets of an Algorithm together, as compact JSON."""
MAX_PARTS = 4000
"""Of one schema, but for the entries of its enums: looking at each takes a tenth of a millisecond."""
MAX_WORK = 200_000
"""Parts of the schema times characters of the value: what the operator checks itself, well below a second."""
_MAX_DEPTH = 40
_MAX_SETS = 128
"""Sets of characters in all patterns: each may take milliseconds to compile, where it is wide."""
_UNBOUNDED = frozenset({"$ref", "pattern", "patternProperties", "uniqueItems"})
_FLAGGED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*+(?:\]|\\?\Z)|(?P<flag>\(\?[aiLmsux#-])", re.DOTALL)
"""What stands for itself in a pattern, sets of characters, and what Python adds to JSON Schema's patterns."""
_DRAFTS: dict[str, type[Validator]] = {
    "http://json-schema.org/draft-07/schema": jsonschema.Draft7Validator,
    "http://json-schema.org/draft-06/schema": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-04/schema": jsonschema.Draft4Validator,
}


def draft_of(schema: dict[str, Any]) -> type[Validator] | None:
    """The validator of the draft that `$schema` names, by default draft 7; None for any other."""
    named = schema.get("$schema", "http://json-schema.org/draft-07/schema")
    return _DRAFTS.get(named.rstrip("#").replace("https:", "http:", 1)) if isinstance(named, str) else None


def schema_text(schema: dict[str, Any] | None) -> str:
    """It as JSON of one form, to compare and to measure; "" for none, and for one so deep that it is refused."""
    if schema is None or _depth(schema) > _MAX_DEPTH:
        return ""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def schema_bytes(text: str) -> int:
    """The size of a `schema_text`."""
    return len(text.encode("utf-8", "surrogatepass"))


def schema_problem(schema: dict[str, Any]) -> str | None:
    """What is wrong with a socket's schema, as the rest of a sentence, or None. Takes bounded time."""
    if _depth(schema) > _MAX_DEPTH:
        return f"it is nested deeper than {_MAX_DEPTH} levels."
    if (size := schema_bytes(schema_text(schema))) > MAX_SCHEMA_BYTES:
        return f"it has {size} bytes, more than {MAX_SCHEMA_BYTES}."
    if sum(1 for _ in _nodes(schema, enums=False)) > MAX_PARTS:
        return f"it has more than {MAX_PARTS} parts."
    return _problem(schema_text(schema))


@lru_cache(maxsize=256)
def _problem(text: str) -> str | None:
    """Of a schema of bounded size, as its text: the operator looks at the same ones again and again."""
    schema = json.loads(text)
    draft = draft_of(schema)
    if draft is None:
        return f"$schema is {quoted(str(schema['$schema']), 96)}; JSON Schema drafts 7, 6 and 4 are known."
    references = [node["$ref"] for node in _nodes(schema) if isinstance(node, dict) and "$ref" in node]
    texts = [each for each in references if isinstance(each, str)]
    if remote := next((each for each in texts if not each.startswith("#")), None):
        return f'$ref {quoted(remote, 96)} is not part of it; a schema may refer only to itself ("#/definitions/…").'
    if flagged := next(filter(_has_flags, _patterns(schema)), None):
        why = "has flags or a comment in it, which JSON Schema does not know; write [Aa] for both of a letter"
        return f"the pattern {quoted(flagged, 64)} {why}."
    if sum(pattern.count("[") for pattern in _patterns(schema)) > _MAX_SETS:
        return f"its patterns have more than {_MAX_SETS} sets of characters."
    metaschema = draft(_without_unique(draft.META_SCHEMA), format_checker=draft.FORMAT_CHECKER)
    try:
        error = best_match(metaschema.iter_errors(schema))
    except RecursionError:
        return "one of its patterns is nested too deep."
    except (OverflowError, ValueError):
        return "one of its patterns repeats something too often."
    if error is not None:
        where = "".join(f"/{step}" for step in error.absolute_path) or "/"
        return f"at {quoted(where, 96)}: {_because(error)}."
    return _dangling(schema, draft, texts)


def is_bounded(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value`, which is not too deep, can be checked against `schema` in a short time, whatever both are.

    Characters count, not only parts: each error of the library repeats what it is about.
    """
    keys = {key for node in _nodes(schema) if isinstance(node, dict) for key in node}
    return not keys & _UNBOUNDED and sum(1 for _ in _nodes(schema)) * len(json.dumps(value)) <= MAX_WORK


def _without_unique(metaschema: Any) -> Any:
    """A metaschema that does not ask whether entries are unique: that takes the square of their number."""
    if isinstance(metaschema, list):
        return [_without_unique(each) for each in metaschema]
    if not isinstance(metaschema, dict):
        return metaschema
    asks = metaschema.get("uniqueItems") is True
    return {
        key: _without_unique(each) for key, each in metaschema.items() if not (asks and key == "uniqueItems")
    }


def _patterns(schema: dict[str, Any]) -> Iterator[str]:
    for node in _nodes(schema):
        if isinstance(node, dict):
            if isinstance(pattern := node.get("pattern"), str):
                yield pattern
            if isinstance(patterns := node.get("patternProperties"), dict):
                yield from patterns


def _has_flags(pattern: str) -> bool:
    """Whether Python would take more in it than JSON Schema has. To compile sets of all characters that ignore the
    case takes half a minute, in the operator."""
    return any(found["flag"] for found in _FLAGGED.finditer(pattern))


def _because(error: ValidationError) -> str:
    if error.validator == "format":
        return f"the pattern {quoted(str(error.instance), 64)} is no regular expression"
    return shown(error.message, 160).rstrip(".")


def _dangling(schema: dict[str, Any], draft: type[Validator], references: list[str]) -> str | None:
    resource = specification_with(draft.META_SCHEMA["$schema"]).create_resource(schema)
    registry: referencing.Registry[Any] = referencing.Registry()
    resolver = registry.resolver_with_root(resource)
    for reference in references:
        try:
            target = resolver.lookup(reference).contents
        except (referencing.exceptions.Unresolvable, ValueError):
            return f"$ref {quoted(reference, 96)} leads nowhere."
        if not isinstance(target, dict | bool):
            return f"$ref {quoted(reference, 96)} leads to something that is no schema."
    return None


def _nodes(value: Any, *, enums: bool = True) -> Iterator[Any]:
    """Every part of a JSON value, itself included, or all but what enums hold. Not by recursion: values may be deep."""
    left = [value]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, dict):
            left.extend(
                each for key, each in node.items() if enums or key != "enum" or not isinstance(each, list)
            )
        elif isinstance(node, list):
            left.extend(node)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth
