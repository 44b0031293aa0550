"""50 organizations of 20 orbits each beside the stage, inserted by the database itself within a second or two.

They come after the stage (their times lie in the future), so that the stage's own objects are still the first ones.
"""

from __future__ import annotations

from sqlalchemy import text

from luml_app.core.db import Database

BIG = 1_000
PAGES = 20
"""From so many rows and pages on, no operation may read a whole table; a smaller one is quickest read as it is."""

_LATER = "now() + interval '1 day'"
_STATEMENTS = f"""
INSERT INTO organizations (id, name) SELECT md5('organization' || n)::uuid, 'Place ' || n FROM generate_series(1, 50) n;
INSERT INTO users (id, email) SELECT md5('user' || n)::uuid, 'user-' || n || '@example.com'
    FROM generate_series(1, 2000) n;
INSERT INTO api_keys (id, user_id, name, key_hash, hint, scopes)
    SELECT md5('key' || n)::uuid, md5('user' || n)::uuid, 'crowd', md5('key' || n), 'x', '{{api}}'
    FROM generate_series(1, 2000) n;
INSERT INTO sessions (id, user_id) SELECT md5('session' || n)::uuid, md5('user' || n)::uuid
    FROM generate_series(1, 2000) n;
INSERT INTO session_tokens (hash, session_id, kind, expires_at)
    SELECT md5('token' || n), md5('session' || n)::uuid, 'access', {_LATER} FROM generate_series(1, 2000) n;
INSERT INTO organization_members (id, organization_id, user_id, role)
    SELECT md5('member' || n)::uuid, md5('organization' || 1 + n % 50)::uuid, md5('user' || n)::uuid,
        CASE WHEN n <= 50 THEN 'owner' ELSE 'member' END FROM generate_series(1, 2000) n;
INSERT INTO buckets (id, organization_id, type, endpoint, bucket_name)
    SELECT md5('bucket' || n)::uuid, md5('organization' || n)::uuid, 's3', 's3.example.org', 'b'
    FROM generate_series(1, 50) n;
INSERT INTO orbits (id, organization_id, name, bucket_secret_id, created_at)
    SELECT md5('orbit' || n)::uuid, md5('organization' || 1 + n % 50)::uuid, 'Orbit ' || n,
        md5('bucket' || 1 + n % 50)::uuid, {_LATER} FROM generate_series(1, 1000) n;
INSERT INTO orbit_members (id, orbit_id, user_id, role)
    SELECT md5('orbit member' || n || '-' || k)::uuid, md5('orbit' || n)::uuid, md5('user' || n + 50 * k)::uuid,
        'member'
    FROM generate_series(1, 1000) n, generate_series(1, 5) k;
INSERT INTO collections (id, orbit_id, name, type, tags, created_at)
    SELECT md5('collection' || n)::uuid, md5('orbit' || 1 + n % 1000)::uuid, 'C' || n, 'mixed', '{{a}}', {_LATER}
    FROM generate_series(1, 3000) n;
INSERT INTO artifacts (id, collection_id, orbit_id, bucket_secret_id, type, name, file_name, file_hash, file_index,
        size, manifest, extra_values, tags, status, bucket_location, unique_identifier, created_at)
    SELECT md5('artifact' || n)::uuid, md5('collection' || 1 + n % 3000)::uuid,
        md5('orbit' || 1 + (1 + n % 3000) % 1000)::uuid, md5('bucket1')::uuid, 'model', 'Model ' || n, 'm.luml',
        md5('a' || n), '{{}}', 9, '{{}}', '{{}}', '{{a}}', 'uploaded',
        'crowd/' || n, md5('u' || n), {_LATER} FROM generate_series(1, 10000) n;
INSERT INTO tracks (id, orbit_id, name, artifact_type, next_version, created_at)
    SELECT md5('track' || n)::uuid, md5('orbit' || n)::uuid, 'T', 'model', 9, {_LATER} FROM generate_series(1, 1000) n;
INSERT INTO stages (id, track_id, name, position)
    SELECT md5('stage' || n || '-' || k)::uuid, md5('track' || n)::uuid, 'S' || k, k
    FROM generate_series(1, 1000) n, generate_series(1, 2) k;
INSERT INTO track_entries (id, track_id, artifact_id, version, added_by, created_at)
    SELECT md5('entry' || n)::uuid, md5('track' || 1 + n % 1000)::uuid, md5('artifact' || n)::uuid, 1 + n / 1000,
        md5('user1')::uuid, {_LATER} FROM generate_series(1, 5000) n;
INSERT INTO satellites (id, orbit_id, name, key_hash, created_at)
    SELECT md5('satellite' || n)::uuid, md5('orbit' || n)::uuid, 'S', md5('satellite' || n), {_LATER}
    FROM generate_series(1, 1000) n;
INSERT INTO deployments (id, orbit_id, satellite_id, name, status, revision_id, created_at)
    SELECT md5('deployment' || n)::uuid, md5('orbit' || n)::uuid, md5('satellite' || n)::uuid, 'D', 'active',
        md5('revision' || n)::uuid, {_LATER} FROM generate_series(1, 1000) n;
INSERT INTO revisions (id, deployment_id, artifact_id, number, digest)
    SELECT md5('revision' || n)::uuid, md5('deployment' || n)::uuid, md5('artifact' || n)::uuid, 1, md5('a' || n)
    FROM generate_series(1, 1000) n;
INSERT INTO jobs (id, satellite_id, orbit_id, type, payload, dedupe_key, state, finished_at, created_at)
    SELECT md5('job' || n)::uuid, md5('satellite' || 1 + n % 1000)::uuid, md5('orbit' || 1 + n % 1000)::uuid, 'deploy',
        '{{}}', 'crowd:' || n, 'succeeded', now(), {_LATER} FROM generate_series(1, 2000) n;
INSERT INTO jobs (id, satellite_id, orbit_id, type, payload, dedupe_key, created_at)
    SELECT md5('live job' || n)::uuid, md5('satellite' || 1 + n % 1000)::uuid, md5('orbit' || 1 + n % 1000)::uuid,
        'deploy', '{{}}', 'live:' || n, {_LATER} FROM generate_series(1, 2000) n;
INSERT INTO events (id, organization_id, orbit_id, actor_kind, action, object_id, at)
    SELECT md5('event' || n)::uuid, md5('organization' || 1 + n % 50)::uuid, md5('orbit' || 1 + n % 1000)::uuid, 'user',
        'artifact.create', md5('artifact' || 1 + n % 10000)::uuid, now() FROM generate_series(1, 20000) n
"""


def add_many_places(url: str) -> None:
    """Insert them, and let the planner know."""
    database = Database(url)
    try:
        with database.write() as db:
            for statement in _STATEMENTS.split(";\n"):
                db.exec_driver_sql(statement.replace("%", "%%"))
        with database.read() as db:
            db.execute(text("ANALYZE"))
    finally:
        database.close()
