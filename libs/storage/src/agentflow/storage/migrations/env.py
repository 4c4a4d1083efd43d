"""Alembic's entry: runs on the connection `migrate.py` hands in, inside its transaction.

One transaction for the whole move, and on PostgreSQL one lock, so that two operators who
upgrade at once do not tear the schema apart.
"""

from alembic import context
from sqlalchemy import Connection, text

from agentflow.storage.tables import metadata

_LOCK = 7_236_041_905


def run() -> None:
    connection: Connection = context.config.attributes["connection"]
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
    )
    context.run_migrations()


run()
