"""The built-in store on disk: what is visible when, and what is left behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luml_app.storage.errors import (
    CorruptObject,
    EntityTooLarge,
    InsufficientStorage,
    InvalidArgument,
    InvalidPart,
    NoSuchKey,
    NoSuchUpload,
)
from luml_app.storage.interface import ObjectInfo
from luml_app.storage.local import LocalStorage
from luml_app.storage.multipart import ListedPart

from .conftest import BUCKET, StoreServer

DAY = 24 * 3600.0


@pytest.fixture
def disk(tmp_path: Path) -> StoreServer:
    """A store that no server runs for."""
    return StoreServer(tmp_path / "deep" / "store")


def store(bucket: LocalStorage, key: str, data: bytes) -> ObjectInfo:
    with bucket.writer(key) as writer:
        writer.write(data)
        return writer.commit()


def store_part(bucket: LocalStorage, key: str, upload_id: str, number: int, data: bytes) -> ListedPart:
    with bucket.part_writer(key, upload_id, number) as writer:
        writer.write(data)
        return ListedPart(number, writer.commit().etag)


def age(path: Path, seconds: float) -> None:
    for each in [path, *path.rglob("*")]:
        os.utime(each, (time.time() - seconds,) * 2)


def test_making_a_bucket_touches_nothing(disk: StoreServer) -> None:
    bucket = disk.bucket()
    assert bucket.stat("key") is None
    assert bucket.sweep(0) == 0
    assert not disk.root.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "ä", "a" * 64, ".a", "a\n"])
def test_bucket_names_that_are_none(disk: StoreServer, name: str) -> None:
    with pytest.raises(InvalidArgument, match="bucket"):
        disk.bucket(name)


def test_digests_are_computed_on_the_way_in(disk: StoreServer) -> None:
    info = store(disk.bucket(), "key", b"data")
    assert info == disk.bucket().stat("key")
    assert info.sha256 == hashlib.sha256(b"data").hexdigest()
    assert info.etag == hashlib.md5(b"data").hexdigest()


def test_an_object_is_visible_only_when_committed(disk: StoreServer) -> None:
    bucket = disk.bucket()
    with bucket.writer("key") as writer:
        writer.write(b"half")
        assert bucket.stat("key") is None
    assert bucket.stat("key") is None
    assert disk.files() == []


def test_a_failed_replacement_keeps_the_old_object(disk: StoreServer) -> None:
    bucket = disk.bucket()
    store(bucket, "key", b"old")
    with pytest.raises(RuntimeError, match="broken"), bucket.writer("key") as writer:
        writer.write(b"new")
        raise RuntimeError("broken")
    assert bucket.read("key", 0, 9) == b"old"


def test_readers_keep_the_object_that_they_opened(disk: StoreServer) -> None:
    bucket = disk.bucket()
    store(bucket, "key", b"old " * 100)
    with bucket.open_stream("key") as stream:
        assert stream.read(4) == b"old "
        store(bucket, "key", b"new")
        bucket.delete("key")
        assert stream.read() == b"old " * 99


def test_files_are_private(disk: StoreServer) -> None:
    store(disk.bucket(), "key", b"data")
    (path,) = disk.files()
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


segments = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=20)
keys = st.lists(segments.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=6).map("/".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, st.binary(max_size=50), max_size=5))
def test_keys_neither_collide_nor_leave_the_folder(disk: StoreServer, objects: dict[str, bytes]) -> None:
    bucket = disk.bucket()
    for key, data in objects.items():
        store(bucket, key, data)
    assert {key: bucket.read(key, 0, 99) for key in objects} == objects
    everything = [path for path in disk.root.parent.rglob("*") if path.is_file()]
    assert sorted(everything) == disk.files("objects")


def test_concurrent_writers_never_mix(disk: StoreServer) -> None:
    bucket = disk.bucket()
    bodies = [bytes([number]) * 300_000 for number in range(8)]

    def write(body: bytes) -> None:
        for _ in range(5):
            with bucket.writer("key") as writer:
                for start in range(0, len(body), 10_000):
                    writer.write(body[start : start + 10_000])
                writer.commit()

    threads = [threading.Thread(target=write, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        info = bucket.stat("key")
        if info is not None:
            with bucket.open_object("key") as file:
                data = file.read_at(0, 300_000)
                assert data in bodies
                assert file.record.sha256 == hashlib.sha256(data).hexdigest()
    for thread in threads:
        thread.join()
    assert len(disk.files()) == 1


def test_a_writer_killed_in_the_middle_leaves_scratch_only(disk: StoreServer) -> None:
    bucket = disk.bucket()
    store(bucket, "key", b"old")
    program = f"""
import os
from pathlib import Path
from luml_app.storage.local import LocalStorage
from luml_app.storage.signing import SigningKey, UrlSigner
bucket = LocalStorage(Path({str(disk.root)!r}), {BUCKET!r}, "", UrlSigner([SigningKey("k", b"x" * 32)]))
writer = bucket.writer("key")
writer.write(b"new" * 1000)
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert bucket.read("key", 0, 9) == b"old"
    assert len(disk.files("scratch")) == 1
    assert bucket.sweep(DAY) == 0
    age(disk.root / BUCKET / "scratch", 2 * DAY)
    assert bucket.sweep(DAY) == 1
    assert disk.files("scratch") == []
    assert bucket.read("key", 0, 9) == b"old"


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 100, None])
def test_damaged_files_are_told_apart(disk: StoreServer, damage: bytes | None) -> None:
    bucket = disk.bucket()
    store(bucket, "key", b"data" * 100)
    (path,) = disk.files()
    path.write_bytes(path.read_bytes()[7:] if damage is None else damage)
    with pytest.raises(CorruptObject):
        bucket.stat("key")
    store(bucket, "key", b"whole again")
    assert bucket.read("key", 0, 99) == b"whole again"


def test_an_object_larger_than_allowed(disk: StoreServer) -> None:
    bucket = LocalStorage(disk.root, BUCKET, "", disk.signer, max_object_size=10)
    assert store(bucket, "key", b"x" * 10).size == 10
    with pytest.raises(EntityTooLarge, match="10 bytes"):
        store(bucket, "other", b"x" * 11)
    upload_id = bucket.initiate_multipart("parts")
    parts = [store_part(bucket, "parts", upload_id, number, b"x" * 6) for number in (1, 2)]
    with pytest.raises(EntityTooLarge):
        bucket.complete_multipart("parts", upload_id, parts)
    assert [path.parent.name for path in disk.files("scratch")] == []


def test_a_full_disk_is_said_and_leaves_nothing(full_after: Path) -> None:
    bucket = StoreServer(full_after).bucket()
    with pytest.raises(InsufficientStorage, match="full"):
        store(bucket, "key", b"x" * 8 * 1024 * 1024)
    assert not [path for path in full_after.rglob("*") if path.is_file()]
    store(bucket, "key", b"small enough")


# Uploads in parts


def test_parts_become_one_object(disk: StoreServer) -> None:
    bucket = disk.bucket()
    upload_id = bucket.initiate_multipart("key")
    third, first = (store_part(bucket, "key", upload_id, n, d) for n, d in [(3, b"third"), (1, b"first ")])
    info = bucket.complete_multipart("key", upload_id, [first, third])
    assert bucket.read("key", 0, 99) == b"first third"
    digests = hashlib.md5(b"first ").digest() + hashlib.md5(b"third").digest()
    assert info.etag == f"{hashlib.md5(digests).hexdigest()}-2"
    assert info.sha256 == hashlib.sha256(b"first third").hexdigest()
    assert disk.files("uploads") == disk.files("scratch") == []


def test_completing_twice_gives_the_same_answer(disk: StoreServer) -> None:
    bucket = disk.bucket()
    upload_id = bucket.initiate_multipart("key")
    part = store_part(bucket, "key", upload_id, 1, b"data")
    first = bucket.complete_multipart("key", upload_id, [part])
    assert bucket.complete_multipart("key", upload_id, [part]) == first
    store(bucket, "key", b"another")
    with pytest.raises(NoSuchUpload):
        bucket.complete_multipart("key", upload_id, [part])


def test_many_complete_at_once(disk: StoreServer) -> None:
    bucket = disk.bucket()
    for _ in range(10):
        upload_id = bucket.initiate_multipart("key")
        parts = [store_part(bucket, "key", upload_id, n, bytes([n]) * 50_000) for n in range(1, 6)]
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(bucket.complete_multipart, "key", upload_id, parts) for _ in range(4)]
        assert len({answer.result().sha256 for answer in answers}) == 1
    assert disk.files("uploads") == disk.files("scratch") == []


def test_a_part_that_was_sent_again_counts_once(disk: StoreServer) -> None:
    bucket = disk.bucket()
    upload_id = bucket.initiate_multipart("key")
    before = store_part(bucket, "key", upload_id, 1, b"before")
    after = store_part(bucket, "key", upload_id, 1, b"after")
    with pytest.raises(InvalidPart, match="Part 1"):
        bucket.complete_multipart("key", upload_id, [before])
    bucket.complete_multipart("key", upload_id, [after])
    assert bucket.read("key", 0, 99) == b"after"


def test_an_upload_belongs_to_its_key(disk: StoreServer) -> None:
    bucket = disk.bucket()
    upload_id = bucket.initiate_multipart("key")
    part = store_part(bucket, "key", upload_id, 1, b"data")
    with pytest.raises(NoSuchUpload):
        bucket.part_writer("other", upload_id, 1)
    with pytest.raises(NoSuchUpload):
        bucket.complete_multipart("other", upload_id, [part])
    bucket.abort_multipart("other", upload_id)
    bucket.complete_multipart("key", upload_id, [part])


def test_a_part_that_ends_after_the_abort(disk: StoreServer) -> None:
    bucket = disk.bucket()
    upload_id = bucket.initiate_multipart("key")
    with bucket.part_writer("key", upload_id, 1) as writer:
        writer.write(b"late")
        bucket.abort_multipart("key", upload_id)
        with pytest.raises(NoSuchUpload):
            writer.commit()
    assert disk.files() == []


@pytest.mark.parametrize("upload_id", ["", "..", "../objects", "x" * 32, "0" * 32, "A" * 32])
def test_upload_ids_that_are_none(disk: StoreServer, upload_id: str) -> None:
    bucket = disk.bucket()
    store(bucket, "key", b"data")
    with pytest.raises(NoSuchUpload):
        bucket.part_writer("key", upload_id, 1)
    with pytest.raises(NoSuchUpload):
        bucket.complete_multipart("key", upload_id, [ListedPart(1, "0")])
    bucket.abort_multipart("key", upload_id)
    assert bucket.read("key", 0, 9) == b"data"


def test_the_sweep_takes_forgotten_uploads_only(disk: StoreServer) -> None:
    bucket = disk.bucket()
    store(bucket, "object", b"data")
    forgotten, alive = bucket.initiate_multipart("forgotten"), bucket.initiate_multipart("alive")
    store_part(bucket, "forgotten", forgotten, 1, b"data")
    age(disk.root / BUCKET, 2 * DAY)
    part = store_part(bucket, "alive", alive, 1, b"data")
    assert bucket.sweep(DAY) == 1
    with pytest.raises(NoSuchUpload):
        bucket.part_writer("forgotten", forgotten, 2)
    bucket.complete_multipart("alive", alive, [part])
    assert bucket.read("object", 0, 9) == b"data"
    with pytest.raises(NoSuchKey):
        bucket.read("forgotten", 0, 9)
