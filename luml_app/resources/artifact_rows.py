"""Artifacts as they stand in lists: without what is bulky."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from sqlalchemy import case, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from luml_app.core import tables as t
from luml_app.resources.deployment_rows import deployments_as_json
from luml_app.resources.manifests import BULK
from luml_app.schemas.artifacts import ArtifactListed
from luml_app.schemas.deployments import DeploymentBase

Deployments = list[DeploymentBase]

_BULKY: dict[str, Any] = {name: [] for name in BULK["model"]}


@cache
def slim_artifacts() -> Any:
    """Columns of a list: a manifest without its bulk still has the shape that clients check, and no file index."""
    a = t.artifacts
    bulk = case((a.c.type == "model", literal(_BULKY, JSONB)), else_=literal({"payload": {}}, JSONB))
    columns = [column for column in a.c if column.name not in {"manifest", "file_index"}]
    manifest = a.c.manifest.op("||")(bulk).label("manifest")
    collection_name = t.collections.c.name.label("collection_name")
    query = select(*columns, manifest, collection_name, deployments_as_json(a.c.id).label("deployments"))
    return query.join(t.collections, t.collections.c.id == a.c.collection_id)


_OWN = [name for name in ArtifactListed.__struct_fields__ if name not in {"file_index", "deployments"}]


def listed_artifact(row: Any) -> ArtifactListed:
    """An artifact of a list from its row."""
    deployments = msgspec.convert(row.deployments or [], Deployments)
    return ArtifactListed(**{name: getattr(row, name) for name in _OWN}, deployments=deployments)
