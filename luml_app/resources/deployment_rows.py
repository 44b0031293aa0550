"""Deployments as they are read: one query, whoever asks, and what its rows say."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import JSON, Connection, Select, Text, bindparam, func, literal, select

from luml_app.core import tables as t
from luml_app.core.prepared import Prepared
from luml_app.schemas.deployments import Deployment, DeploymentBase
from luml_app.schemas.errors import NotFound
from luml_app.schemas.revisions import Follows, Revision, Rollout, Target

Listed = list[Deployment]


def deployment_by_id(db: Connection, deployment_id: Any, *, gone: bool = False) -> Deployment:
    """One deployment. Raises NotFound when it has been deleted meanwhile."""
    row = _BY_ID.one_or_none(db, deployment_id=deployment_id)
    if row is None or (row.status == "gone" and not gone):
        raise NotFound("There is no such deployment.")
    return _deployment_of(row)


def deployments_of_artifact(db: Connection, artifact_id: Any) -> Listed:
    """The deployments whose current revision serves an artifact, newest first."""
    return [_deployment_of(row) for row in _OF_ARTIFACT.all(db, artifact_id=artifact_id)]


def deployments_as_json(artifact_id: Any) -> Any:
    """A column for a list of artifacts: by name only, the deployments whose current revision serves each of them."""
    d, r = t.deployments, t.revisions
    fields = [part for name in DeploymentBase.__struct_fields__ for part in (literal(name, Text), d.c[name])]
    found = select(func.json_agg(func.json_build_object(*fields), type_=JSON))
    current = (d.c.revision_id == r.c.id) & (d.c.id == r.c.deployment_id)
    found = found.select_from(r.join(d, current)).where(d.c.status != "gone")
    return found.where(r.c.artifact_id == artifact_id).correlate(artifact_id.table).scalar_subquery()


def deployments_where(db: Connection, *conditions: Any, gone: bool = False) -> Listed:
    """The deployments that meet the conditions on deployments and their current revisions, newest first.

    Those deleted by force are there only with `gone`: for their satellite, which has to clean up after them.
    """
    return [_deployment_of(row) for row in db.execute(_query(*conditions, gone=gone))]


_STABLE = t.revisions.alias("stable")


def _query(*conditions: Any, gone: bool) -> Select[Any]:
    d, s, r, a, st, tr = t.deployments, t.satellites, t.revisions, t.artifacts, t.stages, t.tracks
    return (
        select(
            d,
            s.c.name.label("satellite_name"),
            a.c.name.label("artifact_name"),
            a.c.file_name,
            a.c.collection_id,
            st.c.name.label("stage"),
            tr.c.name.label("track"),
            tr.c.id.label("track_id"),
            *(r.c[name].label(f"current_{name}") for name in Revision.__struct_fields__),
            *(_STABLE.c[name].label(f"stable_{name}") for name in Revision.__struct_fields__ if name != "id"),
        )
        .join(s, s.c.id == d.c.satellite_id)
        .join(r, (r.c.id == d.c.revision_id) & (r.c.deployment_id == d.c.id))
        .join(a, a.c.id == r.c.artifact_id)
        .outerjoin(_STABLE, (_STABLE.c.id == d.c.stable_id) & (_STABLE.c.deployment_id == d.c.id))
        .outerjoin(st, st.c.id == d.c.follow_stage_id)
        .outerjoin(tr, tr.c.id == st.c.track_id)
        .where(*conditions, *([] if gone else [d.c.status != "gone"]))
        .order_by(d.c.created_at.desc(), d.c.id)
    )


_BY_ID = Prepared(_query(t.deployments.c.id == bindparam("deployment_id"), gone=True))
_OF_ARTIFACT = Prepared(_query(t.revisions.c.artifact_id == bindparam("artifact_id"), gone=False))
_COMPUTED = {"revision_id", "status", "rollout"}
_SAME_NAME = tuple(name for name in Deployment.__struct_fields__ if name in t.deployments.c and name not in _COMPUTED)


def _deployment_of(row: Any) -> Deployment:
    model = row.artifact_name or row.file_name
    revision = revision_of(row, "current_")
    stable = revision_of(row, "stable_") if row.stable_id is not None else None
    rollout = None if row.rollout is None else msgspec.convert(row.rollout, Rollout)
    return Deployment(
        **{name: getattr(row, name) for name in _SAME_NAME},
        status="deletion_pending" if row.status == "gone" else row.status,
        satellite_name=row.satellite_name or str(row.satellite_id),
        artifact_id=revision.artifact_id,
        artifact_name=model,
        collection_id=row.collection_id,
        model_id=revision.artifact_id,
        model_artifact_name=model,
        satellite_parameters=revision.parameters,
        env_variables=revision.env_variables,
        env_variables_secrets=revision.env_variables_secrets,
        revision=revision,
        targets=targets_of(revision, stable, rollout),
        rollout=rollout,
        follows=_follows(row),
    )


def _follows(row: Any) -> Follows | None:
    if row.follow_stage_id is None:
        return None
    return Follows(track_id=row.track_id, track=row.track, stage_id=row.follow_stage_id, stage=row.stage)


def revision_of(row: Any, prefix: str = "") -> Revision:
    """A revision from the columns whose names begin with `prefix`."""
    return Revision(**{name: getattr(row, prefix + name) for name in Revision.__struct_fields__})


def targets_of(revision: Revision, stable: Revision | None, rollout: Rollout | None) -> list[Target]:
    """The revisions that serve, with their shares: outside of a rollout one with all."""
    if stable is None or rollout is None:
        return [Target(revision=revision, weight=100)]
    share = 0 if rollout.mirror else rollout.weight
    return [
        Target(revision=stable, weight=100 - share),
        Target(revision=revision, weight=share, mirror=rollout.mirror),
    ]
