"""The versions of a track. Numbers are given once and never again; a stage holds one version, by constraint."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import fetch_page
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.fields import Limit, Page, SortOrder, UnsetType
from luml_app.schemas.tracks import (
    TrackEntriesDelete,
    TrackEntry,
    TrackEntryCreate,
    TrackEntrySort,
    TrackEntryUpdate,
)

_ALL = "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries"
_ONE = _ALL + "/{entry_id}"


class TrackEntries(Resource):
    """The versions of a track, and the stages that they are in."""

    @operation(f"POST {_ALL}", needs="track:create")
    def create(self, body: TrackEntryCreate) -> TrackEntry:
        """Add an uploaded artifact as the next version, into a stage if wished."""
        track = self.scope.row(t.tracks)
        self._check_artifact(body.artifact_id, track)
        self._check_stage(body.stage_id)
        version = self._next_version(track.id)
        row = {"artifact_id": body.artifact_id, "stage_id": body.stage_id, "version": version}
        entry = {"id": new_id(), "track_id": track.id, "added_by": self.scope.user_id, **row}
        self.db.execute(insert(t.track_entries).values(entry))
        self._record("track.add", entry["id"], after={key: str(value) for key, value in row.items() if value})
        return self._load(entry["id"])

    @operation(f"GET {_ALL}", needs="track:read")
    def list(
        self,
        cursor: str | None = None,
        limit: Limit = 50,
        sort_by: TrackEntrySort = "created_at",
        order: SortOrder = "desc",
        stage: UUID | None = None,
    ) -> Page[TrackEntry]:
        """The versions of a track; `stage` asks for the one in that stage."""
        e, track = t.track_entries, self.scope.row(t.tracks)
        query = _entries().where(e.c.track_id == track.id)
        if stage is not None:
            query = query.where(e.c.stage_id == stage)
        columns = {
            "artifact_name": t.artifacts.c.name,
            "description": t.artifacts.c.description,
            "stage": t.stages.c.name,
        }
        sort = columns.get(sort_by)
        rows, following = fetch_page(
            self.db,
            query,
            sort=e.c[sort_by] if sort is None else sort,
            key=e.c.id,
            order=order,
            limit=limit,
            cursor=cursor,
            mark=("entries", track.id, sort_by, stage),
        )
        return Page(items=[_entry(row) for row in rows], cursor=following)

    @operation(f"DELETE {_ALL}", needs="track:delete", status=204)
    def delete_many(self, body: TrackEntriesDelete) -> None:
        """Take versions out of a track; all of them, or, if one is not of this track, none."""
        self._delete(set(body.entry_ids))

    @operation(f"GET {_ALL}/by-stage", needs="track:read")
    def by_stage(self, stage_id: UUID) -> TrackEntry:
        """The version that is in a stage."""
        e = t.track_entries
        here = (e.c.track_id == self.scope.row(t.tracks).id, e.c.stage_id == stage_id)
        row = self.db.execute(_entries().where(*here)).one_or_none()
        if row is None:
            raise NotFound("No version is in this stage.")
        return _entry(row)

    @operation(f"GET {_ONE}", needs="track:read")
    def get(self) -> TrackEntry:
        """One version of a track."""
        return self._load(self.scope.row(t.track_entries).id)

    @operation(f"PATCH {_ONE}", needs="track:update")
    def update(self, body: TrackEntryUpdate, force: bool = False) -> TrackEntry:
        """Move a version into a stage, or out of it (null). `force` takes the stage from the version that has it."""
        one, e = self.scope.row(t.track_entries), t.track_entries
        if isinstance(body.stage_id, UnsetType) or body.stage_id == one.stage_id:
            return self._load(one.id)
        self._check_stage(body.stage_id)
        if force and body.stage_id is not None:
            others = (e.c.stage_id == body.stage_id, e.c.id != one.id)
            self.db.execute(update(e).where(*others).values(stage_id=None, updated_at=func.now()))
        self.db.execute(update(e).where(e.c.id == one.id).values(stage_id=body.stage_id, updated_at=func.now()))
        stages = [{"version": one.version, "stage_id": id and str(id)} for id in (one.stage_id, body.stage_id)]
        self._record("track.move", one.id, before=stages[0], after=stages[1])
        return self._load(one.id)

    @operation(f"DELETE {_ONE}", needs="track:delete", status=204)
    def delete(self) -> None:
        """Take a version out of a track; its number is not given again, and the artifact stays."""
        self._delete({self.scope.row(t.track_entries).id})

    def _delete(self, entry_ids: set[UUID]) -> None:
        e, track = t.track_entries, self.scope.row(t.tracks)
        gone = delete(e).where(e.c.track_id == track.id, e.c.id.in_(entry_ids)).returning(e.c.version)
        versions = sorted(self.db.scalars(gone))
        if len(versions) != len(entry_ids):
            raise NotFound("One of these versions is not in this track.")
        self._record("track.remove", track.id, before={"versions": versions})

    def _check_artifact(self, artifact_id: UUID, track: Any) -> None:
        a = t.artifacts
        here = (a.c.id == artifact_id, a.c.orbit_id == self.scope.orbit_id)
        row = self.db.execute(select(a.c.type, a.c.status).where(*here)).one_or_none()
        if row is None:
            raise NotFound("There is no such artifact in this orbit.")
        if row.type != track.artifact_type:
            raise Conflict(f"This track is for artifacts of type {track.artifact_type}, not {row.type}.")
        if row.status != "uploaded":
            raise Conflict(f"The artifact is {row.status.replace('_', ' ')}; add it when it is uploaded.")

    def _check_stage(self, stage_id: UUID | None) -> None:
        s = t.stages
        here = (s.c.id == stage_id, s.c.track_id == self.scope.row(t.tracks).id)
        if stage_id is not None and self.db.scalar(select(s.c.id).where(*here)) is None:
            raise NotFound("There is no such stage in this track.")

    def _next_version(self, track_id: UUID) -> int:
        tr = t.tracks
        counted = update(tr).where(tr.c.id == track_id).values(next_version=tr.c.next_version + 1)
        given: int = self.db.execute(counted.returning(tr.c.next_version - 1)).scalar_one()
        return given

    def _record(self, action: str, object_id: UUID, **told: Any) -> None:
        self.scope.record(action, object_id, **told)

    def _load(self, entry_id: UUID) -> TrackEntry:
        return _entry(self.db.execute(_entries().where(t.track_entries.c.id == entry_id)).one())


def _entries() -> Select[Any]:
    e, a, s = t.track_entries, t.artifacts, t.stages
    return (
        select(
            e,
            a.c.collection_id.label("artifact_collection_id"),
            a.c.name.label("artifact_name"),
            a.c.description.label("artifact_description"),
            s.c.name.label("stage_name"),
        )
        .join(a, a.c.id == e.c.artifact_id)
        .outerjoin(s, s.c.id == e.c.stage_id)
    )


def _entry(row: Any) -> TrackEntry:
    return TrackEntry(**{name: getattr(row, name) for name in TrackEntry.__struct_fields__})
