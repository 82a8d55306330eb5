"""Objects that this version cannot read: a newer or older CRD let them in. They stop nobody but themselves."""

from __future__ import annotations

from pydantic import ValidationError

from algorithm_operator.api.text import shown


def problem(error: ValidationError) -> str:
    """What is wrong, as a sentence that is safe to show."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return (
        f"This version of the operator cannot read it ({shown(where, 200)}: {shown(first['msg'], 300)}). "
        "An admin upgrades the operator together with its CRDs."
    )
