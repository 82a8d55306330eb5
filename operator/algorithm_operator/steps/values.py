"""JSON files: read and checked in the sandbox, for outputs and for inputs alike."""

from __future__ import annotations

import os
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


def inspect(descriptor: int, kind: str, schema: dict[str, Any] | None, cap: int) -> dict[str, Any]:
    """The fields of a CheckedValue, for the sandbox."""
    size = os.fstat(descriptor).st_size
    if size > cap:
        return {"too_large": True}
    data = os.pread(descriptor, size, 0)
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
    descriptor: int, kind: str, cap: int, bounds: sandbox.Bounds, schema: dict[str, Any] | None = None
) -> CheckedValue:
    """Read and check an open JSON file of at most `cap` bytes in a child process, against its socket's `schema` too."""
    outcome = sandbox.run(lambda: inspect(descriptor, kind, schema, cap), bounds, max_result=4 * cap + 4096)
    match outcome.ending:
        case sandbox.Ending.DONE:
            return CheckedValue(**outcome.value)
        case sandbox.Ending.CRASHED:
            return CheckedValue(not_json=f"reading it failed ({outcome.detail})")
        case _:
            return CheckedValue(too_large=True)
