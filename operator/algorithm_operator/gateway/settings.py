"""The gateway's settings, read once from its environment; docs/configuration.md explains each variable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation decides."""

    namespaces: tuple[str, ...] = ()
    """The namespaces that are served; empty: all where somebody has rights."""
    database: str = "sqlite:////var/lib/algorithm-operator/gateway.db"
    """URL of the database, as SQLAlchemy takes it."""
    signing_key: Path = Path("/var/lib/algorithm-operator/signing-key")
    """A file with the secret of presigned URLs; made if it is missing."""
    host: str = "0.0.0.0"  # noqa: S104 - a Pod's own address
    port: int = 8443
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    """PEM files; read again when they change."""
    upload_bytes_per_user: int = 128 << 30
    """What somebody's unused uploads in one namespace may have together."""
    uploads_per_user: int = 2000
    upload_seconds: int = 86400
    """After which an upload that nothing uses is deleted."""
    active_jobs_per_user: int | None = 16
    jobs_per_user: int | None = None
    jobs_period_seconds: int | None = None
    """Where an Algorithm says nothing itself."""
