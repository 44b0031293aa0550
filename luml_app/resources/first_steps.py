"""The first user, organization and orbit of an installation; found again when they are there already. And accounts
that the operator makes without a sign-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.locks import FIRST_ACCOUNT
from luml_app.core.passwords import hash_password
from luml_app.core.settings import Settings
from luml_app.resources.new_accounts import insert_account
from luml_app.schemas.errors import ConfigurationError, Conflict
from luml_app.schemas.fields import Email, Password

ORGANIZATION, ORBIT = "My organization", "playground"
_VARIABLES = ("LUML_ADMIN_EMAIL", "LUML_ADMIN_PASSWORD")


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


@dataclass(frozen=True)
class _Making:
    """The part of a scope that a new account needs, outside of a request."""

    db: Connection
    settings: Settings


def make_account(database: Database, settings: Settings, email: str, password: str) -> bool:
    """Make a confirmed account with an organization of its own; False, and nothing is changed, when there is one.

    Raises ConfigurationError for an address or a password that cannot be one.
    """
    email = email.strip().lower()
    check_person(email, password, ("EMAIL", "The password"))
    with database.write() as db:
        return _made(_Making(db, settings), email, password)


def make_first_account(database: Database, settings: Settings) -> bool:
    """Make the account of ``LUML_ADMIN_EMAIL`` in a database without any; whether somebody can sign in now.

    Of several processes at once, one makes it. Raises ConfigurationError as `make_account` does.
    """
    email = settings.admin_email.strip().lower()
    with database.write() as db:
        db.execute(select(func.pg_advisory_xact_lock(FIRST_ACCOUNT)))
        if db.scalar(select(t.users.c.id).limit(1)) is not None:
            return True
        if settings.admin_password is None:
            return False
        check_person(email, settings.admin_password)
        return _made(_Making(db, settings), email, settings.admin_password)


def check_person(email: str, password: str | None, names: tuple[str, str] = _VARIABLES) -> None:
    """Raise ConfigurationError, which names the one at fault, unless address and password (if any) can be ones."""
    for name, value, kind in zip(names, (email, password or None), (Email, Password | None), strict=True):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{name} cannot be used: {error}.") from None


def _made(means: _Making, email: str, password: str) -> bool:
    name = email.partition("@")[0].capitalize()
    hashed = hash_password(password)
    user_id = insert_account(means, email=email, full_name=name, confirmed=True, password_hash=hashed)
    if user_id is not None:
        events.record(means.db, "user.create", object_id=user_id, actor_kind="server")
    return user_id is not None


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
