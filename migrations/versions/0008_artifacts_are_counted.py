"""How many artifacts a collection holds, kept by the database itself"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# By triggers, so that no way to add, move or delete artifacts can forget it, be it a cascade from the orbit. Rows are
# counted once per statement; only a move, which is rare, is counted row by row.
_COUNT = """
CREATE FUNCTION count_artifacts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE collections SET total_artifacts = total_artifacts + TG_ARGV[0]::integer * changed.number
    FROM (SELECT collection_id, count(*)::integer AS number FROM changed GROUP BY collection_id) AS changed
    WHERE id = changed.collection_id;
    RETURN NULL;
END $$
"""
_MOVE = """
CREATE FUNCTION count_moved_artifact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE collections
    SET total_artifacts = total_artifacts + CASE id WHEN NEW.collection_id THEN 1 ELSE -1 END
    WHERE id IN (OLD.collection_id, NEW.collection_id);
    RETURN NULL;
END $$
"""
_TRIGGERS = """
CREATE TRIGGER artifacts_added AFTER INSERT ON artifacts REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_artifacts('1');
CREATE TRIGGER artifacts_deleted AFTER DELETE ON artifacts REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_artifacts('-1');
CREATE TRIGGER artifacts_moved AFTER UPDATE OF collection_id ON artifacts
    FOR EACH ROW WHEN (OLD.collection_id <> NEW.collection_id) EXECUTE FUNCTION count_moved_artifact();
"""
_COUNT_ALL = """
UPDATE collections SET total_artifacts = (SELECT count(*) FROM artifacts WHERE collection_id = collections.id)
"""


def upgrade() -> None:
    op.add_column("collections", sa.Column("total_artifacts", sa.Integer, nullable=False, server_default="0"))
    # Nobody may add one between the counting and the triggers.
    op.execute("LOCK TABLE artifacts IN SHARE ROW EXCLUSIVE MODE")
    for statement in (_COUNT, _MOVE, *filter(str.strip, _TRIGGERS.split(";")), _COUNT_ALL):
        op.execute(statement)


def downgrade() -> None:
    for trigger in ("artifacts_added", "artifacts_deleted", "artifacts_moved"):
        op.execute(f"DROP TRIGGER {trigger} ON artifacts")
    for function in ("count_artifacts", "count_moved_artifact"):
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_column("collections", "total_artifacts")
