"""Prometheus metrics of the operator; nothing that tenants name becomes a label."""

from __future__ import annotations


class Metrics:
    """What is counted. One instance a process; `registry` is its own, so tests do not share counts."""

    def job_finished(self, state: str, reason: str) -> None:
        """A job reached a terminal state (call once, when the status was written)."""
        raise NotImplementedError

    def attempt_retried(self, reason: str) -> None:
        """An attempt failed for infrastructure reasons and another one follows."""
        raise NotImplementedError
