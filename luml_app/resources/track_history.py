"""Which version was in which stage, and when: answered from events alone, as is `track_past`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import fetch_page
from luml_app.resources.track_past import Past, enters, tenancy
from luml_app.schemas.fields import Limit, Page, SortOrder
from luml_app.schemas.tracks import Tenure, Version

_STAGE = "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages/{stage_id}"
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
            Past(self.scope).stage(stage_id)
        return Page(items=[_tenure(row, stage_id) for row in rows], cursor=following)

    def _told_of_stage(self, stage_id: UUID) -> Select[Any]:
        """The events of the stage, each beside what followed."""
        following: Any = {"order_by": (_EV.at, enters(stage_id))}
        return tenancy(self.scope.row(t.tracks).id, stage_id).add_columns(
            func.lead(_EV.at).over(**following).label("until"),
            func.lead(_EV.actor_name).over(**following).label("ended_by"),
            func.lead(_EV.actor_id).over(**following).label("ended_by_id"),
            func.lead(_EV.why).over(**following).label("ended_why"),
        )


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
