"""The store as clients meet it beyond the conformance suite: S3's errors, browsers, broken connections, two at once."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import pytest

from luml_app.storage.local import LocalStorage
from luml_app.storage.parts import Part

from .conftest import BUCKET, LIFETIME, MAX_OBJECT_SIZE, StoreServer, cannot_run, eventually, running

DATA = bytes(range(256)) * 1000


def put(http: httpx.Client, bucket: LocalStorage, key: str, data: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.put(bucket.upload_url(key, LIFETIME), content=data, headers=named)


def failed(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, ElementTree.fromstring(answer.content).findtext("Code")) == (status, code)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def begin(http: httpx.Client, bucket: LocalStorage, key: str) -> str:
    answer = http.post(bucket.initiate_url(key, LIFETIME)).raise_for_status()
    root = ElementTree.fromstring(answer.content)
    namespace = root.tag.removesuffix("InitiateMultipartUploadResult")
    assert root.findtext(f"{namespace}Key") == key
    upload_id = root.findtext(f"{namespace}UploadId")
    assert upload_id
    return upload_id


def put_part(http: httpx.Client, bucket: LocalStorage, key: str, upload_id: str, number: int, data: bytes) -> str:
    (url,) = bucket.part_urls(key, upload_id, [Part(number, 0, 0, len(data))], LIFETIME)
    return str(http.put(url, content=data).raise_for_status().headers["ETag"])


def part_list(*parts: tuple[int | str, str], xmlns: str = "") -> str:
    inner = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload{xmlns}>{inner}</CompleteMultipartUpload>"


def complete(http: httpx.Client, bucket: LocalStorage, key: str, upload_id: str, body: str | bytes) -> httpx.Response:
    return http.post(bucket.complete_url(key, upload_id, LIFETIME), content=body)


def test_a_put_answers_with_the_digests(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    answer = put(http, bucket, key, DATA)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert answer.headers["X-Luml-Sha256"] == hashlib.sha256(DATA).hexdigest()


def test_content_md5_is_checked(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    def md5(data: bytes) -> str:
        return base64.b64encode(hashlib.md5(data).digest()).decode()

    failed(put(http, bucket, key, DATA, Content_MD5=md5(b"other")), 400, "BadDigest")
    failed(put(http, bucket, key, DATA, Content_MD5="nonsense!"), 400, "InvalidDigest")
    failed(put(http, bucket, key, DATA, Content_MD5=base64.b64encode(b"short").decode()), 400, "InvalidDigest")
    assert bucket.stat(key) is None
    put(http, bucket, key, DATA, Content_MD5=md5(DATA)).raise_for_status()


def test_missing_objects_in_s3s_words(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    failed(http.get(bucket.download_url(key, LIFETIME)), 404, "NoSuchKey")
    assert http.head(bucket.download_url(key, LIFETIME)).status_code == 404
    assert http.delete(bucket.delete_url(key, LIFETIME)).status_code == 204


def test_a_body_without_a_length(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    answer = http.put(bucket.upload_url(key, LIFETIME), content=iter([b"piece", b"piece"]))
    failed(answer, 411, "MissingContentLength")


def test_a_body_that_is_too_large(http: httpx.Client, bucket: LocalStorage, key: str, server: StoreServer) -> None:
    with raw_put(bucket.upload_url(key, LIFETIME), MAX_OBJECT_SIZE + 1, "Expect: 100-continue\r\n") as connection:
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"<Code>EntityTooLarge</Code>" in answer
    assert server.files("scratch") == []


def test_a_refused_body_does_not_hide_the_answer(http: httpx.Client, server: StoreServer) -> None:
    url = f"{server.base_url}/store/{BUCKET}/key"
    failed(http.put(url, content=b"x" * 20_000_000), 403, "AccessDenied")
    failed(http.post(url, content=b"x" * 1_000_000), 403, "AccessDenied")
    failed(http.put(url, content=iter([b"x" * 1_000_000] * 3)), 403, "AccessDenied")


def test_a_refused_body_is_not_read_for_ever(server: StoreServer) -> None:
    url = f"{server.base_url}/store/{BUCKET}/key"
    with raw_put(url, 10**15) as connection, pytest.raises(ConnectionError):
        while True:
            connection.sendall(b"x" * 1_000_000)


def test_a_client_that_asks_first_sends_nothing_in_vain(bucket: LocalStorage, server: StoreServer, key: str) -> None:
    with raw_put(f"{server.base_url}/store/{BUCKET}/key", 10**9, "Expect: 100-continue\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 403")
    with raw_put(bucket.upload_url(key, LIFETIME), 4, "Expect: 100-continue\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(b"data")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def raw_put(url: str, length: int, headers: str = "") -> socket.socket:
    """A connection on which the head of a PUT has been sent, and no byte of its body."""
    split = urlsplit(url)
    connection = socket.create_connection((split.hostname, split.port), timeout=20)
    target = f"{split.path}?{split.query}"
    connection.sendall(f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n".encode())
    return connection


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_an_upload_killed_in_the_middle_leaves_nothing(
    http: httpx.Client, fresh_server: StoreServer, reset: bool
) -> None:
    bucket = fresh_server.bucket()
    put(http, bucket, "key", b"old").raise_for_status()
    connection = raw_put(bucket.upload_url("key", LIFETIME), 50_000_000)
    connection.sendall(b"x" * 5_000_000)
    eventually(lambda: any(path.stat().st_size for path in fresh_server.files("scratch")), "bytes reach the disk")
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()
    eventually(lambda: not fresh_server.files("scratch"), "the scratch file is gone")
    assert bucket.read("key", 0, 9) == b"old"


def test_a_silent_client_is_given_up(tmp_path: Path) -> None:
    with running(StoreServer(tmp_path, settings={"patience": 0.2})) as server:
        with raw_put(server.bucket().upload_url("key", LIFETIME), 1000) as connection:
            connection.sendall(b"x")
            assert connection.recv(100) == b""
        eventually(lambda: not server.files(), "nothing is left")


def test_a_client_that_reads_nothing_is_given_up(http: httpx.Client, tmp_path: Path) -> None:
    with running(StoreServer(tmp_path, settings={"patience": 0.2})) as server:
        bucket = server.bucket()
        put(http, bucket, "key", b"x" * 64 * 1024 * 1024).raise_for_status()
        with http.stream("GET", bucket.download_url("key", LIFETIME)) as answer, pytest.raises(httpx.TransportError):
            received = answer.iter_raw()
            next(received)
            eventually(lambda: open_objects(tmp_path) == 0, "the server closes the file")
            for _ in received:
                pass


def open_objects(root: Path) -> int:
    """Files below `root` that this process, in which the server runs, has open."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        cannot_run("open files can be counted on Linux only")
    count = 0
    for descriptor in descriptors.iterdir():
        try:
            count += str(descriptor.readlink()).startswith(str(root))
        except FileNotFoundError:
            continue
    return count


def test_an_impatient_reader_leaves_no_open_file(http: httpx.Client, fresh_server: StoreServer) -> None:
    bucket = fresh_server.bucket()
    put(http, bucket, "key", b"x" * 64 * 1024 * 1024).raise_for_status()
    with http.stream("GET", bucket.download_url("key", LIFETIME)) as answer:
        next(answer.iter_raw())
    eventually(lambda: open_objects(fresh_server.root) == 0, "the server closes the file")


def test_the_last_of_many_puts_wins_whole(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    bodies = [bytes([number]) * 3_000_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: put(http, bucket, key, body), bodies))
    assert all(answer.status_code == 200 for answer in answers)
    assert http.get(bucket.download_url(key, LIFETIME)).content in bodies


def test_a_full_disk_answers_and_leaves_nothing(http: httpx.Client, full_after: Path) -> None:
    with running(StoreServer(full_after)) as server:
        bucket = server.bucket()
        failed(put(http, bucket, "key", b"x" * 20_000_000), 507, "InsufficientStorage")
        eventually(lambda: not server.files(), "nothing is left")
        put(http, bucket, "key", b"small enough").raise_for_status()


def test_other_peoples_html_is_saved_not_shown(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    put(http, bucket, key, b"<script>alert(1)</script>", Content_Type="text/html").raise_for_status()
    answer = http.get(bucket.download_url(key, LIFETIME))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_signatures_stay_out_of_the_log(
    http: httpx.Client, bucket: LocalStorage, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="tornado.access"):
        http.get(bucket.download_url(key, LIFETIME))
        eventually(lambda: key in caplog.text, "the access is logged")
    assert "Signature" not in caplog.messages[-1]


# Browsers


def test_preflight(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    headers = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,x-amz-acl",
    }
    answer = http.options(bucket.upload_url(key, LIFETIME), headers=headers)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type,x-amz-acl"


def test_any_origin_may_upload_and_read_the_etag(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    answer = put(http, bucket, key, DATA, Origin="https://elsewhere.example", Sec_Fetch_Site="cross-site")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


# Uploads in parts


def test_parts_in_any_order_with_namespace_and_quotes(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    upload_id = begin(http, bucket, key)
    second = put_part(http, bucket, key, upload_id, 2, b"second")
    first = put_part(http, bucket, key, upload_id, 1, b"first ")
    xmlns = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    body = '<?xml version="1.0" encoding="UTF-8"?>\n' + part_list((1, first), (2, second), xmlns=xmlns)
    answer = complete(http, bucket, key, upload_id, body).raise_for_status()
    assert b"CompleteMultipartUploadResult" in answer.content
    info = bucket.stat(key)
    assert info is not None
    assert f"&quot;{info.etag}&quot;".encode() in answer.content
    assert info.etag.endswith("-2")
    assert bucket.read(key, 0, 99) == b"first second"
    again = complete(http, bucket, key, upload_id, body)
    assert again.content == answer.content


def test_lists_of_parts_that_do_not_fit(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    upload_id = begin(http, bucket, key)
    etags = {number: put_part(http, bucket, key, upload_id, number, b"data%d" % number) for number in (1, 2)}

    def refused(code: str, *parts: tuple[int | str, str]) -> None:
        failed(complete(http, bucket, key, upload_id, part_list(*parts)), 400, code)

    refused("MalformedXML")
    refused("MalformedXML", ("one", etags[1]))
    refused("InvalidPart", (1, "0" * 32))
    refused("InvalidPart", (1, ""))
    refused("InvalidPart", (1, etags[1]), (2, etags[2]), (3, etags[2]))
    refused("InvalidPartOrder", (2, etags[2]), (1, etags[1]))
    refused("InvalidPartOrder", (1, etags[1]), (1, etags[1]))
    refused("InvalidArgument", (0, etags[1]))
    assert bucket.stat(key) is None
    complete(http, bucket, key, upload_id, part_list((1, etags[1]), (2, etags[2]))).raise_for_status()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no xml",
        b"<Other/>",
        b"<CompleteMultipartUpload>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="nonsense"?><CompleteMultipartUpload/>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><CompleteMultipartUpload>&b;</CompleteMultipartUpload>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><CompleteMultipartUpload/>',
    ],
)
def test_documents_that_are_none(http: httpx.Client, bucket: LocalStorage, key: str, body: bytes) -> None:
    failed(complete(http, bucket, key, begin(http, bucket, key), body), 400, "MalformedXML")


def test_a_list_of_parts_that_is_far_too_long(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    failed(complete(http, bucket, key, begin(http, bucket, key), b" " * 5_000_000), 400, "EntityTooLarge")


def test_ten_thousand_parts_are_listed_in_one_document(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    body = part_list(*((number, f"&quot;{'0' * 32}&quot;") for number in range(1, 10_001)))
    failed(complete(http, bucket, key, begin(http, bucket, key), body), 400, "InvalidPart")


@pytest.mark.parametrize("number", [0, 10_001, 99_999])
def test_part_numbers_that_are_none(http: httpx.Client, bucket: LocalStorage, key: str, number: int) -> None:
    (url,) = bucket.part_urls(key, begin(http, bucket, key), [Part(number, 0, 0, 1)], LIFETIME)
    failed(http.put(url, content=b"x"), 400, "InvalidArgument")


def test_an_aborted_upload_takes_nothing_more(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    upload_id = begin(http, bucket, key)
    etag = put_part(http, bucket, key, upload_id, 1, b"data")
    (url,) = bucket.part_urls(key, upload_id, [Part(2, 0, 0, 1)], LIFETIME)
    assert http.delete(bucket.abort_url(key, upload_id, LIFETIME)).status_code == 204
    failed(http.put(url, content=b"x"), 404, "NoSuchUpload")
    failed(complete(http, bucket, key, upload_id, part_list((1, etag))), 404, "NoSuchUpload")
    assert http.delete(bucket.abort_url(key, upload_id, LIFETIME)).status_code == 204


@pytest.fixture
def slow_assembly(tmp_path: Path) -> Iterator[tuple[StoreServer, threading.Event]]:
    """A server whose two assembling threads are busy until the event is set."""
    release = threading.Event()
    assembly = ThreadPoolExecutor(1)
    with running(StoreServer(tmp_path, settings={"sign_of_life": 0.02, "assembly": assembly})) as server:
        assembly.submit(release.wait, 20)
        try:
            yield server, release
        finally:
            release.set()


def test_a_long_completion_shows_signs_of_life(
    http: httpx.Client, slow_assembly: tuple[StoreServer, threading.Event]
) -> None:
    server, release = slow_assembly
    bucket = server.bucket()
    upload_id = begin(http, bucket, "key")
    etag = put_part(http, bucket, "key", upload_id, 1, b"data")
    url = bucket.complete_url("key", upload_id, LIFETIME)
    with http.stream("POST", url, content=part_list((1, etag))) as answer:
        pieces = answer.iter_text()
        assert next(pieces).startswith("<?xml")
        assert next(pieces).strip() == ""
        release.set()
        rest = "".join(pieces)
    assert answer.status_code == 200
    assert ElementTree.fromstring(rest.strip()).tag.endswith("CompleteMultipartUploadResult")
    assert bucket.read("key", 0, 9) == b"data"


def test_a_fault_after_the_first_sign_of_life(
    http: httpx.Client, slow_assembly: tuple[StoreServer, threading.Event]
) -> None:
    server, release = slow_assembly
    bucket = server.bucket()
    url = bucket.complete_url("key", begin(http, bucket, "key"), LIFETIME)
    with http.stream("POST", url, content=part_list((1, "0" * 32))) as answer:
        pieces = answer.iter_text()
        next(pieces)
        release.set()
        assert "<Code>InvalidPart</Code>" in "".join(pieces)


def test_the_work_goes_on_when_the_client_goes(
    http: httpx.Client, slow_assembly: tuple[StoreServer, threading.Event]
) -> None:
    server, release = slow_assembly
    bucket = server.bucket()
    upload_id = begin(http, bucket, "key")
    etag = put_part(http, bucket, "key", upload_id, 1, b"data")
    with http.stream("POST", bucket.complete_url("key", upload_id, LIFETIME), content=part_list((1, etag))) as answer:
        next(answer.iter_text())
    release.set()
    eventually(lambda: bucket.stat("key") is not None, "the object is complete")
