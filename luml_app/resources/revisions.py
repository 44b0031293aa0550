"""Revisions of a deployment: made, listed, compared. A revision never changes; a change is a new one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.paging import fetch_page
from luml_app.resources.deployable import check_parts, check_rollouts, check_secrets, find_parts, given, secrets_of
from luml_app.resources.deployment_rows import deployment_by_id, revision_of
from luml_app.resources.desired import check_alive, desire, revision_row
from luml_app.resources.progress import at_once, beginning, planned
from luml_app.resources.sizes import check_size
from luml_app.schemas.deployments import Deployment
from luml_app.schemas.fields import Limit, Page
from luml_app.schemas.revisions import Revision
from luml_app.schemas.rollouts import RevisionChange, RevisionCreate, RevisionDifference

_ONE = "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}"
_SPEC = {"satellite_parameters": "parameters", "env_variables": "env_variables"}


class Revisions(Resource):
    """What a deployment serves or has served: a model with its environment and parameters."""

    @operation(f"POST {_ONE}/revisions", needs="deployment:update")
    def create(self, body: RevisionCreate) -> Deployment:
        """Roll out a change: another model, environment or parameters; what is not sent is as before.

        The revision before serves until the new one is ready, and its share of the requests as long as the rollout
        says so.
        """
        one = self.scope.row(t.deployments)
        check_alive(one)
        for name in (*_SPEC, "env_variables_secrets"):
            check_size(given(getattr(body, name), {}), name)
        rollout = planned(body.rollout)
        parts = self._parts(one, body)
        check_secrets(body, parts.secrets)
        check_parts(parts, given(body.satellite_parameters, parts.current_parameters))
        if not at_once(rollout):
            check_rollouts(parts.capabilities, "share the requests between two revisions")
        new = revision_row(parts, self.scope.user_id, **_spec(body, parts))
        wanted = beginning(one, new["id"], rollout, served=parts.current_served_at is not None)
        desire(self.db, one, revision=new, **wanted)
        told = {"artifact_id": str(parts.id), "revision_id": str(new["id"]), "weight": rollout.weight}
        before = {"artifact_id": str(parts.current_artifact_id), "revision_id": str(one.revision_id)}
        here = {"satellite_id": one.satellite_id, "why": body.why}
        self.scope.record("deployment.revise", one.id, before=before, after=told, **here)
        return deployment_by_id(self.db, one.id)

    @operation(f"GET {_ONE}/revisions", needs="deployment:read")
    def list(self, cursor: str | None = None, limit: Limit = 50) -> Page[Revision]:
        """The revisions of a deployment, newest first."""
        r, one = t.revisions, self.scope.row(t.deployments)
        query = select(r).where(r.c.deployment_id == one.id)
        mark = ("revisions", one.id)
        rows, following = fetch_page(
            self.db, query, sort=r.c.number, key=r.c.id, order="desc", limit=limit, cursor=cursor, mark=mark
        )
        return Page(items=[revision_of(row) for row in rows], cursor=following)

    @operation(f"GET {_ONE}/revisions/{{revision_id}}/difference", needs="deployment:read")
    def difference(self) -> RevisionDifference:
        """What going (back) to a revision would change."""
        one, r = self.scope.row(t.deployments), t.revisions
        now = revision_of(self.db.execute(select(r).where(r.c.id == one.revision_id)).one())
        then = revision_of(self.scope.row(r))
        return RevisionDifference(now=now, then=then, changes=_changes(_flat(now), _flat(then)))

    def _parts(self, one: Any, body: RevisionCreate) -> Any:
        r = t.revisions
        current = select(r.c.artifact_id).where(r.c.id == one.revision_id).scalar_subquery()
        return find_parts(
            self.db,
            self.scope.orbit_id,
            satellite_id=one.satellite_id,
            artifact_id=given(body.artifact_id, current),
            secrets=secrets_of(body),
            revision_id=one.revision_id,
        )


def _spec(body: RevisionCreate, parts: Any) -> dict[str, Any]:
    """Parameters and environment of the new revision."""
    secrets = given(body.env_variables_secrets, None)
    return {
        **{column: given(getattr(body, name), getattr(parts, f"current_{column}")) for name, column in _SPEC.items()},
        "env_variables_secrets": parts.current_env_variables_secrets
        if secrets is None
        else {name: str(one) for name, one in secrets.items()},
    }


def _flat(revision: Revision) -> dict[str, Any]:
    """What a revision is made of, by name."""
    whole = {"artifact_id": str(revision.artifact_id), "digest": revision.digest}
    for part in ("parameters", "env_variables", "env_variables_secrets"):
        whole |= {f"{part}.{name}": value for name, value in getattr(revision, part).items()}
    return whole


def _changes(now: dict[str, Any], then: dict[str, Any]) -> dict[str, RevisionChange]:
    return {
        name: RevisionChange(now=now.get(name), then=then.get(name))
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    }
