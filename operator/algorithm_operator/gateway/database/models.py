"""The tables. Jobs and Algorithms are not here: they live in the cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from algorithm_operator.gateway.shapes import UploadStatus

PK = String(36)
NAME = String(253)


class Moment(TypeDecorator[datetime]):
    """A point in time, in UTC: SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class Base(DeclarativeBase):
    """Every table."""

    # Later migrations can name a constraint only if it has a name.
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pk",
            "fk": "%(table_name)s_%(column_0_name)s_fk",
            "uq": "%(table_name)s_%(column_0_N_name)s_unique",
            "ix": "%(table_name)s_%(column_0_name)s",
        }
    )


class Upload(Base):
    """A file that somebody sends to DataStore `store`. It is open while it is Initialized and has no `path`."""

    __tablename__ = "uploads"
    __table_args__ = (Index("uploads_of_somebody", "namespace", "username", "created"),)

    id: Mapped[str] = mapped_column(PK, primary_key=True)
    namespace: Mapped[str] = mapped_column(NAME)
    username: Mapped[str] = mapped_column(Text)
    filename: Mapped[str] = mapped_column(String(128))
    multipart_id: Mapped[str] = mapped_column(String(64))
    """`s3_upload_id` in the API."""
    status: Mapped[UploadStatus] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(Moment)
    store: Mapped[str] = mapped_column(NAME)
    path: Mapped[str | None] = mapped_column(String(1024))
    """Of the whole file, below the store's root. It is set before the parts are joined, and fixes which they are."""
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    used_by: Mapped[str | None] = mapped_column(String(128))
    """`job/PK`, `session/PK` or `item/PK`: it is kept from then on, and cannot be used by another."""
    parts: Mapped[list[UploadPart]] = relationship(
        cascade="all, delete-orphan", order_by="UploadPart.number", passive_deletes=True
    )


class UploadPart(Base):
    """A part that has arrived."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    etag: Mapped[str] = mapped_column(String(80))
    size: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(String(1024))
    """Of this very content: a part that is sent again has another one, so that a part's ETag always fits its bytes."""
    modified: Mapped[datetime] = mapped_column(Moment)


class UploadSession(Base):
    """Uploads that become one image, by the ImageImport `import_name`."""

    __tablename__ = "upload_sessions"
    __table_args__ = (Index("sessions_of_somebody", "namespace", "username"),)

    id: Mapped[str] = mapped_column(PK, primary_key=True)
    namespace: Mapped[str] = mapped_column(NAME)
    username: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Moment)
    uploads: Mapped[list[str]] = mapped_column(JSON)
    """Their ids, in the order that was given."""
    import_name: Mapped[str] = mapped_column(NAME)
    kind: Mapped[str] = mapped_column(String(64))
    """Of the image, as sockets call it."""
    image_id: Mapped[str | None] = mapped_column(PK)
    """Set once the import has succeeded."""
    error: Mapped[str | None] = mapped_column(Text)
    """Set once it has failed."""


class Image(Base):
    """An image in a DataStore; its id is the uid of its ImageImport, or made from the job and output that it is of."""

    __tablename__ = "images"
    __table_args__ = (Index("images_of_a_namespace", "namespace", "created"),)

    id: Mapped[str] = mapped_column(PK, primary_key=True)
    namespace: Mapped[str] = mapped_column(NAME)
    name: Mapped[str] = mapped_column(String(255))
    store: Mapped[str] = mapped_column(NAME)
    path: Mapped[str] = mapped_column(String(1024))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    geometry: Mapped[dict[str, Any]] = mapped_column(JSON)
    """`api.job.ImageGeometry` as written in a status."""
    created: Mapped[datetime] = mapped_column(Moment)


class Archive(Base):
    """A collection of items."""

    __tablename__ = "archives"
    __table_args__ = (UniqueConstraint("namespace", "slug"),)

    id: Mapped[str] = mapped_column(PK, primary_key=True)
    namespace: Mapped[str] = mapped_column(NAME)
    slug: Mapped[str] = mapped_column(String(63))
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Moment)


class ArchiveItem(Base):
    """An item of an archive."""

    __tablename__ = "archive_items"

    id: Mapped[str] = mapped_column(PK, primary_key=True)
    archive_id: Mapped[str] = mapped_column(ForeignKey("archives.id"), index=True)
    title: Mapped[str] = mapped_column(String(255))
    created: Mapped[datetime] = mapped_column(Moment)
    archive: Mapped[Archive] = relationship()
    values: Mapped[list[ItemValue]] = relationship(cascade="all, delete-orphan", order_by="ItemValue.id")


class ItemValue(Base):
    """The value of a socket: one of an image, an upload (a file), and else `value`.

    With `session_id` it waits for that session's image: until then it is what it was, or nothing if it is new.
    """

    __tablename__ = "item_values"
    __table_args__ = (UniqueConstraint("item_id", "slug"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("archive_items.id", ondelete="CASCADE"), index=True)
    slug: Mapped[str] = mapped_column(String(255))
    value: Mapped[Any | None] = mapped_column(JSON(none_as_null=False))
    image_id: Mapped[str | None] = mapped_column(ForeignKey("images.id"))
    session_id: Mapped[str | None] = mapped_column(ForeignKey("upload_sessions.id"))
    upload_id: Mapped[str | None] = mapped_column(ForeignKey("uploads.id"))


class JobStart(Base):
    """That somebody started a job: counted for the limits, also when the job is gone."""

    __tablename__ = "job_starts"
    __table_args__ = (Index("starts_of_somebody", "namespace", "username", "algorithm", "created"),)

    id: Mapped[str] = mapped_column(PK, primary_key=True)
    """The job's pk."""
    namespace: Mapped[str] = mapped_column(NAME)
    username: Mapped[str] = mapped_column(Text)
    algorithm: Mapped[str] = mapped_column(NAME)
    created: Mapped[datetime] = mapped_column(Moment)
