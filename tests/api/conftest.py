from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from luml_app.core.db import Database
from luml_app.core.migrating import migrate
from luml_app.web.house import House
from tests.api.stage import Stage, build_stage
from tests.cast import Cast, populate

if TYPE_CHECKING:
    from tests.postgres import Cluster


def set_the_stage(url: str) -> None:
    database = Database(url)
    try:
        migrate(database)
        populate(url)
        build_stage(database)
    finally:
        database.close()


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    """Here every test finds the cast on the stage."""
    with cluster.database(cluster.template("the stage", set_the_stage)) as url:
        yield url


@pytest.fixture
def stage(house: House, cast: Cast) -> Stage:
    return Stage(house, cast)
