"""The first user, organization and orbit of an installation; found again when they are there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.passwords import hash_password
from luml_app.schemas.errors import Conflict

ORGANIZATION, ORBIT = "My organization", "playground"


@dataclass(frozen=True)
class FirstUser:
    """The first user; `password` only when it was made just now and nobody had chosen it."""

    id: UUID
    email: str
    password: str | None


def first_user(database: Database, email: str, password: str | None) -> FirstUser:
    """Find the user with this address, or create them with a generated password if none is given.

    In a database that has users already, but not this one, the new one is created, too: the operator has asked for it.
    """
    u, email = t.users, email.strip().lower()
    with database.write() as db:
        known = db.execute(select(u.c.id).where(u.c.email == email)).one_or_none()
        if known is not None:
            return FirstUser(known.id, email, None)
        chosen = password or new_token()[:20]
        row = {"id": new_id(), "email": email, "full_name": email.split("@")[0].capitalize()}
        new = insert(u).values(**row, password_hash=hash_password(chosen), email_confirmed_at=func.now())
        created = db.execute(new.on_conflict_do_nothing().returning(u.c.id)).one_or_none()
    if created is None:
        return first_user(database, email, password)
    return FirstUser(created.id, email, None if password else chosen)


def first_orbit(api: Any) -> tuple[UUID, UUID]:
    """The ids of the first organization and its orbit "playground", created through `api` where they are missing."""
    organization = next(iter(api.organizations.list()), None) or api.organizations.create(name=ORGANIZATION)
    orbits = api.orbits.list(organization.id)
    orbit = next((one for one in orbits if one.name == ORBIT), None) or next(iter(orbits), None)
    if orbit is None:
        bucket = next(iter(api.buckets.list(organization.id)), None)
        if bucket is None:
            raise Conflict(f"The organization {organization.name!r} has neither an orbit nor a bucket; add a bucket.")
        orbit = api.orbits.create(organization.id, name=ORBIT, bucket_secret_id=bucket.id)
    return organization.id, orbit.id
