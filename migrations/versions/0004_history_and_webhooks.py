"""History of stages, events that stay as they were written, webhooks with their outbox"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)

# Only who says in its transaction that it keeps the operator's retention may delete, and nobody may change.
_GUARD = """
CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('luml.retention', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'Events are append-only; set LUML_EVENTS_KEPT_DAYS to have old ones deleted.'
        USING ERRCODE = 'restrict_violation';
END $$
"""
_TRIGGER = """
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only()
"""
# What older versions wrote does not tell enough to answer what was where; for tracks made by them, history begins now.
_TRACKS = """
INSERT INTO events (id, at, organization_id, orbit_id, actor_kind, action, object_id, after)
SELECT gen_random_uuid(), now(), o.organization_id, o.id, 'server', 'track.baseline', t.id,
    jsonb_build_object('name', t.name, 'stages', coalesce((
        SELECT jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'protected', false) ORDER BY s.position)
        FROM stages s WHERE s.track_id = t.id
    ), '[]'))
FROM tracks t JOIN orbits o ON o.id = t.orbit_id
"""
_VERSIONS = """
INSERT INTO events (id, at, organization_id, orbit_id, actor_kind, action, object_id, after)
SELECT gen_random_uuid(), now(), o.organization_id, o.id, 'server', 'track.baseline', t.id,
    jsonb_build_object(
        'entry_id', e.id, 'version', e.version, 'artifact_id', e.artifact_id, 'artifact_name', a.name,
        'digest', a.file_hash, 'stage_id', e.stage_id, 'stage', s.name
    )
FROM track_entries e
JOIN tracks t ON t.id = e.track_id
JOIN orbits o ON o.id = t.orbit_id
JOIN artifacts a ON a.id = e.artifact_id
LEFT JOIN stages s ON s.id = e.stage_id
"""


def upgrade() -> None:
    op.add_column("stages", sa.Column("protected", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("events", sa.Column("ip", sa.Text()))
    _create_webhooks()
    _create_deliveries()
    op.execute(_TRACKS)
    op.execute(_VERSIONS)
    op.execute(_GUARD)
    op.execute(_TRIGGER)


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("orbit_id", sa.Uuid()),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("actions", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("disabled_because", sa.Text()),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("old_secret", sa.LargeBinary()),
        sa.Column("old_secret_until", _MOMENT),
        sa.Column("failing_since", _MOMENT),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("paused_until", _MOMENT),
        sa.Column("lease_token", sa.Uuid()),
        sa.Column("lease_expires_at", _MOMENT),
        sa.Column("created_at", _MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("webhooks_pkey")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("webhooks_organization_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["orbit_id"], ["orbits.id"], name=op.f("webhooks_orbit_id_fkey"), ondelete="CASCADE"),
    )
    op.create_index(op.f("webhooks_organization_id_idx"), "webhooks", ["organization_id"])


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default="pending"),
        sa.Column("attempts", pg.JSONB(), nullable=False, server_default="[]"),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_attempt_at", _MOMENT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("created_at", _MOMENT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("finished_at", _MOMENT),
        sa.PrimaryKeyConstraint("webhook_id", "event_id", name=op.f("webhook_deliveries_pkey")),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name=op.f("webhook_deliveries_state_check")),
    )
    op.create_index(
        "webhook_deliveries_due_idx",
        "webhook_deliveries",
        ["webhook_id", "next_attempt_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    columns = ["webhook_id", "created_at"]
    op.create_index(op.f("webhook_deliveries_webhook_id_created_at_idx"), "webhook_deliveries", columns)
    op.create_index(op.f("webhook_deliveries_created_at_idx"), "webhook_deliveries", ["created_at"])


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
    op.execute("DROP TRIGGER events_are_append_only ON events")
    op.execute("DROP FUNCTION events_are_append_only()")
    op.drop_column("events", "ip")
    op.drop_column("stages", "protected")
