"""The contract of the store, held on SQLite and on PostgreSQL, and what holds on one of them alone."""
