"""URLs that say by themselves who may PUT a part where: whoever has one needs no token, for a day."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from algorithm_operator.gateway.errors import forbidden

VALID_SECONDS = 86400
_KEY_BYTES = 32


class SigningKeyError(Exception):
    """The file of the key cannot be used; the message is for the admin."""


@lru_cache
def signing_key(path: Path) -> bytes:
    """The key in that file, which is made if there is none, readable by its owner alone. Raises SigningKeyError."""
    try:
        with suppress(FileExistsError):
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise SigningKeyError(
            f"The signing key {path} can be neither read nor made: {error.strerror}."
        ) from error
    if len(key) < _KEY_BYTES:
        raise SigningKeyError(
            f"The signing key {path} has {len(key)} bytes, {_KEY_BYTES} are needed: delete it and a new one is made."
        )
    return key


def _make(path: Path) -> None:
    """Link a whole file into place: nobody, another gateway that starts included, ever reads half a key."""
    if path.exists():
        raise FileExistsError(path)
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        path.hardlink_to(whole)
    finally:
        whole.unlink()


def part_url(
    key: bytes, base: str, namespace: str, pk: str, multipart_id: str, number: int, now: datetime
) -> str:
    """The URL that part `number` is PUT to; `base` is that of the namespace's API (`Urls.base`)."""
    expires = str(int(now.timestamp()) + VALID_SECONDS)
    signature = _signature(key, namespace, pk, multipart_id, str(number), expires)
    query = urlencode({"expires": expires, "signature": signature})
    return f"{base}uploads/{pk}/{multipart_id}/parts/{number}/?{query}"


def check(
    key: bytes,
    namespace: str,
    pk: str,
    multipart_id: str,
    number: str,
    query: Mapping[str, str],
    now: datetime,
) -> None:
    """Raises 403 unless a URL of these parts came from `part_url`, less than a day ago.

    After it all of them are what was signed: well formed, whatever a request's path may hold otherwise.
    """
    expires = query.get("expires", "")
    wanted = _signature(key, namespace, pk, multipart_id, number, expires)
    if not hmac.compare_digest(wanted.encode(), query.get("signature", "").encode("utf-8", "replace")):
        raise forbidden("The signature of this URL is not valid.")
    if now.timestamp() >= int(expires):
        raise forbidden("This URL has expired; ask for a new one with generate-presigned-urls.")


def _signature(key: bytes, *parts: str) -> str:
    return hmac.new(key, json.dumps(["PUT", *parts]).encode(), hashlib.sha256).hexdigest()
