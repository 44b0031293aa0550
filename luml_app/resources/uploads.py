"""Multipart uploads: the addresses of their parts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.permissions import decide
from luml_app.schemas.buckets import MultipartRequest, MultipartUpload, Part
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, NotFound
from luml_app.storage.opening import open_bucket
from luml_app.storage.parts import plan_parts


class Uploads(Resource):
    """Multipart uploads."""

    @operation("POST /v1/bucket-secrets/upload/multipart", aliases=("/bucket-secrets/upload/multipart",))
    def multipart(self, body: MultipartRequest) -> MultipartUpload:
        """The part addresses of an upload that was initiated; for whoever may create the artifact that waits for it."""
        artifact = self._waiting_artifact(body)
        if body.size != artifact.size:
            raise Invalid.field("size", f"The artifact was announced with {artifact.size} bytes.")
        storage = open_bucket(artifact, self.scope.keys, self.scope.settings)
        if storage.kind == "s3" and not body.upload_id:
            raise Invalid.field("upload_id", "Send the upload id that the initiate request has answered.")
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

    def _waiting_artifact(self, body: MultipartRequest) -> Any:
        a, b, o, om, mine = t.artifacts, t.buckets, t.orbits, t.organization_members, t.orbit_members
        user = self.scope.user_id
        query = (
            select(b, a.c.size, a.c.status, om.c.role.label("organization_role"), mine.c.role.label("orbit_role"))
            .select_from(a)
            .join(b, b.c.id == a.c.bucket_secret_id)
            .join(o, o.c.id == a.c.orbit_id)
            .join(om, (om.c.organization_id == o.c.organization_id) & (om.c.user_id == user))
            .outerjoin(mine, (mine.c.orbit_id == o.c.id) & (mine.c.user_id == user))
            .where(a.c.bucket_location == body.bucket_location, b.c.id == body.bucket_id)
        )
        if self.scope.only_orbit_id is not None:
            query = query.where(o.c.id == self.scope.only_orbit_id)
        row = self.db.execute(query).one_or_none()
        if row is None or (row.organization_role == "member" and row.orbit_role is None):
            raise NotFound("No artifact waits for an upload at this place.")
        if not (decision := decide("artifact:create", row.organization_role, row.orbit_role)):
            raise Forbidden(decision.why)
        if row.status not in {"pending_upload", "upload_failed"}:
            raise Conflict("The artifact is uploaded already.")
        return row
