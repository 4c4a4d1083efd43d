"""The one Alembic history; `migrate.py` runs it."""
