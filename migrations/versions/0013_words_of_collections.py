"""Which tags and values occur in a collection, noted when an artifact is written"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_WORDS = """
CREATE FUNCTION luml_words(tags text[], extra_values jsonb) RETURNS TABLE (kind text, word text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 'tag', unnest(tags)
    UNION
    SELECT 'value', jsonb_object_keys(CASE WHEN jsonb_typeof(extra_values) = 'object' THEN extra_values END)
$$
"""
# The collection is held, so that nobody forgets a word in the moment in which it is needed again. Always in the same
# order, so that of two who note the same new words one waits for the other, and not each for each.
_NOTE_ADDED = """
CREATE FUNCTION note_words_of_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM collections WHERE id IN (SELECT collection_id FROM changed) ORDER BY id FOR KEY SHARE;
    INSERT INTO collection_words (collection_id, kind, word)
    SELECT DISTINCT a.collection_id, one.kind, one.word
    FROM changed a CROSS JOIN LATERAL luml_words(a.tags, a.extra_values) one
    ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
_NOTE_CHANGED = """
CREATE FUNCTION note_words_of_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM collections WHERE id = NEW.collection_id FOR KEY SHARE;
    INSERT INTO collection_words (collection_id, kind, word)
    SELECT NEW.collection_id, one.kind, one.word FROM luml_words(NEW.tags, NEW.extra_values) one
    ORDER BY 2, 3
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
_TRIGGERS = """
CREATE TRIGGER artifacts_added_words AFTER INSERT ON artifacts REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_words_of_added();
CREATE TRIGGER artifacts_changed_words AFTER UPDATE OF collection_id, tags, extra_values ON artifacts
    FOR EACH ROW WHEN ((OLD.collection_id, OLD.tags, OLD.extra_values) IS DISTINCT FROM
        (NEW.collection_id, NEW.tags, NEW.extra_values)) EXECUTE FUNCTION note_words_of_changed();
"""
_NOTE_ALL = """
INSERT INTO collection_words (collection_id, kind, word)
SELECT DISTINCT a.collection_id, one.kind, one.word
FROM artifacts a CROSS JOIN LATERAL luml_words(a.tags, a.extra_values) one
"""


def upgrade() -> None:
    op.create_table(
        "collection_words",
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('tag', 'value')", name=op.f("collection_words_kind_check")),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            name=op.f("collection_words_collection_id_fkey"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "collection_words_key",
        "collection_words",
        ["collection_id", "kind", sa.text("md5(word)")],
        unique=True,
    )
    # Nobody may add one between the noting and the triggers.
    op.execute("LOCK TABLE artifacts IN SHARE ROW EXCLUSIVE MODE")
    for statement in (_WORDS, _NOTE_ADDED, _NOTE_CHANGED, *filter(str.strip, _TRIGGERS.split(";")), _NOTE_ALL):
        op.execute(statement)


def downgrade() -> None:
    for trigger in ("artifacts_added_words", "artifacts_changed_words"):
        op.execute(f"DROP TRIGGER {trigger} ON artifacts")
    for function in ("note_words_of_added()", "note_words_of_changed()", "luml_words(text[], jsonb)"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("collection_words")
