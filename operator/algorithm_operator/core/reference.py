"""Image references as container runtimes read them: registry, repository, tag, digest. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""The one digest algorithm that registries and runtimes agree on."""

DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference in full: `digest` wins over `tag`."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def version(self) -> str:
        """What to ask the registry for."""
        return self.digest or self.tag or "latest"

    @property
    def host(self) -> str:
        """Where the registry's API answers: Docker Hub's is elsewhere than its name."""
        return "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry


def parse(text: str) -> Reference:
    """`text` as a reference; ValueError says what is wrong with it.

    The first part is a registry if it has a dot or a port or is `localhost`; otherwise it is Docker Hub's.
    """
    rest, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise ValueError("after @ comes a digest: sha256: and 64 hexadecimal digits")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, rest = first, remainder
    else:
        registry = DOCKER_HUB
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    repository, colon, tag = rest.partition(":")
    if not _DOMAIN.fullmatch(registry):
        raise ValueError("the part before the first / is not a registry's host name")
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError("a repository is lower-case words between slashes")
    if colon and not _TAG.fullmatch(tag):
        raise ValueError("after : comes a tag of letters, digits, _, . and -, at most 128")
    return Reference(
        registry, repository, tag if colon else (None if at else "latest"), digest if at else None
    )
