"""`luml sessions`: list, revoke."""

from __future__ import annotations

import click

from luml_app.cli.output import ago, as_json, show_json, show_table


@click.group()
def sessions() -> None:
    """List where you are signed in by browser, and sign out there."""


@sessions.command(name="list")
@as_json
def list_sessions(as_json: bool) -> None:
    """List where you are signed in."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.sessions.list()
    if as_json:
        show_json(found)
        return
    rows = [(one.id, one.device, one.ip, ago(one.last_used_at)) for one in found]
    show_table(("id", "device", "address", "last used"), rows, "You are signed in nowhere.")


@sessions.command()
@click.argument("session", required=False)
@click.option("--all", "everywhere", is_flag=True, help="Sign out everywhere.")
def revoke(session: str | None, everywhere: bool) -> None:
    """Sign out of SESSION, by its id."""
    from luml_app.client.http import Client

    if (session is None) != everywhere:
        raise click.UsageError("Give the id of a SESSION, or --all.")
    with Client() as client:
        if session is None:
            client.sessions.delete_others()
        else:
            client.sessions.delete(session)
    click.echo("Signed out.")
