"""What a broken transfer has brought over is not sent, or fetched, again; and what was fetched is kept for a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from luml_app.client import downloading
from luml_app.client.downloading import Cache
from luml_app.client.orbits import OrbitHandle
from luml_app.client.transfers import TransferError
from luml_app.schemas.errors import ConfigurationError
from tests.client.conftest import sha256
from tests.client.proxy import Fault, Proxy
from tests.client.test_buckets import SIZE, cut_small
from tests.client.test_transfers import left_in, short_pauses
from tests.serving import until

__all__ = ["cut_small", "short_pauses"]

MakeFile = Callable[..., Path]
Other = Callable[..., "subprocess.Popen[str]"]
UPLOAD = "import sys, luml_app as luml; luml.Client().orbit().upload(sys.argv[1])"
DOWNLOAD = "import sys, luml_app as luml; luml.Client().orbit().artifact('data').download(sys.argv[1])"


@pytest.fixture
def other(far_orbit: OrbitHandle, cache_of_its_own: Path) -> Other:
    """Runs a line of Python in another process of the same person."""

    def run(code: str, *arguments: str) -> subprocess.Popen[str]:
        connection = far_orbit.client.connection
        known = {"LUML_ADDRESS": connection.address, "LUML_API_KEY": connection.api_key or ""}
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env={**os.environ, **known}, text=True, stderr=subprocess.PIPE
        )

    return run


def puts(proxy: Proxy) -> list[str]:
    """The numbers of the parts that have been begun."""
    return sorted(line.split("partNumber=")[1][0] for line in proxy.requests if "partNumber=" in line)


def ledgers(cache: Path, kind: str = "uploads") -> list[Path]:
    return [path for path in (cache / kind).glob("*") if path.suffix != ".lock" and not path.name.startswith(".")]


def parts_done(cache: Path, number: int) -> bool:
    return any(path.read_text().count('":"') >= number for path in ledgers(cache))


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_an_upload_goes_on_in_a_new_process(
    far_orbit: OrbitHandle, other: Other, proxy: Proxy, make_file: MakeFile, cut_small: None, cache_of_its_own: Path,
    sign: signal.Signals, tmp_path: Path,
) -> None:  # fmt: skip
    path = make_file(SIZE)
    proxy.plan(Fault("PUT .*partNumber=2", held=120))
    process = other(UPLOAD, str(path))
    # The artifact, the id of the upload, and two parts.
    until(lambda: parts_done(cache_of_its_own, 4), "two parts are there")
    process.send_signal(sign)
    assert process.wait(20) != 0
    process.communicate()
    assert puts(proxy) == ["1", "2", "3"]
    proxy.requests.clear()
    stored = far_orbit.upload(path)
    assert puts(proxy) == ["2"]
    assert stored.data.status == "uploaded"
    assert [one.id for one in far_orbit.artifacts()] == [stored.id]
    assert sha256(stored.download(tmp_path / "back.tar")) == sha256(path)
    assert ledgers(cache_of_its_own) == []


def test_an_upload_that_the_bucket_has_forgotten_begins_anew(
    far_orbit: OrbitHandle, proxy: Proxy, make_file: MakeFile, cut_small: None, tmp_path: Path
) -> None:
    path = make_file(SIZE)
    gone = b"HTTP/1.1 404 Gone\r\nContent-Length: 12\r\nConnection: close\r\n\r\nNoSuchUpload"
    proxy.plan(Fault("PUT .*partNumber=2", answer=b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    with pytest.raises(TransferError, match="400"):
        far_orbit.upload(path)
    proxy.plan(Fault("PUT .*partNumber=", answer=gone))
    assert sha256(far_orbit.upload(path).download(tmp_path / "back.tar")) == sha256(path)
    assert len(list(far_orbit.artifacts())) == 1


def test_an_upload_whose_end_was_not_heard_of_is_not_done_again(
    far_orbit: OrbitHandle, proxy: Proxy, make_file: MakeFile, other: Other
) -> None:
    path = make_file(1000)
    proxy.plan(Fault("PATCH", held=120))
    process = other(UPLOAD, str(path))
    until(lambda: any("PATCH" in line for line in proxy.requests), "the upload is reported")
    process.kill()
    process.communicate()
    until(lambda: next(far_orbit.artifacts()).status == "uploaded" or not proxy.faults, "the report is on its way")
    far_orbit.upload(path)
    assert len(list(far_orbit.artifacts())) == 1


def test_other_facts_are_another_upload(far_orbit: OrbitHandle, proxy: Proxy, make_file: MakeFile) -> None:
    path = make_file(1000)
    proxy.plan(Fault("PUT", answer=b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    with pytest.raises(TransferError):
        far_orbit.upload(path, tags=["old"])
    assert far_orbit.upload(path, tags=["new"]).data.tags == ["new"]
    assert far_orbit.upload(path, tags=["old"]).data.tags == ["old"]
    assert {one.status for one in far_orbit.artifacts()} == {"uploaded"}


def test_a_file_that_changes_while_it_is_sent(far_orbit: OrbitHandle, proxy: Proxy, make_file: MakeFile) -> None:
    path = make_file(1000)
    proxy.plan(Fault("PUT /store", held=1.0))
    before = path.stat()

    def touch() -> bool:
        if any("PUT /store" in line for line in proxy.requests):
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
            return True
        return False

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        touched = pool.submit(until, touch, "the file is sent")
        with pytest.raises(TransferError, match="has changed"):
            far_orbit.upload(path)
        touched.result()


@pytest.mark.parametrize("in_ranges", [True, False])
def test_a_download_goes_on_in_a_new_process(
    far_orbit: OrbitHandle, other: Other, proxy: Proxy, make_file: MakeFile, cache_of_its_own: Path, tmp_path: Path,
    in_ranges: bool,
) -> None:  # fmt: skip
    path = make_file(100_000_000 if in_ranges else 50_000_000)
    stored, draft = far_orbit.upload(path), cache_of_its_own / "drafts" / sha256(path)
    process = other(DOWNLOAD, str(tmp_path / "first.tar"))

    def half_way() -> bool:
        done = draft.with_suffix(".json") if in_ranges else draft
        return done.exists() and (in_ranges or draft.stat().st_size > 10_000_000)

    until(half_way, "some of it is there")
    process.kill()
    process.communicate()
    assert not (tmp_path / "first.tar").exists()
    before = proxy.down
    assert sha256(stored.download(tmp_path / "second.tar")) == sha256(path)
    assert proxy.down - before < path.stat().st_size - 9_000_000
    assert left_in(cache_of_its_own / "drafts") == []


def test_what_is_left_and_damaged_is_fetched_again(
    far_orbit: OrbitHandle, make_file: MakeFile, cache_of_its_own: Path, tmp_path: Path
) -> None:
    path = make_file(3_000_000)
    stored, draft = far_orbit.upload(path), cache_of_its_own / "drafts" / sha256(path)
    draft.parent.mkdir()
    for left in (b"x" * 1_000_000, path.read_bytes()[:2_000_000], b"x" * 9_000_000, path.read_bytes()):
        draft.write_bytes(left)
        assert sha256(stored.download(tmp_path / f"{len(left)}.tar")) == sha256(path)
        Cache(cache_of_its_own, 0).trim()


def test_a_large_file_comes_in_ranges_over_a_line_that_breaks(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "PART", 1_000_000)
    path = make_file(4_500_000)
    stored = far_orbit.upload(path)
    proxy.requests.clear()
    busy = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    proxy.plan(*[Fault("GET /store", after=400_000)] * 6, Fault("GET /store", answer=busy))
    assert sha256(stored.download(tmp_path / "found.tar")) == sha256(path)
    assert not proxy.faults
    assert sum("GET /store" in line for line in proxy.requests) == 5 + 7


def test_an_address_that_runs_out_meanwhile_is_asked_for_anew(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path, cut_small: None
) -> None:
    over = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\nConnection: close\r\n\r\nExpired"
    path = make_file(SIZE)
    proxy.plan(Fault("PUT .*partNumber=1", answer=over))
    stored = far_orbit.upload(path)
    proxy.plan(Fault("GET /store", after=400_000), Fault("GET /store", answer=over))
    assert sha256(stored.download(tmp_path / "found.tar")) == sha256(path)
    assert not proxy.faults


def test_a_bucket_without_ranges_is_read_whole(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "PART", 1_000_000)
    path = make_file(2_500_000)
    stored = far_orbit.upload(path)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % path.stat().st_size
    proxy.plan(*[Fault("GET /store", answer=whole + path.read_bytes())] * 4)
    assert sha256(stored.download(tmp_path / "found.tar")) == sha256(path)


# The cache


def test_what_was_fetched_is_not_fetched_again(
    far_orbit: OrbitHandle, make_file: MakeFile, proxy: Proxy, tmp_path: Path, cache_of_its_own: Path
) -> None:
    path = make_file(100_000)
    stored = far_orbit.upload(path)
    stored.download(tmp_path / "one.tar")
    proxy.requests.clear()
    assert sha256(stored.download(tmp_path / "two.tar")) == sha256(path)
    assert not [line for line in proxy.requests if "/store" in line]
    (tmp_path / "one.tar").write_bytes(b"changed by its owner")
    assert sha256(stored.download(tmp_path / "three.tar")) == sha256(path)

    (kept,) = (cache_of_its_own / "files").iterdir()
    kept.write_bytes(b"damaged")
    assert sha256(stored.download(tmp_path / "four.tar")) == sha256(path)


def test_the_cache_has_a_size(
    orbit: OrbitHandle, make_file: MakeFile, tmp_path: Path, cache_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUML_CACHE_GIB", str(450_000 / 1024**3))
    stored = [orbit.upload(make_file(200_000, name=f"n{number}.tar")) for number in range(3)]
    for at, one in enumerate([stored[0], stored[1], stored[0], stored[2]]):
        one.download(tmp_path / f"{at}.tar")
    kept = {path.name for path in (cache_of_its_own / "files").iterdir()}
    assert kept == {stored[0].data.file_hash, stored[2].data.file_hash}


def test_a_file_that_is_larger_than_the_cache_leaves_nothing_there(
    orbit: OrbitHandle, make_file: MakeFile, tmp_path: Path, cache_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUML_CACHE_GIB", "0")
    path = make_file(100_000)
    assert sha256(orbit.upload(path).download(tmp_path / "new" / "one.tar")) == sha256(path)
    assert left_in(tmp_path / "new") == ["one.tar"]
    assert not (cache_of_its_own / "files").exists()
    monkeypatch.setenv("LUML_CACHE_GIB", "much")
    with pytest.raises(ConfigurationError, match="LUML_CACHE_GIB"):
        orbit.artifact("data").download(tmp_path / "new" / "two.tar")


BOTH_WAYS = """
import re, sys, luml_app as luml
orbit = luml.Client().orbit()
orbit.upload(sys.argv[1]).download(sys.argv[2])
# Not by getrusage, which counts what the process that has started this one had.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_gibibytes_go_over_a_line_that_breaks_in_little_memory(
    far_orbit: OrbitHandle, other: Other, proxy: Proxy, make_file: MakeFile, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("LUML_CACHE_GIB", "0")
    path = make_file(0, name="large.tar", data=b"")
    with path.open("r+b") as file:  # a sparse file: zeros that cost no disk, behind a member with real bytes
        size = 5 * 1024**3
        file.truncate(size)
    proxy.plan(
        *[Fault("PUT .*partNumber=2&", after=9_000_000, direction="up")] * 3,
        *[Fault("GET /store", after=9_000_000)] * 3,
    )
    process = other(BOTH_WAYS, str(path), str(tmp_path / "back.tar"))
    _, said = process.communicate(timeout=1500)
    assert process.returncode == 0, said
    assert sha256(tmp_path / "back.tar") == sha256(path)
    assert int(said.strip().splitlines()[-1]) < 200
    assert not proxy.faults
