"""`luml up`: database, server and satellite of one machine, started, watched and stopped together."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from luml_app.core.migrating import migrate
from luml_app.core.scope import Credentials
from luml_app.core.settings import Settings
from luml_app.embedded.access import give_access, stored_in
from luml_app.embedded.children import Command
from luml_app.embedded.demo import luml_command
from luml_app.embedded.home import Home
from luml_app.embedded.keyring import keys_of
from luml_app.embedded.leftovers import MARK, kill
from luml_app.embedded.postgres import Postgres
from luml_app.embedded.screen import Running, screen
from luml_app.embedded.supervisor import Supervisor
from luml_app.resources.first_steps import FirstUser, check_person, first_orbit, first_user
from luml_app.schemas.errors import ConfigurationError, Unavailable
from luml_app.schemas.satellites import Satellite
from luml_app.web.house import House
from luml_app.web.local import LocalApi

SATELLITE = "local"
SERVER_SECONDS, PAIR_SECONDS, PATIENT_SECONDS = 180.0, 180.0, 8.0
RUNTIMES = ("auto", "docker", "process")
GATEWAY_BACKLOG = 512
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what the operator has asked for
_NOT_FOR_SATELLITES = ("LUML_DATABASE_URL", "LUML_SECRET_KEYS", "LUML_API_KEY")
Say = Callable[[str], None]


def up(settings: Settings, *, demo: bool, say: Say) -> int:
    """Run until somebody asks to stop; the exit code.

    Raises the errors of its parts, each one clear sentence: a busy port, a home that cannot be used or is in use, a
    database that is newer than this code or does not start. Nothing is left half-made then, and no process running.
    """
    _check(settings)
    home = Home(settings.home)
    if not home.root.exists():
        _with_free_port(settings)  # where nothing is yet, a busy port shall leave nothing, either
    watching = Supervisor(home.run, home.logs, mark=home.mark, report=say)
    with home.lock(), _no_strays(_satellite_folder(home)), watching as supervisor:
        settings = _addressed(_with_free_port(replace(settings, home=home.root)))
        say(f"Starting LUML in {home.root} …")
        settings = _with_database(settings, home, supervisor)
        house = House.build(settings, keys_of(settings))
        try:
            running = _prepare(house)
            with _password_not_lost(running.user, say):
                supervisor.start(_server(settings), ready=lambda: _answers(settings), patience=SERVER_SECONDS)
                satellite = _start_satellite(house, running, home, supervisor, say)
                say(screen(running, satellite))
        finally:
            house.close()
        if demo:
            _run_demo(supervisor, running, home, say)
        supervisor.watch()
    say("Stopped.")
    return 0


def _check(settings: Settings) -> None:
    """See that the settings can work, before anything is made. Raises ConfigurationError, which names the variable."""
    if settings.runtime not in RUNTIMES:
        raise ConfigurationError(f"LUML_RUNTIME={settings.runtime!r} must be one of {', '.join(RUNTIMES)}.")
    if not 0 <= settings.port < 65536:
        raise ConfigurationError(f"LUML_PORT={settings.port} is no port; ports end at 65535.")
    check_person(settings.admin_email.strip(), settings.admin_password)
    stored_in(settings.config_file)


def _with_free_port(settings: Settings) -> Settings:
    """The settings with a port that can be listened on; 0 becomes a free one. Raises ConfigurationError."""
    with closing(socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {settings.port} of {settings.host} cannot be used ({error.strerror}); "
                "stop what uses it, or choose another with --port."
            ) from error
        return replace(settings, port=probe.getsockname()[1])


def _addressed(settings: Settings) -> Settings:
    """The settings with an address that can be opened, also where the host is an IPv6 one or stands for all.

    It is the server's own, so that no proxy stands before it whose headers could be believed.
    """
    if settings.public_url:
        return settings
    host = _EVERYWHERE.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    behind = "no" if settings.behind_proxy == "auto" else settings.behind_proxy
    return replace(settings, public_url=f"http://{host}:{settings.port}", behind_proxy=behind)


def _with_database(settings: Settings, home: Home, supervisor: Supervisor) -> Settings:
    if settings.database_url:
        return settings
    postgres = Postgres(home.postgres, log=home.logs / "postgres.log", run=home.run)
    supervisor.start(postgres.command(), ready=postgres.ready, patience=120)
    return replace(settings, database_url=postgres.url)


def _prepare(house: House) -> Running:
    """Schema, first user, organization, orbit, key and link; all of it found again the next time."""
    settings = house.settings
    _migrate(house)
    user = first_user(house.database, settings.admin_email, settings.admin_password)
    api = house.api(Credentials(user_id=user.id))
    organization_id, orbit_id = first_orbit(api)
    link = settings.address + api.auth.create_link().path
    return Running(settings, user, link, give_access(house, user.id), organization_id, orbit_id)


def _migrate(house: House) -> None:
    try:
        migrate(house.database)
    except Unavailable as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise ConfigurationError(f"The database cannot be reached; is LUML_DATABASE_URL right? {reason}") from error


@contextmanager
def _password_not_lost(user: FirstUser, say: Say) -> Iterator[None]:
    """Show a password that was made just now even when the screen will not be: it can be had only this once."""
    try:
        yield
    except BaseException:
        if user.password:
            say(f"The account {user.email} has been made, with the password {user.password} (shown this once).")
        raise


def _server(settings: Settings) -> Command:
    argv = (sys.executable, "-m", "luml_app.cli", "serve")
    return Command("server", argv, settings.child_environment())


def _satellite_folder(home: Home) -> Path:
    return home.root / "satellite"


@contextmanager
def _no_strays(folder: Path) -> Iterator[None]:
    """End who still works in `folder` at the end of the block.

    Gateway and models outlive a satellite that was killed, so that they serve on until it is back. Nobody would end
    them when it is not started again. They are known by their working directory: models see no mark of ours.
    """
    try:
        yield
    finally:
        kill(process for process in psutil.process_iter() if _works_in(process, folder))


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False


def _answers(settings: Settings) -> bool:
    host = _EVERYWHERE.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    try:
        return httpx.get(f"http://{host}:{settings.port}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _start_satellite(house: House, running: Running, home: Home, supervisor: Supervisor, say: Say) -> Satellite | None:
    """Start the local satellite; None when its pairing takes long. Raises ChildError when it ends at its start."""
    api = house.api(Credentials(user_id=running.user.id))
    known, key = _satellite_key(api, running)
    pairing = _Pairing(api, running, known, say)
    command = _satellite(running.settings, home, known, key)
    supervisor.start(command, ready=pairing.is_over, patience=PAIR_SECONDS + 60)
    return pairing.satellite


def _satellite_key(api: LocalApi, running: Running) -> tuple[Satellite, str]:
    """The local satellite and a key for it. The key is a new one at each start, so that none has to be kept."""
    ids = (running.organization_id, running.orbit_id)
    for satellite in api.satellites.list(*ids):
        if satellite.name == SATELLITE:
            return satellite, api.satellites.rotate_key(*ids, satellite.id).key
    made = api.satellites.create(*ids, name=SATELLITE, description="Runs on the machine of the server.")
    return made.satellite, made.api_key


def _satellite(settings: Settings, home: Home, known: Satellite, key: str) -> Command:
    listener = gateway_socket(known.base_url or "", settings.port + 1)
    environment = settings.child_environment(
        SATELLITE_LISTENER=str(listener.fileno()),
        LUML_ADDRESS=settings.address,
        SATELLITE_TOKEN=key,
        SATELLITE_RUNTIME=settings.runtime,
        SATELLITE_DATA=str(_satellite_folder(home)),
        SATELLITE_SLUG=SATELLITE,
    )
    own = {name: value for name, value in environment.items() if name not in _NOT_FOR_SATELLITES}
    folder = _satellite_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    argv = (sys.executable, "-m", "satellite")
    return Command("satellite", argv, own, folder=folder, grace=40.0, sockets=(listener,))


def gateway_socket(before: str, otherwise: int) -> socket.socket:
    """Where callers of models connect: at the port of the address `before`, so that addresses of deployments stay good,
    else at the port `otherwise`, else at a free one. A port may be taken although nobody listens: by a connection.
    """
    for port in (urlsplit(before).port, otherwise):
        if port and port < 65536:
            with suppress(OSError):
                return socket.create_server(("127.0.0.1", port), backlog=GATEWAY_BACKLOG)
    return socket.create_server(("127.0.0.1", 0), backlog=GATEWAY_BACKLOG)


class _Pairing:
    """Waits for the satellite to pair anew, for `PAIR_SECONDS`: building an image may take longer."""

    def __init__(self, api: LocalApi, running: Running, known: Satellite, say: Say) -> None:
        self.satellite: Satellite | None = None
        self._api = api
        self._ids = (running.organization_id, running.orbit_id, known.id)
        self._seen_before = known.last_seen_at
        self._started = time.monotonic()
        self._say: Say | None = say

    def is_over(self) -> bool:
        """Whether it has paired, or has taken too long to be waited for."""
        with suppress(Unavailable):
            found = self._api.satellites.get(*self._ids)
            if found.paired and found.last_seen_at != self._seen_before:
                self.satellite = found
        waited = time.monotonic() - self._started
        if waited > PATIENT_SECONDS and self._say and not self.satellite:
            self._say("The satellite prepares its runtime; the first time that may take minutes …")
            self._say = None
        return self.satellite is not None or waited > PAIR_SECONDS


def _run_demo(supervisor: Supervisor, running: Running, home: Home, say: Say) -> None:
    """Run the demo in a process of its own, while the children are watched."""
    variables = {"LUML_ADDRESS": running.settings.address, "LUML_API_KEY": running.access.api_key, MARK: home.mark}
    argv = [sys.executable, "-m", "luml_app.cli", "demo", "--orbit", str(running.orbit_id)]
    environment = running.settings.child_environment(**variables)
    # In a session of its own, so that the mark finds it after a `kill -9` of this process.
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        supervisor.watch(until=lambda: process.poll() is not None)
    finally:
        if process.poll() is None:
            process.kill()  # there is nothing that it would have to tidy up
            process.wait()
    if process.returncode:
        say(f"The demo has not come to its end; LUML runs on. Try again with `{luml_command()} demo`.")
