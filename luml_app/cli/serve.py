"""`luml serve` and `luml migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from luml_app.core.settings import Settings


@click.command()
@click.option("--host", help="The address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), help="The port to listen on (5010).")
@click.option("--role", type=click.Choice(["all", "api", "ui"]), default="all", help="What this process serves.")
def serve(host: str | None, port: int | None, role: str) -> int:
    """Run the server alone, against the database that LUML_DATABASE_URL names."""
    from luml_app.embedded.keyring import keys_of
    from luml_app.web import server

    settings = settings_with_database(host=host, port=port)
    return server.serve(settings, keys_of(settings), role=role)


@click.command()
def migrate() -> None:
    """Bring the database to this version's schema. Safe to run again, and by several at once."""
    from luml_app.core import migrating
    from luml_app.core.db import Database

    database = Database(settings_with_database().database_url or "")
    try:
        migrating.migrate(database)
    finally:
        database.close()
    click.echo("The database is up to date.")


def settings_with_database(**overrides: Any) -> Settings:
    """The settings of a command that works on a database of its own. Raises ConfigurationError without one."""
    from luml_app.core.settings import Settings
    from luml_app.schemas.errors import ConfigurationError

    settings = Settings.from_environment(**overrides)
    if not settings.database_url:
        raise ConfigurationError("LUML_DATABASE_URL is not set; `luml up` brings a database along.")
    return settings
