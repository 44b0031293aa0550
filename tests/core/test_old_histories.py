"""A track that is older than its history: what the migration tells of it is where the history begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import text

from luml_app.core.db import Database
from luml_app.core.migrating import _config
from luml_app.core.scope import Credentials
from luml_app.core.service import Service
from luml_app.core.settings import Settings
from luml_app.resources import all_operations
from luml_app.schemas.errors import NotFound
from luml_app.web.local import LocalApi
from tests.api.stage import build_stage
from tests.cast import KEYS, load_cast, populate

if TYPE_CHECKING:
    from tests.postgres import Cluster


def test_what_is_there_at_the_upgrade_is_where_the_history_begins(cluster: Cluster, migrated: str) -> None:
    with cluster.database(migrated) as url:
        database = Database(url)
        populate(url)
        build_stage(database)
        with database.write() as db:
            command.downgrade(_config(db), "0004-1")
            db.execute(text("DELETE FROM events"))  # older versions told less
        with database.write() as db:
            command.upgrade(_config(db), "head")
        cast = load_cast(database)
        api = LocalApi(Service(all_operations(), database, KEYS, Settings()), Credentials(token=cast.alice.api_key))
        (track,) = api.tracks.list(*cast.here.path).items
        state = api.tracks.get(*cast.here.path, track.id, as_of=datetime.now(UTC))
        assert (state.name, [one.name for one in state.stages]) == ("Tea party", ["staging", "production"])
        staging = state.stages[0]
        assert (staging.version.version, staging.version.artifact_name) == (1, "Dormouse")
        (tenure,) = api.track_history.stage(*cast.here.path, track.id, staging.id).items
        assert (tenure.by, tenure.until) == (None, None)
        with pytest.raises(NotFound, match="begins"):
            api.tracks.get(*cast.here.path, track.id, as_of=datetime.now(UTC) - timedelta(days=1))
        database.close()
