"""What orbits hold: collections of artifacts, the artifacts' values on an index, and tracks of their versions."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from luml_app.core.tables.columns import BULKY, deleting, metadata, one_of, own_id, parent, times

collections = Table(
    "collections",
    metadata,
    own_id(),
    parent("orbits"),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("type", Text, nullable=False),
    Column("tags", ARRAY(Text)),
    # Kept by triggers on `artifacts`: counting a hundred thousand takes longer than all else that a request does.
    Column("total_artifacts", Integer, nullable=False, server_default="0"),
    deleting(),
    *times(),
    Index(None, "orbit_id", "created_at"),
    Index("collections_deleting_idx", "orbit_id", postgresql_where=text("deleting_since IS NOT NULL")),
)

# Which tags, and which names of searchable values, occur in a collection: noted by triggers on `artifacts`, and
# forgotten by a chore (see `resources.collection_words`).
collection_words = Table(
    "collection_words",
    metadata,
    Column("collection_id", Uuid, ForeignKey("collections.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("word", Text, nullable=False),
    one_of("kind", "tag", "value"),
)
Index(  # by digest: an entry of an index has less room than a word may take
    "collection_words_key",
    collection_words.c.collection_id,
    collection_words.c.kind,
    func.md5(collection_words.c.word),
    unique=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    own_id(),
    parent("collections"),
    parent("orbits"),
    Column("bucket_secret_id", Uuid, ForeignKey("buckets.id", ondelete="RESTRICT"), nullable=False),
    Column("type", Text, nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("file_name", Text, nullable=False),
    Column("file_hash", Text, nullable=False),
    Column("file_index", JSONB, nullable=False, info=BULKY),
    Column("size", BigInteger, nullable=False),
    Column("manifest", JSONB, nullable=False, info=BULKY),
    Column("extra_values", JSONB, nullable=False),
    Column("params", JSONB, nullable=False, server_default="{}"),
    Column("tags", ARRAY(Text)),
    Column("status", Text, nullable=False),
    Column("bucket_location", Text, nullable=False),
    Column("unique_identifier", Text, nullable=False),
    # The multipart uploads that were begun for it; those that never became the object have to be aborted one day.
    Column("upload_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("created_by_user", Text),
    Column("created_by_id", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    *times(),
    one_of("type", "model", "experiment", "dataset"),
    one_of("status", "pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"),
    UniqueConstraint("bucket_secret_id", "bucket_location"),
    Index(None, "collection_id", "created_at", "id"),
    Index(None, "orbit_id", "created_at", "id"),
    Index(None, "orbit_id", "name", "id"),
    Index(None, "orbit_id", "size", "id"),
    Index(None, "orbit_id", "id"),
    Index(None, "orbit_id", "file_hash"),
)
# Pieces of text and whole tags, hashed together with the orbit: a search never meets what is another tenant's.
Index(
    "artifacts_search_idx",
    func.luml_search_keys(artifacts.c.orbit_id, artifacts.c.name, artifacts.c.description, artifacts.c.tags),
    postgresql_using="gin",
)

# What is in `artifacts.extra_values` and `.params`, once more, one row per value, so that filters and sorts by any of
# them run on an index. Written in the statement that writes the artifact: see `resources.artifact_values`.
artifact_values = Table(
    "artifact_values",
    metadata,
    Column("artifact_id", Uuid, ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),  # as in a filter: metrics.auc, params.depth
    Column("orbit_id", Uuid, nullable=False),
    Column("number", Double),
    Column("text", Text),
    Index(
        "artifact_values_number_idx",
        "orbit_id",
        "name",
        "number",
        "artifact_id",
        postgresql_where=text("number IS NOT NULL"),
    ),
    Index(
        "artifact_values_text_idx", "orbit_id", "name", "text", "artifact_id", postgresql_where=text("text IS NOT NULL")
    ),
)

tracks = Table(
    "tracks",
    metadata,
    own_id(),
    parent("orbits"),
    Column("name", Text, nullable=False),
    Column("artifact_type", Text, nullable=False),
    Column("description", Text),
    Column("tags", ARRAY(Text)),
    Column("next_version", Integer, nullable=False, server_default="1"),
    *times(),
    UniqueConstraint("orbit_id", "name"),
)

stages = Table(
    "stages",
    metadata,
    own_id(),
    parent("tracks"),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("protected", Boolean, nullable=False, server_default=text("false")),
    *times(),
    UniqueConstraint("track_id", "name", deferrable=True, initially="DEFERRED"),
)

track_entries = Table(
    "track_entries",
    metadata,
    own_id(),
    parent("tracks"),
    parent("artifacts", ondelete="RESTRICT"),
    Column("version", Integer, nullable=False),
    Column("stage_id", Uuid, ForeignKey("stages.id", ondelete="RESTRICT")),
    Column("added_by", Uuid, nullable=False),
    *times(),
    UniqueConstraint("track_id", "version"),
    UniqueConstraint("track_id", "artifact_id"),
    UniqueConstraint("stage_id"),
    Index(None, "artifact_id"),
)
