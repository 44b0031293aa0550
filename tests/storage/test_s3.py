"""What is S3's own: checksums that the service has computed, addresses of services, credentials that are none."""

from __future__ import annotations

import gc
import hashlib
import weakref
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fsspec import AbstractFileSystem

from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.storage import opening
from luml_app.storage.errors import BucketRefused
from luml_app.storage.opening import open_bucket, open_place
from luml_app.storage.places import Place
from tests.buckets import CREDENTIALS, Service, s3_client

from .conftest import LIFETIME

FIVE = 5 * 2**20
KEYS = Keys(["of these tests only, and long enough"])


def host_of(endpoint: str, bucket: str = "models", **fields: Any) -> str:
    place = Place("s3", endpoint, bucket, secrets=dict(CREDENTIALS), **fields)
    split = urlsplit(open_place(place, Settings()).upload_url("key", LIFETIME))
    return f"{split.scheme}://{split.netloc}{split.path}"


def test_a_sha256_that_the_service_has_computed_is_believed(moto: Service, key: str) -> None:
    storage, client = open_place(moto.place, Settings()), s3_client(moto.body)
    client.put_object(Bucket=moto.body["bucket_name"], Key=key, Body=b"a model", ChecksumAlgorithm="SHA256")
    info = storage.stat(key)
    assert info is not None and info.sha256 == hashlib.sha256(b"a model").hexdigest()


def test_a_checksum_over_parts_is_not_one_of_the_whole(moto: Service, key: str) -> None:
    storage, client = open_place(moto.place, Settings()), s3_client(moto.body)
    where = {"Bucket": moto.body["bucket_name"], "Key": key}
    begun = client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    part = client.upload_part(**where, UploadId=begun, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")
    listed = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
    client.complete_multipart_upload(**where, UploadId=begun, MultipartUpload={"Parts": [listed]})
    info = storage.stat(key)
    assert info is not None and (info.size, info.sha256) == (1, None)


@pytest.mark.parametrize(
    ("endpoint", "fields", "address"),
    [
        ("s3.amazonaws.com", {}, "https://models.s3.amazonaws.com/key"),
        ("s3.amazonaws.com", {"region": "eu-west-1"}, "https://models.s3.eu-west-1.amazonaws.com/key"),
        ("https://s3.eu-west-1.amazonaws.com/", {}, "https://models.s3.eu-west-1.amazonaws.com/key"),
        ("minio.example.org:9000", {"secure": False}, "http://minio.example.org:9000/models/key"),
        ("minio.example.org", {"secure": True}, "https://minio.example.org/models/key"),
        ("http://minio.example.org", {"secure": True}, "http://minio.example.org/models/key"),
        ("https://example.org/s3/", {}, "https://example.org/s3/models/key"),
        ("https://[2001:db8::1]:9000", {}, "https://[2001:db8::1]:9000/models/key"),
    ],
)
def test_addresses_of_services(endpoint: str, fields: dict[str, Any], address: str) -> None:
    assert host_of(endpoint, **fields) == address


def test_a_name_with_dots_stays_in_the_path() -> None:
    """No certificate is good for a host with further dots in front."""
    assert host_of("s3.amazonaws.com", "models.of.us") == "https://s3.amazonaws.com/models.of.us/key"


def test_the_servers_own_credentials_are_not_a_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEOPERATOR")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the operator's own")
    url = open_place(Place("s3", "s3.example.org", "public"), Settings()).download_url("key", LIFETIME)
    assert url == "https://s3.example.org/public/key"


def test_a_session_token_travels_along() -> None:
    place = Place("s3", "s3.example.org", "models", secrets={**CREDENTIALS, "session_token": "passing"})
    assert "X-Amz-Security-Token=passing" in open_place(place, Settings()).upload_url("key", LIFETIME)


class Row:
    """A row of the table of buckets."""

    def __init__(self, **fields: Any) -> None:
        place = Place("s3", "s3.example.org", "models")
        self.__dict__ |= {**place.columns, "builtin": False, "credentials": None, **fields}


def test_buckets_are_kept_open_until_their_row_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_KEPT", 3)
    sealed = KEYS.encrypt('{"access_key": "a", "secret_key": "b"}')
    first = open_bucket(Row(credentials=sealed), KEYS, Settings())
    assert open_bucket(Row(credentials=sealed), KEYS, Settings()) is first
    assert open_bucket(Row(credentials=KEYS.encrypt("{}")), KEYS, Settings()) is not first
    assert open_bucket(Row(credentials=sealed), KEYS, Settings(private_buckets="refuse")) is not first
    for number in range(3):
        open_bucket(Row(bucket_name=f"other-{number}"), KEYS, Settings())
    assert len(opening._kept) == 3
    assert open_bucket(Row(credentials=sealed), KEYS, Settings()) is not first


def test_what_is_closed_is_let_go(moto: Service, azurite: Service) -> None:
    """Neither credentials nor connections of a bucket outlive its use."""
    before = file_systems()
    opened = [open_place(service.place, Settings()) for service in (moto, azurite)]
    for storage in opened:
        storage.stat("nothing")
    gone = [weakref.ref(storage) for storage in opened]
    assert file_systems() == before + 2
    del storage, opened
    assert file_systems() == before
    assert [one() for one in gone] == [None, None]


def file_systems() -> int:
    """How many of them live in this process."""
    gc.collect()
    return sum(isinstance(one, AbstractFileSystem) for one in gc.get_objects())


def test_azure_knows_no_identity_but_the_given(monkeypatch: pytest.MonkeyPatch, azurite: Service) -> None:
    """What the operator's environment holds is neither used for a tenant's container nor in the way of it."""
    elsewhere = "AccountName=operator;AccountKey=b3BlcmF0b3I=;BlobEndpoint=http://127.0.0.1:1/operator"
    ambient = {
        "AZURE_STORAGE_CONNECTION_STRING": elsewhere,
        "AZURE_STORAGE_ACCOUNT_NAME": "operator",
        "AZURE_STORAGE_ACCOUNT_KEY": "b3BlcmF0b3I=",
        "AZURE_STORAGE_SAS_TOKEN": "sig=operator",
        "AZURE_STORAGE_ANON": "true",
        **{f"AZURE_{one}_ID": "operator" for one in ("STORAGE_CLIENT", "STORAGE_TENANT", "CLIENT", "TENANT")},
        **{f"AZURE_{one}_SECRET": "operator" for one in ("STORAGE_CLIENT", "CLIENT")},
    }
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    storage = open_place(azurite.place, Settings())
    httpx.put(storage.upload_url("whose", LIFETIME), content=b"a tenant's", headers={"x-ms-blob-type": "BlockBlob"})
    assert storage.read("whose", 0, 100) == b"a tenant's"
    assert "operator" not in storage.download_url("whose", LIFETIME)
    wrong = replace(azurite.place, secrets={**azurite.place.secrets, "account_key": "bm90IHRoZSBrZXk="})
    with pytest.raises(BucketRefused, match="refuses the stored credentials"):
        open_place(wrong, Settings()).read("whose", 0, 100)
