"""Advisory locks of the database: what several processes must not do at the same time."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from luml_app.schemas.errors import Unavailable

MIGRATION = 5_010_001
BYTES = 5_010_002
"""Shared by whoever deletes bytes, one transaction at a time; a backup holds it alone while it looks at them."""
FIRST_ACCOUNT = 5_010_003
"""Held by a server process that looks whether it is the one to make the first account."""


def delete_bytes(db: Connection) -> None:
    """Announce that this transaction deletes bytes. Raises Unavailable while a backup wants them to stay."""
    if not db.scalar(select(func.pg_try_advisory_xact_lock_shared(BYTES))):
        raise Unavailable("A backup is being made; nothing is deleted until it is done.")
