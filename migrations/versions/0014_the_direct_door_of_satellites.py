"""Jobs are claimed, renewed and finished by functions, which satellites may call with a login of their own"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# The rules of the job table, once for every door. The server calls these functions as itself. The conditions of the
# partial indexes stand here letter by letter.
_RULES = """
CREATE FUNCTION job_is_claimable(job jobs) RETURNS boolean LANGUAGE sql STABLE AS $$
    -- Due, or leased by a worker that let its lease run out; and nobody at work on the same thing.
    SELECT ((job.state = 'queued' AND job.scheduled_at <= now())
            OR (job.state = 'leased' AND job.lease_expires_at <= now()))
        AND NOT EXISTS (
            SELECT 1 FROM jobs other
            WHERE other.dedupe_key = job.dedupe_key AND other.id <> job.id
              AND other.state = 'leased' AND other.lease_expires_at > now()
        )
$$;

CREATE FUNCTION jobs_waiting(satellite uuid, most integer) RETURNS SETOF jobs LANGUAGE sql STABLE AS $$
    SELECT jobs.* FROM jobs
    WHERE jobs.satellite_id = satellite AND jobs.state IN ('queued', 'leased') AND job_is_claimable(jobs)
    ORDER BY jobs.scheduled_at, jobs.id LIMIT most
$$;

CREATE FUNCTION job_claim(job uuid, seconds double precision) RETURNS SETOF jobs LANGUAGE plpgsql AS $$
BEGIN
    -- What a worker has left lying on the way to this job: a lost lease of the same thing, which this job supersedes if
    -- it waits; or the job itself, when it was lost as often as it may be tried: it seems to kill its workers.
    UPDATE jobs SET
        state = CASE WHEN attempts >= max_attempts THEN 'dead' ELSE 'cancelled' END,
        lease_token = NULL, lease_expires_at = NULL, updated_at = now(), finished_at = now()
    WHERE state = 'leased' AND lease_expires_at <= now() AND (
        dedupe_key = (SELECT one.dedupe_key FROM jobs one WHERE one.id = job AND one.state = 'queued')
        OR (id = job AND attempts >= max_attempts)
    );
    RETURN QUERY
    UPDATE jobs SET
        state = 'leased', lease_token = gen_random_uuid(), lease_expires_at = now() + make_interval(secs => seconds),
        attempts = attempts + 1, started_at = coalesce(started_at, now()), updated_at = now()
    WHERE jobs.id IN (
        SELECT one.id FROM jobs one WHERE one.id = job AND job_is_claimable(one) FOR UPDATE SKIP LOCKED
    )
    RETURNING jobs.*;
END $$;

CREATE FUNCTION job_renew(job uuid, token uuid, seconds double precision) RETURNS SETOF jobs LANGUAGE sql AS $$
    UPDATE jobs SET lease_expires_at = now() + make_interval(secs => seconds)
    WHERE id = job AND state = 'leased' AND lease_token = token
    RETURNING *
$$;

CREATE FUNCTION job_succeed(job uuid, token uuid, told jsonb) RETURNS SETOF jobs LANGUAGE sql AS $$
    UPDATE jobs SET
        state = 'succeeded', result = told, lease_token = NULL, lease_expires_at = NULL,
        updated_at = now(), finished_at = now()
    WHERE id = job AND state = 'leased' AND (token IS NULL OR lease_token = token)
    RETURNING *
$$;

CREATE FUNCTION job_fail(job uuid, token uuid, told jsonb, transient boolean, pauses double precision[])
RETURNS SETOF jobs LANGUAGE sql AS $$
    -- `pauses` are the seconds after the first, second … attempt; the last one stands for all further ones.
    UPDATE jobs SET
        state = ending.state, result = told, lease_token = NULL, lease_expires_at = NULL, updated_at = now(),
        finished_at = CASE WHEN ending.state <> 'queued' THEN now() END,
        scheduled_at = CASE
            WHEN transient
            THEN now() + make_interval(secs => pauses[least(greatest(jobs.attempts, 1), cardinality(pauses))])
            ELSE jobs.scheduled_at
        END
    FROM (
        SELECT held.id, CASE
            WHEN NOT transient THEN 'failed'
            WHEN held.attempts >= held.max_attempts THEN 'dead'
            WHEN EXISTS (SELECT 1 FROM jobs newer WHERE newer.dedupe_key = held.dedupe_key AND newer.state = 'queued')
            THEN 'cancelled'
            ELSE 'queued'
        END AS state
        FROM jobs held WHERE held.id = job
    ) ending
    WHERE jobs.id = ending.id AND jobs.state = 'leased' AND (token IS NULL OR jobs.lease_token = token)
    RETURNING jobs.*
$$;
"""

# What a satellite with a login of its own may call, and nothing else. `session_user` is who has logged in, whatever is
# set afterwards. No name in here is looked for in a place that the caller has a say in.
_DOOR = """
CREATE SCHEMA satellite_door;

CREATE FUNCTION satellite_door.me() RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp AS $$
DECLARE found uuid;
BEGIN
    SELECT satellite_id INTO found FROM satellite_logins WHERE role = session_user;
    IF found IS NULL THEN
        RAISE EXCEPTION 'This login belongs to no satellite (any more).' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN found;
END $$;

CREATE FUNCTION satellite_door.channel() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp AS $$
    SELECT channel FROM satellite_logins WHERE satellite_id = satellite_door.me()
$$;

CREATE FUNCTION satellite_door.shown(job jobs) RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, {schema}, pg_temp AS $$
    SELECT jsonb_build_object(
        'id', job.id, 'type', job.type, 'payload', job.payload, 'lease_token', job.lease_token
    )
$$;

CREATE FUNCTION satellite_door.waiting() RETURNS SETOF jsonb LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp AS $$
    SELECT satellite_door.shown(one) - 'lease_token' FROM jobs_waiting(satellite_door.me(), 100) one
$$;

CREATE FUNCTION satellite_door.is_mine(job uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM jobs WHERE id = job AND satellite_id = satellite_door.me())
$$;

CREATE FUNCTION satellite_door.claim(job uuid, seconds double precision) RETURNS SETOF jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET lock_timeout = '5s' AS $$
    SELECT satellite_door.shown(one)
    FROM job_claim(CASE WHEN satellite_door.is_mine(job) THEN job END, least(greatest(seconds, 1), 3600)) one
$$;

CREATE FUNCTION satellite_door.renew(job uuid, token uuid, seconds double precision) RETURNS SETOF jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET lock_timeout = '5s' AS $$
    SELECT satellite_door.shown(one)
    FROM job_renew(CASE WHEN satellite_door.is_mine(job) THEN job END, token, least(greatest(seconds, 1), 3600)) one
$$;

CREATE FUNCTION satellite_door.finish(job uuid, token uuid, status text, told jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    mine uuid := CASE WHEN satellite_door.is_mine(job) AND token IS NOT NULL THEN job END;
    again boolean := coalesce(told -> 'transient' = 'true', false);
BEGIN
    IF status NOT IN ('done', 'failed') OR status IS NULL THEN
        RAISE EXCEPTION 'status: % is neither done nor failed', left(status, 40);
    ELSIF pg_column_size(told) > 1048576 THEN
        RAISE EXCEPTION 'result: more than 1 MiB';
    ELSIF status = 'done' THEN
        RETURN QUERY SELECT satellite_door.shown(one) FROM job_succeed(mine, token, told) one;
    ELSE
        RETURN QUERY
        SELECT satellite_door.shown(one) FROM job_fail(mine, token, told, again, '{{5,15,60,300}}') one;
    END IF;
END $$;
"""

# A job that waits rings the bell of its satellite. The bell says nothing, and its name is known to nobody else.
_BELL = """
CREATE FUNCTION ring_satellite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(channel, '') FROM satellite_logins WHERE satellite_id = NEW.satellite_id;
    RETURN NULL;
END $$;

CREATE TRIGGER ring_satellite AFTER INSERT OR UPDATE OF state, scheduled_at ON jobs
FOR EACH ROW WHEN (NEW.state = 'queued' AND NEW.satellite_id IS NOT NULL) EXECUTE FUNCTION ring_satellite();
"""

# The role goes with the login, which goes with the satellite. A server that may not drop roles (any more) must still be
# able to delete a satellite; what is left of the login then opens nothing.
_END = """
CREATE FUNCTION drop_satellite_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = OLD.role;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL; -- A session that goes on finds every door shut.
    END;
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA satellite_door FROM %I', OLD.role);
    EXECUTE format('REVOKE ALL ON SCHEMA satellite_door FROM %I', OLD.role);
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), OLD.role);
    EXECUTE format('DROP ROLE %I', OLD.role);
    RETURN NULL;
EXCEPTION WHEN undefined_object OR insufficient_privilege OR dependent_objects_still_exist THEN
    RAISE WARNING 'The role % could not be dropped: %', OLD.role, SQLERRM;
    RETURN NULL;
END $$;

CREATE TRIGGER drop_satellite_role AFTER DELETE ON satellite_logins
FOR EACH ROW EXECUTE FUNCTION drop_satellite_role();
"""


def upgrade() -> None:
    op.create_table(
        "satellite_logins",
        sa.Column("satellite_id", sa.Uuid, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("satellite_id", name=op.f("satellite_logins_pkey")),
        sa.ForeignKeyConstraint(
            ["satellite_id"], ["satellites.id"], name=op.f("satellite_logins_satellite_id_fkey"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("role", name=op.f("satellite_logins_role_key")),
    )
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(_RULES)
    op.execute(_DOOR.format(schema=schema))
    op.execute(_BELL)
    op.execute(_END)
    op.execute("REVOKE ALL ON SCHEMA satellite_door FROM PUBLIC")
    op.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA satellite_door FROM PUBLIC")


def downgrade() -> None:
    op.drop_table("satellite_logins")
    op.execute("DROP SCHEMA satellite_door CASCADE")
    op.execute("DROP TRIGGER ring_satellite ON jobs")
    for function in (
        "ring_satellite()", "drop_satellite_role()", "job_fail(uuid, uuid, jsonb, boolean, double precision[])",
        "job_succeed(uuid, uuid, jsonb)", "job_renew(uuid, uuid, double precision)",
        "job_claim(uuid, double precision)", "jobs_waiting(uuid, integer)", "job_is_claimable(jobs)",
    ):  # fmt: skip
        op.execute(f"DROP FUNCTION {function}")
