"""`luml login` and `luml whoami`."""

from __future__ import annotations

import socket

import click

from luml_app.cli.output import as_json, show_json


@click.command()
@click.option("--address", help="The server's address.")
@click.option("--email", prompt="E-mail address")
@click.option("--password", prompt=True, hide_input=True)
def login(address: str | None, email: str, password: str) -> None:
    """Sign in to a server and keep an API key for it in the config file."""
    from luml_app.client.http import Client
    from luml_app.client.settings import find_connection, save_connection
    from luml_app.schemas.errors import Conflict

    target = find_connection(address).address
    with Client(target, api_key="") as client:  # without the key of the config file: it may be why they sign in
        client.auth.signin(email=email, password=password)
        name = f"luml login on {socket.gethostname()}"[:100]
        try:
            key = client.api_keys.create(name=name).key
        except Conflict:
            old = next(one for one in client.api_keys.list() if one.name == name)
            client.api_keys.delete(old.id)
            key = client.api_keys.create(name=name).key
        client.auth.logout()
    kept = save_connection(target, key)
    click.echo(f"Signed in to {target} as {email}; the API key is in {kept}.")


@click.command()
@as_json
def whoami(as_json: bool) -> None:
    """Show who you are, and where."""
    from luml_app.client.http import Client

    with Client() as client:
        me, places = client.auth.me(), client.organizations.list()
        if as_json:
            show_json({"address": client.address, "user": me, "organizations": places})
            return
        click.echo(f"{me.email} on {client.address}")
        for place in places:
            click.echo(f"  {place.role} of {place.name}")
