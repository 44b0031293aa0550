"""`luml users …`: accounts made by the operator of the server, in its database."""

from __future__ import annotations

import click

from luml_app.cli.hidden import hidden
from luml_app.cli.output import printable

_WITHOUT = "Pipe the password in, type it in a terminal, or use --generate-password."


@click.group("users")
def users() -> None:
    """Make accounts without a sign-up, for the operator of the server."""


@users.command()
@click.argument("email")
@click.option("--generate-password", is_flag=True, help="Make a password up and print it, this once.")
def add(email: str, generate_password: bool) -> None:
    """Make an account for EMAIL, with an organization of its own, in the database that LUML_DATABASE_URL names.

    The password is asked for, or read from standard input. An account that is there already stays as it is.
    """
    from luml_app.cli.serve import settings_with_database
    from luml_app.core.db import Database
    from luml_app.core.keys import new_token
    from luml_app.resources.first_steps import make_account

    settings = settings_with_database()
    password = new_token()[:20] if generate_password else hidden("Password", _WITHOUT)
    database = Database(settings.database_url or "")
    try:
        made = make_account(database, settings, email, password)
    finally:
        database.close()
    if not made:
        click.echo(printable(f"There is an account for {email} already; it stays as it is."))
        return
    click.echo(printable(f"Made the account of {email}; sign in at {settings.address}/login."))
    if generate_password:
        click.echo(f"Its password, shown this once: {password}")
