"""Moves of versions in a track: one at a time, each told with all that its history needs.

What an event tells of a version is enough to answer later questions, although the artifact, the version or the stage
may have been renamed or deleted by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from luml_app.core import tables as t
from luml_app.core.permissions import decide
from luml_app.schemas.errors import Forbidden, NotFound

OF_ARTIFACT = (
    t.artifacts.c.collection_id.label("artifact_collection_id"),
    t.artifacts.c.name.label("artifact_name"),
    t.artifacts.c.description.label("artifact_description"),
    t.artifacts.c.file_hash.label("digest"),
)


def hold_track(db: Connection, track_id: UUID) -> None:
    """Lock a track until the transaction ends: who moves its versions next sees all that was done before, and events
    are written in the order of the moves. Raises NotFound.
    """
    locked = select(t.tracks.c.id).where(t.tracks.c.id == track_id).with_for_update(key_share=True)
    if db.scalar(locked) is None:
        raise NotFound("There is no such track.")


def read_stages(db: Connection, track_id: UUID) -> dict[UUID, Any]:
    """The stages of a track by id, in their order; each with the version that is in it (`entry_id` None: none is)."""
    s, e, a = t.stages, t.track_entries, t.artifacts
    version = (e.c.id.label("entry_id"), e.c.version, e.c.artifact_id, *OF_ARTIFACT)
    joined = s.outerjoin(e, e.c.stage_id == s.c.id).outerjoin(a, a.c.id == e.c.artifact_id)
    query = select(s, *version).select_from(joined)
    return {row.id: row for row in db.execute(query.where(s.c.track_id == track_id).order_by(s.c.position, s.c.id))}


def check_protected(scope: Any, stages: Iterable[Any]) -> None:
    """Raise Forbidden, which says who may, if one of the stages is protected and the caller is nobody who may."""
    guarded = next((stage for stage in stages if stage is not None and stage.protected), None)
    decision = decide("protected_stage:update", scope.organization_role, scope.orbit_role)
    if guarded is not None and not decision:
        raise Forbidden(f"The stage {guarded.name!r} is protected. {decision.why}")


def told_of(row: Any, stage: Any) -> dict[str, Any]:
    """What an event tells of a version: which it is, what its artifact is, and in which stage it is (None: in none)."""
    return {
        "entry_id": row.entry_id,
        "version": row.version,
        "artifact_id": row.artifact_id,
        "artifact_name": row.artifact_name,
        "digest": row.digest,
        "stage_id": stage and stage.id,
        "stage": stage and stage.name,
    }


def told_of_stages(stages: Iterable[Any]) -> list[dict[str, Any]]:
    """What an event tells of a track's stages."""
    return [{"id": one.id, "name": one.name, "protected": one.protected} for one in stages]
