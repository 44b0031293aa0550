"""Deployments that follow a stage of a track: when another version moves into it, they roll forward by themselves."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from luml_app.core import tables as t
from luml_app.jobs.chores import Errand, chore
from luml_app.resources.deployable import check_parts, find_parts
from luml_app.resources.desired import desire, revision_row
from luml_app.resources.progress import beginning, record, rows_with_place
from luml_app.schemas.errors import LumlError
from luml_app.schemas.revisions import Rollout

log = logging.getLogger(__name__)


@chore("deployment.follow")
def follow_stage(errand: Errand) -> dict[str, str]:
    """Have every deployment that follows the stage serve the version that is in it; returns what came of each.

    Triggers of the database queue this whenever a version moves into a stage, or a deployment begins to follow one.
    """
    stage_id, d = UUID(errand.payload["stage_id"]), t.deployments
    with errand.database.read() as db:
        followers = db.scalars(select(d.c.id).where(d.c.follow_stage_id == stage_id, d.c.desired != "deleted")).all()
    return {str(one): _follow(errand, one, stage_id) for one in followers}


def _follow(errand: Errand, deployment_id: UUID, stage_id: UUID) -> str:
    with errand.database.write() as db:
        e, d = t.track_entries, t.deployments
        one = db.execute(
            rows_with_place().where(d.c.id == deployment_id, d.c.follow_stage_id == stage_id)
        ).one_or_none()
        artifact_id = db.scalar(select(e.c.artifact_id).where(e.c.stage_id == stage_id))
        if one is None or artifact_id is None:
            return "nothing to follow"
        return _roll_forward(db, one, artifact_id)


def _roll_forward(db: Connection, one: Any, artifact_id: UUID) -> str:
    parts: Any = None
    try:
        parts = find_parts(
            db,
            one.orbit_id,
            satellite_id=one.satellite_id,
            artifact_id=artifact_id,
            revision_id=one.revision_id,
        )
        if parts.current_artifact_id == artifact_id:
            return "serves it"
        check_parts(parts, parts.current_parameters)
    except LumlError as error:
        log.warning("Deployment %s does not follow its stage: %s", one.id, error)
        record(db, "deployment.follow_refused", one, after={"artifact_id": str(artifact_id)}, why=error.message)
        return error.message
    spec = {
        name: getattr(parts, f"current_{name}") for name in ("parameters", "env_variables", "env_variables_secrets")
    }
    new = revision_row(parts, None, **spec)
    wanted = beginning(one, new["id"], Rollout(), served=parts.current_served_at is not None)
    desire(db, one, revision=new, **wanted)
    before, after = {"artifact_id": str(parts.current_artifact_id)}, {"artifact_id": str(artifact_id)}
    record(db, "deployment.follow", one, before=before, after=after, why="another version moved into the stage")
    return "rolls forward"
