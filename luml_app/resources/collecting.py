"""What could be freed, what keeps it alive, and freeing it: `luml gc`.

Most of it the server frees by itself, hour by hour; here an operator sees it and has it done at once. Only what is
older than a day counts, and of the files in the built-in store only those below an orbit that this registry knows or
has known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, delete, exists, func, select, union

from luml_app.core import tables as t
from luml_app.core.locks import delete_bytes
from luml_app.jobs.chores import Errand
from luml_app.jobs.pruning import KEPT, prune_jobs
from luml_app.resources.pruning import KEPT as TOKENS_KEPT
from luml_app.resources.pruning import prune_accounts
from luml_app.resources.purging import purge_buckets
from luml_app.resources.sweeping import STALE, is_stale, sweep_uploads
from luml_app.schemas.errors import NotFound
from luml_app.storage.local import LocalStorage, StoredObject
from luml_app.storage.opening import open_bucket

TOMBSTONES_KEPT = KEPT
_PROBES = "probe"
_AT_ONCE = 200


class Freeable(msgspec.Struct):
    """One kind of what could be freed: how many, how many bytes (None: not of bytes), why, and some of them."""

    kind: str
    count: int
    size: int | None
    why: str
    examples: list[str] = []


def survey(errand: Errand) -> list[Freeable]:
    """What could be freed now."""
    orphans = list(_orphans(errand))
    store = _store(errand)
    scratch = store.stale(STALE.total_seconds()) if store else []
    with errand.database.read() as db:
        return [
            Freeable(
                "orphan objects",
                len(orphans),
                sum(one.size for one in orphans),
                "files in the built-in store that no artifact refers to",
                [one.key for one in orphans[:5]],
            ),
            Freeable("leftovers of uploads", len(scratch), None, "parts and half-written files, untouched for a day"),
            *_rows(db),
        ]


def collect(errand: Errand) -> list[Freeable]:
    """Free it; what was found before."""
    found = survey(errand)
    for batch in _batches(_orphans(errand)):
        _free(errand, batch)
    with errand.database.write() as db:
        db.execute(delete(t.deployments).where(_old_tombstones()))
    for work in (sweep_uploads, prune_accounts, prune_jobs, purge_buckets):
        work.run(errand)
    return found


def explain(db: Connection, artifact_id: UUID) -> list[str]:
    """What keeps an artifact and its bytes alive, a sentence for each reason. Raises NotFound."""
    a, noted = t.artifacts, t.doomed_objects
    one = db.execute(select(a).where(a.c.id == artifact_id)).one_or_none()
    if one is not None:
        return [*_uses(db, artifact_id), f"Its own row does: the artifact is {one.status.replace('_', ' ')}."]
    doomed = db.execute(select(noted).where(noted.c.id == artifact_id)).one_or_none()
    if doomed is not None:
        problem = f" It could not be yet: {doomed.problem}" if doomed.problem else ""
        return [f"Nothing does: its bytes are to be deleted since {doomed.created_at:%Y-%m-%d %H:%M}.{problem}"]
    raise NotFound(f"There is no artifact {artifact_id}, and no bytes of one wait to be deleted.")


def _uses(db: Connection, artifact_id: UUID) -> Iterator[str]:
    e, tr, s, d, r = t.track_entries, t.tracks, t.stages, t.deployments, t.revisions
    versions = select(tr.c.name, e.c.version, s.c.name.label("stage")).join(tr, tr.c.id == e.c.track_id)
    for row in db.execute(versions.outerjoin(s, s.c.id == e.c.stage_id).where(e.c.artifact_id == artifact_id)):
        stage = f", in the stage {row.stage!r}" if row.stage else ""
        yield f"The track {row.name!r} does: it is version {row.version}{stage}."
    served = select(d.c.name, d.c.status, r.c.number).join(r, r.c.deployment_id == d.c.id)
    for row in db.execute(served.where(r.c.artifact_id == artifact_id).order_by(d.c.name, r.c.number)):
        gone = ", which was deleted by force and waits for its satellite" if row.status == "gone" else ""
        yield f"The deployment {row.name!r} does, by its revision {row.number}{gone}."


def _rows(db: Connection) -> list[Freeable]:
    noted, token, job = t.doomed_objects, t.session_tokens, t.jobs
    ended = job.c.finished_at < func.now() - KEPT
    expired = token.c.expires_at < func.now() - TOKENS_KEPT
    doomed = db.execute(select(func.count(), func.coalesce(func.sum(noted.c.size), 0)).select_from(noted)).one()
    stuck = db.scalars(select(noted.c.problem).where(noted.c.problem.is_not(None)).distinct().limit(5)).all()

    def counted(kind: str, table: Any, which: Any, why: str) -> Freeable:
        return Freeable(kind, db.scalar(select(func.count()).select_from(table).where(which)) or 0, None, why)

    return [
        Freeable("deleted objects", doomed[0], int(doomed[1]), "bytes of deleted artifacts, still there", list(stuck)),
        counted("unfinished uploads", t.artifacts, is_stale(), "pending for longer than a day"),
        counted("expired tokens", token, expired, "of sessions that ended more than a day ago"),
        counted("ended jobs", job, ended, f"ended more than {KEPT.days} days ago"),
        counted("tombstones", t.deployments, _old_tombstones(), "deployments whose satellites never came back"),
    ]


def _old_tombstones() -> Any:
    d = t.deployments
    return (d.c.status == "gone") & (d.c.updated_at < func.now() - TOMBSTONES_KEPT)


def _store(errand: Errand) -> LocalStorage | None:
    """The built-in store; None before anybody has a bucket in it."""
    with errand.database.read() as db:
        row = db.execute(select(t.buckets).where(t.buckets.c.builtin).limit(1)).one_or_none()
    storage = row and open_bucket(row, errand.keys, errand.settings)
    return storage if isinstance(storage, LocalStorage) else None


def _orphans(errand: Errand) -> Iterator[StoredObject]:
    store = _store(errand)
    for batch in _batches(store.objects(older_than=STALE.total_seconds()) if store else ()):
        with errand.database.read() as db:
            yield from _unknown(db, batch)


def _unknown(db: Connection, batch: list[StoredObject]) -> list[StoredObject]:
    """Those that no row refers to, below an orbit that is or was ours, or left by a probe."""
    a, b, noted, e = t.artifacts, t.buckets, t.doomed_objects, t.events
    keys = [one.key for one in batch]

    def of(table: Any) -> Any:
        mine = exists(select(1).where(b.c.id == table.c.bucket_secret_id, b.c.builtin))
        return select(table.c.bucket_location).where(table.c.bucket_location.in_(keys), mine)

    known = set(db.scalars(union(of(a), of(noted))))
    places = {place for key in keys if (place := _orbit_of(key))}
    created = select(e.c.object_id).where(e.c.object_id.in_(places), e.c.action == "orbit.create")
    ours = set(db.scalars(union(select(t.orbits.c.id).where(t.orbits.c.id.in_(places)), created)))
    return [
        one
        for one in batch
        if one.key not in known and (one.key.startswith(f"{_PROBES}/") or _orbit_of(one.key) in ours)
    ]


def _orbit_of(key: str) -> UUID | None:
    try:
        return UUID(key.partition("/")[0])
    except ValueError:
        return None


def _free(errand: Errand, batch: list[StoredObject]) -> None:
    """Delete orphans, after another look: between the survey and now somebody may have restored their rows."""
    if (store := _store(errand)) is None:
        return
    with errand.database.write() as db:
        delete_bytes(db)
        for one in _unknown(db, batch):
            store.delete(one.key)


def _batches(found: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    rest = iter(found)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch
