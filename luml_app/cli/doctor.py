"""`luml doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import click

from luml_app.cli.output import as_json, show_json
from luml_app.schemas.errors import LumlError

_PARTS = {
    "server": ("sqlalchemy", "psycopg", "alembic", "panel"),
    "satellite": ("docker", "httptools", "fnnx"),
    "lab": ("jupyterlab",),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `needed`: LUML does not work without it."""

    what: str
    good: bool
    detail: str
    needed: bool = False


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Check this installation and say what to mend; exit code 1 when something needed is missing."""
    findings = [finding for look in _LOOKS for finding in _found(look)]
    if as_json:
        show_json(findings)
    else:
        for finding in findings:
            sign = "ok  " if finding.good else ("FAIL" if finding.needed else "note")
            click.echo(f"{sign}  {finding.what:<12}{finding.detail}")
    return 1 if any(finding.needed and not finding.good for finding in findings) else 0


def _found(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a look finds; a setting that cannot be read is a finding, too."""
    try:
        return list(look())
    except LumlError as error:
        return [Finding("settings", False, error.message, needed=True)]


def _python() -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], needed=True)


def _parts() -> Iterator[Finding]:
    for part, modules in _PARTS.items():
        missing = [name for name in modules if find_spec(name) is None]
        remedy = f"not installed ({', '.join(missing)} missing): pip install 'luml[{part}]'"
        yield Finding(part, not missing, remedy if missing else "installed")


def _docker() -> Iterator[Finding]:
    if find_spec("docker") is None:
        return
    from satellite.runtimes.docker import engine_version
    from satellite.runtimes.interface import RuntimeFailure

    try:
        yield Finding("docker", True, f"engine {engine_version()}")
    except RuntimeFailure:
        yield Finding("docker", False, "no engine answers; models run as processes instead")


def _disk() -> Iterator[Finding]:
    from luml_app.core.settings import Settings

    home = Settings.from_environment().home.expanduser().absolute()
    folder = next(place for place in (home, *home.parents) if place.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    yield Finding("disk", free > 2, f"{free:.1f} GB free" + ("" if free > 2 else "; LUML needs about 2 GB"))


def _server() -> Iterator[Finding]:
    from luml_app.client.http import Client

    try:
        with Client(timeout=5) as client:
            me = client.auth.me()
            yield Finding("connection", True, f"{me.email} on {client.address}")
    except LumlError as error:
        yield Finding("connection", False, f"{error.message} (`luml up` starts a server, `luml login` signs in)")


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (_python, _parts, _docker, _disk, _server)
