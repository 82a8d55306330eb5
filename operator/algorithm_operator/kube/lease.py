"""Leader election by a Lease: one operator at a time acts, and one that cannot prove it is the leader ends."""

from __future__ import annotations

from algorithm_operator.kube.client import Client


class Leadership:
    """A claim to the Lease `name`. Time is judged by our own monotonic clock only, never by the holder's."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 15.0,
        renew_every: float = 3.0,
    ) -> None:
        raise NotImplementedError

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        raise NotImplementedError

    async def keep(self) -> None:
        """Renew until cancelled; returns only if the Lease is lost."""
        raise NotImplementedError

    async def release(self) -> None:
        """Give the Lease back, so that a successor takes over at once."""
        raise NotImplementedError
