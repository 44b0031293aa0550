"""A track as it was at a moment: answered from events, so that what was renamed or deleted since changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Text, and_, column, func, or_, select, true

from luml_app.core import tables as t
from luml_app.schemas.errors import Invalid, NotFound
from luml_app.schemas.tracks import Stage, Track, Version

_EV = t.events.c
_AHEAD = timedelta(minutes=1)
"""So far, the clock of who asks for "now" may be ahead of ours."""
_STAGES: Any = _EV.after["stages"]
_CHANGED = ("name", "description", "tags")


class Past:
    """The track of a scope at a moment, by default now. Raises Invalid for a moment that is still to come."""

    def __init__(self, scope: Any, as_of: datetime | None = None) -> None:
        now = datetime.now(UTC)
        if as_of is not None and as_of > now + _AHEAD:
            raise Invalid.field("as_of", "This moment is still to come; leave it out for what is now.", where="query")
        self.db = scope.db
        self.row = scope.row(t.tracks)
        self.at = as_of or now

    def track(self) -> Track:
        """The track with its stages, and all its versions by number."""
        row = self.db.execute(select(*self._of_stages(), *self._since())).one()
        stages, versions = self._stages(row), self._versions()
        there = {version.stage_id: version for version in versions if version.stage_id}
        for stage in stages:
            _fill(stage, there.get(stage.id))
        known = {name: self.row.columns[name] for name in ("id", "orbit_id", "artifact_type", "created_at", *_CHANGED)}
        changed = {name: was[0] for name in _CHANGED if (was := getattr(row, name)) is not None}
        return Track(
            **{**known, **changed},
            updated_at=row.updated_at,
            next_version=row.next_version or self.row.next_version,
            stages=stages,
            total_entries=len(versions),
            as_of=self.at,
            versions=versions,
        )

    def stages(self) -> list[Stage]:
        """Its stages in their order, each with the version that was in it."""
        return self.track().stages

    def stage(self, stage_id: UUID) -> Stage:
        """One of its stages. Raises NotFound when it had no such stage."""
        stages = self._stages(self.db.execute(select(*self._of_stages())).one())
        stage = next((stage for stage in stages if stage.id == stage_id), None)
        if stage is None:
            raise NotFound("There was no such stage in this track at that moment.")
        last = self.db.execute(
            tenancy(self.row.id, stage_id)
            .where(_EV.at <= self.at)
            .order_by(_EV.at.desc(), enters(stage_id).desc())
            .limit(1)
        ).one_or_none()
        _fill(stage, msgspec.convert(last.after, Version) if last is not None and last.enters else None)
        return stage

    def _until(self) -> ColumnElement[bool]:
        return and_(of_track(self.row.id), _EV.at <= self.at)

    def _of_stages(self) -> list[Any]:
        """The stages as the last event before told of them, when that was, and since when each was known."""
        told = (self._until(), _STAGES.is_not(None))
        last = select(_EV.at).where(*told).order_by(_EV.at.desc()).limit(1)
        each = func.jsonb_to_recordset(_STAGES).table_valued(column("id", Text)).render_derived(with_types=True)
        known = select(each.c.id, func.min(_EV.at).label("at")).select_from(t.events).join(each, true()).where(*told)
        first = known.group_by(each.c.id).subquery()
        return [
            last.with_only_columns(_STAGES).scalar_subquery().label("stages"),
            last.scalar_subquery().label("told_at"),
            select(func.jsonb_object_agg(first.c.id, first.c.at)).scalar_subquery().label("first_told"),
            select(func.min(_EV.at)).where(of_track(self.row.id)).scalar_subquery().label("began_at"),
        ]

    def _since(self) -> Iterator[Any]:
        """What later events say that it was before; NULL where nothing has changed it since."""
        later = select(_EV.id).where(of_track(self.row.id), _EV.at > self.at).order_by(_EV.at).limit(1)
        for name in _CHANGED:
            was = later.where(_EV.before.has_key(name)).with_only_columns(func.jsonb_build_array(_EV.before[name]))
            yield was.scalar_subquery().label(name)
        added = later.where(_EV.action == "track.add").with_only_columns(_EV.after["version"].as_integer())
        yield added.scalar_subquery().label("next_version")
        changed = select(func.max(_EV.at)).where(self._until(), _EV.action == "track.update")
        yield changed.scalar_subquery().label("updated_at")

    def _stages(self, row: Any) -> list[Stage]:
        if row.stages is None:
            raise NotFound(f"The history of this track begins at {row.began_at:%Y-%m-%dT%H:%M:%S.%fZ}.")
        times = msgspec.convert(row.first_told, dict[str, datetime])
        return [
            Stage(
                id=UUID(one["id"]),
                name=one["name"],
                protected=one["protected"],
                track_id=self.row.id,
                created_at=times[one["id"]],
                updated_at=row.told_at if row.told_at > times[one["id"]] else None,
            )
            for one in row.stages
        ]

    def _versions(self) -> list[Version]:
        entry = func.coalesce(_EV.after["entry_id"].astext, _EV.before["entry_id"].astext)
        age = func.row_number().over(partition_by=entry, order_by=_EV.at.desc())
        told = select(_EV.after, age.label("age")).where(self._until(), entry.is_not(None)).subquery()
        kept = self.db.scalars(select(told.c.after).where(told.c.age == 1, told.c.after.is_not(None)))
        return sorted(msgspec.convert(list(kept), list[Version]), key=lambda version: version.version)


def of_track(track_id: UUID) -> ColumnElement[bool]:
    """Whether an event is of this track."""
    return and_(_EV.object_id == track_id, func.starts_with(_EV.action, "track."))


def enters(stage_id: UUID) -> Any:
    """Whether it is an event by which a version came into this stage."""
    return func.coalesce(_EV.after["stage_id"].astext == str(stage_id), False)


def tenancy(track_id: UUID, stage_id: UUID) -> Select[Any]:
    """Each event by which a version came into the stage (`enters`) or left it. At the moment of an exchange, one leaves
    before the other enters.
    """
    leaves = _EV.before["stage_id"].astext == str(stage_id)
    here = (of_track(track_id), or_(enters(stage_id), leaves))
    return select(t.events, enters(stage_id).label("enters")).where(*here)


def _fill(stage: Stage, version: Version | None) -> None:
    stage.version, stage.is_used = version, version is not None
    if version is not None:
        version.stage = stage.name
