"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """As models.py was then."""
    op.create_table(
        "archives",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="archives_pk"),
        sa.UniqueConstraint("namespace", "slug", name="archives_namespace_slug_unique"),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("store", sa.String(length=253), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="images_pk"),
    )
    op.create_index("images_of_a_namespace", "images", ["namespace", "created"], unique=False)
    op.create_table(
        "job_starts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.String(length=253), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="job_starts_pk"),
    )
    op.create_index(
        "starts_of_somebody", "job_starts", ["namespace", "username", "algorithm", "created"], unique=False
    )
    op.create_table(
        "upload_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("uploads", sa.JSON(), nullable=False),
        sa.Column("import_name", sa.String(length=253), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=36), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="upload_sessions_pk"),
    )
    op.create_index("sessions_of_somebody", "upload_sessions", ["namespace", "username"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("filename", sa.String(length=128), nullable=False),
        sa.Column("multipart_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("store", sa.String(length=253), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("used_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("id", name="uploads_pk"),
    )
    op.create_index("uploads_of_somebody", "uploads", ["namespace", "username", "created"], unique=False)
    op.create_table(
        "archive_items",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("archive_id", sa.String(length=36), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["archive_id"], ["archives.id"], name="archive_items_archive_id_fk"),
        sa.PrimaryKeyConstraint("id", name="archive_items_pk"),
    )
    op.create_index("archive_items_archive_id", "archive_items", ["archive_id"], unique=False)
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(length=80), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("modified", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name="upload_parts_upload_id_fk", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upload_id", "number", name="upload_parts_pk"),
    )
    op.create_table(
        "item_values",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("image_id", sa.String(length=36), nullable=True),
        sa.Column("session_id", sa.String(length=36), nullable=True),
        sa.Column("upload_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="item_values_image_id_fk"),
        sa.ForeignKeyConstraint(
            ["item_id"], ["archive_items.id"], name="item_values_item_id_fk", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["session_id"], ["upload_sessions.id"], name="item_values_session_id_fk"),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name="item_values_upload_id_fk"),
        sa.PrimaryKeyConstraint("id", name="item_values_pk"),
        sa.UniqueConstraint("item_id", "slug", name="item_values_item_id_slug_unique"),
    )
    op.create_index("item_values_item_id", "item_values", ["item_id"], unique=False)
