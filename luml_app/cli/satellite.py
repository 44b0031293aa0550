"""`luml satellite …`."""

from __future__ import annotations

import click

from luml_app.cli.output import as_json


@click.group()
def satellite() -> None:
    """Run a satellite on this machine, and look after it.

    Settings come from the environment: LUML_ADDRESS names the server, SATELLITE_TOKEN holds the key that was shown when
    the satellite was created, SATELLITE_DATA the folder by which the other commands find a running one. All others are
    in the documentation.
    """


@satellite.command()
def run() -> int:
    """Run a satellite until Ctrl-C."""
    return _perform("run")


@satellite.command()
@click.option("--off", is_flag=True, help="Begin new work again.")
@click.option("--wait", default=600.0, show_default=True, help="Seconds to wait for the work in hand.")
def drain(off: bool, wait: float) -> int:
    """Have the running satellite begin nothing new; what it serves, it goes on serving."""
    return _perform("drain", *(["--off"] if off else []), "--wait", str(wait))


@satellite.command()
@click.option("--wait", default=120.0, show_default=True, help="Seconds to wait until it has stopped.")
def stop(wait: float) -> int:
    """Stop the running satellite, and wait until it has."""
    return _perform("stop", "--wait", str(wait))


@satellite.command()
@as_json
def status(as_json: bool) -> int:
    """What runs here; exit code 3 when nothing does."""
    return _perform("status", *(["--json"] if as_json else []))


@satellite.command()
@as_json
def doctor(as_json: bool) -> int:
    """Look at everything that a satellite needs, and say what to mend; exit code 1 when it cannot work so."""
    return _perform("doctor", *(["--json"] if as_json else []))


def _perform(*words: str) -> int:
    """A verb of `python -m satellite`. Raises ClickException when the satellite is not installed."""
    try:
        from satellite.__main__ import main
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: install the satellite with `pip install 'luml[satellite]'`."
        ) from error
    return main(list(words))


@satellite.command("direct-login")
@click.argument("name")
@click.option("--connections", type=click.IntRange(2, 100), default=6, help="How many it may have at once (6).")
@click.option("--revoke", is_flag=True, help="Take the login away, and end its sessions.")
def direct_login(name: str, connections: int, revoke: bool) -> None:
    """Print a login at the database for the satellite NAME (or its id), this once; an earlier one stops working.

    For a satellite next to the database: with SATELLITE_DATABASE_URL it claims its jobs there and may do nothing else.
    Run it where the server runs; LUML_DATABASE_URL names the database, whose user needs the right to make roles.
    """
    from luml_app.cli.serve import settings_with_database
    from luml_app.core.db import Database
    from luml_app.resources.satellite_logins import make_login, revoke_login

    database = Database(settings_with_database().database_url or "")
    try:
        if not revoke:
            click.echo(f"SATELLITE_DATABASE_URL={make_login(database, name, connections)}")
        elif revoke_login(database, name):
            click.echo("The login is gone.", err=True)
        else:
            click.echo("There was no login.", err=True)
    finally:
        database.close()
