"""What becomes of a job that is checked before any Pod is made, besides that it runs."""

from __future__ import annotations

from dataclasses import dataclass

from algorithm_operator.api.reasons import Reason, sentence


@dataclass(frozen=True, slots=True)
class Refused:
    """The job can never run as it is written. The message is a sentence for its owner."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job can run once somebody else has done something. The message says who and what."""

    reason: Reason
    message: str


def refused(reason: Reason, **facts: object) -> Refused:
    """Refused with the catalogue's sentence."""
    return Refused(reason, sentence(reason, **facts))


def invalid(slug: str, why: str) -> Refused:
    """Refused since that input is not valid."""
    return refused(Reason.INPUT_INVALID, slug=slug, why=why)


def waiting(reason: Reason, **facts: object) -> Waiting:
    """Waiting with the catalogue's sentence."""
    return Waiting(reason, sentence(reason, **facts))
