"""What ends a command early: one message for a person instead of a traceback."""

from __future__ import annotations

import os
import ssl

from algorithm_operator.api.text import shown
from algorithm_operator.core.registry import silence

FAILED, USAGE = 1, 2
"""Exit codes besides 0: it did not work out; the command was not written right."""


class CliError(Exception):
    """A command cannot go on. The message is safe to show: what comes from a tenant is escaped already."""

    exit_code = FAILED


class UsageError(CliError):
    """The command line asks for something that cannot be."""

    exit_code = USAGE


class ReaderGoneError(Exception):
    """Whoever read what the command prints has enough: it ends without a word."""


def behind(error: BaseException, seconds: float) -> str:
    """What lies behind the errors of requests and urllib3, which wrap each other, in words. `seconds`: its timeout."""
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        wrapped = (getattr(error, "reason", None), error.__cause__, *error.args[:1])
        inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLCertVerificationError):
        return shown((error.reason or "no TLS").replace("_", " ").lower())
    return shown(silence(error, seconds, os.strerror))
