"""Values of artifacts on an index: filters, sorts and searches that do not read every row"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Every three letters in a row of the texts, and every tag as a whole, each hashed with the orbit as the seed.
_KEYS = """
CREATE FUNCTION luml_search_keys(orbit uuid, name text, description text, tags text[]) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
DECLARE
    seed bigint := hashtextextended(orbit::text, 0);
    whole text := lower(concat_ws(E'\\n', name, description, array_to_string(tags, ' ')));
BEGIN
    RETURN ARRAY(
        SELECT hashtextextended(substr(whole, place, 3), seed) FROM generate_series(1, length(whole) - 2) place
        UNION
        SELECT hashtextextended(tag, seed + 1) FROM unnest(tags) tag
    );
END $$
"""
_PIECE_KEYS = """
CREATE FUNCTION luml_piece_keys(orbit uuid, piece text) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    seed bigint := hashtextextended(orbit::text, 0);
    whole text := lower(piece);
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT hashtextextended(substr(whole, place, 3), seed)
        FROM generate_series(1, length(whole) - 2) place
    );
END $$
"""
_TAG_KEY = """
CREATE FUNCTION luml_tag_key(orbit uuid, tag text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(tag, hashtextextended(orbit::text, 0) + 1) $$
"""
# JSON numbers know no bounds. What is too large for a double becomes an infinity, what is too small zero.
_BACKFILL = """
INSERT INTO artifact_values (artifact_id, name, orbit_id, number, text)
SELECT
    a.id, 'metrics.' || one.key, a.orbit_id,
    CASE WHEN jsonb_typeof(one.value) = 'number' THEN CASE
        WHEN cast(one.value AS numeric) > 1.7e308 THEN 'Infinity'
        WHEN cast(one.value AS numeric) < -1.7e308 THEN '-Infinity'
        WHEN abs(cast(one.value AS numeric)) < 1e-307 THEN 0
        ELSE cast(cast(one.value AS numeric) AS double precision)
    END END,
    CASE WHEN jsonb_typeof(one.value) IN ('string', 'boolean') THEN left(one.value #>> '{}', 250) END
FROM artifacts a
CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(a.extra_values) = 'object' THEN a.extra_values END) one
WHERE jsonb_typeof(one.value) <> 'null' AND length(one.key) <= 200
"""


def upgrade() -> None:
    op.add_column(
        "artifacts",
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.create_table(
        "artifact_values",
        sa.Column("artifact_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("orbit_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["artifacts.id"],
            name=op.f("artifact_values_artifact_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("artifact_id", "name", name=op.f("artifact_values_pkey")),
    )
    op.execute(sa.text(_BACKFILL))
    for column in ("number", "text"):
        op.create_index(
            f"artifact_values_{column}_idx",
            "artifact_values",
            ["orbit_id", "name", column, "artifact_id"],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    for parent in ("collection_id", "orbit_id"):
        op.drop_index(op.f(f"artifacts_{parent}_created_at_idx"), "artifacts")
        op.create_index(op.f(f"artifacts_{parent}_created_at_id_idx"), "artifacts", [parent, "created_at", "id"])
    for columns in (["name", "id"], ["size", "id"], ["id"]):
        op.create_index(op.f(f"artifacts_orbit_id_{'_'.join(columns)}_idx"), "artifacts", ["orbit_id", *columns])
    for function in (_KEYS, _PIECE_KEYS, _TAG_KEY):
        op.execute(sa.text(function.replace(":", "\\:")))
    op.create_index(
        "artifacts_search_idx",
        "artifacts",
        [sa.text("luml_search_keys(orbit_id, name, description, tags)")],
        postgresql_using="gin",
    )


def downgrade() -> None:
    op.drop_index("artifacts_search_idx", "artifacts")
    for function in ("search_keys", "piece_keys", "tag_key"):
        op.execute(f"DROP FUNCTION luml_{function}")
    for columns in ("name_id", "size_id", "id"):
        op.drop_index(op.f(f"artifacts_orbit_id_{columns}_idx"), "artifacts")
    for parent in ("collection_id", "orbit_id"):
        op.drop_index(op.f(f"artifacts_{parent}_created_at_id_idx"), "artifacts")
        op.create_index(op.f(f"artifacts_{parent}_created_at_idx"), "artifacts", [parent, "created_at"])
    op.drop_table("artifact_values")
    op.drop_column("artifacts", "params")
