"""What ends a command early: one message for a person instead of a traceback."""

from __future__ import annotations

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
