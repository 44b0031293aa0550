"""A crowd of artifacts in Alice's orbit, inserted by the database itself: 100,000 rows within seconds.

Every artifact is a model of some 700 bytes of manifest and file index, in one of ten collections, with three metrics,
two parameters, two tags and a description. All numbers follow from the row's own, so that two runs have the same data.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from luml_app.core.db import Database
from luml_app.core.migrating import migrate
from tests.cast import load_cast, populate

COLLECTIONS = 10
ONE_COLLECTION = UUID(int=1)
_COLLECTIONS = text("""
INSERT INTO collections (id, orbit_id, name, type)
SELECT cast(lpad(to_hex(n), 32, '0') AS uuid), :orbit_id, 'Collection ' || n, 'model'
FROM generate_series(1, :collections) n
""")
# Ids are UUIDv7 of one artifact a minute, so that they sort as they do in life: by the time of their making.
_ARTIFACTS = text("""
INSERT INTO artifacts (
    id, collection_id, orbit_id, bucket_secret_id, type, name, description, file_name, file_hash, file_index, size,
    manifest, extra_values, params, tags, status, bucket_location, unique_identifier, created_by_user, created_at
)
SELECT
    cast(lpad(to_hex(1750000000000 + n * 60000), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0') AS uuid),
    cast(lpad(to_hex(1 + n % :collections), 32, '0') AS uuid), :orbit_id, :bucket_id, 'model',
    (ARRAY['churn', 'fraud', 'demand', 'pricing', 'ranking', 'vision', 'speech'])[1 + CAST(n AS int) % 7] || '-' || n,
    'Run ' || n || ' of the ' || (ARRAY['nightly', 'weekly', 'manual'])[1 + CAST(n AS int) % 3] || ' training',
    'model.luml', md5(CAST(n AS text)) || md5(CAST(-n AS text)),
    '{"manifest.json": [512, 640], "variant_config.json": [1536, 90], "ops.json": [2560, 2], "env.json": [3584, 300]}',
    1000 + (n * 7919) % 1000000, cast(:manifest AS jsonb),
    jsonb_build_object(
        'auc', round(cast((n * 7919 % 100003) / 100003.0 AS numeric), 6),
        'loss', round(cast((n * 104729 % 99991) / 9999.1 AS numeric), 6),
        'epochs', n % 100
    ),
    jsonb_build_object('depth', n % 12, 'optimizer', (ARRAY['adam', 'sgd', 'lion'])[1 + CAST(n AS int) % 3]),
    ARRAY['team-' || n % 20, CASE WHEN n % 10 = 0 THEN 'prod' ELSE 'dev' END],
    'uploaded', 'crowd/' || n, md5(CAST(n AS text)), 'Alice', timestamptz '2025-06-15' + n * interval '1 minute'
FROM generate_series(CAST(1 AS bigint), :size) n
""")
_VALUES = text("""
INSERT INTO artifact_values (artifact_id, name, orbit_id, number, text)
SELECT a.id, part.name || '.' || one.key, a.orbit_id,
    CASE jsonb_typeof(one.value) WHEN 'number' THEN CAST(one.value AS double precision) END,
    CASE jsonb_typeof(one.value) WHEN 'string' THEN one.value #>> '{}' END
FROM artifacts a
CROSS JOIN LATERAL (VALUES ('metrics', extra_values), ('params', params)) part (name, document)
CROSS JOIN LATERAL jsonb_each(part.document) one
""")
_MANIFEST = (
    '{"variant": "pyfunc", "producer_name": "benchmarks", "producer_version": "1", "producer_tags": [], '
    '"inputs": [{"name": "x", "content_type": "NDJSON", "dtype": "Array[float32]", "shape": ["batch", 30]}], '
    '"outputs": [{"name": "y", "content_type": "NDJSON", "dtype": "Array[float32]", "shape": ["batch"]}], '
    '"dynamic_attributes": [], "env_vars": []}'
)


def fill(url: str, size: int) -> None:
    """Migrate the empty database at `url`, put the cast into it, and `size` artifacts into Alice's orbit."""
    database = Database(url)
    try:
        migrate(database)
        populate(url)
        here = load_cast(database).here
        place = {"orbit_id": here.orbit_id, "bucket_id": here.bucket_id, "collections": COLLECTIONS}
        with database.write() as db:
            db.execute(_COLLECTIONS, place)
            db.execute(_ARTIFACTS, {**place, "size": size, "manifest": _MANIFEST})
            db.execute(_VALUES)
        with database.read() as db:
            db.execute(text("VACUUM ANALYZE"))
    finally:
        database.close()
