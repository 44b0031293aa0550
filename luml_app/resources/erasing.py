"""The chore that deletes a place bottom-up: deployments, artifacts with their bytes, and at last the place itself.

Every transaction leaves a state from which the next run goes on, so it may be killed anywhere. What somebody creates in
the place in the very moment in which it disappears is deleted like the rest: the place itself goes only when it is
found empty under a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, exists, func, or_, select, true, update

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.jobs.chores import Errand, chore, queue_chore
from luml_app.resources.desired import take_down
from luml_app.resources.moves import OF_ARTIFACT, hold_track, read_stages, told_of
from luml_app.resources.purging import PATIENT_PAUSES, bury_tombstones, doom, purge, queue_purge
from luml_app.schemas.errors import LumlError

SATELLITE_PATIENCE = timedelta(minutes=10)
"""So long a deletion waits for satellites to take deployments down; then it goes on without them."""
BYTES_PATIENCE = timedelta(days=3)
"""So long an organization waits for its buckets to answer; then it goes, and bytes are left behind there."""
_LOOK_AGAIN = timedelta(seconds=5)
_AT_ONCE = 200
_PLACES = {"collection": t.collections, "orbit": t.orbits, "organization": t.organizations}
_REMEMBERED = ("name", "file_name", "file_hash", "size", "bucket_secret_id", "bucket_location")


@chore("places.erase", attempts=100, pauses=PATIENT_PAUSES)
def erase(errand: Errand) -> str:
    """Go on with one deletion, as far as it goes now; in which step that ends."""
    erasure = _Erasure.load(errand)
    if erasure is None:
        return "done"
    while not errand.is_lost():
        if erasure.undeploying():
            erasure.look_again()
            return "undeploying"
        erasure.delete_artifacts()
        erasure.delete_bytes()
        if erasure.finish():
            return "done"
    return "lost"


@chore("places.resume", every=3600)
def resume_deletions(errand: Errand) -> int:
    """Take up deletions that were given up for a while."""
    with errand.database.write() as db:
        unfinished = db.scalars(select(t.deletions.c.id).where(t.deletions.c.finished_at.is_(None))).all()
        for deletion_id in unfinished:
            queue_chore(db, erase, {"deletion_id": str(deletion_id)}, key=str(deletion_id))
    return len(unfinished)


@dataclass
class _Erasure:
    """One deletion in progress; `row` is its row as it was when this run began."""

    errand: Errand
    row: Any

    @classmethod
    def load(cls, errand: Errand) -> _Erasure | None:
        """The deletion of the errand; None when it is done."""
        mine = t.deletions.c.id == UUID(errand.payload["deletion_id"])
        with errand.database.read() as db:
            age = (func.now() - t.deletions.c.created_at).label("age")
            row = db.execute(select(t.deletions, age).where(mine, t.deletions.c.finished_at.is_(None))).one_or_none()
        return None if row is None else cls(errand, row)

    @property
    def age(self) -> timedelta:
        """Since when it goes on."""
        age: timedelta = self.row.age
        return age

    def undeploying(self) -> bool:
        """Ask satellites to take deployments down; whether some are still waited for."""
        waiting = 0
        with self.errand.database.write() as db:
            for one in db.execute(self._deployments()):
                waiting += self._take_down(db, one)
            self._tell(db, "undeploying", waiting)
        return waiting > 0

    def delete_artifacts(self) -> None:
        """Delete the rows, some in each transaction, and note their objects."""
        while not self.errand.is_lost():
            with self.errand.database.write() as db:
                if not self._delete_some(db):
                    return

    def delete_bytes(self) -> None:
        """Delete what was noted. Raises what buckets raise, as long as there is patience with them."""
        with self.errand.database.write() as db:
            bucket_ids = set(db.scalars(select(t.doomed_objects.c.bucket_secret_id).where(self._noted()).distinct()))
            self._tell(db, "deleting bytes", self._count(db, t.doomed_objects, self._noted()))
        for bucket_id in bucket_ids:
            try:
                purge(self.errand, bucket_id)
            except LumlError as error:
                self._complain(error.message)
                if self.age < BYTES_PATIENCE:
                    raise

    def finish(self) -> bool:
        """Delete the place itself; False when something was created in it meanwhile."""
        with self.errand.database.write() as db:
            place = _PLACES[self.row.kind]
            db.execute(select(place.c.id).where(place.c.id == self.row.object_id).with_for_update())
            for orbit in self._orbits(db):
                db.execute(delete(t.tracks).where(t.tracks.c.orbit_id == orbit.id))
            if self._count(db, t.artifacts, self._inside()):
                return False
            self._delete_place(db)
            done = {"step": "done", "remaining": 0, "finished_at": func.now(), "updated_at": func.now()}
            db.execute(update(t.deletions).where(t.deletions.c.id == self.row.id).values(done))
        return True

    def look_again(self) -> None:
        """Go on in a moment, without keeping a worker busy with waiting."""
        with self.errand.database.write() as db:
            queue_chore(db, erase, self.errand.payload, key=str(self.row.id), pause=_LOOK_AGAIN)

    def _inside(self) -> Any:
        """Which artifacts are in the place."""
        a, o = t.artifacts, t.orbits
        if self.row.kind == "organization":
            return a.c.orbit_id.in_(select(o.c.id).where(o.c.organization_id == self.row.object_id))
        return a.c[f"{self.row.kind}_id"] == self.row.object_id

    def _deployments(self) -> Any:
        """Deployments in the place that are not gone, with what is known of their satellites."""
        d, s, r, a = t.deployments, t.satellites, t.revisions, t.artifacts
        inside: Any
        if self.row.kind == "collection":
            inside = exists(select(1).where(r.c.deployment_id == d.c.id, r.c.artifact_id == a.c.id, self._inside()))
        elif self.row.kind == "orbit":
            inside = d.c.orbit_id == self.row.object_id
        else:
            of_it = t.orbits.c.organization_id == self.row.object_id
            inside = d.c.orbit_id.in_(select(t.orbits.c.id).where(of_it))
        silence = timedelta(seconds=self.errand.settings.satellite_silence_seconds)
        away = or_(s.c.paired.is_(False), func.coalesce(s.c.last_seen_at < func.now() - silence, true()))
        known = select(d.c.id, d.c.satellite_id, d.c.orbit_id, d.c.desired, d.c.name, away.label("away"))
        return known.join(s, s.c.id == d.c.satellite_id).where(inside, d.c.status != "gone").order_by(d.c.id)

    def _take_down(self, db: Connection, one: Any) -> bool:
        """Ask once; without an answer for long, or from a satellite that is away, go on without. Whether to wait."""
        if one.away or self.age > SATELLITE_PATIENCE:
            take_down(db, one, status="gone")
            self._record(db, "deployment.force_delete", one.id, orbit_id=one.orbit_id, before={"name": one.name})
            return False
        if one.desired != "deleted":
            take_down(db, one)
            told = {"orbit_id": one.orbit_id, "satellite_id": one.satellite_id}
            self._record(db, "deployment.delete", one.id, before={"name": one.name}, **told)
        return True

    def _delete_some(self, db: Connection) -> bool:
        a = t.artifacts
        some = select(a.c.id).where(self._inside()).order_by(a.c.id).limit(_AT_ONCE).with_for_update()
        ids = db.scalars(some).all()
        if not ids:
            return False
        self._leave_tracks(db, ids)
        db.execute(bury_tombstones(ids))
        gone = doom(db, a.c.id.in_(ids), deletion_id=self.row.id)
        for orbit_id in {row.orbit_id for row in gone}:
            before = {
                row.id: {name: getattr(row, name) for name in _REMEMBERED} for row in gone if row.orbit_id == orbit_id
            }
            events.record_each(db, "artifact.delete", before, **(self._who() | {"orbit_id": orbit_id}))
        # Also told to the ordinary purge: should this deletion be hindered, the bytes go all the same.
        queue_purge(db, {row.bucket_secret_id for row in gone})
        self._tell(db, "deleting artifacts", self._count(db, a, self._inside()))
        return True

    def _leave_tracks(self, db: Connection, artifact_ids: Sequence[UUID]) -> None:
        """Take artifacts out of the tracks that they are in, told of as if somebody had taken them out."""
        e, a, tr = t.track_entries, t.artifacts, t.tracks
        of_them = e.c.artifact_id.in_(artifact_ids)
        tracks = select(tr.c.id, tr.c.orbit_id).join(e, e.c.track_id == tr.c.id).where(of_them).distinct()
        for track in db.execute(tracks.order_by(tr.c.id)).all():
            hold_track(db, track.id)
            stages = {row.entry_id: row for row in read_stages(db, track.id).values()}
            gone = delete(e).where(e.c.track_id == track.id, of_them, a.c.id == e.c.artifact_id)
            rows = db.execute(gone.returning(e, e.c.id.label("entry_id"), *OF_ARTIFACT)).all()
            told = [{"before": told_of(row, stages.get(row.id)), "after": None} for row in rows]
            who = self._who() | {"orbit_id": track.orbit_id}
            events.record_all(db, "track.remove", told, object_id=track.id, **who)

    def _noted(self) -> Any:
        """The noted objects that have to go first: of an organization all, because its buckets go with it."""
        noted, b = t.doomed_objects, t.buckets
        if self.row.kind != "organization":
            return noted.c.deletion_id == self.row.id
        return noted.c.bucket_secret_id.in_(select(b.c.id).where(b.c.organization_id == self.row.object_id))

    def _orbits(self, db: Connection) -> list[Any]:
        """The orbits that go with the place, locked, so that nobody creates anything in them any more."""
        o = t.orbits
        if self.row.kind == "collection":
            return []
        which = o.c.id if self.row.kind == "orbit" else o.c.organization_id
        return list(db.execute(select(o).where(which == self.row.object_id).order_by(o.c.id).with_for_update()))

    def _delete_place(self, db: Connection) -> None:
        d, kind = t.deployments, self.row.kind
        for orbit in self._orbits(db):
            db.execute(delete(d).where(d.c.orbit_id == orbit.id))
            db.execute(delete(t.orbits).where(t.orbits.c.id == orbit.id))
            self._record(db, "orbit.delete", orbit.id, orbit_id=orbit.id, before={"name": orbit.name})
        if kind == "organization":
            db.execute(delete(t.doomed_objects).where(self._noted()))
        if kind != "orbit":
            place = _PLACES[kind]
            db.execute(delete(place).where(place.c.id == self.row.object_id))
            self._record(db, f"{kind}.delete", self.row.object_id, before={"name": self.row.name})

    def _count(self, db: Connection, table: Any, which: Any) -> int:
        return db.scalar(select(func.count()).select_from(table).where(which)) or 0

    def _tell(self, db: Connection, step: str, remaining: int) -> None:
        """Show how far it is, and tell whoever looks."""
        now = {"step": step, "remaining": remaining, "problem": None, "updated_at": func.now()}
        db.execute(update(t.deletions).where(t.deletions.c.id == self.row.id).values(now))

    def _complain(self, problem: str) -> None:
        with self.errand.database.write() as db:
            mine = t.deletions.c.id == self.row.id
            db.execute(update(t.deletions).where(mine).values(problem=problem[:500], updated_at=func.now()))

    def _record(self, db: Connection, action: str, object_id: UUID, **columns: Any) -> None:
        events.record(db, action, object_id=object_id, **(self._who() | columns))

    def _who(self) -> dict[str, Any]:
        return {
            "organization_id": self.row.organization_id,
            "orbit_id": self.row.orbit_id,
            "actor_kind": "user",
            "actor_id": self.row.requested_by,
            "actor_name": self.row.requested_by_name,
            "why": f"with the {self.row.kind} {self.row.name!r}",
        }
