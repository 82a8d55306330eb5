"""Prometheus metrics of the operator; nothing that tenants name becomes a label."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_PREFIX = "algorithm_operator_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What is counted. One instance a process; `registry` is its own, so tests do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        self._finished = self._counter("jobs_finished_total", "Jobs that ended.", ["state", "reason"])
        self._retried = self._counter(
            "attempts_retried_total", "Attempts that another one follows.", ["reason"]
        )
        self._reconcile = Histogram(
            _PREFIX + "reconcile_seconds",
            "Duration of one reconcile.",
            ["kind", "result"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = Histogram(
            _PREFIX + "api_request_seconds",
            "Requests to the API server; code 0 is no answer.",
            ["verb", "code"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._pruned = self._counter(
            "store_pruned_total", "Objects whose deletion no watch reported.", ["kind"]
        )

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def job_finished(self, state: str, reason: str) -> None:
        """A job reached a terminal state (call once, when the status was written)."""
        self._finished.labels(state, reason).inc()

    def attempt_retried(self, reason: str) -> None:
        """An attempt failed for infrastructure reasons and another one follows."""
        self._retried.labels(reason).inc()

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """One look at an object of `kind` ended; result is ok or error."""
        self._reconcile.labels(kind, result).observe(seconds)

    def requested(self, verb: str, code: int, seconds: float) -> None:
        """The API server answered; what a Client's `on_request` is told."""
        self._requests.labels(verb, str(code)).observe(seconds)

    def pruned(self, kind: str, count: int) -> None:
        """So many objects were dropped from the store, as no list has them any more."""
        self._pruned.labels(kind).inc(count)

    def watch(self, name: str, text: str, value: Callable[[], float], **labels: str) -> None:
        """A gauge that is read when it is scraped."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(_PREFIX + name, text, sorted(labels), registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set_function(value)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
