"""Tracks: named lines of versions, with stages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from luml_app.core import tables as t
from luml_app.core.errors import BROKEN
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import beginning_of, fetch_page
from luml_app.resources.changes import sent
from luml_app.resources.moves import check_protected, hold_track, read_stages, told_of, told_of_stages
from luml_app.resources.searching import contains
from luml_app.resources.track_past import Past
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from luml_app.schemas.fields import Limit, Moment, Page, SortOrder
from luml_app.schemas.tracks import Stage, StageChange, Track, TrackCreate, TrackSort, TrackUpdate

_ORBIT = "/v1/organizations/{organization_id}/orbits/{orbit_id}"
_ONE = _ORBIT + "/tracks/{track_id}"
Stages = list[Stage]
Changes = list[StageChange]
Rows = list[dict[str, Any]]
Types = list[str]

_ENTRIES = select(func.count()).where(t.track_entries.c.track_id == t.tracks.c.id).correlate(t.tracks).scalar_subquery()


class Tracks(Resource):
    """Named lines of versions of artifacts of one type, with stages that point at one version each."""

    @operation(f"POST {_ORBIT}/tracks", needs="track:create")
    def create(self, body: TrackCreate) -> Track:
        """Create a track with its stages."""
        wanted = [StageChange(name=name, protected=name in body.protected_stages) for name in body.stages]
        _check_names(wanted)
        if unknown := next((name for name in body.protected_stages if name not in body.stages), None):
            raise Invalid.field("protected_stages", f"{unknown!r} is not among the stages.")
        if body.protected_stages:
            self.scope.require("protected_stage:create")
        names = ("name", "artifact_type", "description", "tags")
        values = {name: getattr(body, name) for name in names}
        new = insert(t.tracks).values(id=new_id(), orbit_id=self.scope.orbit_id, **values).returning(t.tracks)
        row = self.db.execute(new).one()
        stages = self._write_stages(row.id, wanted, {}) if wanted else []
        self.scope.record("track.create", row.id, after={**values, "stages": told_of_stages(stages)})
        return _track(row, 0, stages)

    @operation(f"GET {_ORBIT}/tracks", needs="track:list")
    def list(
        self,
        cursor: str | None = None,
        limit: Limit = 50,
        sort_by: TrackSort = "created_at",
        order: SortOrder = "desc",
        search: str | None = None,
        types: Types | None = None,
    ) -> Page[Track]:
        """The tracks of an orbit; `search` looks into names and descriptions, `types` are those of artifacts."""
        tr = t.tracks
        query = select(tr, _ENTRIES.label("total_entries")).where(tr.c.orbit_id == self.scope.orbit_id)
        if search:
            query = query.where(contains(tr.c.name, search) | contains(tr.c.description, search))
        if types:
            query = query.where(tr.c.artifact_type.in_(types))
        sort = {"total_entries": _ENTRIES, "description": beginning_of(tr.c.description)}.get(sort_by)
        mark = ("tracks", self.scope.orbit_id, sort_by, search, types)
        rows, following = fetch_page(
            self.db,
            query,
            sort=tr.c[sort_by] if sort is None else sort,
            key=tr.c.id,
            order=order,
            limit=limit,
            cursor=cursor,
            mark=mark,
        )
        stages = stages_of(self.db, [row.id for row in rows])
        return Page(items=[_track(row, row.total_entries, stages.get(row.id, [])) for row in rows], cursor=following)

    @operation(f"GET {_ONE}", needs="track:read")
    def get(self, as_of: Moment | None = None) -> Track:
        """A track with its stages; `as_of` a moment, as it was then, with its versions."""
        if as_of is not None:
            return Past(self.scope, as_of).track()
        return self._load(self.scope.row(t.tracks).id)

    @operation(f"PATCH {_ONE}", needs="track:update")
    def update(self, body: TrackUpdate) -> Track:
        """Change name, description, tags or the list of stages; a stage that holds a version cannot be dropped."""
        one, tr = self.scope.row(t.tracks), t.tracks
        before, changed = difference(one.columns, sent(body, tr))
        wanted = body.stages if isinstance(body.stages, list) else None
        if not changed and wanted is None:
            return self._load(one.id)
        # This also locks the track, as `hold_track` does: its stages are read after all who moved its versions.
        row = self.db.execute(
            update(tr).where(tr.c.id == one.id).values(**changed, updated_at=func.now()).returning(tr, _ENTRIES)
        ).one()
        if wanted is None:
            self.scope.record("track.update", one.id, before=before, after=changed)
            return _track(row, row[-1], stages_of(self.db, [one.id]).get(one.id, []))
        old = read_stages(self.db, one.id)
        self._check_change(old, wanted)
        stages = self._write_stages(one.id, wanted, old)
        told = {"stages": told_of_stages(old.values())}, {"stages": told_of_stages(stages)}
        self.scope.record("track.update", one.id, before=before | told[0], after=changed | told[1])
        return _track(row, row[-1], stages)

    @operation(f"DELETE {_ONE}", needs="track:delete", status=204)
    def delete(self) -> None:
        """Delete a track with its versions; the artifacts stay."""
        one = self.scope.row(t.tracks)
        hold_track(self.db, one.id)
        stages = read_stages(self.db, one.id).values()
        check_protected(self.scope, stages)
        versions = delete(t.track_entries).where(t.track_entries.c.track_id == one.id).cte("versions")
        self.db.execute(delete(t.tracks).where(t.tracks.c.id == one.id).add_cte(versions))
        told = [told_of(stage, stage) for stage in stages if stage.entry_id is not None]
        self.scope.record("track.delete", one.id, before={"name": one.name, "in_stages": told})

    @operation(f"GET {_ONE}/stages", needs="track:read")
    def stages(self, as_of: Moment | None = None) -> Stages:
        """The stages of a track, in their order; `as_of` a moment, as they were then, with the versions in them."""
        if as_of is not None:
            return Past(self.scope, as_of).stages()
        track_id = self.scope.row(t.tracks).id
        found: Stages = stages_of(self.db, [track_id]).get(track_id, [])
        return found

    @operation(f"GET {_ONE}/stages/{{stage_id}}", needs="track:read")
    def stage(self, stage_id: UUID, as_of: Moment | None = None) -> Stage:
        """A stage and the version that is in it, or (`as_of`) that was in it at a moment."""
        return Past(self.scope, as_of).stage(stage_id)

    def _load(self, track_id: UUID) -> Track:
        """A track with its stages, in one query."""
        s, e = t.stages, t.track_entries
        used = exists().where(e.c.stage_id == s.c.id).label("is_used")
        stage = select(s, used).where(s.c.track_id == track_id).order_by(s.c.position, s.c.id).subquery()
        stages = select(func.json_agg(stage.table_valued())).scalar_subquery()
        query = select(t.tracks, _ENTRIES.label("total"), stages.label("stages")).where(t.tracks.c.id == track_id)
        row = self.db.execute(query).one()
        return _track(row, row.total, msgspec.convert(row.stages or [], Stages))

    def _check_change(self, old: dict[UUID, Any], wanted: Changes) -> None:
        _check_names(wanted)
        kept = {change.id: change for change in wanted if change.id}
        if not old.keys() >= kept.keys():
            raise NotFound("One of these stages is not of this track.")
        touched = [stage for stage in old.values() if stage.id not in kept or kept[stage.id].name != stage.name]
        check_protected(self.scope, touched)
        if any(change.protected is not UNSET and change.protected != _is_protected(old, change) for change in wanted):
            self.scope.require("protected_stage:update")
        if any(stage.entry_id is not None and stage.id not in kept for stage in old.values()):
            raise Conflict(BROKEN["track_entries_stage_id_fkey"].message)

    def _write_stages(self, track_id: UUID, wanted: Changes, old: dict[UUID, Any]) -> Stages:
        """Make these the track's stages, in one statement: drop the others, rename by id, add the new ones; positions
        as listed.
        """
        s = t.stages
        rows = [
            {"id": c.id or new_id(), "track_id": track_id, "name": c.name, "position": i, "protected": protected}
            for i, c in enumerate(wanted)
            for protected in [_is_protected(old, c) if c.protected is UNSET else c.protected]
        ]
        dropped = delete(s).where(s.c.track_id == track_id, s.c.id.not_in([row["id"] for row in rows]))
        if not rows:
            self.db.execute(dropped)
            return []
        written = self.db.execute(_replacing(rows).add_cte(dropped.cte("dropped")).returning(s))
        used = {stage.id for stage in old.values() if stage.entry_id is not None}
        return [_stage(row, row.id in used) for row in sorted(written, key=lambda row: row.position)]


def _is_protected(old: dict[UUID, Any], change: StageChange) -> bool:
    return change.id in old and bool(old[change.id].protected)


def _stage(row: Any, used: bool) -> Stage:
    return Stage(
        **{n: getattr(row, n) for n in Stage.__struct_fields__ if n not in {"is_used", "version"}}, is_used=used
    )


def _replacing(rows: Rows) -> Any:
    new = upsert(t.stages).values(rows)
    names = ("name", "position", "protected")
    values = {name: new.excluded[name] for name in names} | {"updated_at": func.now()}
    return new.on_conflict_do_update(index_elements=["id"], set_=values)


def _check_names(wanted: Changes) -> None:
    names = [change.name for change in wanted]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Invalid.field("stages", f"The stage {twice!r} is listed twice.")
    ids = [change.id for change in wanted if change.id]
    if len(ids) != len(set(ids)):
        raise Invalid.field("stages", "A stage is listed twice.")


def stages_of(db: Any, track_ids: Any) -> dict[UUID, Any]:
    """The stages of each track, in their order."""
    s, e = t.stages, t.track_entries
    found: dict[UUID, Any] = {}
    used = exists().where(e.c.stage_id == s.c.id).label("is_used")
    query = select(s, used).where(s.c.track_id.in_(track_ids)).order_by(s.c.position, s.c.id)
    for row in db.execute(query) if track_ids else ():
        found.setdefault(row.track_id, []).append(_stage(row, row.is_used))
    return found


def _track(row: Any, total: int, stages: Any) -> Track:
    other = {"stages", "total_entries", "as_of", "versions"}
    columns = {name: getattr(row, name) for name in Track.__struct_fields__ if name not in other}
    return Track(**columns, stages=stages, total_entries=total)
