"""The one store, on SQLite or PostgreSQL: `open_store(url, …)` gives what `bot.ports` calls Store and ChatLog.

schema, schema_…        the tables, once for both databases
migrations/             how they came to be, applied at the start
rows                    values of the domain <-> rows
factors, vault          devices of people; what is kept of their secrets, sealed by a key that is in no database
executions … switches   one module a group of tables, each a Protocol of the ports; `tx` puts them together
audit, audit_key        the chain of lines, appended as the last of each transaction; the key of masked hashes
sqlite, sqlite_file     one writer thread with group commit; the file, its lock and its copies
postgres, bell          a pool of threads; the wake hint between replicas
open                    from a URL to an open store
"""

from bot.store.open import OpenStore, migrate, open_store

__all__ = ["OpenStore", "migrate", "open_store"]
