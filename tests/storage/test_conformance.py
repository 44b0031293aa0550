"""What every storage promises, spoken to as clients speak to it: by signed addresses over real HTTP.

A new storage joins by one more parameter of the fixture `storage`.
"""

from __future__ import annotations

import base64
import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import nullcontext
from io import BytesIO
from xml.etree import ElementTree

import httpx
import pytest

from luml_app.core.settings import Settings
from luml_app.storage.errors import InvalidArgument, NoSuchKey
from luml_app.storage.interface import Storage
from luml_app.storage.opening import open_place
from luml_app.storage.parts import Part
from tests.buckets import Service

from .conftest import LIFETIME, StoreServer, running

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module", params=["local", "moto", "rclone", "azurite"])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = Service("local") if request.param == "local" else request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def storage(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    if service.name != "local":
        yield open_place(service.place, Settings())
        return
    with running(StoreServer(tmp_path_factory.mktemp("conformance"))) as server:
        yield server.bucket()


def put(http: httpx.Client, storage: Storage, key: str, data: bytes) -> httpx.Response:
    headers = {"x-ms-blob-type": "BlockBlob"} if storage.kind == "azure" else {}
    return http.put(storage.upload_url(key, LIFETIME), content=data, headers=headers).raise_for_status()


def cut(data: bytes, *sizes: int) -> list[Part]:
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    assert sum(sizes) == len(data)
    return [
        Part(number, start, start + size - 1, size)
        for number, (start, size) in enumerate(zip(starts, sizes, strict=True), 1)
    ]


def upload_in_parts(http: httpx.Client, storage: Storage, key: str, data: bytes, parts: list[Part]) -> None:
    upload_id = begin(http, storage, key)
    urls = storage.part_urls(key, upload_id, parts, LIFETIME)
    answers = [http.put(url, content=data[part.start : part.end + 1]) for url, part in zip(urls, parts, strict=True)]
    for answer in answers:
        answer.raise_for_status()
    complete(http, storage, key, upload_id, [answer.headers.get("ETag", "") for answer in answers])


def begin(http: httpx.Client, storage: Storage, key: str) -> str | None:
    url = storage.initiate_url(key, LIFETIME)
    if url is None:
        return None
    return ElementTree.fromstring(http.post(url).raise_for_status().content).findtext(".//{*}UploadId")


def complete(http: httpx.Client, storage: Storage, key: str, upload_id: str | None, etags: list[str]) -> None:
    url = storage.complete_url(key, upload_id, LIFETIME)
    if storage.kind == "azure":
        blocks = "".join(f"<Latest>{block_id(number)}</Latest>" for number in range(1, len(etags) + 1))
        http.put(url, content=f"<BlockList>{blocks}</BlockList>").raise_for_status()
        return
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    http.post(url, content=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").raise_for_status()


def block_id(number: int) -> str:
    return base64.b64encode(f"block-{number:08d}".encode()).decode()


@pytest.mark.parametrize("data", [b"", b"x", DATA, DATA * 300], ids=["empty", "one byte", "small", "3 MB"])
def test_what_goes_up_comes_down(http: httpx.Client, storage: Storage, key: str, data: bytes) -> None:
    put(http, storage, key, data)
    assert http.get(storage.download_url(key, LIFETIME)).raise_for_status().content == data


def test_stat_tells_size_and_digest(http: httpx.Client, storage: Storage, key: str) -> None:
    put(http, storage, key, DATA)
    info = storage.stat(key)
    assert info is not None
    assert info.size == len(DATA)
    assert info.sha256 in {None, hashlib.sha256(DATA).hexdigest()}
    assert info.etag
    assert '"' not in info.etag


def test_missing_objects(http: httpx.Client, storage: Storage, key: str) -> None:
    assert storage.stat(key) is None
    assert http.get(storage.download_url(key, LIFETIME)).status_code == 404
    with pytest.raises(NoSuchKey):
        storage.read(key, 0, 1)
    with pytest.raises(NoSuchKey):
        storage.open_stream(key)
    storage.delete(key)


def test_pieces_are_read_on_the_server(http: httpx.Client, storage: Storage, key: str) -> None:
    put(http, storage, key, DATA)
    assert storage.read(key, 0, 5) == DATA[:5]
    assert storage.read(key, 1000, 333) == DATA[1000:1333]
    assert storage.read(key, len(DATA) - 3, 100) == DATA[-3:]
    assert storage.read(key, len(DATA), 100) == b""
    assert storage.read(key, len(DATA) + 5, 100) == b""


def test_a_stream_is_a_seekable_file(http: httpx.Client, storage: Storage, key: str) -> None:
    put(http, storage, key, tar_of({"manifest.json": b"{}", "data.bin": DATA}))
    with storage.open_stream(key) as stream, tarfile.open(fileobj=stream) as tar:
        member = tar.extractfile("data.bin")
        assert member is not None
        assert member.read() == DATA


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, BytesIO(data))
    return buffer.getvalue()


def test_ranges_answer_206(http: httpx.Client, storage: Storage, service: Service, key: str) -> None:
    put(http, storage, key, DATA)
    answer = http.get(storage.download_url(key, LIFETIME), headers={"Range": "bytes=0-10"})
    if not service.ranges:
        assert (answer.status_code, answer.content) == (200, DATA[:11])
        assert answer.headers["Content-Range"] == f"bytes 0-10/{len(DATA)}"
        return
    assert answer.status_code == 206
    assert answer.content == DATA[:11]
    assert answer.headers["Content-Range"] == f"bytes 0-10/{len(DATA)}"


def test_a_range_behind_the_end_answers_416(http: httpx.Client, storage: Storage, service: Service, key: str) -> None:
    put(http, storage, key, DATA)
    headers = {"Range": f"bytes={len(DATA)}-"}
    answer = http.get(storage.download_url(key, LIFETIME), headers=headers)
    assert answer.status_code == service.behind_the_end
    assert answer.content == b"" or answer.status_code == 416


def test_head_by_a_download_address(http: httpx.Client, storage: Storage, service: Service, key: str) -> None:
    if storage.kind == "s3" and service.name != "local":
        pytest.skip("S3 signs HEAD apart from GET")
    put(http, storage, key, DATA)
    answer = http.head(storage.download_url(key, LIFETIME)).raise_for_status()
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.content == b""


@pytest.mark.parametrize("filename", ["model.luml", "Größe 模型.luml", 'a"b\\c\r\nX: y.luml', ""])
def test_downloads_have_a_name(http: httpx.Client, storage: Storage, key: str, filename: str) -> None:
    put(http, storage, key, DATA)
    answer = http.get(storage.download_url(key, LIFETIME, filename)).raise_for_status()
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment")
    assert "X" not in answer.headers
    if filename == "model.luml":
        assert 'filename="model.luml"' in disposition


def test_deleting_by_address_and_on_the_server(http: httpx.Client, storage: Storage, key: str) -> None:
    put(http, storage, key, DATA)
    assert http.delete(storage.delete_url(key, LIFETIME)).status_code in {202, 204}
    assert storage.stat(key) is None
    put(http, storage, key, DATA)
    storage.delete(key)
    assert storage.stat(key) is None


def test_putting_again_replaces(http: httpx.Client, storage: Storage, key: str) -> None:
    put(http, storage, key, DATA)
    put(http, storage, key, b"second")
    assert storage.read(key, 0, 100) == b"second"


def test_an_upload_in_parts(http: httpx.Client, storage: Storage, key: str) -> None:
    five = 5 * 1024 * 1024  # S3 takes no smaller part, except as the last one.
    data = (DATA * 1100)[: 2 * five + 17]
    upload_in_parts(http, storage, key, data, cut(data, five, five, 17))
    info = storage.stat(key)
    assert info is not None
    assert info.size == len(data)
    with storage.open_stream(key) as stream:
        assert hashlib.file_digest(stream, "sha256").digest() == hashlib.sha256(data).digest()


def test_nothing_is_visible_before_completion_and_after_an_abort(
    http: httpx.Client, storage: Storage, key: str
) -> None:
    upload_id = begin(http, storage, key)
    (url,) = storage.part_urls(key, upload_id, cut(DATA, len(DATA)), LIFETIME)
    http.put(url, content=DATA).raise_for_status()
    assert storage.stat(key) is None
    storage.abort_multipart(key, upload_id)
    storage.abort_multipart(key, upload_id)
    assert storage.stat(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "a/b/c/d",
        "größe/模型 😀",
        "with space+plus%25&=?#;,@:!$'()*[]",
        "..a/b..",
        "x" * 1024,
        "CON/aux.txt",
        "~.luml",
    ],
)
def test_odd_keys(http: httpx.Client, storage: Storage, service: Service, key: str) -> None:
    if service.keys_are_paths and len(key) > 255:
        assert http.put(storage.upload_url(key, LIFETIME), content=b"").status_code == 500
        return
    put(http, storage, key, key.encode())
    assert http.get(storage.download_url(key, LIFETIME)).raise_for_status().content == key.encode()
    storage.delete(key)


@pytest.mark.parametrize("key", ["", "/", "/a", "a/", "a//b", ".", "a/../b", "a/./b", "a\x00b", "a\nb", "x" * 1025])
def test_keys_that_would_not_survive_a_proxy_are_refused(storage: Storage, key: str) -> None:
    with pytest.raises(InvalidArgument):
        storage.upload_url(key, LIFETIME)
    with pytest.raises(InvalidArgument):
        storage.stat(key)


def test_a_name_may_be_object_and_folder_at_once(
    http: httpx.Client, storage: Storage, service: Service, key: str
) -> None:
    put(http, storage, key, b"above")
    if service.keys_are_paths:
        assert http.put(storage.upload_url(f"{key}/below", LIFETIME), content=b"").status_code == 500
        return
    put(http, storage, f"{key}/below", b"below")
    assert (storage.read(key, 0, 9), storage.read(f"{key}/below", 0, 9)) == (b"above", b"below")


def test_pages_of_an_allowed_origin_may_upload(
    http: httpx.Client, storage: Storage, service: Service, key: str
) -> None:
    page = {"Origin": "https://luml.example.org"}
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    told = service.allowing(page["Origin"]) if service.name != "local" and service.cors else nullcontext()
    with told:
        answer = http.options(storage.upload_url(key, LIFETIME), headers=page | asked)
    if not service.cors:
        assert answer.status_code in {400, 403}
        return
    assert answer.is_success
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", page["Origin"]}
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


def test_an_expired_or_altered_address_is_refused(
    http: httpx.Client, storage: Storage, service: Service, key: str
) -> None:
    put(http, storage, key, DATA)
    url = storage.download_url(key, LIFETIME)
    headers = {"x-ms-blob-type": "BlockBlob"}
    if not service.looks_at_signatures:
        assert http.put(url, content=b"other").status_code == 200
        return
    assert http.get(url.replace(key, key + "x")).status_code == 403
    assert http.put(url, content=b"other", headers=headers).status_code == 403
    assert http.get(storage.download_url(key, -60)).status_code in {400, 403}
    assert storage.read(key, 0, 10) == DATA[:10]
