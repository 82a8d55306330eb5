"""What an image reference means now: an anonymous look-up in its OCI registry. Answers are hostile until checked."""

from __future__ import annotations

from collections.abc import Collection

from algorithm_operator.api.algorithm import ResolvedImage, User
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown


class ImageError(Exception):
    """Why an image cannot be used: a reason of the catalogue, and the facts of its sentence (display-safe)."""

    def __init__(self, reason: Reason, **facts: object) -> None:
        self.reason = reason
        self.facts = facts
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The catalogue's sentence, ready for a status."""
        return sentence(self.reason, **self.facts)

    @property
    def temporary(self) -> bool:
        """Whether the same look-up may succeed later without anyone changing the Algorithm."""
        return self.reason is Reason.REGISTRY_UNREACHABLE


async def resolve(reference: str, insecure_hosts: Collection[str] = ()) -> ResolvedImage:
    """Digest and configuration of the linux/amd64 image that `reference` names now; ImageError if there is none.

    `uid` and `gid` are set if USER is numeric. Whether the user is acceptable is `user_of`'s to say.
    """
    raise NotImplementedError(shown(reference))


def user_of(image: ResolvedImage, override: User | None) -> User:
    """Who the algorithm runs as: `override`, else the image's numeric USER; ImageError for root and for names.

    A USER without a group gets gid = uid: Docker would take the group from the image's /etc/passwd, else 0, which
    is root's; a Pod must name one that is neither unknown nor 0.
    """
    raise NotImplementedError


def pinned(reference: str, digest: str) -> str:
    """`reference` with its tag replaced by `digest`, registry and repository written out in full."""
    raise NotImplementedError
