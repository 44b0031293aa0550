"""Uploads that nobody ends: after a day what arrived of them is deleted, and the artifact waits for another attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, update

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.core.locks import delete_bytes
from luml_app.jobs.chores import Errand, chore
from luml_app.schemas.errors import LumlError
from luml_app.storage.local import LocalStorage
from luml_app.storage.opening import open_bucket

STALE = timedelta(days=1)


@chore("uploads.sweep", every=3600)
def sweep_uploads(errand: Errand) -> dict[str, Any]:
    """Sweep every upload that has been pending for longer than a day; how many, and what could not be swept."""
    swept, failed = 0, {}
    for artifact_id in _stale(errand):
        if errand.is_lost():
            break
        try:
            swept += _sweep(errand, artifact_id)
        except (LumlError, OSError) as error:  # one bucket that is away shall not keep the others from being swept
            failed[str(artifact_id)] = str(error)[:200]
    return {"swept": swept, "parts": _sweep_store(errand), "failed": failed}


def _stale(errand: Errand) -> list[UUID]:
    a = t.artifacts
    with errand.database.read() as db:
        return list(db.scalars(select(a.c.id).where(is_stale()).order_by(a.c.id)))


def is_stale() -> Any:
    """Which artifacts' uploads have been pending for too long."""
    a = t.artifacts
    return (a.c.status == "pending_upload") & (func.coalesce(a.c.updated_at, a.c.created_at) < func.now() - STALE)


def _sweep(errand: Errand, artifact_id: UUID) -> int:
    """Sweep one. The row is held meanwhile: a client that reports the upload now is told that it came too late."""
    with errand.database.write() as db:
        delete_bytes(db)
        row = _held(db, artifact_id)
        if row is None:
            return 0
        storage = open_bucket(row, errand.keys, errand.settings)
        for upload_id in row.upload_ids:
            storage.abort_multipart(row.bucket_location, upload_id)
        storage.delete(row.bucket_location)
        failed = {"status": "upload_failed"}
        mine = update(t.artifacts).where(t.artifacts.c.id == artifact_id)
        db.execute(mine.values(**failed, upload_ids=[], updated_at=func.now()))
        place = {"organization_id": row.organization_id, "orbit_id": row.orbit_id}
        why = "The upload had not ended after a day."
        before = {"status": "pending_upload"}
        told = {"actor_kind": "server", "before": before, "after": failed, "why": why, **place}
        events.record(db, "artifact.sweep", object_id=artifact_id, **told)
    return 1


def _held(db: Connection, artifact_id: UUID) -> Any:
    a, b = t.artifacts, t.buckets
    columns = (a.c.bucket_location, a.c.upload_ids, a.c.orbit_id)
    query = select(b, *columns).join(a, a.c.bucket_secret_id == b.c.id).where(a.c.id == artifact_id, is_stale())
    return db.execute(query.with_for_update(of=a, skip_locked=True)).one_or_none()


def _sweep_store(errand: Errand) -> int:
    """Sweep the built-in store of parts and half-written files that no artifact knows of; how many there were."""
    with errand.database.read() as db:
        builtin = db.execute(select(t.buckets).where(t.buckets.c.builtin).limit(1)).one_or_none()
    storage = builtin and open_bucket(builtin, errand.keys, errand.settings)
    return storage.sweep(STALE.total_seconds()) if isinstance(storage, LocalStorage) else 0
