"""A keyed work queue: a key is worked on by one worker at a time, and never forgotten while it is dirty."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Shutdown(Exception):  # noqa: N818 - not an error: the queue has ended
    """Raised by `get` once the queue is shut down."""


class WorkQueue(Generic[K]):
    """Keys to work on. Adding a waiting key again changes nothing; adding one being worked on repeats it after.

    Delays run on the event loop's clock. `backoff_first` doubles up to `backoff_max` seconds with each retry of a
    key, with jitter between half and all of it.
    """

    def __init__(self, *, backoff_first: float = 0.5, backoff_max: float = 60.0) -> None:
        raise NotImplementedError

    def add(self, key: K) -> None:
        """Work on `key` as soon as a worker is free."""
        raise NotImplementedError

    def add_after(self, key: K, seconds: float) -> None:
        """Work on `key` in `seconds` at the latest; of several deadlines the earliest wins."""
        raise NotImplementedError

    def retry(self, key: K) -> float:
        """Work on `key` after its backoff, which is returned; each retry doubles the next until `forget`."""
        raise NotImplementedError

    def forget(self, key: K) -> None:
        """The key went well: its backoff starts from the beginning."""
        raise NotImplementedError

    async def get(self) -> K:
        """Wait for a key and take it; the caller must call `done` with it. Shutdown when the queue has ended."""
        raise NotImplementedError

    def done(self, key: K) -> None:
        """The worker is through with `key`; if it was added meanwhile, it is worked on again."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Give out no more keys; waiting and later `get`s raise Shutdown."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Keys that wait for a worker now."""
        raise NotImplementedError

    @property
    def delayed(self) -> int:
        """Keys that wait for a time."""
        raise NotImplementedError

    @property
    def oldest_seconds(self) -> float:
        """How long the longest-waiting key has waited for a worker."""
        raise NotImplementedError
