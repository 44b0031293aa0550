from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import inspect, text

from luml_app.core.db import Database
from luml_app.core.errors import BROKEN
from luml_app.core.migrating import _config, differences, is_current, migrate
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


def test_values_of_artifacts_that_were_there_before_can_be_searched(bare: Database) -> None:
    values = (
        '{"auc": 0.5, "huge": 1e400, "low": -1e400, "tiny": 1e-400, "word": "a", "yes": true, "list": [1], "no": null}'
    )
    with bare.write() as db:
        command.upgrade(_config(db), "0004")
        for statement in _ONE_ARTIFACT.split(";"):
            db.execute(text(statement), {"values": values})
    migrate(bare)
    with bare.read() as db:
        found = db.execute(text("SELECT name, number, text FROM artifact_values ORDER BY name")).all()
    assert [tuple(row) for row in found] == [
        ("metrics.auc", 0.5, None),
        ("metrics.huge", math.inf, None),
        ("metrics.list", None, None),
        ("metrics.low", -math.inf, None),
        ("metrics.tiny", 0, None),
        ("metrics.word", None, "a"),
        ("metrics.yes", None, "true"),
    ]


_ONE_ARTIFACT = """
INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'o');
INSERT INTO buckets (id, organization_id, type, endpoint, bucket_name)
SELECT gen_random_uuid(), id, 's3', 'e', 'b' FROM organizations;
INSERT INTO orbits (id, organization_id, name, bucket_secret_id)
SELECT gen_random_uuid(), organization_id, 'o', id FROM buckets;
INSERT INTO collections (id, orbit_id, name, type) SELECT gen_random_uuid(), id, 'c', 'model' FROM orbits;
INSERT INTO artifacts (
    id, collection_id, orbit_id, bucket_secret_id, type, file_name, file_hash, file_index, size, manifest, status,
    bucket_location, unique_identifier, extra_values
)
SELECT gen_random_uuid(), c.id, o.id, o.bucket_secret_id, 'model', 'f', 'h', '{}', 1, '{}', 'uploaded', 'l', 'u',
    CAST(:values AS jsonb)
FROM collections c JOIN orbits o ON o.id = c.orbit_id
"""
