"""`luml keys …`: the secret keys of an installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import as_json, show_json, show_table

if TYPE_CHECKING:
    from luml_app.core.db import Database
    from luml_app.core.keys import Keys
    from luml_app.core.sealing import Need
    from luml_app.core.settings import Settings


@click.group()
def keys() -> None:
    """List, make, replace and retire the secret keys."""


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the keys by their ids, and what in the database still needs which."""
    with _opened() as (_, known, database):
        found = _needs(database)
    rows: list[dict[str, Any]] = [
        {"id": key_id, "newest": key_id == known.ids[0], "needed_by": _needed_by(key_id, found, known)}
        for key_id in dict.fromkeys([*known.ids, *(need.key_id for need in found)])
    ]
    if as_json:
        show_json(rows)
        return
    table = [(row["id"], _role(row, known), ", ".join(row["needed_by"]) or "nothing") for row in rows]
    show_table(("key", "", "needed by"), table, "")


@keys.command()
def new() -> None:
    """Print a new key for LUML_SECRET_KEYS; nothing is changed."""
    from luml_app.core.keys import new_token

    click.echo(new_token())


@keys.command()
def rotate() -> None:
    """Make a new key the newest, and encrypt with it what older ones have encrypted. Servers go on meanwhile.

    Where LUML_SECRET_KEYS names the keys, its first is the newest, and only the encrypting is done. Stopped in the
    middle, run it again.
    """
    from luml_app.core import sealing

    with _opened(add=True) as (settings, known, database):
        if settings.secret_keys:
            click.echo(f"LUML_SECRET_KEYS names the keys; {known.ids[0]} is the newest.")
        else:
            click.echo(f"The newest key is {known.ids[0]}.")
        done: dict[str, int] = {}
        for column, rows in sealing.reseal(database, known):
            done[column] = done.get(column, 0) + rows
        found = _needs(database)
    for column, rows in done.items():
        click.echo(f"Encrypted {rows} of {column} anew.")
    for key_id in known.ids[1:]:
        what = _needed_by(key_id, found, known)
        click.echo(f"{key_id} is {'still needed by ' + ', '.join(what) if what else 'not needed any more'}.")


@keys.command()
@click.argument("key")
def retire(key: str) -> None:
    """Forget an old key, by its id. Refused while something needs it; `luml keys list` shows what."""
    from luml_app.embedded.home import Home
    from luml_app.embedded.keyring import KeyFile
    from luml_app.schemas.errors import Conflict, NotFound

    with _opened() as (settings, known, database):
        if key not in known.ids:
            raise NotFound(f"There is no key {key!r}; `luml keys list` shows them.")
        if key == known.ids[0]:
            raise Conflict(f"{key} is the newest key; `luml keys rotate` makes a newer one first.")
        if what := _needed_by(key, _needs(database), known):
            raise Conflict(
                f"{key} is still needed by {', '.join(what)}. `luml keys rotate` encrypts anew; tokens get the newest "
                "key when they are used, expire, or have to be deleted."
            )
    if settings.secret_keys:
        click.echo(f"Nothing needs {key}: take it out of LUML_SECRET_KEYS and start the servers anew.")
        return
    KeyFile(Home(settings.home)).drop(key)
    click.echo(f"{key} is forgotten. Addresses of files that it has signed within the last hour do not work any more.")


@contextmanager
def _opened(*, add: bool = False) -> Iterator[tuple[Settings, Keys, Database]]:
    """Settings, keys (with `add`, a new one before all others) and database of the installation."""
    from luml_app.core.db import Database
    from luml_app.core.settings import Settings
    from luml_app.embedded.home import Home
    from luml_app.embedded.keyring import KeyFile, keys_of

    settings = Settings.from_environment()
    database = Database(_database_url(settings))
    try:
        _needs(database)  # before anything is changed: it must be there
        if add and not settings.secret_keys:
            KeyFile(Home(settings.home).prepare()).add()
        yield settings, keys_of(settings), database
    finally:
        database.close()


def _database_url(settings: Settings) -> str:
    from luml_app.embedded.home import Home
    from luml_app.embedded.postgres import running_url
    from luml_app.schemas.errors import ConfigurationError

    url = settings.database_url or running_url(Home(settings.home).postgres)
    if url is None:
        raise ConfigurationError(f"No database runs in {settings.home}: start `luml up`, or set LUML_DATABASE_URL.")
    return url


def _needs(database: Database) -> list[Need]:
    from luml_app.core import sealing

    with database.read() as db:
        return sealing.needs(db)


def _needed_by(key_id: str, found: list[Need], known: Keys) -> list[str]:
    """What needs a key, in words; what was made before there were ids may need each of the older ones."""
    from luml_app.core.sealing import UNKNOWN

    ids = {key_id} if key_id == UNKNOWN or key_id == known.ids[0] else {key_id, UNKNOWN}
    return [f"{need.rows} of {need.column}" for need in found if need.key_id in ids]


def _role(row: dict[str, Any], known: Keys) -> str:
    if row["newest"]:
        return "newest"
    return "old" if row["id"] in known.ids else "missing"
