"""What alembic runs: the migrations in versions/, in the transaction that `engine.migrate` has begun.

Migrations are written by hand; a test compares what they make with models.py.
"""

from alembic import context

from algorithm_operator.gateway.database.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
