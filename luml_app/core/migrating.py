"""Bring a database to the schema of this code, under a lock, in one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import migrations
from luml_app.core.db import Database
from luml_app.core.locks import MIGRATION
from luml_app.core.tables import metadata
from luml_app.schemas.errors import ConfigurationError

OLDEST_POSTGRES = 15


def migrate(database: Database) -> None:
    """Apply what is missing. Two at once wait for each other; a failure leaves the schema as it was.

    Raises ConfigurationError when the database is newer than this code, or PostgreSQL is too old.
    """
    with database.write() as connection:
        _check_server(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION})
        config = _config(connection)
        _check_known(connection, config)
        command.upgrade(config, "head")


def migrate_to(connection: Connection, revision: str) -> None:
    """Bring the database of this connection to a revision (``head``: the newest), in the connection's transaction.

    Raises ConfigurationError for a revision that this code does not know.
    """
    config = _config(connection)
    if revision != "head" and revision not in _known(config):
        raise ConfigurationError(f"The revision {revision} is of a newer LUML than this one. Upgrade LUML.")
    command.upgrade(config, revision)


def check_current(connection: Connection) -> str:
    """The schema's revision. Raises ConfigurationError unless it is the one of this code."""
    head = ScriptDirectory.from_config(_config(connection)).get_current_head()
    current = _current(connection)
    if current is None or current != head:
        raise ConfigurationError(f"The database is at revision {current}, this LUML at {head}: run `luml migrate`.")
    return current


def is_current(database: Database) -> bool:
    """Whether the schema is the one of this code."""
    with database.read() as connection:
        return _current(connection) == ScriptDirectory.from_config(_config(connection)).get_current_head()


def differences(database: Database) -> list[Any]:
    """What the migrations leave different from `core.tables`; an empty list in a sound house."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        found: list[Any] = compare_metadata(context, metadata)
        return found


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _check_server(connection: Connection) -> None:
    version = int((connection.dialect.server_version_info or (0,))[0])
    if version < OLDEST_POSTGRES:
        raise ConfigurationError(f"PostgreSQL {version} is too old; LUML needs {OLDEST_POSTGRES} or newer.")


def _check_known(connection: Connection, config: Config) -> None:
    current = _current(connection)
    if current is not None and current not in _known(config):
        raise ConfigurationError(
            f"The database is newer than this LUML: it is at {current}, which this version does not know. Upgrade LUML."
        )
