"""What was where, and when: answered from events alone, so that renaming and deleting changes nothing of the past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import fetch_page
from luml_app.schemas.errors import NotFound
from luml_app.schemas.fields import Limit, Moment, Page, SortOrder
from luml_app.schemas.tracks import StageThen, Tenure, TrackThen, Version

_TRACK = "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}"
_STAGE = _TRACK + "/stages/{stage_id}"
_EV = t.events.c


class TrackHistory(Resource):
    """Which version was in which stage, since when, by whom and why."""

    @operation(f"GET {_STAGE}/history", needs="track:read")
    def stage(
        self, stage_id: UUID, cursor: str | None = None, limit: Limit = 50, order: SortOrder = "desc"
    ) -> Page[Tenure]:
        """The versions that were in a stage, one after the other; also of a stage that has been dropped."""
        told = self._told_of_stage(stage_id).subquery("told")
        rows, following = fetch_page(
            self.db,
            select(told).where(told.c.enters),
            sort=told.c.at,
            key=told.c.id,
            order=order,
            limit=limit,
            cursor=cursor,
            mark=("tenures", stage_id),
        )
        if not rows and not cursor:
            self._stages_then(datetime.now(UTC), stage_id)
        return Page(items=[_tenure(row, stage_id) for row in rows], cursor=following)

    @operation(f"GET {_STAGE}", needs="track:read")
    def stage_then(self, stage_id: UUID, as_of: Moment | None = None) -> StageThen:
        """A stage and the version that is in it, or (`as_of`) that was in it at a moment."""
        at = as_of or datetime.now(UTC)
        _, (stage,) = self._stages_then(at, stage_id)
        told = self._told_of_stage(stage_id).where(_EV.at <= at).order_by(None)
        last = self.db.execute(told.order_by(_EV.at.desc(), _enters(stage_id).desc()).limit(1)).one_or_none()
        stage.version = msgspec.convert(last.after, Version) if last is not None and last.enters else None
        return stage

    @operation(f"GET {_TRACK}/state", needs="track:read")
    def track_then(self, as_of: Moment | None = None) -> TrackThen:
        """A track with its stages and versions as it is, or (`as_of`) as it was at a moment."""
        at = as_of or datetime.now(UTC)
        name, stages = self._stages_then(at)
        versions = self._versions_then(at)
        there = {version.stage_id: version for version in versions if version.stage_id}
        for stage in stages:
            if (version := there.get(stage.id)) is not None:
                stage.version, version.stage = version, stage.name
        return TrackThen(id=self.scope.row(t.tracks).id, name=name, as_of=at, stages=stages, versions=versions)

    def _told_of_stage(self, stage_id: UUID) -> Select[Any]:
        """Each event by which a version came into the stage or left it, beside what followed. At the moment of an
        exchange, one leaves before the other enters.
        """
        enters = _enters(stage_id)
        leaves = _EV.before["stage_id"].astext == str(stage_id)
        following: Any = {"order_by": (_EV.at, enters)}
        return select(
            t.events,
            enters.label("enters"),
            func.lead(_EV.at).over(**following).label("until"),
            func.lead(_EV.actor_name).over(**following).label("ended_by"),
            func.lead(_EV.actor_id).over(**following).label("ended_by_id"),
            func.lead(_EV.why).over(**following).label("ended_why"),
        ).where(self._of_track(), or_(enters, leaves))

    def _of_track(self) -> ColumnElement[bool]:
        return and_(_EV.object_id == self.scope.row(t.tracks).id, func.starts_with(_EV.action, "track."))

    def _stages_then(self, at: datetime, stage_id: UUID | None = None) -> tuple[str, list[StageThen]]:
        """The name that the track had, and its stages, or of them this one. Raises NotFound before it began."""
        stages, name = _EV.after["stages"], _EV.after["name"].astext
        told = select(stages).where(self._of_track(), _EV.at <= at).order_by(_EV.at.desc()).limit(1)
        query = select(
            told.where(stages.isnot(None)).scalar_subquery().label("stages"),
            told.with_only_columns(name).where(name.isnot(None)).scalar_subquery().label("name"),
            select(func.min(_EV.at)).where(self._of_track()).scalar_subquery().label("began_at"),
        )
        row = self.db.execute(query).one()
        if row.stages is None:
            raise NotFound(f"The history of this track begins at {row.began_at:%Y-%m-%dT%H:%M:%S.%fZ}.")
        stages_then = msgspec.convert([{**one, "as_of": at} for one in row.stages], list[StageThen])
        found = [stage for stage in stages_then if stage_id in (None, stage.id)]
        if stage_id is not None and not found:
            raise NotFound("There was no such stage in this track at that moment.")
        return row.name, found

    def _versions_then(self, at: datetime) -> list[Version]:
        entry = func.coalesce(_EV.after["entry_id"].astext, _EV.before["entry_id"].astext)
        age = func.row_number().over(partition_by=entry, order_by=_EV.at.desc())
        told = select(_EV.after, age.label("age")).where(self._of_track(), _EV.at <= at, entry.isnot(None)).subquery()
        kept = self.db.scalars(select(told.c.after).where(told.c.age == 1, told.c.after.isnot(None)))
        return sorted(msgspec.convert(list(kept), list[Version]), key=lambda version: version.version)


def _enters(stage_id: UUID) -> Any:
    return func.coalesce(_EV.after["stage_id"].astext == str(stage_id), False)


def _tenure(row: Any, stage_id: UUID) -> Tenure:
    return Tenure(
        stage_id=stage_id,
        version=msgspec.convert(row.after, Version),
        since=row.at,
        until=row.until,
        by=row.actor_name,
        by_id=row.actor_id,
        why=row.why,
        ended_by=row.ended_by,
        ended_by_id=row.ended_by_id,
        ended_why=row.ended_why,
    )
