"""What the tables have in common: the names of constraints, and columns that many have."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    MetaData,
    Uuid,
    func,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)
NOW = func.now()
BULKY = {"bulky": True}  # not fetched where only the object's place in the registry is wanted


def own_id() -> Column[UUID]:
    """The id by which an object is addressed."""
    return Column("id", Uuid, primary_key=True)


def times() -> tuple[Column[datetime], Column[datetime | None]]:
    """When an object was made, and when it was changed last."""
    return (
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
        Column("updated_at", DateTime(timezone=True)),
    )


def deleting() -> Column[datetime | None]:
    """Since when an object is being deleted with all that is in it: it is not there any more for anybody."""
    return Column("deleting_since", DateTime(timezone=True))


def parent(table: str, *, ondelete: str = "CASCADE", nullable: bool = False) -> Column[Any]:
    """The object in `table` to which this one belongs."""
    return Column(f"{table[:-1]}_id", Uuid, ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable)


def one_of(column: str, *values: str) -> CheckConstraint:
    """The only values that `column` takes."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)
