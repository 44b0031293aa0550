"""Artifacts: models, datasets and experiments, each one stored file."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, func, insert, select, true, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.outside import UNASKED
from luml_app.core.prepared import Prepared
from luml_app.core.scope import Found
from luml_app.resources.artifact_rows import listed_artifacts
from luml_app.resources.artifact_search import Wanted, find_page
from luml_app.resources.artifact_values import (
    GROUPS,
    check_values,
    insert_values,
    merge_values,
    old_values,
    sent_values,
)
from luml_app.resources.batches import REMEMBERED, move, remove
from luml_app.resources.changes import sent
from luml_app.resources.collections import collection_of
from luml_app.resources.deployment_rows import deployments_of_artifact
from luml_app.resources.limits import check_limit
from luml_app.resources.manifests import type_of
from luml_app.resources.purging import bury_tombstones, doom, queue_purge
from luml_app.resources.verifying import UNFINISHED, fault_of_upload
from luml_app.schemas.artifacts import (
    Artifact,
    ArtifactBase,
    ArtifactBatchDelete,
    ArtifactBatchMove,
    ArtifactCreate,
    ArtifactCreated,
    ArtifactDetails,
    ArtifactMove,
    ArtifactPage,
    ArtifactsChanged,
    ArtifactStatus,
    ArtifactType,
    ArtifactUpdate,
    Sha256,
    SignedUrl,
    TrackBase,
)
from luml_app.schemas.buckets import Upload
from luml_app.schemas.deployments import DeploymentBase
from luml_app.schemas.errors import BadRequest, Conflict, NotFound
from luml_app.schemas.fields import Limit, SortOrder
from luml_app.storage.interface import ObjectInfo
from luml_app.storage.opening import open_bucket
from luml_app.storage.parts import is_multipart

_ORBIT = "/v1/organizations/{organization_id}/orbits/{orbit_id}"
_ALL = _ORBIT + "/collections/{collection_id}/artifacts"
_ONE = _ALL + "/{artifact_id}"
Types = list[ArtifactType]
Statuses = list[ArtifactStatus]
Texts = list[str]
Ids = list[UUID]
Known = list[ArtifactBase]
Deployments = list[DeploymentBase]


class Artifacts(Resource):
    """Stored files with manifest, digest, file index, metrics and tags."""

    @operation(f"POST {_ALL}", needs="artifact:create")
    def create(self, body: ArtifactCreate) -> ArtifactCreated:
        """Announce an artifact and get the address to which its bytes go."""
        kind = type_of(body.manifest, declared=body.type)
        collection = self.scope.row(t.collections)
        if collection.type != "mixed" and kind not in collection.type.split("_"):
            raise BadRequest(
                f"This collection is for {collection.type.replace('_', ' and ')} artifacts, not for a {kind}."
            )
        check_values(body.extra_values, "extra_values")
        check_values(body.params, "params")
        check_limit(self.scope, "artifacts")
        row = self._insert(body, kind)
        self.scope.record("artifact.create", row.id, after={"name": row.name, "type": kind, "size": row.size})
        return ArtifactCreated(artifact=artifact_of(row), upload_details=upload_of(row, _BucketOf(row), self.scope))

    @operation(f"GET {_ORBIT}/artifacts", needs="artifact:list")
    def list(
        self,
        types: Types | None = None,
        cursor: str | None = None,
        limit: Limit = 50,
        sort_by: str = "created_at",
        order: SortOrder = "desc",
        collection_ids: Ids | None = None,
        search: str | None = None,
        excluded_tracks: Ids | None = None,
        text: str | None = None,
        tags: Texts | None = None,
        type: ArtifactType | None = None,
        status: Statuses | None = None,
        filter: str | None = None,
        with_total: bool = False,
    ) -> ArtifactPage:
        """The artifacts of an orbit that fit all that is asked for.

        `search` is a piece of name, description or tags, `text` words that each occur there, `tags` are tags that the
        artifact has all of. `filter` is an expression over attributes, metrics and parameters, as in
        `metrics.auc > 0.9 and tags contains "prod"`. `sort_by` is a field or the name of a metric (or `metrics.…`,
        `params.…`): numbers only, missing ones last.
        """
        wanted = Wanted(
            orbit_id=self.scope.orbit_id,
            types=types,
            type=type,
            status=status,
            tags=tags,
            collection_ids=collection_ids,
            excluded_tracks=excluded_tracks,
            search=search,
            text=text,
            filter=filter,
            sort_by=sort_by,
            order=order,
            limit=limit,
            cursor=cursor,
            with_total=with_total,
        )
        ids, following, total = find_page(self.db, wanted)
        return ArtifactPage(items=listed_artifacts(self.db, ids), cursor=following, total=total)

    @operation(f"GET {_ORBIT}/artifacts/{{artifact_id}}", needs="artifact:read", whole=True)
    def find(self) -> Artifact:
        """An artifact of an orbit by its id alone, whatever collection it is in; `artifacts.get` tells more."""
        return artifact_of(self.scope.row(t.artifacts))

    @operation(f"GET {_ONE}", needs="artifact:read", whole=True)
    def get(self) -> ArtifactDetails:
        """An artifact with manifest and file index, where it stands and what uses it."""
        one = self.scope.row(t.artifacts)
        tracks = _TRACKS.all(self.db, artifact_id=one.id)
        names = TrackBase.__struct_fields__
        return ArtifactDetails(
            **_plain(one),
            collection=collection_of(self.scope.row(t.collections)),
            tracks=[TrackBase(**{name: getattr(row, name) for name in names}) for row in tracks],
            deployments=deployments_of_artifact(self.db, one.id),
        )

    @operation(f"PATCH {_ONE}", needs="artifact:update", whole=True)
    def update(self, body: ArtifactUpdate) -> Artifact:
        """Change name, description, tags, metrics or parameters, or report how an upload or a deletion went.

        Before an upload counts, the server looks into the bucket: without the object, or with another size or
        checksum than announced, the artifact becomes `upload_failed` and the answer is a conflict.
        """
        one = self.scope.row(t.artifacts)
        values, wanted = sent_values(body), sent(body, t.artifacts)
        wanted.pop("params", None)
        if not wanted.get("name", one.name):
            wanted["name"] = one.file_name  # clients rely on a name
        if "status" in wanted:
            wanted["status"] = self._checked_status(one, wanted["status"])
        if self.scope.refusal is not None:
            wanted, values = {"status": wanted["status"]}, {}
        before, changed = difference(one.columns, wanted)
        if not changed and not values:
            return artifact_of(one)
        a = t.artifacts
        same = a.c.status == one.status if "status" in changed else true()
        done = update(a).where(a.c.id == one.id, same).values(**changed, updated_at=func.now()).returning(a)
        row = self.db.execute(merge_values(done, values) if values else done).one_or_none()
        if row is None:
            raise Conflict("The artifact's status changed in the same moment; look again.")
        for group in values:  # what was there, and what has come to it
            check_values(getattr(row, GROUPS[group]), group)
        self.scope.record("artifact.update", row.id, before=before | old_values(one, values), after=changed | values)
        return artifact_of(row)

    @operation(f"GET {_ONE}/download-url", needs="artifact:read")
    def download_url(self) -> SignedUrl:
        """A signed address of the artifact's bytes; it understands ranges."""
        return SignedUrl(url=download_url(self.scope, self.scope.row(t.artifacts)))

    @operation(f"GET {_ONE}/delete-url", needs="artifact:delete", writes=True)
    def delete_url(self) -> SignedUrl:
        """Begin a deletion by the client: a signed address that deletes the bytes. `artifacts.delete` confirms."""
        one, seconds = self.scope.row(t.artifacts), self.scope.settings.signed_url_seconds
        storage = self._storage(one, lock=True)
        self._check_unused(one)
        change = {"status": "pending_deletion"}
        if one.status != change["status"]:
            mine = t.artifacts.c.id == one.id
            self.db.execute(update(t.artifacts).where(mine).values(**change, updated_at=func.now()))
            self.scope.record("artifact.update", one.id, before={"status": one.status}, after=change)
        return SignedUrl(url=storage.delete_url(one.bucket_location, seconds))

    @operation(f"POST {_ONE}/move", needs="artifact:update", whole=True)
    def move(self, body: ArtifactMove) -> Artifact:
        """Move an artifact into another collection of the orbit; tracks and deployments do not notice."""
        one = self.scope.row(t.artifacts)
        moved = move(self.scope, [one.id], body.target_collection_id)
        if moved.refused:
            raise Conflict(moved.refused[0].reason)
        return artifact_of(Found(one.columns | {"collection_id": body.target_collection_id}))

    @operation(f"POST {_ORBIT}/artifacts/move", needs="artifact:update")
    def move_many(self, body: ArtifactBatchMove) -> ArtifactsChanged:
        """Move artifacts into another collection of the orbit: those that can be; the answer says why not the others.

        At most 500 at once; several calls do more.
        """
        return move(self.scope, body.artifact_ids, body.target_collection_id)

    @operation(f"POST {_ORBIT}/artifacts/delete", needs="artifact:delete")
    def delete_many(self, body: ArtifactBatchDelete) -> ArtifactsChanged:
        """Delete artifacts and their bytes: those that can be; the answer says why not the others.

        At most 500 at once; several calls do more.
        """
        return remove(self.scope, body.artifact_ids)

    @operation(f"GET {_ORBIT}/artifacts/by-hash", needs="artifact:list")
    def by_hash(self, sha256: Sha256) -> Known:
        """The uploaded artifacts of the orbit with exactly these bytes, oldest first: ask before uploading again."""
        a, c = t.artifacts, t.collections
        same = (a.c.orbit_id == self.scope.orbit_id, a.c.file_hash == sha256.lower(), a.c.status == "uploaded")
        columns = (a.c.id, a.c.collection_id, a.c.type, a.c.name, a.c.file_name, a.c.size, a.c.created_at)
        query = select(*columns, c.c.name.label("collection_name")).join(c, c.c.id == a.c.collection_id)
        rows = self.db.execute(query.where(*same, c.c.deleting_since.is_(None)).order_by(a.c.id).limit(100))
        return [ArtifactBase(**row._mapping) for row in rows]

    @operation(f"DELETE {_ONE}", needs="artifact:delete", status=204)
    def delete(self) -> None:
        """Delete an artifact and its bytes; refused while it is deployed or in a track."""
        self._delete()

    @operation(f"DELETE {_ONE}/force", needs="artifact:delete", status=204)
    def force_delete(self) -> None:
        """Delete an artifact and its bytes in whatever status it is; refused while it is deployed or in a track."""
        self._delete()

    def _insert(self, body: ArtifactCreate, kind: str) -> Any:
        artifact_id, orbit = new_id(), self.scope.row(t.orbits)
        columns: dict[str, Any] = {name: getattr(body, name) for name in ArtifactCreate.__struct_fields__}
        columns |= {
            "id": artifact_id,
            "name": body.name or body.file_name,
            "type": kind,
            "file_hash": body.file_hash.lower(),
            "orbit_id": orbit.id,
            "collection_id": self.scope.row(t.collections).id,
            "bucket_secret_id": orbit.bucket_secret_id,
            "bucket_location": f"{orbit.id}/{artifact_id}{_suffix(body.file_name)}",
            "unique_identifier": artifact_id.hex,
            "status": "pending_upload",
            "created_by_id": self.scope.user_id,
            "created_by_user": self.scope.caller.full_name or self.scope.caller.name,
        }
        for name in _DOCUMENTS:
            columns[name] = msgspec.json.encode(columns[name]).decode()
        return _INSERT.one(self.db, **{f"new_{name}": columns.get(name) for name in _GIVEN})

    def _checked_status(self, one: Any, status: str) -> str:
        allowed = {
            "uploaded": {*UNFINISHED, "uploaded"},
            "upload_failed": {*UNFINISHED},
            "deletion_failed": {"pending_deletion", "deletion_failed"},
        }
        if one.status not in allowed[status]:
            raise Conflict(f"An artifact that is {one.status} cannot become {status}.")
        if status == "uploaded" and one.status != "uploaded" and (fault := fault_of_upload(self._stored(one), one)):
            self.scope.refusal = Conflict(fault)
            return "upload_failed"
        return status

    def _stored(self, one: Any) -> ObjectInfo | None:
        """What the bucket holds. In the server's own store nobody can replace it before this is committed; any other
        bucket is asked without a lock, a connection, or a thread that others need.
        """
        answer: ObjectInfo | None = self.scope.answer
        if self.scope.answer is UNASKED:
            storage, key = self._storage(one, lock=True), one.bucket_location
            answer = storage.stat(key) if storage.reach.near else self.scope.ask("look", lambda: storage.stat(key))
        return answer

    def _storage(self, one: Any, *, lock: bool = False) -> Any:
        """The artifact's bucket. With `lock`, whoever wants to use the artifact waits until we are done with it."""
        a, b = t.artifacts, t.buckets
        query = select(b).join(a, a.c.bucket_secret_id == b.c.id).where(a.c.id == one.id)
        bucket = self.db.execute(query.with_for_update(of=a) if lock else query).one()
        return open_bucket(bucket, self.scope.keys, self.scope.settings)

    def _check_unused(self, one: Any) -> None:
        tracked = select(1).where(t.track_entries.c.artifact_id == one.id).exists()
        deployed = self._deployments(one).where(t.deployments.c.status != "gone").exists()
        used = self.db.execute(select(tracked.label("tracked"), deployed.label("deployed"))).one()
        if used.tracked:
            raise Conflict("The artifact is in a track; take it out first.")
        if used.deployed:
            raise Conflict("A deployment serves this artifact; delete the deployment first.")

    def _deployments(self, one: Any) -> Any:
        d, r = t.deployments, t.revisions
        return select(d.c.id).join(r, r.c.deployment_id == d.c.id).where(r.c.artifact_id == one.id)

    def _delete(self) -> None:
        one = self.scope.row(t.artifacts)
        self.db.execute(bury_tombstones([one.id]))
        if not doom(self.db, t.artifacts.c.id == one.id):
            raise NotFound("It has been deleted in this very moment.")
        self.scope.record("artifact.delete", one.id, before={name: getattr(one, name) for name in REMEMBERED})
        queue_purge(self.db, {one.bucket_secret_id})


_FILLED = {"created_at", "updated_at", "upload_ids"}
"""What a new artifact's row gets from the database itself."""
_GIVEN = tuple(name for name in t.artifacts.c.keys() if name not in _FILLED)  # noqa: SIM118 - no dict
_DOCUMENTS = ("manifest", "file_index", "extra_values", "params")


def _insert() -> Prepared:
    """The statement that stores a new artifact with its values, and reads its bucket along."""
    given = {name: bindparam(f"new_{name}", type_=t.artifacts.c[name].type) for name in _GIVEN}
    new = insert(t.artifacts).values(given).returning(t.artifacts).cte("new")
    bucket = [column.label(f"bucket_{column.name}") for column in t.buckets.c]
    query = select(new, *bucket).join(t.buckets, t.buckets.c.id == new.c.bucket_secret_id)
    return Prepared(query.add_cte(insert_values(new)))


_INSERT = _insert()


class _BucketOf:
    """The bucket's columns out of a row that carries them beside the artifact's."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, f"bucket_{name}" if name != "bucket_name" else "bucket_bucket_name")


def upload_of(row: Any, bucket: Any, scope: Any) -> Upload:
    """Where an artifact's bytes go, and how."""
    storage = open_bucket(bucket, scope.keys, scope.settings)
    key, seconds = row.bucket_location, scope.settings.signed_url_seconds
    multipart = is_multipart(row.size)
    url = storage.initiate_url(key, seconds) if multipart else storage.upload_url(key, seconds)
    place = {"bucket_location": key, "bucket_secret_id": row.bucket_secret_id}
    return Upload(type=storage.kind, url=url, multipart=multipart, **place)


def download_url(scope: Any, one: Any) -> str:
    """A signed address of an artifact's bytes. Raises Conflict before they are there."""
    if one.status in UNFINISHED:
        raise Conflict("The artifact is not uploaded yet.")
    bucket = scope.db.execute(select(t.buckets).where(t.buckets.c.id == one.bucket_secret_id)).one()
    storage = open_bucket(bucket, scope.keys, scope.settings)
    return storage.download_url(one.bucket_location, scope.settings.signed_url_seconds, one.file_name)


def _tracks() -> Any:
    """The tracks that an artifact is in."""
    tr, e = t.tracks, t.track_entries
    columns = (tr.c[name] for name in TrackBase.__struct_fields__)
    mine = e.c.artifact_id == bindparam("artifact_id")
    return select(*columns).join(e, e.c.track_id == tr.c.id).where(mine).order_by(tr.c.name)


_TRACKS = Prepared(_tracks())


def artifact_of(row: Any) -> Artifact:
    """An artifact from its row."""
    return Artifact(**_plain(row))


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Artifact.__struct_fields__}


def _suffix(file_name: str) -> str:
    found = re.search(r"\.[A-Za-z0-9]{1,16}$", file_name)
    return found.group() if found else ""
