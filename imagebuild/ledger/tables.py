"""The ledger's tables, as queries name them. The migrations create them."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, Table, Text

_metadata = MetaData()

LEDGER = Table("ledger", _metadata, Column("id", Text, primary_key=True))
"""One row: a random name, by which programs recognise that they use the same ledger."""

ORDERS = Table(
    "orders",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float),
    Column("asked_by", Text),
    Column("host", Text),
)
"""What somebody asked for. Times are seconds since 1970, by the database's clock."""

BUILDS = Table(
    "builds",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("image", Text),
    Column("fingerprint", Text),
    Column("state", Text),
    Column("tries", Integer),
    Column("max_tries", Integer),
    Column("fence", Integer),
    Column("worker", Text),
    Column("lease_until", Float),
    Column("version", Text),
    Column("artifact", Text),
)
"""One row for each image and fingerprint. ``fence`` is the number of the last claim, and only grows:
``tries`` counts those that used up one of ``max_tries``. ``artifact`` is an entry of the shared store.
"""

ORDERED = Table(
    "ordered",
    _metadata,
    Column("order_id", Integer, ForeignKey("orders.id"), primary_key=True),
    Column("build_id", Integer, ForeignKey("builds.id"), primary_key=True),
)

TRIES = Table(
    "tries",
    _metadata,
    Column("build_id", Integer, ForeignKey("builds.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("worker", Text),
    Column("began", Float),
    Column("ended", Float),
    Column("outcome", Text),
    Column("message", Text),
    Column("evidence", Text),
)
"""One row for each claim: who tried, and how it ended."""
