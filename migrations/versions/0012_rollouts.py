"""Deployments move from one revision to the next in steps, and back"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# By triggers, so that no way into a stage can forget it. The stage is locked against a deployment that begins to follow
# it in the same moment (its foreign key holds the stage, too): one of the two sees the other.
_FOLLOW = """
CREATE FUNCTION follow_stage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    followed uuid := CASE TG_TABLE_NAME WHEN 'deployments' THEN to_jsonb(NEW)->>'follow_stage_id'
                                        ELSE to_jsonb(NEW)->>'stage_id' END;
BEGIN
    IF TG_TABLE_NAME = 'track_entries' THEN
        PERFORM 1 FROM stages WHERE id = followed FOR UPDATE;
        PERFORM 1 FROM deployments WHERE follow_stage_id = followed AND desired <> 'deleted';
        IF NOT FOUND THEN RETURN NULL; END IF;
    END IF;
    INSERT INTO jobs (id, type, payload, dedupe_key)
    VALUES (gen_random_uuid(), 'deployment.follow', jsonb_build_object('stage_id', followed),
            'deployment.follow:' || followed)
    ON CONFLICT (dedupe_key) WHERE state = 'queued' DO NOTHING;
    IF FOUND THEN PERFORM pg_notify('luml', '{"action":"chore.queued"}'); END IF;
    RETURN NULL;
END $$
"""
_TRIGGERS = """
CREATE TRIGGER stage_filled AFTER INSERT ON track_entries
    FOR EACH ROW WHEN (NEW.stage_id IS NOT NULL) EXECUTE FUNCTION follow_stage();
CREATE TRIGGER stage_moved AFTER UPDATE OF stage_id ON track_entries
    FOR EACH ROW WHEN (NEW.stage_id IS NOT NULL AND NEW.stage_id IS DISTINCT FROM OLD.stage_id)
    EXECUTE FUNCTION follow_stage();
CREATE TRIGGER following_begun AFTER INSERT ON deployments
    FOR EACH ROW WHEN (NEW.follow_stage_id IS NOT NULL) EXECUTE FUNCTION follow_stage();
CREATE TRIGGER following_changed AFTER UPDATE OF follow_stage_id ON deployments
    FOR EACH ROW WHEN (NEW.follow_stage_id IS NOT NULL AND NEW.follow_stage_id IS DISTINCT FROM OLD.follow_stage_id)
    EXECUTE FUNCTION follow_stage();
"""


def upgrade() -> None:
    op.add_column("deployments", sa.Column("stable_id", sa.Uuid))
    op.add_column("deployments", sa.Column("rollout", JSONB))
    for name in ("restarts", "secrets_version"):
        op.add_column("deployments", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("deployments", sa.Column("follow_stage_id", sa.Uuid))
    op.create_foreign_key(
        "deployments_follow_stage_id_fkey", "deployments", "stages", ["follow_stage_id"], ["id"], ondelete="SET NULL"
    )
    op.create_index(
        "deployments_follow_stage_id_idx",
        "deployments",
        ["follow_stage_id"],
        postgresql_where=sa.text("follow_stage_id IS NOT NULL"),
    )
    op.create_check_constraint("rollout", "deployments", "(stable_id IS NULL) = (rollout IS NULL)")
    op.add_column("revisions", sa.Column("served_at", sa.DateTime(timezone=True)))
    op.add_column("revisions", sa.Column("problem", JSONB))
    # What serves now has served.
    op.execute(
        "UPDATE revisions SET served_at = now() FROM deployments"
        " WHERE deployments.revision_id = revisions.id AND deployments.status IN ('active', 'not_responding')"
    )
    op.execute(_FOLLOW)
    for statement in filter(str.strip, _TRIGGERS.split(";")):
        op.execute(statement)


def downgrade() -> None:
    for trigger in ("stage_filled", "stage_moved"):
        op.execute(f"DROP TRIGGER {trigger} ON track_entries")
    for trigger in ("following_begun", "following_changed"):
        op.execute(f"DROP TRIGGER {trigger} ON deployments")
    op.execute("DROP FUNCTION follow_stage()")
    op.drop_column("revisions", "problem")
    op.drop_column("revisions", "served_at")
    op.drop_constraint("rollout", "deployments", type_="check")
    op.drop_index("deployments_follow_stage_id_idx", "deployments")
    op.drop_constraint("deployments_follow_stage_id_fkey", "deployments")
    for name in ("follow_stage_id", "secrets_version", "restarts", "rollout", "stable_id"):
        op.drop_column("deployments", name)
