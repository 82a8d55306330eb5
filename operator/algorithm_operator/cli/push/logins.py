"""Who one is to a registry: as Docker's own configuration says, with its credential helpers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithm_operator.contract.fetching import Endpoint
from algorithm_operator.core.reference import DOCKER_HUB
from algorithm_operator.core.registry import is_docker_hub
from algorithm_operator.steps.dockerconfig import MAX_CONFIG_BYTES, Keyring, logins_in

_HELPER = re.compile(r"[A-Za-z0-9_.-]+")
_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class User:
    """A name and its password."""

    name: str = field(repr=False)
    password: str = field(repr=False)


def configured(host: str, repository: str) -> User | None:
    """What `docker login` left for that repository, or None."""
    folder = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    try:
        with (Path(folder) / "config.json").open("rb") as file:
            document = json.loads(file.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    key = _HUB_KEY if is_docker_hub(host) else host
    helpers = document.get("credHelpers")
    own = helpers.get(DOCKER_HUB if key == _HUB_KEY else key) if isinstance(helpers, dict) else None
    for helper in (own, document.get("credsStore")):
        if isinstance(helper, str) and (found := _helped(helper, key)):
            return found
    auths = document.get("auths")
    keyring = Keyring(list(logins_in("docker", auths)) if isinstance(auths, dict) else [], [], [])
    logins = keyring.logins(Endpoint(host=host, repository=repository))
    return User(logins[0].user, logins[0].password) if logins else None


def _helped(helper: str, key: str) -> User | None:
    """What docker-credential-HELPER knows of a registry."""
    if not _HELPER.fullmatch(helper):
        return None
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=key.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        answer: Any = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    user, password = (
        (answer.get("Username"), answer.get("Secret")) if isinstance(answer, dict) else (None, None)
    )
    return User(user, password) if isinstance(user, str) and isinstance(password, str) and user else None
