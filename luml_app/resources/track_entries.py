"""The versions of a track. Numbers are given once and never again; a stage holds one version, by constraint."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, delete, func, insert, literal, select, update

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
        self._check_parts(body, track)
        entry = self._insert(body, track)
        told = {"artifact_id": body.artifact_id, "stage_id": body.stage_id, "version": entry.version}
        self.scope.record("track.add", entry.id, after=told)
        return self._load(entry.id)

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
        name = None if body.stage_id is None else self._hold_stage(body.stage_id)
        if force and body.stage_id is not None:
            others = (e.c.stage_id == body.stage_id, e.c.id != one.id)
            self.db.execute(update(e).where(*others).values(stage_id=None, updated_at=func.now()))
        row = self._move(one.id, body.stage_id, name)
        stages = [{"version": one.version, "stage_id": stage_id} for stage_id in (one.stage_id, body.stage_id)]
        self.scope.record("track.move", one.id, before=stages[0], after=stages[1])
        return _entry(row)

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
        self.scope.record("track.remove", track.id, before={"versions": versions})

    def _check_parts(self, body: TrackEntryCreate, track: Any) -> None:
        """The artifact, held so that its status stays until the version is there, and the stage, in one query."""
        a = t.artifacts
        here = (a.c.id == body.artifact_id, a.c.orbit_id == self.scope.orbit_id)
        stage = self._stage(body.stage_id).exists().label("stage")
        row = self.db.execute(select(a.c.type, a.c.status, stage).where(*here).with_for_update(read=True)).one_or_none()
        if row is None:
            raise NotFound("There is no such artifact in this orbit.")
        if body.stage_id is not None and not row.stage:
            raise NotFound(_NO_STAGE)
        if row.type != track.artifact_type:
            raise Conflict(f"This track is for artifacts of type {track.artifact_type}, not {row.type}.")
        if row.status != "uploaded":
            raise Conflict(f"The artifact is {row.status.replace('_', ' ')}; add it when it is uploaded.")

    def _stage(self, stage_id: UUID | None) -> Select[Any]:
        s = t.stages
        return select(s.c.id).where(s.c.id == stage_id, s.c.track_id == self.scope.row(t.tracks).id)

    def _hold_stage(self, stage_id: UUID) -> str:
        """Lock a stage, so that of two who move into it one sees what the other has done; its name."""
        name = self.db.scalar(self._stage(stage_id).with_only_columns(t.stages.c.name).with_for_update())
        if name is None:
            raise NotFound(_NO_STAGE)
        return str(name)

    def _move(self, entry_id: UUID, stage_id: UUID | None, stage_name: str | None) -> Any:
        e, a = t.track_entries, t.artifacts
        moved = update(e).where(e.c.id == entry_id, a.c.id == e.c.artifact_id)
        moved = moved.values(stage_id=stage_id, updated_at=func.now())
        return self.db.execute(
            moved.returning(e, *_OF_ARTIFACT, literal(stage_name, t.stages.c.name.type).label("stage_name"))
        ).one()

    def _insert(self, body: TrackEntryCreate, track: Any) -> Any:
        """The next number, and the version that has it, in one statement."""
        tr, e = t.tracks, t.track_entries
        counted = update(tr).where(tr.c.id == track.id).values(next_version=tr.c.next_version + 1)
        number = counted.returning((tr.c.next_version - 1).label("version")).cte("number")
        row = {"id": new_id(), "track_id": track.id, "added_by": self.scope.user_id, **msgspec.structs.asdict(body)}
        columns = [literal(value, e.c[name].type).label(name) for name, value in row.items()]
        new = insert(e).from_select([*row, "version"], select(*columns, number.c.version))
        return self.db.execute(new.returning(e.c.id, e.c.version)).one()

    def _load(self, entry_id: UUID) -> TrackEntry:
        return _entry(self.db.execute(_entries().where(t.track_entries.c.id == entry_id)).one())


_NO_STAGE = "There is no such stage in this track."
_OF_ARTIFACT = (
    t.artifacts.c.collection_id.label("artifact_collection_id"),
    t.artifacts.c.name.label("artifact_name"),
    t.artifacts.c.description.label("artifact_description"),
)


def _entries() -> Select[Any]:
    e, a, s = t.track_entries, t.artifacts, t.stages
    return (
        select(
            e,
            *_OF_ARTIFACT,
            s.c.name.label("stage_name"),
        )
        .join(a, a.c.id == e.c.artifact_id)
        .outerjoin(s, s.c.id == e.c.stage_id)
    )


def _entry(row: Any) -> TrackEntry:
    return TrackEntry(**{name: getattr(row, name) for name in TrackEntry.__struct_fields__})
