"""JSON: read and checked in the sandbox, for outputs and for inputs alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.values import (
    JsonError,
    JsonTooLargeError,
    check_value,
    dump_json,
    parse_json,
)
from algorithm_operator.steps import sandbox

Schema = dict[str, Any] | None
"""The socket's own JSON schema, besides that of its kind."""


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """The value of a JSON file, or what is wrong with it: exactly one of `text`, `too_large`, `not_json`, `invalid`.

    `text` is compact JSON; `replaced` says that it is not quite what the file said (NaN became null).
    """

    text: str | None = None
    replaced: bool = False
    too_large: bool = False
    not_json: str | None = None
    invalid: str | None = None


def inspect(data: bytes, kind: str, cap: int, schema: Schema = None) -> dict[str, Any]:
    """The fields of a CheckedValue, for the sandbox."""
    replaced = False
    try:
        try:
            value = parse_json(data, cap, allow_nan=False)
        except JsonTooLargeError:
            raise
        except JsonError:
            # Grand Challenge takes NaN and the infinities as null.
            value, replaced = parse_json(data, cap), True
    except JsonTooLargeError:
        return {"too_large": True}
    except JsonError as error:
        return {"not_json": str(error)}
    if problem := check_value(KINDS[kind], value, schema):
        return {"invalid": problem}
    return {"text": dump_json(value), "replaced": replaced}


def check_file(
    descriptor: int, kind: str, cap: int, bounds: sandbox.Bounds, schema: Schema = None
) -> CheckedValue:
    """Read and check an open JSON file of at most `cap` bytes in a child process; `schema` is the socket's own."""

    def read_and_inspect() -> dict[str, Any]:
        size = os.fstat(descriptor).st_size
        if size > cap:
            return {"too_large": True}
        return inspect(os.pread(descriptor, size, 0), kind, cap, schema)

    return _check(read_and_inspect, cap, bounds, [descriptor])


def check_bytes(
    data: bytes, kind: str, cap: int, bounds: sandbox.Bounds, schema: Schema = None
) -> CheckedValue:
    """`check_file` of what is in memory."""
    return _check(lambda: inspect(data, kind, cap, schema), cap, bounds)


def _check(
    function: Callable[[], dict[str, Any]], cap: int, bounds: sandbox.Bounds, descriptors: Sequence[int] = ()
) -> CheckedValue:
    outcome = sandbox.run(function, bounds, max_result=4 * cap + 4096, descriptors=descriptors)
    match outcome.ending:
        case sandbox.Ending.DONE:
            return CheckedValue(**outcome.value)
        case sandbox.Ending.CRASHED:
            return CheckedValue(not_json=f"reading it failed ({outcome.detail})")
        case sandbox.Ending.TIMED_OUT:  # mostly its schema's doing
            return CheckedValue(invalid=f"checking it took more than {bounds.seconds:.0f} seconds.")
        case _:
            return CheckedValue(too_large=True)
