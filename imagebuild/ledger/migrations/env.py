"""Alembic runs this module to apply the migrations, on the connection that ``connection`` gives it."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
# The caller's transaction holds the lock, so it must not be ended here.
context.run_migrations()
