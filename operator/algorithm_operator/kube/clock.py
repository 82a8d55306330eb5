"""The time, as the operator and the gateway have it; tests put another in its place."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The time."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()
