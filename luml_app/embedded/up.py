"""`luml up`: database, server and satellite of one machine, started, watched and stopped together."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from luml_app.client.settings import find_connection, save_connection
from luml_app.core.migrating import migrate
from luml_app.core.scope import Credentials
from luml_app.core.settings import Settings
from luml_app.embedded.children import Command
from luml_app.embedded.home import Home
from luml_app.embedded.keyring import keys_of
from luml_app.embedded.leftovers import MARK
from luml_app.embedded.postgres import Postgres
from luml_app.embedded.supervisor import Supervisor
from luml_app.resources.first_steps import FirstUser, first_orbit, first_user
from luml_app.schemas.errors import ConfigurationError, Unauthenticated
from luml_app.schemas.satellites import Satellite
from luml_app.web.house import House
from luml_app.web.local import LocalApi

SATELLITE = "local"
KEY_NAME = "luml up"
PAIR_SECONDS = 180.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """What the start has found or made, for the screen that it prints."""

    settings: Settings
    user: FirstUser
    link: str
    api_key: str
    key_kept_in: Path | None
    organization_id: UUID
    orbit_id: UUID


def up(settings: Settings, *, demo: bool, say: Say) -> int:
    """Run until somebody asks to stop; the exit code.

    Raises the errors of its parts, each one clear sentence: a busy port, a home that cannot be used or is in use, a
    database that is newer than this code or does not start. Nothing is left half-made then, and no process running.
    """
    home = Home(settings.home)
    with home.lock(), Supervisor(home.run, home.logs, mark=home.mark, report=say) as supervisor:
        settings = _with_free_port(settings)
        say(f"Starting LUML in {home.root} …")
        settings = _with_database(settings, home, supervisor)
        house = House.build(settings, keys_of(settings))
        try:
            running = _prepare(house)
            supervisor.start(_server(settings), ready=lambda: _answers(settings.address))
            known, key = _satellite_key(_api(house, running), running)
            started = time.time()
            supervisor.start(_satellite(settings, home, known, key))
            satellite = _paired(_api(house, running), running, known.id, started)
        finally:
            house.close()
        say(_screen(running, satellite))
        if demo:
            _run_demo(supervisor, running, home)
        supervisor.watch()
    say("Stopped.")
    return 0


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


def _with_database(settings: Settings, home: Home, supervisor: Supervisor) -> Settings:
    if settings.database_url:
        return settings
    postgres = Postgres(home.postgres, log=home.logs / "postgres.log", run=home.run)
    supervisor.start(postgres.command(), ready=postgres.ready, patience=120)
    return replace(settings, database_url=postgres.url)


def _prepare(house: House) -> Running:
    """Schema, first user, organization, orbit, key and link; all of it found again the next time."""
    settings = house.settings
    migrate(house.database)
    user = first_user(house.database, settings.admin_email, settings.admin_password)
    api = house.api(Credentials(user_id=user.id))
    organization_id, orbit_id = first_orbit(api)
    api_key, kept_in = _api_key(house, api)
    link = settings.address + api.auth.create_link().path
    return Running(settings, user, link, api_key, kept_in, organization_id, orbit_id)


def _api_key(house: House, api: LocalApi) -> tuple[str, Path | None]:
    """The key of the config file while it is good, else a new one, kept there; and the file that holds it.

    A config file that belongs to another server is left alone: its key could not be had again.
    """
    path, address = house.settings.config_file, house.settings.address
    stored = find_connection(environment={"LUML_CONFIG_FILE": str(path)})
    if stored.api_key and _opens(house, stored.api_key):
        save_connection(address, stored.api_key, path)
        return stored.api_key, path
    for key in api.api_keys.list():
        if key.name == KEY_NAME:
            api.api_keys.delete(key.id)
    made = api.api_keys.create(name=KEY_NAME).key
    if stored.api_key and stored.address != address:
        return made, None
    return made, save_connection(address, made, path)


def _opens(house: House, key: str) -> bool:
    try:
        house.api(Credentials(token=key)).api_keys.validate()
    except Unauthenticated:
        return False
    return True


def _api(house: House, running: Running) -> LocalApi:
    return house.api(Credentials(user_id=running.user.id))


def _server(settings: Settings) -> Command:
    argv = (sys.executable, "-m", "luml_app.cli", "serve")
    return Command("server", argv, settings.child_environment())


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _satellite_key(api: LocalApi, running: Running) -> tuple[Satellite, str]:
    """The local satellite and a key for it. The key is a new one at each start, so that none has to be kept."""
    ids = (running.organization_id, running.orbit_id)
    for satellite in api.satellites.list(*ids):
        if satellite.name == SATELLITE:
            return satellite, api.satellites.rotate_key(*ids, satellite.id).key
    made = api.satellites.create(*ids, name=SATELLITE, description="Runs on the machine of the server.")
    return made.satellite, made.api_key


def _satellite(settings: Settings, home: Home, known: Satellite, key: str) -> Command:
    variables = {
        "SATELLITE_PORT": str(_gateway_port(settings, known)),
        "LUML_ADDRESS": settings.address,
        "SATELLITE_TOKEN": key,
        "SATELLITE_RUNTIME": settings.runtime,
        "SATELLITE_DATA": str(home.root / "satellite"),
        "SATELLITE_SLUG": SATELLITE,
    }
    argv = (sys.executable, "-m", "satellite")
    return Command("satellite", argv, settings.child_environment(**variables), grace=40.0)


def _gateway_port(settings: Settings, known: Satellite) -> int:
    """The port that the satellite had before, so that addresses of deployments stay good; else the one after ours."""
    before = urlsplit(known.base_url or "").port
    for port in (before, settings.port + 1):
        if port and port < 65536 and _is_free("127.0.0.1", port):
            return port
    return 0


def _is_free(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((host, port)) != 0


def _paired(api: LocalApi, running: Running, satellite_id: UUID, started: float) -> Satellite | None:
    """The satellite once it has paired after `started`; None when that takes long (an image is being built)."""
    deadline = time.monotonic() + PAIR_SECONDS
    while time.monotonic() < deadline:
        satellite = api.satellites.get(running.organization_id, running.orbit_id, satellite_id)
        if satellite.last_seen_at and satellite.last_seen_at.timestamp() >= started and satellite.paired:
            return satellite
        time.sleep(0.1)
    return None


def _run_demo(supervisor: Supervisor, running: Running, home: Home) -> None:
    """Run the demo in a process of its own, while the children are watched."""
    variables = {"LUML_ADDRESS": running.settings.address, "LUML_API_KEY": running.api_key, MARK: home.mark}
    argv = [sys.executable, "-m", "luml_app.cli", "demo", "--orbit", str(running.orbit_id)]
    environment = running.settings.child_environment(**variables)
    # In a session of its own, so that the mark finds it after a `kill -9` of this process.
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        supervisor.watch(until=lambda: process.poll() is not None)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _screen(running: Running, satellite: Satellite | None) -> str:
    settings, user = running.settings, running.user
    password = f", password {user.password} (shown this once)" if user.password else ""
    kept = (
        f"also in {_short(running.key_kept_in)}"
        if running.key_kept_in
        else (f"{_short(settings.config_file)} belongs to another server and stays as it is")
    )
    lines = {
        "Dashboard": f"{running.link}\n(signs you in, once, within ten minutes)",
        "Account": f"{user.email}{password}",
        "API key": f"{running.api_key}\n({kept})",
        "Try": f'curl -H "Authorization: Bearer {running.api_key}" {settings.address}/v1/users/me/organizations',
        "Satellite": _described(satellite),
        "Data": str(settings.home),
        "Stop": "Ctrl-C",
    }
    rows = [f"  {name:<11}" + text.replace("\n", "\n" + " " * 13) for name, text in lines.items()]
    return "\n".join(["", f"LUML is running on {settings.address}", "", *rows, ""])


def _described(satellite: Satellite | None) -> str:
    if satellite is None:
        return "still starting; it builds what its runtime needs"
    deploy = satellite.capabilities.get("deploy") or {}
    runtime, why = deploy.get("runtime", "paired"), deploy.get("runtime_reason")
    return f"{satellite.name}: runtime {runtime}" + (f"\n({why})" if why else "")


def _short(path: Path | None) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}" if path else ""
    except ValueError:
        return str(path)
