"""Bytes follow their rows: a row is deleted together with a note of its object, and the object by a chore that does not
give up. So a crash between the two, or a bucket that is away, leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Uuid, delete, exists, func, insert, literal, or_, select, update

from luml_app.core import tables as t
from luml_app.core.locks import delete_bytes
from luml_app.jobs.chores import Errand, chore, queue_chore
from luml_app.schemas.errors import LumlError, Unavailable
from luml_app.storage.interface import Storage
from luml_app.storage.opening import open_bucket

PATIENT_PAUSES = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_AT_ONCE = 100
_FAILURES = 3
"""So many failures one after another mean that the bucket is away, not that some objects are special."""
_NOTED = ("id", "bucket_secret_id", "bucket_location", "upload_ids", "size")


def doom(db: Connection, which: Any, *, deletion_id: UUID | None = None) -> Sequence[Any]:
    """Delete artifacts, and note their objects to be deleted, in one statement; the deleted rows.

    The foreign keys refuse what a track or a deployment uses. Afterwards `queue_purge` is due.
    """
    a, noted = t.artifacts, t.doomed_objects
    told = [a.c[name] for name in (*_NOTED, "orbit_id", "name", "file_name", "file_hash")]
    gone = delete(a).where(which).returning(*told).cte("gone")
    notes = select(*(gone.c[name] for name in _NOTED), literal(deletion_id, Uuid))
    note = insert(noted).from_select([*_NOTED, "deletion_id"], notes).cte("noted")
    return db.execute(select(gone).add_cte(note)).all()


def bury_tombstones(artifact_ids: Any) -> Any:
    """Forget the deployments of artifacts that were deleted by force: a statement. Their tombstones wait for a
    satellite that may never come back, and that shall not keep an artifact.
    """
    d, r = t.deployments, t.revisions
    served = exists(select(1).where(r.c.deployment_id == d.c.id, r.c.artifact_id.in_(artifact_ids)))
    return delete(d).where(d.c.status == "gone", served)


def queue_purge(db: Connection, bucket_ids: set[UUID]) -> None:
    """Have the noted objects of these buckets deleted once the transaction is committed."""
    if len(bucket_ids) == 1:
        (bucket_id,) = bucket_ids
        queue_chore(db, purge_bucket, {"bucket_id": str(bucket_id)}, key=str(bucket_id))
    elif bucket_ids:
        queue_chore(db, purge_buckets, key="now")


@chore("bytes.purge", attempts=40, pauses=PATIENT_PAUSES)
def purge_bucket(errand: Errand) -> dict[str, int]:
    """Delete the noted objects of one bucket."""
    return {"deleted": purge(errand, UUID(errand.payload["bucket_id"]))}


@chore("bytes.purge_all", every=3600)
def purge_buckets(errand: Errand) -> int:
    """Ask for the purge of each bucket in which something is noted: also where it was given up for a while."""
    with errand.database.write() as db:
        bucket_ids = db.scalars(select(t.doomed_objects.c.bucket_secret_id).distinct()).all()
        for bucket_id in bucket_ids:
            queue_purge(db, {bucket_id})
    return len(bucket_ids)


def purge(errand: Errand, bucket_id: UUID) -> int:
    """Delete the noted objects of a bucket, each tried once; how many were deleted.

    Raises Unavailable when some could not be, which then stay noted, with the reason; and what opening the bucket
    raises.
    """
    with errand.database.read() as db:
        bucket = db.execute(select(t.buckets).where(t.buckets.c.id == bucket_id)).one_or_none()
        since = db.scalar(select(func.now()))
    if bucket is None:
        return 0
    storage, batch = open_bucket(bucket, errand.keys, errand.settings), _Batch(bucket_id, since)
    while not errand.is_lost() and not batch.tried_all:
        with errand.database.write() as db:
            delete_bytes(db)
            batch.run(db, storage)
    if batch.failures:
        raise Unavailable(f"{len(batch.failures)} objects cannot be deleted: {batch.failures[-1]}")
    return batch.deleted


class _Batch:
    """The noted objects of a bucket, some at a time, each one once."""

    def __init__(self, bucket_id: UUID, since: datetime | None) -> None:
        self._bucket_id = bucket_id
        self._since = since
        self.deleted = 0
        self.failures: list[str] = []
        self.tried_all = False

    def run(self, db: Connection, storage: Storage) -> None:
        """Try the next ones in a transaction. Deleting an object twice does no harm, so a crash does none either."""
        noted, gone = t.doomed_objects, []
        untried = or_(noted.c.tried_at.is_(None), noted.c.tried_at < self._since)
        mine = (noted.c.bucket_secret_id == self._bucket_id, untried)
        # What has failed before comes last, lest it keep the others waiting.
        order = (noted.c.tried_at.nulls_first(), noted.c.id)
        rows = db.execute(select(noted).where(*mine).order_by(*order).limit(_AT_ONCE)).all()
        in_a_row = 0
        for row in rows:
            problem = _delete_object(storage, row)
            in_a_row = 0 if problem is None else in_a_row + 1
            if problem is None:
                gone.append(row.id)
            else:
                self.failures.append(problem)
                failed = update(noted).where(noted.c.id == row.id)
                db.execute(failed.values(tried_at=func.now(), problem=problem[:500]))
            if in_a_row == _FAILURES:
                break
        db.execute(delete(noted).where(noted.c.id.in_(gone)))
        self.deleted += len(gone)
        self.tried_all = len(rows) < _AT_ONCE or in_a_row == _FAILURES


def _delete_object(storage: Storage, row: Any) -> str | None:
    """Delete an object and abort its unfinished uploads; what went wrong, if anything."""
    try:
        for upload_id in row.upload_ids:
            storage.abort_multipart(row.bucket_location, upload_id)
        storage.delete(row.bucket_location)
    except (LumlError, OSError) as error:
        return str(error)
    return None
