"""The direct door to the job table, for a satellite next to the database: its own login, and five functions.

The functions apply the same rules as `queue`, because they are the same (see the migration of the direct door). They
know from the login which satellite asks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

POLL_SECONDS = 30.0
LISTEN_SECONDS = 0.5


class DoorClosed(Exception):  # noqa: N818
    """The database does not answer, or not to this login."""


class Refused(Exception):  # noqa: N818
    """The database has understood, and will not."""


class Door:
    """The five calls. For any number of threads: one connection waits for jobs, another one does everything else."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._calls = _Line(url)
        self._ears = _Line(url)
        self._closing = threading.Event()

    def interrupt(self) -> None:
        """Whoever waits returns soon."""
        self._closing.set()

    def close(self) -> None:
        """Hang up."""
        self._closing.set()
        self._calls.close()

    def waiting(self, seconds: float) -> list[dict[str, Any]]:
        """The jobs that could be claimed now; if there are none, wait for one for up to so long.

        A notification wakes; every 30 seconds it looks without one. Raises DoorClosed.
        """
        deadline = time.monotonic() + seconds
        with self._ears.connection(self._listen) as connection:
            while True:
                found = [row[0] for row in connection.execute("SELECT satellite_door.waiting()")]
                left = deadline - time.monotonic()
                if found or left <= 0 or self._closing.is_set():
                    return found
                self._wait(connection, min(left, POLL_SECONDS))

    def claim(self, job_id: str, seconds: float) -> dict[str, Any] | None:
        """Lease a job; None when somebody else has it, when it has ended, or when it is not this satellite's."""
        return self._call("claim(%s, %s)", job_id, seconds)

    def renew(self, job_id: str, token: str, seconds: float) -> dict[str, Any] | None:
        """Keep a lease; None when it is lost."""
        return self._call("renew(%s, %s, %s)", job_id, token, seconds)

    def finish(self, job_id: str, token: str, status: str, result: Any) -> dict[str, Any] | None:
        """End a job as `done` or `failed`; None when the lease is lost."""
        return self._call("finish(%s, %s, %s, %s)", job_id, token, status, json.dumps(result))

    def _call(self, function: str, *values: Any) -> dict[str, Any] | None:
        with self._calls.connection() as connection:
            row = connection.execute(f"SELECT satellite_door.{function}", values).fetchone()
            return row[0] if row else None

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        from psycopg import sql

        row = connection.execute("SELECT satellite_door.channel()").fetchone()
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(row[0] if row else "")))

    def _wait(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._closing.is_set() and (left := deadline - time.monotonic()) > 0:
            if list(connection.notifies(timeout=min(left, LISTEN_SECONDS), stop_after=1)):
                return


class _Line:
    """A connection that is made when it is needed, and made again when it was lost; one user at a time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lock = threading.Lock()
        self.open: psycopg.Connection[Any] | None = None

    @contextmanager
    def connection(self, prepare: Any = None) -> Iterator[psycopg.Connection[Any]]:
        """The connection; every failure as one of the door's errors, without the address."""
        import psycopg

        with self.lock:
            try:
                if self.open is None:
                    self.open = psycopg.connect(self.url, autocommit=True, connect_timeout=5)
                    if prepare:
                        prepare(self.open)
                yield self.open
            except psycopg.errors.UniqueViolation as error:
                # Two jobs for one deployment cannot be leased at once; the other one was a moment earlier.
                raise Refused("Another worker is at work on the same deployment") from error
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.InsufficientPrivilege) as error:
                self.drop()
                raise DoorClosed(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
            except psycopg.Error as error:
                self.drop()
                raise Refused(str(error).splitlines()[0]) from error

    def drop(self) -> None:
        """Close the connection."""
        if self.open is not None:
            self.open.close()
            self.open = None

    def close(self) -> None:
        """Close it as soon as nobody uses it."""
        with self.lock:
            self.drop()
