"""How many jobs of an Algorithm one user may have: at the same time, and in a period."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from algorithm_operator.api.base import DATE_TIME, Model, cel, rules

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=8760)
_PERIOD = r"^([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$"
"""No more digits than a year needs: CEL's duration of more has no answer."""
_BOUNDS = "period is between 1m and 8760h, a year"


def parse_period(text: str) -> timedelta:
    """The length of a period such as 720h or 1h30m. Raises ValueError."""
    found = re.fullmatch(_PERIOD, text, re.ASCII)
    hours, minutes, seconds = (int((part or "0s")[:-1]) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not SHORTEST.total_seconds() <= total <= LONGEST.total_seconds():
        raise ValueError(_BOUNDS)
    return timedelta(seconds=total)


def _checked(text: str) -> str:
    parse_period(text)
    return text


class JobsPerUser(Model):
    """So many jobs in a period that ends now."""

    model_config = rules(
        cel(
            "duration(self.period) >= duration('1m') && duration(self.period) <= duration('8760h')",
            _BOUNDS,
            fieldPath=".period",
        ),
    )

    count: Annotated[int, Field(ge=1, le=100000, description="How many may start in the period.")]
    period: Annotated[
        str,
        Field(
            min_length=2,
            max_length=24,
            pattern=_PERIOD,
            description="Hours, minutes and seconds, such as 720h or 1h30m.",
        ),
        AfterValidator(_checked),
    ]

    @property
    def length(self) -> timedelta:
        """The period."""
        return parse_period(self.period)


class Limits(Model):
    """How many jobs a user may have. Jobs that no gateway made count together, as one user's, and wait."""

    active_jobs_per_user: Annotated[
        int | None, Field(ge=1, le=10000, description="How many may be under way at the same time.")
    ] = None
    jobs_per_user: JobsPerUser | None = None


class Starts(Model):
    """Jobs that were let start, all counted as if it had been at the time of the last."""

    at: Annotated[str, Field(max_length=40, description="When.", json_schema_extra=DATE_TIME)]
    jobs: Annotated[int, Field(ge=1, description="How many.")] = 1
