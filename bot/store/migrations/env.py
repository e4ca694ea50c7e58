"""Alembic's entry: it runs the versions on the connection that `upgrade` was given, in that one's transaction."""

from __future__ import annotations

from alembic import context

from bot.store import schema_audit, schema_chat, schema_known  # noqa: F401 -- their tables are part of the metadata
from bot.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a table; a later version then copies it.
    render_as_batch=True,
)
context.run_migrations()
