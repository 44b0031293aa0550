"""Satellites, as their users see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.keys import SATELLITE_KEY, new_token
from luml_app.core.operations import Resource, operation
from luml_app.resources.changes import sent
from luml_app.resources.limits import check_limit
from luml_app.schemas.satellites import Satellite, SatelliteCreate, SatelliteCreated, SatelliteStatus, SatelliteUpdate
from luml_app.schemas.users import ApiKeyCreated

_ORBIT = "/v1/organizations/{organization_id}/orbits/{orbit_id}"
_ONE = _ORBIT + "/satellites/{satellite_id}"
Listed = list[Satellite]


class Satellites(Resource):
    """Workers attached to an orbit, which run its deployments."""

    @operation(f"POST {_ORBIT}/satellites", needs="satellite:create")
    def create(self, body: SatelliteCreate) -> SatelliteCreated:
        """Create a satellite; start it with the key that the answer shows, this once."""
        check_limit(self.scope, "satellites")
        key, values = new_token(SATELLITE_KEY), {"name": body.name, "description": body.description}
        place = {"id": new_id(), "orbit_id": self.scope.orbit_id, "key_hash": self.scope.keys.hash(key)}
        row = self.db.execute(insert(t.satellites).values(**values, **place).returning(t.satellites)).one()
        self.scope.record("satellite.create", row.id, satellite_id=row.id, after=values)
        return SatelliteCreated(satellite=satellite_of(row, self.scope), api_key=key)

    @operation(f"GET {_ORBIT}/satellites", needs="satellite:list")
    def list(self, paired: bool | None = None) -> Listed:
        """The satellites of an orbit; `paired` chooses those that have, or have not, been started yet."""
        s = t.satellites
        query = select(s).where(s.c.orbit_id == self.scope.orbit_id)
        if paired is not None:
            query = query.where(s.c.paired == paired)
        return [satellite_of(row, self.scope) for row in self.db.execute(query.order_by(s.c.created_at, s.c.id))]

    @operation(f"GET {_ONE}", needs="satellite:read")
    def get(self) -> Satellite:
        """A satellite."""
        return satellite_of(self.scope.row(t.satellites), self.scope)

    @operation(f"PATCH {_ONE}", needs="satellite:update")
    def update(self, body: SatelliteUpdate) -> Satellite:
        """Change name or description."""
        s, one = t.satellites, self.scope.row(t.satellites)
        before, changed = difference(one.columns, sent(body, s))
        if not changed:
            return satellite_of(one, self.scope)
        row = self.db.execute(
            update(s).where(s.c.id == one.id).values(**changed, updated_at=func.now()).returning(s)
        ).one()
        self.scope.record("satellite.update", one.id, satellite_id=one.id, before=before, after=changed)
        return satellite_of(row, self.scope)

    @operation(f"DELETE {_ONE}", needs="satellite:delete", status=204)
    def delete(self) -> None:
        """Delete a satellite that has no deployments; its key stops working."""
        one, d = self.scope.row(t.satellites), t.deployments
        # It will never confirm them now.
        self.db.execute(delete(d).where(d.c.satellite_id == one.id, d.c.status == "gone"))
        self.db.execute(delete(t.satellites).where(t.satellites.c.id == one.id))
        self.scope.record("satellite.delete", one.id, satellite_id=one.id, before={"name": one.name})

    @operation(f"POST {_ONE}/api-key", needs="satellite:update")
    def rotate_key(self) -> ApiKeyCreated:
        """Give a satellite a new key; the old one stops working at once."""
        one, key = self.scope.row(t.satellites), new_token(SATELLITE_KEY)
        mine = t.satellites.c.id == one.id
        self.db.execute(
            update(t.satellites).where(mine).values(key_hash=self.scope.keys.hash(key), updated_at=func.now())
        )
        self.scope.record("satellite.rotate_key", one.id, satellite_id=one.id)
        return ApiKeyCreated(key=key)


def satellite_of(row: Any, scope: Any) -> Satellite:
    """A satellite from its row; its status follows from when it was last seen."""
    columns = {name: getattr(row, name) for name in Satellite.__struct_fields__ if name != "status"}
    return Satellite(**columns, status=_status(row, scope.settings.satellite_silence_seconds))


def _status(row: Any, silence: int) -> SatelliteStatus:
    if not row.paired or row.last_seen_at is None:
        return "inactive"
    return "error" if (datetime.now(UTC) - row.last_seen_at).total_seconds() > silence else "active"
