"""Files go to and come from a bucket elsewhere, whichever dialect it speaks, through the same calls as everywhere."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from luml_app.client import transfers
from luml_app.client.http import Client
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging import read_artifact
from luml_app.storage import parts
from satellite.rest import RestPlatform
from tests.api.stage import CAPABILITIES
from tests.buckets import Service
from tests.client.conftest import sha256
from tests.client.test_transfers import left_in
from tests.satellite.models import write_model
from tests.serving import until

MakeFile = Callable[..., Path]
FIVE = 5 * 2**20  # S3 takes no smaller part, except as the last one
SIZE = 2 * FIVE + 1_000_000


@pytest.fixture
def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads are cut as they always are, only sooner."""
    monkeypatch.setattr(parts, "SINGLE_PUT_LIMIT", FIVE)
    monkeypatch.setattr(parts, "_PART_SIZES", ((100 * FIVE, FIVE),))


def moved(orbit: OrbitHandle, service: Service) -> OrbitHandle:
    """The orbit, from now on with a bucket at the service."""
    organization_id, orbit_id = orbit.ids
    bucket = orbit.client.buckets.create(organization_id, **service.body)
    orbit.client.orbits.update(organization_id, orbit_id, bucket_secret_id=bucket.id)
    return orbit


@pytest.fixture
def there(orbit: OrbitHandle, elsewhere: Service) -> OrbitHandle:
    """Alice's orbit, with a bucket elsewhere, of each kind in turn."""
    return moved(orbit, elsewhere)


def test_there_and_back(there: OrbitHandle, make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file(100_000, name="größe 模型.tar")
    stored = there.upload(path)
    assert stored.data.status == "uploaded"
    found = stored.download(tmp_path / "back" / "again.tar")
    assert sha256(found) == sha256(path)
    assert left_in(found.parent) == ["again.tar"]
    url = there.client.artifacts.download_url(*stored.ids).url
    assert "UTF-8''gr%C3%B6%C3%9Fe" in httpx.get(url).headers["Content-Disposition"]


def test_in_parts(there: OrbitHandle, make_file: MakeFile, tmp_path: Path, cut_small: None) -> None:
    path = make_file(SIZE)
    stored = there.upload(path)
    assert stored.data.status == "uploaded"
    assert sha256(stored.download(tmp_path / "back.tar")) == sha256(path)
    offset, size = stored.data.file_index["manifest.json"]
    url = there.client.artifacts.download_url(*stored.ids).url
    piece = transfers.read_range(there.client.direct, url, offset, size)
    assert path.read_bytes()[offset : offset + size] == piece


def test_a_bucket_that_says_200_to_ranges(
    orbit: OrbitHandle, make_file: MakeFile, rclone: Service, tmp_path: Path, cut_small: None, cache_of_its_own: Path
) -> None:
    orbit = moved(orbit, rclone)
    path = make_file(SIZE)
    stored = orbit.upload(path)
    url = orbit.client.artifacts.download_url(*stored.ids).url
    assert transfers.read_range(orbit.client.direct, url, 1000, 50) == path.read_bytes()[1000:1050]
    assert sha256(stored.download(tmp_path / "back.tar")) == sha256(path)
    draft = cache_of_its_own / "drafts" / sha256(path)
    draft.write_bytes(path.read_bytes()[:123_456])
    (cache_of_its_own / "files" / sha256(path)).unlink()
    assert sha256(stored.download(tmp_path / "resumed.tar")) == sha256(path)


def test_what_arrives_short_does_not_count(there: OrbitHandle, make_file: MakeFile) -> None:
    path = make_file()
    created = announced(there, path)
    target = created.upload_details
    kind = {"x-ms-blob-type": "BlockBlob"} if target.type == "azure" else {}
    place = (*there.ids, created.artifact.collection_id, created.artifact.id)
    with pytest.raises(Exception, match="no such object"):
        there.client.artifacts.update(*place, status="uploaded")
    httpx.put(target.url or "", content=path.read_bytes()[:-1], headers=kind).raise_for_status()
    with pytest.raises(Exception, match="instead of the"):
        there.client.artifacts.update(*place, status="uploaded")
    assert there.client.artifacts.get(*place).status == "upload_failed"


def test_deleting_frees_the_bucket(there: OrbitHandle, make_file: MakeFile) -> None:
    stored = there.upload(make_file())
    url = there.client.artifacts.download_url(*stored.ids).url
    there.client.artifacts.delete(*stored.ids)
    until(lambda: httpx.get(url).status_code in {403, 404}, "the object is gone")


@pytest.mark.parametrize("name", ["moto", "azurite", "rclone"])
def test_a_satellite_fetches_its_models(
    orbit: OrbitHandle, request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    """By the address that it is given: it neither knows nor cares what stands behind it."""
    there = moved(orbit, request.getfixturevalue(name))
    path = write_model(tmp_path / "größe + (1).luml")
    stored = there.upload(path)
    made = there.client.satellites.create(*there.ids, name="of the test")
    platform = RestPlatform(there.client.address, made.api_key)
    platform.pair("http://127.0.0.1:9", CAPABILITIES, None)
    ids = {"satellite_id": made.satellite.id, "artifact_id": stored.data.id}
    there.client.deployments.create(*there.ids, **ids, name="served")
    source = platform.artifact(str(stored.data.id))
    with platform.download(source.url) as chunks:
        found = b"".join(chunks)
    platform.close()
    assert hashlib.sha256(found).hexdigest() == source.digest == sha256(path)
    assert len(found) == source.size


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_clients_that_people_already_have(
    there: OrbitHandle, make_file: MakeFile, prefix: str, cut_small: None
) -> None:
    """Their protocol of an upload in parts, step by step over plain HTTP."""
    path = make_file(FIVE + 1000)
    created, content = announced(there, path), path.read_bytes()
    target, client = created.upload_details, there.client
    assert target.multipart
    with httpx.Client(timeout=60) as http:
        asked = {
            "bucket_id": str(target.bucket_secret_id),
            "bucket_location": target.bucket_location,
            "size": len(content),
        }
        if target.type == "s3":
            begun = http.post(target.url or "").raise_for_status()
            asked["upload_id"] = re.findall(r"<UploadId>(.+)</UploadId>", begun.text)[0]
        plan = (
            http.post(f"{client.address}{prefix}/bucket-secrets/upload/multipart", json=asked, headers=bearer(client))
            .raise_for_status()
            .json()
        )
        pieces = [content[part["start_byte"] : part["end_byte"] + 1] for part in plan["parts"]]
        answers = [http.put(part["url"], content=one) for part, one in zip(plan["parts"], pieces, strict=True)]
        tags = [answer.raise_for_status().headers.get("ETag", "") for answer in answers]
        finish(http, plan, tags).raise_for_status()
    place = (*there.ids, created.artifact.collection_id, created.artifact.id)
    assert client.artifacts.update(*place, status="uploaded").status == "uploaded"


def finish(http: httpx.Client, plan: dict[str, Any], tags: list[str]) -> httpx.Response:
    numbers = [part["part_number"] for part in plan["parts"]]
    if plan["type"] == "azure":
        ids = (b64encode(f"block-{number:08d}".encode()).decode() for number in numbers)
        return http.put(
            plan["complete_url"],
            content="<BlockList>" + "".join(f"<Latest>{one}</Latest>" for one in ids) + "</BlockList>",
        )
    rows = (
        f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in zip(numbers, tags, strict=True)
    )
    return http.post(
        plan["complete_url"], content=f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>"
    )


def bearer(client: Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {client.connection.api_key}"}


def announced(orbit: OrbitHandle, path: Path) -> Any:
    info = read_artifact(path)
    return orbit.client.artifacts.create(
        *orbit.ids, orbit.collection("c").id, file_name=path.name, manifest=info.manifest, file_index={},
        file_hash=info.file_hash, size=info.size,
    )  # fmt: skip
