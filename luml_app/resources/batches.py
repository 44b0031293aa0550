"""Many artifacts at once: what can be done is done, and for each of the others there is a reason."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, update

from luml_app.core import tables as t
from luml_app.core.paths import in_living_collection
from luml_app.core.scope import Scope
from luml_app.resources.purging import bury_tombstones, doom, queue_purge
from luml_app.schemas.artifacts import ArtifactsChanged, Refusal
from luml_app.schemas.errors import NotFound

REMEMBERED = ("name", "file_name", "file_hash", "size", "bucket_secret_id", "bucket_location")
_A, _E, _R = t.artifacts, t.track_entries, t.revisions
_TRACKED = exists(select(1).where(_E.c.artifact_id == _A.c.id))
_DEPLOYED = exists(select(1).where(_R.c.artifact_id == _A.c.id))


def remove(scope: Scope, artifact_ids: Collection[UUID]) -> ArtifactsChanged:
    """Delete those artifacts of the orbit that no track and no deployment uses, with their bytes."""
    here = _here(scope, artifact_ids)
    buried = bury_tombstones(select(_A.c.id).where(here)).cte("buried")
    # Locked first, in one order: whoever adds one of them to a track in this moment is seen by what follows.
    scope.db.execute(select(_A.c.id).where(here).order_by(_A.c.id).with_for_update(of=_A).add_cte(buried))
    gone = doom(scope.db, here & ~_TRACKED & ~_DEPLOYED)
    told = {row.id: {name: getattr(row, name) for name in REMEMBERED} for row in gone}
    scope.record_each("artifact.delete", told)
    queue_purge(scope.db, {row.bucket_secret_id for row in gone})
    return _answer(scope, artifact_ids, set(told))


def move(scope: Scope, artifact_ids: Collection[UUID], collection_id: UUID) -> ArtifactsChanged:
    """Move those artifacts of the orbit that the collection admits. Raises NotFound when it is not of the orbit."""
    target = _target(scope, collection_id)
    kinds = None if target.type == "mixed" else target.type.split("_")
    admitted = _here(scope, artifact_ids) & (_A.c.type.in_(kinds) if kinds else True)
    old = select(_A.c.id, _A.c.collection_id).where(admitted).order_by(_A.c.id).with_for_update(of=_A).subquery("old")
    moved = update(_A).where(_A.c.id == old.c.id).values(collection_id=collection_id, updated_at=func.now())
    rows = scope.db.execute(moved.returning(_A.c.id, old.c.collection_id.label("before"))).all()
    before = {row.id: {"collection_id": row.before} for row in rows if row.before != collection_id}
    scope.record_each("artifact.move", before, {"collection_id": collection_id})
    wrong = f"The collection {target.name!r} is for {target.type.replace('_', ' and ')} artifacts."
    return _answer(scope, artifact_ids, {row.id for row in rows}, wrong)


def _here(scope: Scope, artifact_ids: Collection[UUID]) -> Any:
    return (_A.c.orbit_id == scope.orbit_id) & _A.c.id.in_(artifact_ids) & in_living_collection()


def _target(scope: Scope, collection_id: UUID) -> Any:
    """The collection, held, so that it is there when the artifacts arrive."""
    c = t.collections
    there = (c.c.id == collection_id, c.c.orbit_id == scope.orbit_id, c.c.deleting_since.is_(None))
    query = select(c.c.name, c.c.type).where(*there).with_for_update(read=True, key_share=True)
    row = scope.db.execute(query).one_or_none()
    if row is None:
        raise NotFound("There is no such collection in this orbit.")
    return row


def _answer(scope: Scope, asked: Collection[UUID], done: set[UUID], otherwise: str | None = None) -> ArtifactsChanged:
    """What was done, in the order in which it was asked for, and why the rest was not."""
    refused = [one for one in dict.fromkeys(asked) if one not in done]
    reasons = _reasons(scope, refused, otherwise) if refused else {}
    missing = "There is no such artifact in this orbit."
    return ArtifactsChanged(
        done=[one for one in dict.fromkeys(asked) if one in done],
        refused=[Refusal(id=one, reason=reasons.get(one, missing)) for one in refused],
    )


def _reasons(scope: Scope, artifact_ids: Collection[UUID], otherwise: str | None) -> dict[UUID, str]:
    query = select(_A.c.id, _TRACKED.label("tracked")).where(_here(scope, artifact_ids))
    used = {True: "The artifact is in a track; take it out first.", False: "A deployment serves this artifact."}
    return {row.id: otherwise or used[row.tracked] for row in scope.db.execute(query)}
