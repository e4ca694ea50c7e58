"""The versions of the schema, oldest first, and how they are applied. Deliberately absent: the tables as they are."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from bot.errors import StoreError
from bot.store.faults import refuse_newer
from bot.store.schema import REVISIONS


def upgrade(connection: Connection, where: str) -> None:
    """Bring the schema up to date, in the transaction that `connection` is in. A newer one is left as it is."""
    if not is_current(connection, where):
        # Loaded where it is needed only: a start on an up to date schema is some 300 ms faster without it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "bot.store:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(connection: Connection, where: str) -> None:
    """For tools, which change no schema under a running gateway."""
    if not is_current(connection, where):
        raise StoreError(f"{where} was written by an older Homing; start the gateway once with `homing run`")


def is_current(connection: Connection, where: str) -> bool:
    """Raises `StoreError` for a version that this code does not know."""
    revision = None
    if inspect(connection).has_table("alembic_version"):
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is not None:
        refuse_newer(revision, where)
    return revision == REVISIONS[-1]
