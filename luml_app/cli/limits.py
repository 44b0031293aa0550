"""`luml limits`: how much an organization may have, for the operator of the server."""

from __future__ import annotations

import click

from luml_app.cli.output import as_json, printable, show_json, show_table


def _read(_: click.Context, option: click.Parameter, text: str | None) -> int | str | None:
    """A whole number, "none", or nothing said."""
    if text in (None, "none"):
        return text
    if not text.isdecimal() or int(text) >= 2**31:
        raise click.BadParameter("give a whole number, or none.", param=option)
    return int(text)


@click.command()
@click.argument("organization")
@click.option("--members", callback=_read, metavar="N|none", help="How many members it may have.")
@click.option("--orbits", callback=_read, metavar="N|none", help="How many orbits it may have.")
@click.option("--satellites", callback=_read, metavar="N|none", help="How many satellites it may have.")
@click.option("--artifacts", callback=_read, metavar="N|none", help="How many artifacts it may have.")
@as_json
def limits(organization: str, as_json: bool, **wanted: int | str | None) -> None:
    """Show or set the limits of ORGANIZATION, by name or id, in the database that LUML_DATABASE_URL names.

    What is there already stays, also when it is more than a new limit allows.
    """
    from luml_app.cli.serve import settings_with_database
    from luml_app.core.db import Database
    from luml_app.resources.limits import organization_limits

    changes = {kind: None if value == "none" else value for kind, value in wanted.items() if value is not None}
    database = Database(settings_with_database().database_url or "")
    try:
        found = organization_limits(database, organization, changes)
    finally:
        database.close()
    if as_json:
        show_json(found)
        return
    click.echo(printable(f"{found.name} {found.id}"))
    rows = [(kind, one.used, "none" if one.limit is None else one.limit) for kind, one in found.limits.items()]
    show_table(("what", "has", "may have"), rows, "")
