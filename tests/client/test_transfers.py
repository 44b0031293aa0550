"""Bytes arrive whole over a bad line, or not at all, and both ends know which."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luml_app.client import downloading, transfers, uploading
from luml_app.client.orbits import OrbitHandle
from luml_app.client.transfers import TransferError
from tests.client.conftest import sha256
from tests.client.proxy import Fault, Proxy

MakeFile = Callable[..., Path]
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SIZE = 3_000_000


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pauses between attempts, a hundred times shorter."""
    monkeypatch.setattr(transfers, "FIRST_PAUSE", transfers.FIRST_PAUSE / 100)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_and_back(orbit: OrbitHandle, make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file(SIZE)
    stored = orbit.upload(path)
    assert stored.data.status == "uploaded"
    assert stored.data.file_hash == sha256(path)
    found = stored.download(tmp_path / "back" / "again.tar")
    assert sha256(found) == sha256(path)
    assert left_in(found.parent) == ["again.tar"]


def test_an_upload_over_a_line_that_breaks(far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy) -> None:
    proxy.plan(
        Fault("PUT /store", after=1_500_000, direction="up"),
        Fault("PUT /store", after=0),
        Fault("PUT /store", answer=BUSY),
    )
    stored = far_orbit.upload(make_file(SIZE))
    assert stored.data.status == "uploaded"
    assert not proxy.faults
    assert sum("PUT /store" in line for line in proxy.requests) == 4


def test_progress_counts_every_byte_once(far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy) -> None:
    proxy.plan(Fault("PUT /store", after=1_500_000, direction="up"))
    path, sent = make_file(SIZE), [0]
    place, info = far_orbit.collection("c"), _info(path)
    created = far_orbit.client.artifacts.create(
        *far_orbit.ids, place.id, file_name=path.name, manifest=info.manifest, file_index={}, file_hash=info.file_hash,
        size=info.size,
    )  # fmt: skip
    uploading.upload(far_orbit.client, created, path, lambda count: sent.append(sent[-1] + count))
    assert sent[-1] == path.stat().st_size
    assert max(sent) == sent[-1] and not proxy.faults


def test_an_upload_that_never_succeeds_is_marked(far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy) -> None:
    proxy.plan(*[Fault("PUT /store", after=1000, direction="up")] * transfers.TRIES)
    with pytest.raises(TransferError, match="5 times"):
        far_orbit.upload(make_file(SIZE))
    (left,) = far_orbit.artifacts()
    assert left.status == "upload_failed"


def test_an_upload_that_arrives_changed_is_refused(far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy) -> None:
    proxy.plan(Fault("PUT /store", after=1_000_000, direction="up", flip=True))
    with pytest.raises(Exception, match="sha256"):
        far_orbit.upload(make_file(SIZE))
    (left,) = far_orbit.artifacts()
    assert left.status == "upload_failed"


def test_a_file_that_shrinks_meanwhile(orbit: OrbitHandle, make_file: MakeFile) -> None:
    path = make_file(SIZE)
    info = _info(path)
    created = orbit.client.artifacts.create(
        *orbit.ids, orbit.collection("c").id, file_name=path.name, manifest=info.manifest, file_index={},
        file_hash=info.file_hash, size=info.size,
    )  # fmt: skip
    os.truncate(path, 1000)
    with pytest.raises(TransferError, match="shorter"):
        uploading.upload(orbit.client, created, path)


def test_a_lost_answer_to_the_report_is_no_loss(far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy) -> None:
    proxy.plan(Fault("PATCH", after=0))
    assert far_orbit.upload(make_file()).data.status == "uploaded"


def test_a_download_goes_on_where_it_stopped(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path
) -> None:
    path = make_file(SIZE)
    stored = far_orbit.upload(path)
    proxy.requests.clear()
    # More breaks than attempts: only those in a row count that bring nothing.
    proxy.plan(*[Fault("GET /store", after=400_000)] * 7, Fault("GET /store", answer=BUSY))
    found = stored.download(tmp_path / "found.tar")
    assert sha256(found) == sha256(path)
    assert not proxy.faults


def test_a_download_that_never_succeeds_leaves_nothing(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path
) -> None:
    stored = far_orbit.upload(make_file(SIZE))
    proxy.plan(*[Fault("GET /store", after=0)] * transfers.TRIES)
    with pytest.raises(TransferError):
        stored.download(tmp_path / "new" / "found.tar")
    assert not (tmp_path / "new").exists()


def test_a_download_that_arrives_changed_is_refused(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path
) -> None:
    stored = far_orbit.upload(make_file(SIZE))
    target = tmp_path / "found.tar"
    target.write_text("what was there before")
    proxy.plan(Fault("GET /store", after=1_000_000, flip=True))
    with pytest.raises(TransferError, match="sha256"):
        stored.download(target)
    assert target.read_text() == "what was there before"


def test_a_bucket_without_ranges(far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path) -> None:
    path = make_file(SIZE)
    stored = far_orbit.upload(path)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % path.stat().st_size
    proxy.plan(Fault("GET /store", after=400_000), Fault("GET /store", answer=whole + path.read_bytes()))
    assert sha256(stored.download(tmp_path / "found.tar")) == sha256(path)


def test_an_expired_or_forged_address_is_not_tried_again(client: Any, proxy: Proxy, tmp_path: Path) -> None:
    url = f"{proxy.address}/store/b/k?signature=x"
    with pytest.raises(TransferError, match="403"):
        downloading.download(client.direct, lambda: url, tmp_path / "x", "0" * 64, 10)
    assert len(proxy.requests) == 2  # and another address was asked for, which is no better


def test_a_range_of_an_object(orbit: OrbitHandle, make_file: MakeFile) -> None:
    path = make_file(1000)
    stored = orbit.upload(path)
    url = orbit.client.artifacts.download_url(*stored.ids).url
    offset, size = stored.data.file_index["manifest.json"]
    with tarfile.open(path) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest and transfers.read_range(orbit.client.direct, url, offset, size) == manifest.read()
    with pytest.raises(TransferError):
        transfers.read_range(orbit.client.direct, url, stored.data.size - 10, 20)


def test_a_file_name_that_leads_elsewhere(orbit: OrbitHandle, make_file: MakeFile, tmp_path: Path) -> None:
    """Whoever uploads chooses the name; whoever downloads must not be harmed by it."""
    path, folder = make_file(100), tmp_path / "inner"
    folder.mkdir()
    info = _info(path)
    for name in ("../evil.tar", "/tmp/evil.tar", "..\\evil.tar", "a/../../evil.tar"):
        created = orbit.client.artifacts.create(
            *orbit.ids, orbit.collection("c").id, file_name=name, manifest=info.manifest, file_index={},
            file_hash=info.file_hash, size=info.size, name=name.replace("/", "_"),
        )  # fmt: skip
        uploading.upload(orbit.client, created, path)
        orbit.client.artifacts.update(
            *orbit.ids, created.artifact.collection_id, created.artifact.id, status="uploaded"
        )
        found = orbit.artifact(created.artifact.id).download(folder)
        assert found.parent == folder and found.name == "evil.tar"
    assert left_in(folder) == ["evil.tar"]


@pytest.mark.slow
def test_a_large_file_in_parts_over_a_line_that_breaks(
    far_orbit: OrbitHandle, proxy: Proxy, make_file: MakeFile, tmp_path: Path
) -> None:
    path = make_file(size=0, name="large.tar", data=bytes(525_000_000))
    proxy.plan(
        Fault("POST .*uploads", after=0),
        Fault("PUT .*partNumber=2", after=10_000_000, direction="up"),
        Fault("PUT .*partNumber=2", after=0),
        Fault("PUT .*partNumber=16", answer=BUSY),
        Fault("POST .*uploadId", after=0),
    )
    stored = far_orbit.upload(path)
    assert stored.data.status == "uploaded" and not proxy.faults
    assert sha256(stored.download(tmp_path / "back.tar")) == sha256(path)


def test_many_at_once(orbit: OrbitHandle, make_file: MakeFile, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = [make_file(200_000, name=f"file{n}.tar") for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        stored = list(threads.map(lambda path: orbit.upload(path, "many"), files))
        target = tmp_path / "one.tar"
        list(threads.map(lambda _: stored[0].download(target), range(8)))
    assert {one.data.file_hash for one in stored} == {sha256(path) for path in files}
    assert sha256(target) == stored[0].data.file_hash
    assert len({one.data.collection_id for one in stored}) >= 1


def _info(path: Path) -> Any:
    from luml_app.packaging import read_artifact

    return read_artifact(path)


def test_the_direct_connections_carry_no_key(orbit: OrbitHandle) -> None:
    assert "Authorization" not in orbit.client.direct.headers
