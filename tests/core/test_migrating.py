from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, text

from luml_app.core.db import Database
from luml_app.core.errors import BROKEN
from luml_app.core.migrating import differences, is_current, migrate
from luml_app.core.tables import metadata
from luml_app.schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.postgres import Cluster


@pytest.fixture
def bare(cluster: Cluster) -> Iterator[Database]:
    """A database without a table."""
    with cluster.database() as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    """A migrated database without a row."""
    database = Database(empty_database_url)
    yield database
    database.close()


def test_the_migrations_lead_to_the_tables_of_the_code(empty: Database) -> None:
    assert differences(empty) == []
    assert is_current(empty)


def test_every_constraint_that_is_explained_exists_and_every_check_too(empty: Database) -> None:
    with empty.read() as db:
        names = set(db.scalars(text("SELECT conname FROM pg_constraint UNION SELECT indexname FROM pg_indexes")))
        checks = {
            row.conname: row.definition
            for row in db.execute(
                text(
                    "SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint "
                    "WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
                )
            )
        }
    assert BROKEN.keys() <= names
    declared = {
        str(one.name)
        for table in metadata.tables.values()
        for one in table.constraints
        if type(one).__name__ == "CheckConstraint"
    }
    assert declared == checks.keys()


def test_a_second_time_changes_nothing(empty: Database) -> None:
    migrate(empty)
    assert is_current(empty)


def test_two_at_once_wait_for_each_other(bare: Database) -> None:
    assert not is_current(bare)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(bare), range(4)))
    assert is_current(bare)


def test_a_newer_database_is_left_alone(empty: Database) -> None:
    with empty.write() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=r"newer than this LUML.*9999.*[Uu]pgrade LUML"):
        migrate(empty)
    assert not is_current(empty)


def test_a_failure_leaves_nothing_half_made(bare: Database) -> None:
    with bare.write() as db:
        db.execute(text("CREATE TABLE jobs (something_else int)"))
    with pytest.raises(Exception, match="jobs"):
        migrate(bare)
    assert inspect(bare.engine).get_table_names() == ["jobs"]


def test_an_address_that_is_none_is_not_shown() -> None:
    for address in ("", "nonsense with a s3cret", "mysql://user:s3cret@host/db"):
        with pytest.raises(ConfigurationError) as caught:
            Database(address)
        assert "s3cret" not in str(caught.value)
