"""Buckets: where the bytes are. The built-in one is a folder of the server behind signed addresses in S3's shape."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.resources.changes import sent
from luml_app.schemas.buckets import Bucket, BucketCreate, BucketProbe, BucketUpdate, BucketUrls, OrbitBase
from luml_app.schemas.errors import Conflict, Invalid
from luml_app.storage.opening import open_bucket

BUILTIN = "luml"
_SECRETS = ("access_key", "secret_key", "session_token")
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
        columns = {name: getattr(body, name) for name in _OPEN}
        row = {"id": new_id(), "organization_id": self.scope.organization_id, **columns}
        self.db.execute(insert(t.buckets).values(**row, credentials=self._sealed(_secrets_of(body))))
        self.scope.record("bucket.create", row["id"], after=columns)
        return self._load(t.buckets.c.id == row["id"])[0]

    @operation("GET /v1/organizations/{organization_id}/bucket-secrets/{secret_id}", needs="bucket:read")
    def get(self) -> Bucket:
        """A bucket, without its credentials."""
        return self._load(t.buckets.c.id == self.scope.row(t.buckets).id)[0]

    @operation("PATCH /v1/organizations/{organization_id}/bucket-secrets/{secret_id}", needs="bucket:update")
    def update(self, body: BucketUpdate) -> Bucket:
        """Change a bucket's address or credentials."""
        bucket = self.scope.row(t.buckets)
        if bucket.builtin:
            raise Conflict("The built-in bucket cannot be changed; add another one for other places.")
        before, changed = difference(bucket.columns, sent(body, t.buckets))
        values: dict[str, Any] = dict(changed)
        if secrets := _secrets_of(body):
            changed["credentials"] = "replaced: " + ", ".join(sorted(secrets))
            values["credentials"] = self._sealed({**self._unsealed(bucket.credentials), **secrets})
        if values:
            mine = t.buckets.c.id == bucket.id
            self.db.execute(update(t.buckets).where(mine).values(**values, updated_at=func.now()))
            self.scope.record("bucket.update", bucket.id, before=before, after=changed)
        return self.get()

    @operation(
        "DELETE /v1/organizations/{organization_id}/bucket-secrets/{secret_id}", needs="bucket:delete", status=204
    )
    def delete(self) -> None:
        """Delete a bucket's entry here, not the bucket; refused while an orbit or an artifact needs it."""
        bucket = self.scope.row(t.buckets)
        self.db.execute(delete(t.buckets).where(t.buckets.c.id == bucket.id))
        self.scope.record("bucket.delete", bucket.id, before={"bucket_name": bucket.bucket_name})

    @operation("POST /v1/organizations/{organization_id}/bucket-secrets/{secret_id}/urls", needs="bucket:update")
    def probe_urls(self, body: BucketProbe) -> BucketUrls:
        """Signed addresses of a probe object, to see whether the bucket works from where the client is."""
        bucket = self.scope.row(t.buckets)
        if body.id not in (None, bucket.id):
            raise Invalid.field("id", "This is another bucket than the one in the path.")
        storage = open_bucket(bucket, self.scope.keys, self.scope.settings)
        key, seconds = f"probe/{new_id()}", self.scope.settings.signed_url_seconds
        return BucketUrls(
            presigned_url=storage.upload_url(key, seconds),
            download_url=storage.download_url(key, seconds),
            delete_url=storage.delete_url(key, seconds),
        )

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

    def _sealed(self, secrets: dict[str, str]) -> bytes:
        sealed: bytes = self.scope.keys.encrypt(json.dumps(secrets))
        return sealed

    def _unsealed(self, data: bytes | None) -> dict[str, str]:
        return json.loads(self.scope.keys.decrypt(data)) if data else {}


_OPEN = ("type", "endpoint", "bucket_name", "region", "secure", "cert_check")


def _secrets_of(body: BucketCreate | BucketUpdate) -> dict[str, str]:
    return {name: value for name in _SECRETS if isinstance(value := getattr(body, name), str)}


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
