"""Artifacts as they stand in lists: without what is bulky."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Uuid, bindparam, case, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from luml_app.core import tables as t
from luml_app.core.prepared import Prepared
from luml_app.resources.deployment_rows import deployments_as_json
from luml_app.resources.manifests import BULK
from luml_app.schemas.artifacts import ArtifactListed
from luml_app.schemas.deployments import DeploymentBase

Deployments = list[DeploymentBase]

_OWN = [name for name in ArtifactListed.__struct_fields__ if name not in {"file_index", "deployments"}]


def listed_artifacts(db: Connection, ids: Sequence[UUID]) -> list[ArtifactListed]:
    """The artifacts with these ids, in this order; those that have been deleted meanwhile are left out."""
    found = {row.id: row for row in _slim_artifacts().all(db, ids=ids)} if ids else {}
    return [_listed(found[one]) for one in ids if one in found]


@cache
def _slim_artifacts() -> Prepared:
    """Columns of a list: a manifest without its bulk still has the shape that clients check, and no file index."""
    a = t.artifacts
    bulk = case((a.c.type == "model", _json({name: [] for name in BULK["model"]})), else_=_json({"payload": {}}))
    columns = [column for column in a.c if column.name not in {"manifest", "file_index"}]
    manifest = a.c.manifest.op("||")(bulk).label("manifest")
    collection_name = t.collections.c.name.label("collection_name")
    query = select(*columns, manifest, collection_name, deployments_as_json(a.c.id).label("deployments"))
    here = a.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid)))
    return Prepared(query.join(t.collections, t.collections.c.id == a.c.collection_id).where(here))


def _json(value: dict[str, Any]) -> Any:
    return literal_column(f"'{msgspec.json.encode(value).decode()}'::jsonb", JSONB)


def _listed(row: Any) -> ArtifactListed:
    deployments = msgspec.convert(row.deployments or [], Deployments)
    return ArtifactListed(**{name: getattr(row, name) for name in _OWN}, deployments=deployments)
