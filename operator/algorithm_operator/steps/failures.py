"""How a step ends badly: one exception that carries the exit code, the reason and the sentence."""

from __future__ import annotations

from collections.abc import Sequence

from algorithm_operator.api.reasons import Reason
from algorithm_operator.contract.exits import STAGE_BAD_INPUT, STAGE_RETRY


class StepError(Exception):
    """A step cannot go on.

    `message` is display-safe; `slug` names the input at fault, if it is one; `why`: the message without naming that;
    `files`: the paths, untrusted, of those of its files that are at fault, if not all are.
    """

    def __init__(
        self,
        code: int,
        reason: Reason,
        message: str,
        slug: str | None = None,
        *,
        why: str | None = None,
        files: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.slug = code, reason, message, slug
        self.why, self.files = why or message, tuple(files)


def bad_input(slug: str, why: str, files: Sequence[str] = ()) -> StepError:
    """The input is the owner's to correct: not tried again."""
    message = f'Input "{slug}" is not valid: {why}'
    return StepError(STAGE_BAD_INPUT, Reason.INPUT_INVALID, message, slug, why=why, files=files)


def try_again(why: str, slug: str | None = None) -> StepError:
    """Staging failed for a reason that a new attempt may not meet."""
    message = f'Input "{slug}": {why}' if slug is not None else why
    return StepError(STAGE_RETRY, Reason.STAGING_FAILED, message, slug, why=why)


def os_message(error: OSError) -> str:
    """What the kernel said, without the path (it may be hostile) but with the name of the error."""
    return error.strerror or type(error).__name__


class FindingError(Exception):
    """One output has a finding; `path` is the file that it is about, if not the socket's relative path."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.message, self.path = message, path
