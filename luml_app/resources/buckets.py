"""Buckets: where the bytes are. The built-in one is a folder of the server behind signed addresses in S3's shape."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from msgspec import to_builtins
from sqlalchemy import delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.schemas.buckets import (
    Bucket,
    BucketCreate,
    BucketProbe,
    BucketReport,
    BucketUpdate,
    BucketUrls,
    OrbitBase,
)
from luml_app.schemas.errors import Conflict, Invalid
from luml_app.storage.interface import Storage
from luml_app.storage.opening import open_bucket, open_place, place_of
from luml_app.storage.places import Place, described
from luml_app.storage.probing import probe_bucket

BUILTIN = "luml"
Listed = list[Bucket]


class Buckets(Resource):
    """Places for bytes, with their credentials."""

    @operation("GET /v1/organizations/{organization_id}/bucket-secrets", needs="bucket:list")
    def list(self) -> Listed:
        """The buckets of an organization, without their credentials."""
        return self._load(t.buckets.c.organization_id == self.scope.organization_id)

    @operation("POST /v1/organizations/{organization_id}/bucket-secrets", needs="bucket:create")
    def create(self, body: BucketCreate) -> Bucket:
        """Add a bucket; its credentials are encrypted and never given out again."""
        place = described(to_builtins(body))
        open_place(place, self.scope.settings)
        row = {"id": new_id(), "organization_id": self.scope.organization_id, **place.columns}
        self.db.execute(insert(t.buckets).values(**row, credentials=self._sealed(place)))
        self.scope.record("bucket.create", row["id"], after=place.columns)
        return self._load(t.buckets.c.id == row["id"])[0]

    @operation("GET /v1/organizations/{organization_id}/bucket-secrets/{secret_id}", needs="bucket:read")
    def get(self) -> Bucket:
        """A bucket, without its credentials."""
        return self._load(t.buckets.c.id == self.scope.row(t.buckets).id)[0]

    @operation("PATCH /v1/organizations/{organization_id}/bucket-secrets/{secret_id}", needs="bucket:update")
    def update(self, body: BucketUpdate) -> Bucket:
        """Change a bucket's address or credentials."""
        bucket = self._elsewhere("The built-in bucket cannot be changed; add another one for other places.")
        old = place_of(bucket, self.scope.keys)
        new = self._changed(old, body)
        before, changed = difference(old.columns, new.columns)
        values: dict[str, Any] = dict(changed)
        if replaced := sorted(n for n in {*old.secrets, *new.secrets} if old.secrets.get(n) != new.secrets.get(n)):
            changed["credentials"] = "replaced: " + ", ".join(replaced)
            values["credentials"] = self._sealed(new)
        if values:
            mine = t.buckets.c.id == bucket.id
            self.db.execute(update(t.buckets).where(mine).values(**values, updated_at=func.now()))
            self.scope.record("bucket.update", bucket.id, before=before, after=changed)
        return self.get()

    @operation(
        "DELETE /v1/organizations/{organization_id}/bucket-secrets/{secret_id}", needs="bucket:delete", status=204
    )
    def delete(self, leave_bytes: bool = False) -> None:
        """Delete a bucket's entry here, not the bucket; refused while an orbit or an artifact needs it.

        Refused, too, while bytes of deleted artifacts are still to be deleted there; with `leave_bytes` they stay in
        the bucket, as they must when its credentials do not open it any more.
        """
        bucket, noted = self.scope.row(t.buckets), t.doomed_objects
        if leave_bytes:
            self.db.execute(delete(noted).where(noted.c.bucket_secret_id == bucket.id))
        self.db.execute(delete(t.buckets).where(t.buckets.c.id == bucket.id))
        self.scope.record("bucket.delete", bucket.id, before={"bucket_name": bucket.bucket_name})

    @operation("POST /v1/organizations/{organization_id}/bucket-secrets/{secret_id}/urls", needs="bucket:update")
    def probe_urls(self, body: BucketProbe) -> BucketUrls:
        """Signed addresses of a probe object, to see whether the bucket works from where the client is."""
        bucket = self.scope.row(t.buckets)
        if body.id not in (None, bucket.id):
            raise Invalid.field("id", "This is another bucket than the one in the path.")
        if bucket.builtin:
            return self._urls(open_bucket(bucket, self.scope.keys, self.scope.settings))
        place = self._changed(place_of(bucket, self.scope.keys), body)
        return self._urls(open_place(place, self.scope.settings))

    @operation("POST /v1/bucket-secrets/urls")
    def try_urls(self, body: BucketCreate) -> BucketUrls:
        """Signed addresses of a probe object in a bucket that is not added yet; nothing is kept."""
        return self._urls(open_place(described(to_builtins(body)), self.scope.settings))

    @operation("POST /v1/organizations/{organization_id}/bucket-secrets/{secret_id}/probe", needs="bucket:update")
    def probe(self) -> BucketReport:
        """Try from the server all that LUML does with a bucket, and say of each step how it went.

        An object is written, read by range, uploaded in parts and deleted by signed addresses; a preflight asks
        whether the pages of this server may speak to the bucket. `cors` holds what to tell the bucket if they may not.
        """
        storage = open_bucket(self.scope.row(t.buckets), self.scope.keys, self.scope.settings)
        address = self.scope.settings.address
        report: BucketReport = self.scope.ask("probe", lambda: probe_bucket(storage, address))
        return report

    def _urls(self, storage: Storage) -> BucketUrls:
        key, seconds = f"probe/{new_id()}", self.scope.settings.signed_url_seconds
        return BucketUrls(
            presigned_url=storage.upload_url(key, seconds),
            download_url=storage.download_url(key, seconds),
            delete_url=storage.delete_url(key, seconds),
        )

    def _elsewhere(self, refusal: str) -> Any:
        bucket = self.scope.row(t.buckets)
        if bucket.builtin:
            raise Conflict(refusal)
        return bucket

    def _changed(self, place: Place, body: BucketUpdate) -> Place:
        """The place after the changes of the body; nulls are what forms send for fields that they leave alone."""
        sent = {name: value for name, value in to_builtins(body).items() if name != "id"}
        nullable = {"region", "secure", "cert_check"}
        changed = place.changed({n: v for n, v in sent.items() if v is not None or n in nullable})
        open_place(changed, self.scope.settings)
        return changed

    def _load(self, which: Any) -> Listed:
        orbits: dict[UUID, Any] = {}
        rows = self.db.execute(select(t.buckets).where(which).order_by(t.buckets.c.created_at, t.buckets.c.id)).all()
        using = select(t.orbits).where(t.orbits.c.bucket_secret_id.in_([row.id for row in rows]))
        for row in self.db.execute(using.order_by(t.orbits.c.created_at)) if rows else ():
            names = OrbitBase.__struct_fields__
            orbits.setdefault(row.bucket_secret_id, []).append(
                OrbitBase(**{name: getattr(row, name) for name in names})
            )
        return [_bucket(row, orbits.get(row.id, []), self.scope.settings.address) for row in rows]

    def _sealed(self, place: Place) -> bytes:
        sealed: bytes = self.scope.keys.encrypt(json.dumps(place.secrets))
        return sealed


def _bucket(row: Any, orbits: Any, address: str) -> Bucket:
    columns = {name: getattr(row, name) for name in Bucket.__struct_fields__ if name != "orbits"}
    if row.type == "s3":
        columns["region"] = row.region or ""  # clients rely on a text
    if row.builtin:
        # The server's own address may change from start to start; the row does not need to know it.
        columns["endpoint"] = address
    return Bucket(**columns, orbits=orbits)


def add_builtin(scope: Any, organization_id: UUID) -> UUID:
    """Give an organization its bucket in the server's own store."""
    row = builtin_row(scope.settings, organization_id)
    scope.db.execute(insert(t.buckets).values(row))
    bucket_id: UUID = row["id"]
    return bucket_id


def builtin_row(settings: Any, organization_id: UUID) -> dict[str, Any]:
    """An organization's bucket in the server's own store, as a row."""
    place = {"type": "s3", "endpoint": settings.address, "bucket_name": BUILTIN, "region": "local"}
    row = {"id": new_id(), "organization_id": organization_id, "builtin": True, "secure": settings.secure}
    return row | place
