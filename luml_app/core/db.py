"""The door to PostgreSQL: one engine, two kinds of connection, and a listener for notifications."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from luml_app.schemas.errors import ConfigurationError, Unavailable

log = logging.getLogger(__name__)
CHANNEL = "luml"


def _dumps(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Database:
    """A pool of connections to the registry's database.

    Nothing connects before the first use. A statement that takes longer than `statement_seconds` is ended (0: none
    is). Raises ConfigurationError for an address that is none.
    """

    def __init__(self, url: str, *, pool_size: int = 10, statement_seconds: int = 0) -> None:
        self.url = _psycopg_url(url)
        self.pool_size = pool_size
        self.engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=False,
            connect_args=_options(self.url, statement_seconds),
            json_serializer=_dumps,
            json_deserializer=msgspec.json.decode,
        )
        event.listen(self.engine, "do_execute", _plan_anew)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for statements that each stand alone: it saves the round trips of BEGIN and COMMIT."""
        with _reachable(), self._autocommit.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end and rolled back by an error."""
        with _reachable(), self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the idle connections."""
        self.engine.dispose()


def _plan_anew(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Run a statement with the option ``plan_anew`` without preparing it.

    After some runs PostgreSQL may settle on one plan of a prepared statement for all values, as if a tag of all
    artifacts were as rare as a tag of one. Searches are planned for the values that they have.
    """
    if not context.execution_options.get("plan_anew"):
        return False
    cursor.execute(statement, parameters, prepare=False)
    return True


def _psycopg_url(url: str) -> str:
    try:
        parsed = make_url(url)
    except Exception as error:
        # Not shown: most addresses hold a password.
        raise ConfigurationError("LUML_DATABASE_URL is not the address of a PostgreSQL database.") from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"LUML_DATABASE_URL names {parsed.get_backend_name()!r}; LUML needs PostgreSQL.")
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _options(url: str, statement_seconds: int) -> dict[str, str]:
    """What each connection sets, beside what the address sets itself."""
    if not statement_seconds:
        return {}
    own = make_url(url).query.get("options", "")
    return {"options": f"{own} -c statement_timeout={statement_seconds}s".strip()}


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("The server is busy; try again in a moment.", retry_after=1) from error
    except OperationalError as error:
        if not error.connection_invalidated and error.statement is not None:
            raise
        # Lost while it committed: nobody knows whether it did, so nobody is told to simply try again.
        committing = error.connection_invalidated and error.statement is None
        raise Unavailable(
            "The database does not answer; try again in a moment.", retry_after=None if committing else 2
        ) from error


class Listener:
    """Hears `NOTIFY luml` on a connection and thread of its own, and hands every payload to `receive`.

    After a lost connection it connects again and hands over an empty payload: something may have been missed.
    """

    def __init__(self, database: Database, receive: Callable[[str], None]) -> None:
        self._url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._receive = receive
        self._stopping = threading.Event()
        self._bell, self._ringer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="luml-listen", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it; a second time does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._ringer.close()  # the other end becomes readable, which ends the waiting for the database
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._bell.close()

    def _run(self) -> None:
        import psycopg

        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._receive("")
                    self._hear(connection)
            except psycopg.OperationalError as error:
                log.warning("No notifications from the database for now: %s", error)
                self._stopping.wait(1)

    def _hear(self, connection: Any) -> None:
        while not self._stopping.is_set():
            ready, _, _ = select.select([connection.fileno(), self._bell], [], [])
            if connection.fileno() in ready:
                for notification in connection.notifies(timeout=0):
                    self._receive(notification.payload)
