"""Logins of satellites at the database: roles of PostgreSQL that may call the functions of `satellite_door` alone.

They are made by the operator, who can reach the database; no operation of the registry makes one.
"""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ProgrammingError

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.schemas.errors import ConfigurationError, Conflict, NotFound

CONNECTIONS = 6
SETTINGS = {
    "statement_timeout": "'10s'",
    "lock_timeout": "'5s'",
    "idle_in_transaction_session_timeout": "'10s'",
    "search_path": "pg_catalog",
}
_FORBIDDEN = "42501"
_DOOR = "satellite_door"


def make_login(database: Database, satellite: str, connections: int = CONNECTIONS) -> str:
    """The address with which a satellite (by name or id) reaches its jobs; an earlier one of it stops working.

    One process of a satellite needs two `connections`; the others are for its successor, and for those that were lost.

    Raises NotFound and Conflict (several of that name), and ConfigurationError when the server's own user of the
    database may not make roles.
    """
    with database.write() as db:
        one = _found(db, satellite)
        _forget(db, one.id)
        role, password = f"luml_satellite_{one.id.hex}", secrets.token_urlsafe(32)
        try:
            _make_role(db, role, password, connections)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", "") != _FORBIDDEN:
                raise
            raise ConfigurationError(_no_right(make_url(database.url))) from error
        row = {"satellite_id": one.id, "role": role, "channel": f"luml_{secrets.token_hex(16)}"}
        db.execute(insert(t.satellite_logins).values(row))
    url = make_url(database.url).set(drivername="postgresql", username=role, password=password)
    return url.render_as_string(hide_password=False)


def revoke_login(database: Database, satellite: str) -> bool:
    """Take a satellite's login away and end its sessions; whether there was one. Raises NotFound and Conflict."""
    with database.write() as db:
        return _forget(db, _found(db, satellite).id)


def _found(db: Connection, satellite: str) -> Any:
    s, o = t.satellites, t.orbits
    query = select(s.c.id, s.c.name, o.c.name.label("orbit")).join(o, o.c.id == s.c.orbit_id)
    found = [row for row in db.execute(query) if satellite in (row.name, str(row.id))]
    if not found:
        raise NotFound(f"There is no satellite {satellite!r}.")
    if len(found) > 1:
        places = "; ".join(f"{row.id} in the orbit {row.orbit!r}" for row in found)
        raise Conflict(f"Several satellites are called {satellite!r}; name one by its id: {places}.")
    return found[0]


def _forget(db: Connection, satellite_id: Any) -> bool:
    """Delete the login; a trigger drops its role."""
    gone = delete(t.satellite_logins).where(t.satellite_logins.c.satellite_id == satellite_id)
    return db.execute(gone.returning(t.satellite_logins.c.role)).one_or_none() is not None


def _make_role(db: Connection, role: str, password: str, connections: int) -> None:
    """A role that may log in and call the door's functions. The server sees a verifier, never the password."""
    raw: Any = db.connection.driver_connection
    verifier = raw.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    name = db.dialect.identifier_preparer.quote_identifier(role)
    place = db.dialect.identifier_preparer.quote_identifier(str(db.engine.url.database))
    statements = [
        f"CREATE ROLE {name} LOGIN NOINHERIT CONNECTION LIMIT {connections} PASSWORD '{verifier}'",
        *(f"ALTER ROLE {name} SET {setting} = {value}" for setting, value in SETTINGS.items()),
        f"GRANT CONNECT ON DATABASE {place} TO {name}",
        f"GRANT USAGE ON SCHEMA {_DOOR} TO {name}",
        *(f"GRANT EXECUTE ON FUNCTION {_DOOR}.{one} TO {name}" for one in _FUNCTIONS),
    ]
    for statement in statements:
        db.exec_driver_sql(statement)
    _close_the_house(db, place)


_FUNCTIONS = (
    "channel()",
    "waiting()",
    "claim(uuid, double precision)",
    "renew(uuid, uuid, double precision)",
    "finish(uuid, uuid, text, jsonb)",
)


def _close_the_house(db: Connection, place: str) -> None:
    """What PostgreSQL lets everybody do who can connect: temporary tables, and in old databases tables in `public`.

    Only the owner of the database can forbid it; others are not refused, as without it nothing of ours is in danger.
    """
    for statement in (
        f"REVOKE TEMPORARY ON DATABASE {place} FROM PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ):
        with db.begin_nested() as attempt:
            try:
                db.exec_driver_sql(statement)
            except ProgrammingError:
                attempt.rollback()


def _no_right(url: URL) -> str:
    return (
        f"The user {url.username!r} of the database may not make roles, so satellites cannot have logins of their own. "
        f'Have an administrator of PostgreSQL run: ALTER ROLE "{url.username}" CREATEROLE'
    )
