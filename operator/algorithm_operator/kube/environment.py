"""Settings out of environment variables: read one at a time, and what is wrong with one said in a sentence."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, overload

from pydantic import TypeAdapter, ValidationError

from algorithm_operator.api.limits import parse_period

T = TypeVar("T")

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
HOST_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class ConfigError(ValueError):
    """A variable is missing or wrong; the message names it, and says what is allowed."""


class Environment:
    """One variable at a time; unset and empty are the same. Every method raises ConfigError."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def required(self, variable: str, meaning: str) -> str:
        """What must be said; `meaning` completes "it is …"."""
        value = self.variables.get(variable, "").strip()
        if not value:
            raise ConfigError(f"{variable} is not set: it is {meaning}.")
        return value

    def text(self, variable: str, default: str) -> str:
        """Any text."""
        return self.variables.get(variable, "").strip() or default

    def file(self, variable: str) -> Path | None:
        """The path of a file that can be read."""
        text = self.text(variable, "")
        if text and not os.access(text, os.R_OK):
            raise ConfigError(f"{variable} is {text!r}, which is not a file that can be read.")
        return Path(text) if text else None

    def name(self, variable: str, default: str | None) -> str:
        """The name of something in Kubernetes."""
        value = self.variables.get(variable, "").strip() or default
        if value is None:
            raise ConfigError(f"{variable} is not set: it is the name of the operator's own namespace.")
        if not _NAME.fullmatch(value):
            raise ConfigError(
                f"{variable} is {value!r}: a name has lower-case letters, digits and -, at most 63."
            )
        return value

    def names(self, variable: str) -> list[str]:
        """Namespaces, separated by commas; each once."""
        values = self.split(variable)
        for value in values:
            if not _NAME.fullmatch(value):
                raise ConfigError(f"{variable} contains {value!r}, which is not the name of a namespace.")
        return list(dict.fromkeys(values))

    def hosts(self, variable: str) -> list[str]:
        """host:port, separated by commas."""
        values = self.split(variable)
        for value in values:
            if not HOST_PORT.fullmatch(value):
                raise ConfigError(f"{variable} contains {value!r}; it lists registries as host:port.")
        return values

    def integer(self, variable: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        text = self.variables.get(variable, "").strip()
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise ConfigError(f"{variable} is {text!r}: it must be a whole number from {low} to {high}.")
        return int(text)

    def number(self, variable: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, or none."""
        return self.integer(variable, low, low, high) if self.text(variable, "") else None

    @overload
    def seconds(self, variable: str, default: int) -> int: ...
    @overload
    def seconds(self, variable: str, default: None) -> int | None: ...
    def seconds(self, variable: str, default: int | None) -> int | None:
        """A length of time, such as 24h, in seconds."""
        text = self.text(variable, "")
        if not text:
            return default
        try:
            return round(parse_period(text).total_seconds())
        except ValueError as error:
            raise ConfigError(
                f"{variable} is {text!r}: it must be a time such as 24h or 1h30m; {error}."
            ) from None

    def addresses(self, variable: str) -> list[str]:
        """IP addresses, separated by commas."""
        values = self.split(variable)
        for value in values:
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise ConfigError(f"{variable} contains {value!r}, which is not an IP address.") from None
        return values

    def boolean(self, variable: str, default: bool) -> bool:
        """true or false."""
        text = self.variables.get(variable, "").strip().lower()
        if text not in ("", "true", "false"):
            raise ConfigError(f"{variable} is {text!r}: it must be true or false.")
        return text == "true" if text else default

    def one_of(self, variable: str, default: str, allowed: tuple[str, ...]) -> str:
        """One of `allowed`, in capitals."""
        text = self.variables.get(variable, "").strip().upper() or default
        if text not in allowed:
            raise ConfigError(f"{variable} is {text!r}: it must be one of {', '.join(allowed)}.")
        return text

    def json(self, variable: str, shape: type[T], default: T) -> T:
        """JSON of that shape."""
        text = self.variables.get(variable, "").strip()
        if not text:
            return default
        try:
            return TypeAdapter(shape).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"{variable} is not valid{f' at {where}' if where else ''}: {first['msg']}."
            ) from error

    def split(self, variable: str) -> list[str]:
        """What stands between commas."""
        return [part.strip() for part in self.variables.get(variable, "").split(",") if part.strip()]
