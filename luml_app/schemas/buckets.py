"""Buckets: the places for bytes, and the signed addresses into them."""

from __future__ import annotations

from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Credential,
    Literal,
    Meta,
    Record,
    Short,
    Struct,
    UnsetType,
    Url,
    datetime,
)

BucketType = Literal["s3", "azure"]
BucketName = Annotated[str, Meta(min_length=1, max_length=255)]


class OrbitBase(Struct, kw_only=True):
    """An orbit by name."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime | None = None


class Bucket(Record, kw_only=True):
    """A bucket as it is listed, without its credentials. `builtin`: LUML's own store on the server's disk."""

    organization_id: UUID
    type: BucketType
    endpoint: str
    bucket_name: str
    region: str | None = None
    secure: bool | None = None
    cert_check: bool | None = None
    orbits: list[OrbitBase] = []
    builtin: bool = False


class BucketCreate(Struct, kw_only=True):
    """A bucket with the credentials that open it; they are stored encrypted and never given out."""

    endpoint: Url
    bucket_name: BucketName
    type: BucketType = "s3"
    region: Short | None = None
    access_key: Credential | None = None
    secret_key: Credential | None = None
    session_token: Credential | None = None
    secure: bool | None = None
    cert_check: bool | None = None


class BucketUpdate(Struct, kw_only=True):
    """Changes of a bucket; what is not sent stays."""

    type: BucketType | UnsetType | None = UNSET
    endpoint: Url | UnsetType | None = UNSET
    bucket_name: BucketName | UnsetType | None = UNSET
    region: Short | UnsetType | None = UNSET
    access_key: Credential | UnsetType | None = UNSET
    secret_key: Credential | UnsetType | None = UNSET
    session_token: Credential | UnsetType | None = UNSET
    secure: bool | UnsetType | None = UNSET
    cert_check: bool | UnsetType | None = UNSET


class BucketProbe(BucketUpdate, kw_only=True):
    """What to probe: the stored bucket, with these changes if any are sent. `id`, when sent, is the bucket's own."""

    id: UUID | None = None


class BucketUrls(Struct, kw_only=True):
    """Signed addresses of a probe object: PUT, GET (with a range) and DELETE it to see whether the bucket works."""

    presigned_url: str
    download_url: str
    delete_url: str


class ProbeStep(Struct, kw_only=True):
    """A step of a probe: ``write``, ``read``, ``range``, ``multipart``, ``delete`` or ``cors``, and what came of it."""

    name: str
    ok: bool
    detail: str


class BucketReport(Struct, kw_only=True):
    """What a probe has found. `ok`: LUML can use the bucket; the step ``cors`` counts for uploads from browsers only.

    `cors` is the configuration that the bucket needs for those, by the tool that takes it; None where all is well.
    """

    ok: bool
    steps: list[ProbeStep]
    cors: dict[str, str] | None = None


class Upload(Struct, kw_only=True):
    """Where to send an artifact's bytes: by one PUT to `url`, or by a multipart upload that `url` starts."""

    type: BucketType
    bucket_location: str
    bucket_secret_id: UUID
    url: str | None = None
    multipart: bool = False


class MultipartRequest(Struct, kw_only=True):
    """Asks for the part addresses of an upload that has been initiated as `upload_id`; `size` in bytes."""

    bucket_id: UUID
    bucket_location: Annotated[str, Meta(max_length=1024)]
    size: Annotated[int, Meta(ge=0, le=5 * 1024**4)]
    upload_id: Annotated[str, Meta(max_length=1024)] | None = None


class Part(Struct, kw_only=True):
    """One part: bytes `start_byte` to `end_byte`, both counted, go to `url` by PUT."""

    part_number: int
    url: str
    start_byte: int
    end_byte: int
    part_size: int


class MultipartUpload(Struct, kw_only=True):
    """Part addresses and the address that completes the upload."""

    type: BucketType
    parts: list[Part]
    complete_url: str
    upload_id: str | None = None
