"""The certificate that clients see: read again when its files change, while connections go on as they are."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0

_Signs = tuple[tuple[int, int, int], ...]


class Certificate:
    """A chain and its key, both PEM; `context` is for the server. OSError (ssl.SSLError) if they are no pair."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = (chain, key)
        self._signs = self._seen()
        self._current = self._loaded()
        self.context = _context()
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Read the files if they have changed. If they do not fit (yet), the former ones stay, and the log says so."""
        try:
            signs = self._seen()
            if signs == self._signs:
                return False
            self._current = self._loaded()
        except OSError as error:  # SSLError is one
            log.warning(
                "the TLS files have changed and cannot be used: %s", error.strerror or type(error).__name__
            )
            return False
        self._signs = signs
        log.info("the TLS certificate was read anew")
        return True

    async def watch(self) -> None:
        """Look at the files for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        # Asked in every handshake, with a name or without: a whole context takes another's place, so no handshake
        # ever meets a new certificate with an old key.
        connection.context = self._current

    def _loaded(self) -> ssl.SSLContext:
        context = _context()
        context.load_cert_chain(*self._files)
        return context

    def _seen(self) -> _Signs:
        found = [each.stat() for each in self._files]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
