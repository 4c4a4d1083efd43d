"""The one MetaData, with names for every constraint so that a migration can drop them."""

from sqlalchemy import Column, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TENANT_OWNED = {"tenant_owned": True}


def tenant_column() -> Column[str]:
    """First column of the primary key of everything a tenant owns."""
    return Column("tenant", String(128), primary_key=True)
