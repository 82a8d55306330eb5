"""JSON values of sockets: read from hostile bytes, checked against their kind, written in one form. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import jsonschema

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.customschemas import draft_of
from algorithm_operator.contract.fulfilment import misfit
from algorithm_operator.contract.kinds import Kind

MAX_DEPTH = 200
"""Levels of nesting: below what every JSON library on the way takes, and far above what people write."""
MAX_KEY = 1000
"""Of an object in a value shown in status, as JSON: YAML's keys have 1024 characters at most."""
MAX_INTEGER = 2**63 - 1
"""Whole numbers that every part on the way keeps exactly."""

_DEEP = f"it is nested deeper than {MAX_DEPTH} levels."
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """The bytes are not JSON that can be kept; the message is safe to show and says why."""


class JsonTooLargeError(JsonError):
    """There are more bytes than the cap allows."""


def parse_json(data: bytes, cap: int, *, allow_nan: bool = True) -> Any:
    """The value in `data`.

    Takes UTF-8 without a byte order mark, objects without duplicate keys, whole numbers of 64 bits, at most
    MAX_DEPTH levels. NaN and the infinities become None, as at Grand Challenge; `allow_nan=False` refuses them.

    :raises JsonTooLargeError: more than `cap` bytes.
    :raises JsonError: anything else that is wrong.
    """
    if len(data) > cap:
        raise JsonTooLargeError(f"it has {len(data)} bytes, more than the limit of {cap}.")
    if data.startswith(b"\xef\xbb\xbf"):
        raise JsonError("it begins with a byte order mark; save it as UTF-8 without one.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"it is not UTF-8 (byte {error.start}).") from None
    if not text.strip(" \t\r\n"):
        raise JsonError("it is empty.")

    def not_finite(token: str) -> None:
        if not allow_nan:
            raise JsonError(f"it contains {shown(token, 32)}, which is not JSON.")

    def number(token: str) -> float | None:
        value = float(token)
        if math.isfinite(value):
            return value
        not_finite(token)
        return None

    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=number,
            parse_constant=not_finite,
        )
    except json.JSONDecodeError as error:
        raise JsonError(f"{shown(error.msg)}: line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise JsonError(_DEEP) from None
    if why := depth_problem(value):
        raise JsonError(why)
    if _SURROGATE_ESCAPE.search(data):
        _check_encodable(value)
    return value


def dump_json(value: Any) -> str:
    """`value` as compact JSON: how the plan carries it and how `stage` writes it.

    :raises ValueError: it holds NaN or an infinity.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_value(kind: Kind, value: Any, schema: dict[str, Any] | None = None) -> str | None:
    """Why `value` is not of that (JSON) kind, or does not fulfil the socket's own `schema` as well; None if it does.

    In Grand Challenge's words, bounded however large the value is. `schema` is a tenant's: give it only in the
    sandbox's child, or where it `is_bounded` (`contract/customschemas.py`). null is a value like any other: it may be
    given where the kind and the schema take it. Leaving an input out is something else, and never allowed.
    """
    if kind.schema is None:
        raise ValueError(f"kind {kind.label} is not carried as JSON")
    if why := depth_problem(value):
        return why
    if why := misfit(jsonschema.Draft7Validator, kind.schema, value):
        return why
    if schema is None:
        return None
    draft = draft_of(schema)
    if draft is None:
        raise ValueError("a socket's schema of an unknown draft")  # no accepted Algorithm has one
    return misfit(draft, schema, value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"it contains the key {quoted(key, 64)} twice in one object.")
            seen.add(key)
    return found


def _integer(token: str) -> int:
    # 19 digits hold 2**63; Python itself refuses only from 4300 digits on, and slowly before.
    if len(token) > 20 or not -MAX_INTEGER - 1 <= int(token) <= MAX_INTEGER:
        raise JsonError(f"it contains a whole number of more than 64 bits ({shown(token, 32)}).")
    return int(token)


def depth_problem(value: Any) -> str | None:
    """Why `value` is too deep for what reads it later, or None. Not by recursion: that is what deep values break."""
    level = [value]
    for _ in range(MAX_DEPTH):
        children = (
            node.values() if isinstance(node, dict) else node
            for node in level
            if isinstance(node, dict | list)
        )
        level = [child for each in children for child in each if isinstance(child, dict | list)]
        if not level:
            return None
    return _DEEP


def has_long_key(value: object) -> bool:
    """Whether an object in `value` has a key that the API server does not read: it takes a status as YAML."""
    level = [value]
    while level:
        if any(len(json.dumps(key)) > MAX_KEY for node in level if isinstance(node, dict) for key in node):
            return True
        children = (
            node.values() if isinstance(node, dict) else node
            for node in level
            if isinstance(node, dict | list)
        )
        level = [child for each in children for child in each]
    return False


def _check_encodable(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise JsonError("it contains half of a surrogate pair, which is no character.") from None
