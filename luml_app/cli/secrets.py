"""`luml secrets …`: values that deployments refer to."""

from __future__ import annotations

from typing import Any

import click

from luml_app.cli.hidden import hidden
from luml_app.cli.output import as_json, orbit_option, printable, show_json, show_table

_WITHOUT = "Pipe the value in, or type it in a terminal."


@click.group()
def secrets() -> None:
    """Keep secrets for deployments.

    Values are typed or piped in, never given as arguments: others on the machine could read those.
    """


@secrets.command("list")
@orbit_option
@as_json
def list_secrets(orbit: str | None, as_json: bool) -> None:
    """List the secrets of an orbit, without their values."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.secrets.list(*client.orbit(orbit).ids)
    if as_json:
        show_json(found)
        return
    rows = [
        (one.name, ", ".join(one.tags or []), f"{one.updated_at or one.created_at:%Y-%m-%d}", one.id) for one in found
    ]
    show_table(("name", "tags", "changed", "id"), rows, "No secrets. Store one with `luml secrets add NAME`.")


@secrets.command()
@click.argument("name")
@orbit_option
@click.option("--tag", "tags", multiple=True, help="May be given several times.")
@as_json
def add(name: str, orbit: str | None, tags: tuple[str, ...], as_json: bool) -> None:
    """Store a secret; its value is asked for, or read from standard input."""
    from luml_app.client.http import Client

    with Client() as client:
        ids = client.orbit(orbit).ids
        secret = client.secrets.create(*ids, name=name, value=hidden("Value", _WITHOUT), tags=list(tags) or None)
    if as_json:
        show_json(secret)
    else:
        click.echo(printable(f"Stored {secret.name} as {secret.id}."))


@secrets.command("set")
@click.argument("name")
@orbit_option
def set_value(name: str, orbit: str | None) -> None:
    """Give a secret, by name or id, a new value, asked for or read from standard input."""
    from luml_app.client.http import Client

    with Client() as client:
        place = _find(client, orbit, name)
        client.secrets.update(*place, value=hidden("Value", _WITHOUT))
    click.echo(printable(f"Changed {name}; deployments take the new value when they start again."))


@secrets.command()
@click.argument("name")
@orbit_option
def show(name: str, orbit: str | None) -> None:
    """Print the value of a secret, by name or id; that you have seen it is recorded."""
    from luml_app.client.http import Client

    with Client() as client:
        click.echo(client.secrets.get(*_find(client, orbit, name)).value)


@secrets.command()
@click.argument("name")
@orbit_option
def remove(name: str, orbit: str | None) -> None:
    """Delete a secret, by name or id; refused while a deployment refers to it."""
    from luml_app.client.http import Client

    with Client() as client:
        client.secrets.delete(*_find(client, orbit, name))
    click.echo(printable(f"Deleted {name}."))


def _find(client: Any, orbit: str | None, name: str) -> tuple[Any, ...]:
    from luml_app.client.naming import named

    ids = client.orbit(orbit).ids
    return (*ids, named(client.secrets.list(*ids), name, "secret", lambda one: (one.name, one.id)).id)
