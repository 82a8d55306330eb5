"""The gateway's settings, read once from its environment; docs/configuration.md explains each variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from algorithm_operator.kube.environment import LEVELS, ConfigError, Environment


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
    json_bytes: int = 4 << 20
    """Of a request's body; files are uploaded instead. The API server takes no job with half as much."""
    requests: int = 512
    """At the same time."""
    log_level: str = "INFO"


def load(environment: Mapping[str, str]) -> Settings:
    """Settings from `AO_GATEWAY_*` variables; ConfigError names the variable, what is wrong and what is allowed."""
    read, default = Environment(environment), Settings()
    certificate, key = read.file("AO_GATEWAY_TLS_CERTIFICATE"), read.file("AO_GATEWAY_TLS_KEY")
    if (certificate is None) != (key is None):
        raise ConfigError("AO_GATEWAY_TLS_CERTIFICATE and AO_GATEWAY_TLS_KEY go together: set both, or none.")
    jobs, period = (
        read.number("AO_GATEWAY_JOBS_PER_USER", 1, 100_000),
        read.seconds("AO_GATEWAY_JOBS_PERIOD", None),
    )
    if (jobs is None) != (period is None):
        raise ConfigError(
            "AO_GATEWAY_JOBS_PER_USER and AO_GATEWAY_JOBS_PERIOD go together: set both, or none."
        )
    return Settings(
        namespaces=tuple(read.names("AO_GATEWAY_NAMESPACES")),
        database=read.text("AO_GATEWAY_DATABASE", default.database),
        signing_key=Path(read.text("AO_GATEWAY_SIGNING_KEY", str(default.signing_key))),
        host=read.text("AO_GATEWAY_HOST", default.host),
        port=read.integer("AO_GATEWAY_PORT", default.port, 1, 65535),
        tls_certificate=certificate,
        tls_key=key,
        upload_bytes_per_user=read.integer(
            "AO_GATEWAY_UPLOAD_BYTES_PER_USER", default.upload_bytes_per_user, 1, 1 << 60
        ),
        uploads_per_user=read.integer("AO_GATEWAY_UPLOADS_PER_USER", default.uploads_per_user, 1, 1_000_000),
        upload_seconds=read.seconds("AO_GATEWAY_UPLOAD_LIFETIME", default.upload_seconds),
        # The chart says 16 as well; there no number is how an admin says that there is no limit.
        active_jobs_per_user=read.number("AO_GATEWAY_ACTIVE_JOBS_PER_USER", 1, 10_000),
        jobs_per_user=jobs,
        jobs_period_seconds=period,
        json_bytes=read.integer("AO_GATEWAY_JSON_BYTES", default.json_bytes, 65536, 1 << 30),
        requests=read.integer("AO_GATEWAY_REQUESTS", default.requests, 1, 65536),
        log_level=read.one_of("AO_GATEWAY_LOG_LEVEL", default.log_level, LEVELS),
    )
