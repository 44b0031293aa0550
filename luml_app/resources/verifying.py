"""Whether what was uploaded is there, and stays: the look that ends an upload, the guard of the built-in store
afterwards, and a slow walk through all artifacts, a few hundred at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.jobs.chores import Errand, chore
from luml_app.schemas.errors import LumlError
from luml_app.storage.errors import InvalidObjectState
from luml_app.storage.interface import ObjectInfo
from luml_app.storage.opening import open_bucket

KIND = "artifacts.verify"
UNFINISHED = ("pending_upload", "upload_failed")
_AT_ONCE = 300


def fault_of_upload(stored: ObjectInfo | None, announced: Any) -> str | None:
    """Why what is in the bucket is not what was announced of an artifact; None when it is."""
    if stored is None:
        return "The bucket has no such object; upload the bytes first."
    if stored.size != announced.size:
        return (
            f"The bucket holds {stored.size} bytes instead of the {announced.size} that were announced; upload again."
        )
    if stored.sha256 is not None and stored.sha256 != announced.file_hash:
        return "The bytes in the bucket have another sha256 than was announced; upload again."
    return None


@contextmanager
def while_awaited(database: Database, key: str) -> Iterator[None]:
    """Holds the artifact of an object of the built-in store in its status, as long as bytes may come for it.

    An upload address lives on after the upload has been verified; what it was verified for shall be there still.
    Raises `InvalidObjectState`. What belongs to no artifact, as the object of a probe, may always be written.
    """
    a = t.artifacts
    artifact_id = _artifact_of(key)
    if artifact_id is None:
        yield
        return
    with database.write() as db:
        status = db.scalar(select(a.c.status).where(a.c.id == artifact_id).with_for_update(read=True))
        if status not in UNFINISHED:
            raise InvalidObjectState
        yield


def _artifact_of(key: str) -> UUID | None:
    """Keys of artifacts are made in `resources.artifacts`."""
    try:
        return UUID(key.rpartition("/")[2].partition(".")[0]) if not key.startswith("probe/") else None
    except ValueError:
        return None


@chore(KIND, every=3600)
def verify_artifacts(errand: Errand) -> dict[str, Any]:
    """Look at the next uploaded artifacts' objects; which of them are missing or have another size.

    `after` is the artifact to go on behind the next time, None when the walk begins anew; `unknown` counts those whose
    bucket does not answer, of which nothing can be said. What is damaged is told in an event.
    """
    with errand.database.read() as db:
        rows = _next(db, _last(db))
    damaged, unknown = {}, 0
    for row in rows:
        if errand.is_lost():
            break
        try:
            fault = _fault_of(errand, row)
        except (LumlError, OSError):
            unknown += 1
            continue
        if fault is not None and _tell(errand, row, fault):
            damaged[str(row.artifact_id)] = fault
    after = str(rows[-1].artifact_id) if len(rows) == _AT_ONCE else None
    return {"after": after, "looked_at": len(rows), "damaged": damaged, "unknown": unknown}


def _last(db: Connection) -> UUID | None:
    """Where the last walk stopped."""
    j = t.jobs
    done = select(j.c.result).where(j.c.type == KIND, j.c.state == "succeeded")
    result = db.scalars(done.order_by(j.c.finished_at.desc()).limit(1)).first()
    after = ((result or {}).get("result") or {}).get("after")
    return UUID(after) if after else None


def _next(db: Connection, after: UUID | None) -> list[Any]:
    a, b = t.artifacts, t.buckets
    columns = (a.c.id.label("artifact_id"), a.c.bucket_location, a.c.size, a.c.orbit_id)
    query = select(b, *columns).join(a, a.c.bucket_secret_id == b.c.id).where(a.c.status == "uploaded")
    if after is not None:
        query = query.where(a.c.id > after)
    return list(db.execute(query.order_by(a.c.id).limit(_AT_ONCE)))


def _fault_of(errand: Errand, row: Any) -> str | None:
    stored = open_bucket(row, errand.keys, errand.settings).stat(row.bucket_location)
    if stored is None:
        return "The bucket has no such object."
    return None if stored.size == row.size else f"The bucket holds {stored.size} bytes instead of {row.size}."


def _tell(errand: Errand, row: Any, fault: str) -> bool:
    """Write the event, unless the artifact was deleted meanwhile; whether it is damaged."""
    a = t.artifacts
    with errand.database.write() as db:
        still = select(a.c.id).where(a.c.id == row.artifact_id, a.c.status == "uploaded").with_for_update(read=True)
        if db.scalar(still) is None:
            return False
        place = {"organization_id": row.organization_id, "orbit_id": row.orbit_id}
        events.record(db, "artifact.damaged", object_id=row.artifact_id, actor_kind="server", why=fault, **place)
    return True
