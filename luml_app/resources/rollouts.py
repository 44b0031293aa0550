"""Rollouts that are under way: their shares, and the way back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.resources.deployable import check_rollouts
from luml_app.resources.deployment_rows import deployment_by_id
from luml_app.resources.desired import check_alive, desire
from luml_app.resources.progress import beginning
from luml_app.schemas.deployments import Deployment
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.fields import UnsetType
from luml_app.schemas.revisions import Rollout
from luml_app.schemas.rollouts import Rollback, RolloutUpdate

_ONE = "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}"


class Rollouts(Resource):
    """The move of a deployment from one revision to the next."""

    @operation(f"PATCH {_ONE}/rollout", needs="deployment:update")
    def update(self, body: RolloutUpdate) -> Deployment:
        """Change the new revision's share of the requests; with weight 100 it takes over."""
        one, s = self.scope.row(t.deployments), t.satellites
        check_alive(one)
        if one.rollout is None:
            raise Conflict("No rollout is under way: one revision serves all requests.")
        check_rollouts(
            self.db.scalar(select(s.c.capabilities).where(s.c.id == one.satellite_id)) or {},
            "share the requests between two revisions",
        )
        rollout = msgspec.convert(one.rollout, Rollout)
        wanted = _changed(rollout, body)
        if wanted != rollout:
            desire(self.db, one, rollout=msgspec.to_builtins(wanted), error_message=None)
            told = {"before": _told(rollout), "after": _told(wanted), "why": body.why}
            self.scope.record("deployment.rollout", one.id, satellite_id=one.satellite_id, **told)
        return deployment_by_id(self.db, one.id)

    @operation(f"POST {_ONE}/rollback", needs="deployment:update")
    def rollback(self, body: Rollback) -> Deployment:
        """Go back to an earlier revision; what serves now goes on until that is ready.

        That is the named one, else the stable one of a rollout under way, else the one that served before.
        """
        one = self.scope.row(t.deployments)
        check_alive(one)
        target = self._target(one, body.revision_id)
        if target.id == one.revision_id:
            raise Conflict(f"Revision {target.number} is the one that is wanted already.")
        reason = {"reason": "Taken back by hand", "error": body.why or ""}
        wanted = beginning(one, target.id, Rollout(), served=target.current_served_at is not None)
        desire(self.db, one, taken_back={one.revision_id: reason}, **wanted)
        told = {"before": {"revision_id": str(one.revision_id)}, "after": {"revision_id": str(target.id)}}
        self.scope.record("deployment.rollback", one.id, satellite_id=one.satellite_id, why=body.why, **told)
        return deployment_by_id(self.db, one.id)

    def _target(self, one: Any, revision_id: UUID | None) -> Any:
        """The revision to go back to, and when the current one has begun to serve."""
        r, current = t.revisions, t.revisions.alias("current")
        query = select(r.c.id, r.c.number, current.c.served_at.label("current_served_at"))
        query = query.join(current, current.c.id == one.revision_id).where(r.c.deployment_id == one.id)
        wanted = revision_id or one.stable_id
        if wanted is not None:
            query = query.where(r.c.id == wanted)
        else:
            held = (r.c.served_at.is_not(None), r.c.problem.is_(None))
            query = query.where(r.c.number < current.c.number, *held).order_by(r.c.number.desc()).limit(1)
        row = self.db.execute(query).one_or_none()
        if row is None and revision_id is not None:
            raise NotFound("This deployment has no such revision (revision_id).")
        if row is None:
            raise Conflict("No earlier revision of this deployment has served; name the one that you want.")
        return row


def _changed(rollout: Rollout, body: RolloutUpdate) -> Rollout:
    """The rollout as it shall be. A share by hand ends the steps; new steps begin with their first."""
    sent: dict[str, Any] = {
        name: value
        for name in ("weight", "mirror", "bounds", "steps")
        if not isinstance(value := getattr(body, name), UnsetType)
    }
    if sent.get("steps"):
        sent |= {"weight": sent["steps"][0].weight, "step": 0, "mirror": sent.get("mirror", False)}
    elif "weight" in sent:
        sent |= {"steps": [], "step": 0, "mirror": sent.get("mirror", False)}
    return msgspec.structs.replace(rollout, **sent)


def _told(rollout: Rollout) -> dict[str, Any]:
    return {"weight": rollout.weight, "mirror": rollout.mirror}
