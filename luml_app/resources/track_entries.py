"""The versions of a track. Numbers are given once and never again; a stage holds one version, by constraint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, func, insert, literal, select, update

from luml_app.core import tables as t
from luml_app.core.errors import BROKEN
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import beginning_of, fetch_page
from luml_app.core.paths import in_living_collection
from luml_app.resources.moves import OF_ARTIFACT, check_protected, hold_track, read_stages, told_of
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.fields import Limit, Page, SortOrder, UnsetType, Why
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
        number = self._next_number(track.id)
        parts = self._parts(body, track)
        row = {"id": new_id(), "track_id": track.id, "artifact_id": body.artifact_id, "stage_id": body.stage_id}
        new = insert(t.track_entries).values(**row, version=number, added_by=self.scope.user_id)
        made = _Joined(self.db.execute(new.returning(t.track_entries)).one(), parts)
        stage = parts if body.stage_id else None
        told = told_of(made, stage and _Stage(body.stage_id, parts.stage_name))
        self.scope.record("track.add", track.id, after=told, why=body.why)
        return _entry(made)

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
            "description": beginning_of(t.artifacts.c.description),
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
        self._delete(set(body.entry_ids), body.why)

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
        one, track = self.scope.row(t.track_entries), self.scope.row(t.tracks)
        if isinstance(body.stage_id, UnsetType) or body.stage_id == one.stage_id:
            return self._load(one.id)
        hold_track(self.db, track.id)
        stages = read_stages(self.db, track.id)
        source = next((stage for stage in stages.values() if stage.entry_id == one.id), None)
        target = _wanted(stages, body.stage_id)
        if source is target:
            return self._load(one.id)
        check_protected(self.scope, (source, target))
        if target is not None and target.entry_id is not None and not force:
            raise Conflict(_TAKEN)
        moved = self._move(one.id, target)
        changes = [{"before": told_of(moved, source), "after": told_of(moved, target), "why": body.why}]
        if target is not None and target.entry_id is not None:
            changes.insert(0, {"before": told_of(target, target), "after": told_of(target, None), "why": body.why})
        self.scope.record_all("track.move", track.id, changes)
        return _entry(moved)

    @operation(f"DELETE {_ONE}", needs="track:delete", status=204)
    def delete(self, why: Why | None = None) -> None:
        """Take a version out of a track; its number is not given again, and the artifact stays."""
        self._delete({self.scope.row(t.track_entries).id}, why)

    def _delete(self, entry_ids: set[UUID], why: str | None) -> None:
        e, a, track = t.track_entries, t.artifacts, self.scope.row(t.tracks)
        hold_track(self.db, track.id)
        left = {row.entry_id: row for row in read_stages(self.db, track.id).values() if row.entry_id in entry_ids}
        check_protected(self.scope, left.values())
        gone = delete(e).where(e.c.track_id == track.id, e.c.id.in_(entry_ids), a.c.id == e.c.artifact_id)
        rows = self.db.execute(gone.returning(e, e.c.id.label("entry_id"), *OF_ARTIFACT)).all()
        if len(rows) != len(entry_ids):
            raise NotFound("One of these versions is not in this track.")
        rows = sorted(rows, key=lambda row: row.version)
        told = [{"before": told_of(row, left.get(row.id)), "after": None, "why": why} for row in rows]
        self.scope.record_all("track.remove", track.id, told)

    def _next_number(self, track_id: UUID) -> int:
        """The next version's number; the track is locked by it as by `hold_track`."""
        tr = t.tracks
        counted = update(tr).where(tr.c.id == track_id).values(next_version=tr.c.next_version + 1)
        number: int = self.db.execute(counted.returning(tr.c.next_version - 1)).scalar_one()
        return number

    def _parts(self, body: TrackEntryCreate, track: Any) -> Any:
        """The artifact, held so that its status stays until the version is there, and the stage, in one query."""
        a, s, e = t.artifacts, t.stages, t.track_entries
        columns = (a.c.type, a.c.status, *OF_ARTIFACT, s.c.name.label("stage_name"), s.c.protected)
        query = (
            select(*columns, e.c.id.label("holder_id"))
            .select_from(a)
            .outerjoin(s, and_(s.c.id == body.stage_id, s.c.track_id == track.id))
            .outerjoin(e, e.c.stage_id == s.c.id)
            .where(a.c.id == body.artifact_id, a.c.orbit_id == self.scope.orbit_id, in_living_collection())
        )
        row = self.db.execute(query.with_for_update(read=True, of=a)).one_or_none()
        if row is None:
            raise NotFound("There is no such artifact in this orbit.")
        if body.stage_id is not None and row.stage_name is None:
            raise NotFound(_NO_STAGE)
        if row.type != track.artifact_type:
            raise Conflict(f"This track is for artifacts of type {track.artifact_type}, not {row.type}.")
        if row.status != "uploaded":
            raise Conflict(f"The artifact is {row.status.replace('_', ' ')}; add it when it is uploaded.")
        if row.stage_name is not None:
            check_protected(self.scope, [_Stage(body.stage_id, row.stage_name, row.protected)])
        if row.holder_id is not None:
            raise Conflict(_TAKEN)
        return row

    def _move(self, entry_id: UUID, target: Any) -> Any:
        """Put the version into the stage (None: into none), in place of the one that is there, in one statement."""
        e, a = t.track_entries, t.artifacts
        stage_id, name = (None, None) if target is None else (target.id, target.name)
        moved = update(e).where(e.c.id == entry_id, a.c.id == e.c.artifact_id)
        if stage_id is not None:
            left = update(e).where(e.c.stage_id == stage_id, e.c.id != entry_id)
            freed = left.values(stage_id=None, updated_at=func.now()).returning(e.c.id).cte("freed")
            # Asking for the count makes PostgreSQL free the stage first; the stage holds one version at each moment.
            moved = moved.where(select(func.count()).select_from(freed).scalar_subquery() >= 0)
        moved = moved.values(stage_id=stage_id, updated_at=func.now())
        stage_name = literal(name, t.stages.c.name.type).label("stage_name")
        return self.db.execute(moved.returning(e, e.c.id.label("entry_id"), *OF_ARTIFACT, stage_name)).one()

    def _load(self, entry_id: UUID) -> TrackEntry:
        return _entry(self.db.execute(_entries().where(t.track_entries.c.id == entry_id)).one())


_NO_STAGE = "There is no such stage in this track."
_TAKEN = BROKEN["track_entries_stage_id_key"].message


@dataclass(frozen=True)
class _Stage:
    """What must be known of a stage to tell of a move."""

    id: UUID | None
    name: str
    protected: bool = False


class _Joined:
    """A new version's row with what is known of its artifact and stage."""

    def __init__(self, entry: Any, parts: Any) -> None:
        self._columns = {**parts._mapping, **entry._mapping, "entry_id": entry.id}

    def __getattr__(self, name: str) -> Any:
        return self._columns[name]


def _wanted(stages: dict[UUID, Any], stage_id: UUID | None) -> Any:
    if stage_id is not None and stage_id not in stages:
        raise NotFound(_NO_STAGE)
    return None if stage_id is None else stages[stage_id]


def _entries() -> Select[Any]:
    e, a, s = t.track_entries, t.artifacts, t.stages
    return (
        select(
            e,
            *OF_ARTIFACT,
            s.c.name.label("stage_name"),
        )
        .join(a, a.c.id == e.c.artifact_id)
        .outerjoin(s, s.c.id == e.c.stage_id)
    )


def _entry(row: Any) -> TrackEntry:
    return TrackEntry(**{name: getattr(row, name) for name in TrackEntry.__struct_fields__})
