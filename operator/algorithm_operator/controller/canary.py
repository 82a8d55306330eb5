"""The canary: a TCP service that the operator itself reaches all the time, so that "closed" means something.

A closed port proves nothing unless it is known to be open elsewhere: the gate of a run Pod must find this one
closed, while the prober here, in a Pod that no policy seals, finds it open.
"""

from __future__ import annotations

from algorithm_operator.contract.plan import Target
from algorithm_operator.kube.client import Client

BANNER = b"algorithm-operator canary\n"


class Canary:
    """Serves the canary port and dials it through its Service every few seconds."""

    def __init__(
        self, client: Client, namespace: str, service: str, port: int, *, interval: float = 5.0
    ) -> None:
        self.last_reached: float | None = None
        """Monotonic time at which the Service last answered with the banner."""

    def target(self) -> Target | None:
        """The Service's address for the gate; None while it is not known."""
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """Whether the Service answered in the last four intervals."""
        raise NotImplementedError

    async def run(self) -> None:
        """Serve and probe until cancelled."""
        raise NotImplementedError
