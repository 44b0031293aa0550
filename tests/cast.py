"""The cast: four people and their places, as most tests find them.

Alice owns the organization "Wonderland" with the orbit "Garden"; Bob is a member of both; Victor is a member who may
only look at the orbit. Charlie is a stranger, who owns the organization "Factory" with the orbit "Inventing room".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.ids import new_id
from luml_app.core.keys import USER_KEY, Keys
from luml_app.core.passwords import hash_password
from luml_app.core.scope import Credentials
from luml_app.core.service import Service
from luml_app.core.settings import Settings
from luml_app.resources import all_operations
from luml_app.web.local import LocalApi

MASTER_KEY = "the master key of the tests: long enough"
KEYS = Keys([MASTER_KEY])
PASSWORD = "wonderland and back"
NAMES = ("alice", "bob", "victor", "charlie")


@dataclass(frozen=True)
class Person:
    """Somebody with an account and an API key that opens everything."""

    name: str
    id: UUID
    api_key: str

    @property
    def email(self) -> str:
        return f"{self.name}@example.org"


@dataclass(frozen=True)
class Place:
    """An organization with its built-in bucket and its one orbit."""

    organization_id: UUID
    bucket_id: UUID
    orbit_id: UUID

    @property
    def path(self) -> tuple[UUID, UUID]:
        """The ids with which the calls about an orbit begin."""
        return self.organization_id, self.orbit_id


@dataclass(frozen=True)
class Cast:
    """The people and the places; `here` is Alice's, `elsewhere` Charlie's."""

    alice: Person
    bob: Person
    victor: Person
    charlie: Person
    here: Place
    elsewhere: Place


def key_of(name: str) -> str:
    """The API key of a member of the cast."""
    return f"{USER_KEY}{name}".ljust(47, "0")


@cache
def _password_hash() -> str:
    return hash_password(PASSWORD)


def add_person(database: Database, name: str) -> Person:
    """Insert somebody with a confirmed account and an API key; sign-up itself is another story."""
    person = Person(name, new_id(), key_of(name))
    user = {"id": person.id, "email": person.email, "full_name": name.capitalize(), "password_hash": _password_hash()}
    user["email_confirmed_at"] = datetime.now(UTC)
    key = {"id": new_id(), "user_id": person.id, "name": "of the tests", "key_hash": KEYS.hash(person.api_key)}
    with database.write() as db:
        db.execute(insert(t.users).values(user))
        db.execute(insert(t.api_keys).values(**key, hint=person.api_key[-4:], scopes=["api", "inference"]))
    return person


def join_organization(database: Database, organization_id: UUID, user_id: UUID, role: str = "member") -> None:
    """Make somebody a member of an organization."""
    row = {"id": new_id(), "organization_id": organization_id, "user_id": user_id, "role": role}
    with database.write() as db:
        db.execute(insert(t.organization_members).values(row))


def join_orbit(database: Database, orbit_id: UUID, user_id: UUID, role: str) -> None:
    """Make somebody a member of an orbit."""
    with database.write() as db:
        db.execute(insert(t.orbit_members).values(id=new_id(), orbit_id=orbit_id, user_id=user_id, role=role))


def populate(url: str) -> None:
    """Put the cast into a migrated database."""
    database = Database(url)
    try:
        alice, bob, victor, charlie = (add_person(database, name) for name in NAMES)
        service = Service(all_operations(), database, KEYS, Settings())
        for owner, organization, orbit in ((alice, "Wonderland", "Garden"), (charlie, "Factory", "Inventing room")):
            place = _found(LocalApi(service, Credentials(user_id=owner.id)), organization, orbit)
            for guest, role in ((bob, "member"), (victor, "viewer")) if owner is alice else ():
                join_organization(database, place.organization_id, guest.id)
                join_orbit(database, place.orbit_id, guest.id, role)
    finally:
        database.close()


def _found(api: LocalApi, organization: str, orbit: str) -> Place:
    organization_id = api.organizations.create(name=organization).id
    bucket_id = api.buckets.list(organization_id)[0].id
    return Place(
        organization_id, bucket_id, api.orbits.create(organization_id, name=orbit, bucket_secret_id=bucket_id).id
    )


def load_cast(database: Database) -> Cast:
    """Find everybody in a populated database."""
    o, m, orbit = t.organizations, t.organization_members, t.orbits
    places = select(m.c.user_id, o.c.id.label("organization"), orbit.c.bucket_secret_id, orbit.c.id.label("orbit"))
    owned = places.join(o, o.c.id == m.c.organization_id).join(orbit, orbit.c.organization_id == o.c.id)
    with database.read() as db:
        ids: dict[str, UUID] = {row.email: row.id for row in db.execute(select(t.users.c.email, t.users.c.id))}
        of_owner: dict[Any, Place] = {
            row.user_id: Place(row.organization, row.bucket_secret_id, row.orbit)
            for row in db.execute(owned.where(m.c.role == "owner"))
        }
    people = {name: Person(name, ids[f"{name}@example.org"], key_of(name)) for name in NAMES}
    here, elsewhere = (of_owner[people[name].id] for name in ("alice", "charlie"))
    return Cast(**people, here=here, elsewhere=elsewhere)
