"""The real PostgreSQL of the tests: one server per run, a database of its own for each test, cloned from a template.

A pytest plugin; the root `conftest.py` names it in `pytest_plugins`. With xdist the controller starts the server and
its workers share it. It cannot outlive the run: the controller stops it, the kernel ends it with a killed controller
(Linux), and the next run sweeps what was left elsewhere. `LUML_TEST_DATABASE_URL` puts a server of your own in its
place, whose user must be allowed to create databases.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from luml_app.embedded.postgres import Postgres
from luml_app.schemas.errors import LumlError

EXTERNAL = "LUML_TEST_DATABASE_URL"
FOLDER_PREFIX = "luml-tests-"
MEMORY = Path("/dev/shm")


class Cluster:
    """A server in which databases are made from templates, under names of this run only.

    `url` is the SQLAlchemy address of a database in which the user may create others.
    """

    def __init__(self, url: str, run: str) -> None:
        self.url = url
        self.run = run
        self._prefix = f"luml_test_{run}_"
        self._connection: psycopg.Connection[Any] | None = None

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """The name of a template that `build(url)` fills, once per run however many workers ask for it."""
        template = f"{self._prefix}template_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        lock = int.from_bytes(hashlib.sha256(template.encode()).digest()[:8], signed=True)
        self._execute("SELECT pg_advisory_lock(%s)", lock)
        try:
            if not self._execute("SELECT 1 FROM pg_database WHERE datname = %s", template):
                self._build(template, build)
        finally:
            self._execute("SELECT pg_advisory_unlock(%s)", lock)
        return template

    def create_database(self, template: str = "template0") -> str:
        """The address of a new database, a copy of `template`."""
        name = f"{self._prefix}{uuid.uuid4().hex[:12]}"
        # Copying the files takes half the time of copying through the log (17 to 37 ms for forty tables in memory),
        # but asks for checkpoints, which would wait for the disk of a server that is not ours.
        strategy = "WAL_LOG" if os.environ.get(EXTERNAL) else "FILE_COPY"
        self._execute_ddl("CREATE DATABASE {} TEMPLATE {} STRATEGY " + strategy, name, template)
        return self._url_of(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, and cut off who is still connected."""
        name = str(make_url(url).database)
        self._cut_off(name)
        self._execute_ddl("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A new database for the time of the block."""
        url = self.create_database(template)
        try:
            yield url
        finally:
            self.drop_database(url)

    def close(self) -> None:
        """Close the connection; databases stay."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sweep(self) -> None:
        """Drop every database of this run."""
        pattern = self._prefix.replace("_", r"\_") + "%"
        for (name,) in self._execute("SELECT datname FROM pg_database WHERE datname LIKE %s", pattern):
            self._execute_ddl("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _build(self, template: str, build: Callable[[str], None]) -> None:
        unfinished = f"{template}_new"
        self._execute_ddl("DROP DATABASE IF EXISTS {} WITH (FORCE)", unfinished)
        self._execute_ddl("CREATE DATABASE {} TEMPLATE template0", unfinished)
        build(self._url_of(unfinished))
        # Nobody can clone or rename a database that somebody is connected to, be it a pool that forgot to close.
        self._cut_off(unfinished)
        self._execute_ddl("ALTER DATABASE {} RENAME TO {}", unfinished, template)

    def _cut_off(self, database: str) -> None:
        """End the connections to `database` and see them gone; PostgreSQL itself looks again only after 100 ms."""
        deadline = time.monotonic() + 5
        there = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        while self._execute(there, database) and time.monotonic() < deadline:
            time.sleep(0.002)

    def _url_of(self, database: str) -> str:
        return make_url(self.url).set(database=database).render_as_string(hide_password=False)

    def _execute(self, statement: str, *values: object) -> list[Any]:
        cursor = self._connect().execute(statement.encode(), values)
        return cursor.fetchall()

    def _execute_ddl(self, statement: str, *names: str) -> None:
        self._connect().execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            address = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
            self._connection = psycopg.connect(address, autocommit=True)
        return self._connection


class Server:
    """The server of a run: an embedded one in a temporary folder, or the one that is named by the environment."""

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:8]
        self._postgres: Postgres | None = None
        self._folder: Path | None = None
        self._lock = -1
        self._url: str | None = None

    def start(self) -> str:
        """Start it if need be, and return its address."""
        if self._url is None:
            self._url = os.environ.get(EXTERNAL) or self._start_embedded()
        return self._url

    def stop(self) -> None:
        """Stop the embedded server and remove its folder; remove this run's databases from a foreign one."""
        if self._postgres is not None:
            self._postgres.stop()
            self._postgres = None
        elif self._url is not None:
            cluster = Cluster(self._url, self.run)
            cluster.sweep()
            cluster.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._folder = None
        self._url = None

    def _start_embedded(self) -> str:
        _sweep_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=_fastest_place()))
        self._lock = _lock(self._folder)
        self._postgres = Postgres(self._folder / "pg", fast=True)
        return self._postgres.start()


def _fastest_place() -> Path:
    """In memory where there is room: a database is three hundred files, and making them takes a disk 200 ms."""
    with suppress(OSError):
        if shutil.disk_usage(MEMORY).free > 2 * 2**30 and os.access(MEMORY, os.W_OK):
            return MEMORY
    return Path(tempfile.gettempdir())


def _lock(folder: Path) -> int:
    """Hold the folder until this process ends. Raises BlockingIOError while somebody else does."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _sweep_folders() -> None:
    """End the servers of runs that were killed, and remove their folders."""
    places = {MEMORY, Path(tempfile.gettempdir())}
    for folder in (folder for place in places for folder in place.glob(f"{FOLDER_PREFIX}*")):
        with suppress(OSError, LumlError):
            if folder.stat().st_uid != os.geteuid() or not (folder / "lock").exists():
                continue
            lock = _lock(folder)
            left_behind = Postgres(folder / "pg", fast=True)
            left_behind.start()  # a full start and stop, because only the server itself knows its shared memory
            left_behind.stop()
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


SERVER = pytest.StashKey[Server]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[SERVER] = Server()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker the address; the first one makes the controller start the server."""
    server = node.config.stash[SERVER]
    try:
        node.workerinput["postgres"] = (server.start(), server.run)
    except LumlError as error:
        node.workerinput["postgres_error"] = error.message


def pytest_unconfigure(config: pytest.Config) -> None:
    if (server := config.stash.get(SERVER, None)) is not None:
        server.stop()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The run's server; started by the first test that wants it, or by the controller of xdist."""
    cluster = Cluster(*_address(request.config))
    yield cluster
    cluster.close()


def _address(config: pytest.Config) -> tuple[str, str]:
    worker = getattr(config, "workerinput", None)
    if worker is None:
        server = config.stash[SERVER]
        return server.start(), server.run
    if "postgres_error" in worker:
        pytest.fail(worker["postgres_error"])
    return tuple(worker["postgres"])
