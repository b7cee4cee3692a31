"""The versions of the ledger's tables, which Alembic applies in order."""
