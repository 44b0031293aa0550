"""`luml gc` on the installation of a home or of a database address."""

from __future__ import annotations

from uuid import UUID

from luml_app.core.settings import Settings
from luml_app.embedded.backups import opened_database
from luml_app.embedded.home import Home
from luml_app.embedded.keyring import keys_of
from luml_app.jobs.chores import Errand
from luml_app.resources.collecting import Freeable, collect, explain, survey


def freed(settings: Settings, *, dry_run: bool) -> list[Freeable]:
    """What is freed, or with `dry_run` would be."""
    with opened_database(settings, Home(settings.home)) as database:
        return (survey if dry_run else collect)(Errand({}, database, keys_of(settings), settings))


def explained(settings: Settings, artifact_id: UUID) -> list[str]:
    """What keeps an artifact alive. Raises NotFound."""
    with opened_database(settings, Home(settings.home)) as database, database.read() as db:
        return explain(db, artifact_id)
