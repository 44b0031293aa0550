"""Uploads: the addresses of parts, and what becomes of an upload that did not end well."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.paths import in_living_collection
from luml_app.core.permissions import decide
from luml_app.resources.artifacts import artifact_of, upload_of
from luml_app.resources.batches import REMEMBERED
from luml_app.resources.purging import doom, queue_purge
from luml_app.resources.verifying import UNFINISHED
from luml_app.schemas.artifacts import ArtifactCreated
from luml_app.schemas.buckets import MultipartRequest, MultipartUpload, Part
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, NotFound
from luml_app.storage.opening import open_bucket
from luml_app.storage.parts import plan_parts

_ONE = (
    "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/upload"
)
_KEPT_UPLOADS = 100


class Uploads(Resource):
    """Uploads of artifacts' bytes: parts, retries, aborts."""

    @operation("POST /v1/bucket-secrets/upload/multipart", aliases=("/bucket-secrets/upload/multipart",))
    def multipart(self, body: MultipartRequest) -> MultipartUpload:
        """The part addresses of an upload that was initiated; for whoever may create the artifact that waits for it."""
        artifact = self._waiting_artifact(body)
        if body.size != artifact.size:
            raise Invalid.field("size", f"The artifact was announced with {artifact.size} bytes.")
        storage = open_bucket(artifact, self.scope.keys, self.scope.settings)
        if storage.kind == "s3" and not body.upload_id:
            raise Invalid.field("upload_id", "Send the upload id that the initiate request has answered.")
        self._remember(artifact, body.upload_id)
        seconds = self.scope.settings.signed_url_seconds
        parts = plan_parts(body.size)
        urls = storage.part_urls(body.bucket_location, body.upload_id, parts, seconds)
        return MultipartUpload(
            type=storage.kind,
            upload_id=body.upload_id,
            complete_url=storage.complete_url(body.bucket_location, body.upload_id, seconds),
            parts=[
                Part(part_number=part.number, url=url, start_byte=part.start, end_byte=part.end, part_size=part.size)
                for part, url in zip(parts, urls, strict=True)
            ],
        )

    @operation(f"POST {_ONE}", needs="artifact:create")
    def retry(self) -> ArtifactCreated:
        """Get a new address for the bytes of an artifact whose upload failed, or has not ended."""
        a, one = t.artifacts, self._unfinished()
        again = {"status": "pending_upload", "updated_at": func.now()}
        still = (a.c.id == one.id, a.c.status == one.status)
        row = self.db.execute(update(a).where(*still).values(again).returning(a)).one_or_none()
        if row is None:
            raise Conflict("The artifact's status changed in the same moment; look again.")
        bucket = self.db.execute(select(t.buckets).where(t.buckets.c.id == one.bucket_secret_id)).one()
        self.scope.record("artifact.retry", one.id, before={"status": one.status}, after={"status": row.status})
        return ArtifactCreated(artifact=artifact_of(row), upload_details=upload_of(row, bucket, self.scope))

    @operation(f"DELETE {_ONE}", needs="artifact:create", status=204)
    def abort(self) -> None:
        """Give up an upload that has not ended: the artifact goes, and what arrived of its bytes."""
        a, one = t.artifacts, self._unfinished()
        if not doom(self.db, (a.c.id == one.id) & a.c.status.in_(UNFINISHED)):
            raise Conflict("The upload has ended in this very moment; delete the artifact instead.")
        self.scope.record("artifact.abort", one.id, before={name: getattr(one, name) for name in REMEMBERED})
        queue_purge(self.db, {one.bucket_secret_id})

    def _unfinished(self) -> Any:
        one = self.scope.row(t.artifacts)
        if one.status not in UNFINISHED:
            raise Conflict(f"The artifact is {one.status.replace('_', ' ')}; no upload waits for its bytes.")
        return one

    def _remember(self, artifact: Any, upload_id: str | None) -> None:
        """Keep the id: nobody else can abort the upload when the client does not come back."""
        if not upload_id or upload_id in artifact.upload_ids:
            return
        a = t.artifacts
        known = [*artifact.upload_ids, upload_id][-_KEPT_UPLOADS:]
        mine = update(a).where(a.c.id == artifact.artifact_id)
        self.db.execute(mine.values(upload_ids=known, updated_at=func.now()))

    def _waiting_artifact(self, body: MultipartRequest) -> Any:
        a, b, o, om, mine = t.artifacts, t.buckets, t.orbits, t.organization_members, t.orbit_members
        user = self.scope.user_id
        roles = (om.c.role.label("organization_role"), mine.c.role.label("orbit_role"))
        query = (
            select(b, a.c.id.label("artifact_id"), a.c.upload_ids, a.c.size, a.c.status, *roles)
            .select_from(a)
            .join(b, b.c.id == a.c.bucket_secret_id)
            .join(o, o.c.id == a.c.orbit_id)
            .join(om, (om.c.organization_id == o.c.organization_id) & (om.c.user_id == user))
            .outerjoin(mine, (mine.c.orbit_id == o.c.id) & (mine.c.user_id == user))
            .where(a.c.bucket_location == body.bucket_location, b.c.id == body.bucket_id)
            .where(o.c.deleting_since.is_(None), in_living_collection())
        )
        if self.scope.only_orbit_id is not None:
            query = query.where(o.c.id == self.scope.only_orbit_id)
        row = self.db.execute(query).one_or_none()
        if row is None or (row.organization_role == "member" and row.orbit_role is None):
            raise NotFound("No artifact waits for an upload at this place.")
        if not (decision := decide("artifact:create", row.organization_role, row.orbit_role)):
            raise Forbidden(decision.why)
        if row.status not in UNFINISHED:
            raise Conflict("The artifact is uploaded already.")
        return row
