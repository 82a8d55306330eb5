"""Registry credentials as Secrets of Kubernetes hold them: which of them are for a registry, as the kubelet has it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from algorithm_operator.contract.fetching import Endpoint
from algorithm_operator.core.registry import Login, is_docker_hub

MAX_CONFIG_BYTES = 1024 * 1024
"""As large as a Secret gets."""
_SCHEME = re.compile(r"^https?://")
_API = re.compile(r"^/v[12](?:/.*)?$")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The logins of some Secrets by the registry that they are for, and the Secrets that hold none."""

    entries: Sequence[tuple[str, Login]] = field(repr=False)
    missing: list[str]
    unusable: list[str]

    def logins(self, endpoint: Endpoint) -> list[Login]:
        """Those for a place, the most specific first."""
        matching = [(key, login) for key, login in self.entries if _matches(key, endpoint)]
        return [login for _, login in sorted(matching, key=lambda each: -len(each[0]))]


def read(mounts: Mapping[str, str]) -> Keyring:
    """The keyring of Secrets that are mounted, by name."""
    entries: list[tuple[str, Login]] = []
    missing, unusable = [], []
    for secret, folder in mounts.items():
        found = [name for name in _files(folder) if name in (".dockerconfigjson", ".dockercfg")]
        logins = [entry for name in found for entry in _parse(secret, name, os.path.join(folder, name))]
        entries += logins
        if not _files(folder):
            missing.append(secret)
        elif not logins:
            unusable.append(secret)
    return Keyring(entries, missing, unusable)


def _files(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith("..")]
    except FileNotFoundError:
        return []


def _parse(secret: str, name: str, path: str) -> Iterator[tuple[str, Login]]:
    with open(path, "rb") as file:
        text = file.read(MAX_CONFIG_BYTES)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if name == ".dockerconfigjson":
        document = document.get("auths") if isinstance(document, dict) else None
    yield from logins_in(secret, document if isinstance(document, dict) else {})


def logins_in(secret: str, auths: Mapping[str, Any]) -> Iterator[tuple[str, Login]]:
    """The logins of an `auths` object, by the registry that they are for; what is none is left out."""
    for key, entry in auths.items():
        if isinstance(entry, dict) and (login := _login(secret, entry)) is not None:
            yield key, login


def _login(secret: str, entry: Mapping[str, Any]) -> Login | None:
    user, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            text = base64.b64decode(entry["auth"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        user, _, password = text.partition(":")
        password = password.rstrip("\0")
    if not isinstance(user, str) or not isinstance(password, str) or not user:
        return None
    return Login(secret, user, password)


def _matches(key: str, endpoint: Endpoint) -> bool:
    """Host by labels (`*` stands for one), its port, and a path that the repository begins with."""
    host, slash, path = _SCHEME.sub("", key.strip()).partition("/")
    path = "" if _API.fullmatch(slash + path) else path.strip("/")
    if not (endpoint.repository == path or path == "" or endpoint.repository.startswith(f"{path}/")):
        return False
    if is_docker_hub(host):
        return is_docker_hub(endpoint.host)
    wanted, _, wanted_port = host.partition(":")
    name, _, port = endpoint.host.partition(":")
    patterns, labels = wanted.split("."), name.split(".")
    return (
        wanted_port == port
        and len(patterns) == len(labels)
        and all(fnmatchcase(label, pattern) for label, pattern in zip(labels, patterns, strict=True))
    )
