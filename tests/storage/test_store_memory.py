"""However large an object, the server's memory stays flat."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from luml_app.storage.local import LocalStorage
from luml_app.storage.parts import MIB
from luml_app.storage.signing import SigningKey, UrlSigner

from .conftest import LIFETIME, cannot_run
from .test_conformance import cut, upload_in_parts

ALLOWED_GROWTH = 48 * MIB
CHUNK = bytes(MIB)

SERVER = """
import asyncio, sys
from pathlib import Path
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from luml_app.storage.signing import SigningKey, UrlSigner
from luml_app.web.store import routes

async def main():
    http = HTTPServer(Application(routes(Path(sys.argv[1]), UrlSigner([SigningKey("k", b"x" * 32)]))))
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    if not Path("/proc/self/status").exists():
        cannot_run("the peak memory of another process can be read on Linux only")
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("size", [128 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.slow)], ids=["128 MB", "1 GB"])
def test_memory_does_not_grow_with_the_object(
    http: httpx.Client, process: subprocess.Popen[str], tmp_path: Path, size: int
) -> None:
    assert process.stdout is not None
    bucket = LocalStorage(
        tmp_path, "b", f"http://127.0.0.1:{int(process.stdout.readline())}", UrlSigner([SigningKey("k", b"x" * 32)])
    )
    http.put(bucket.upload_url("warm", LIFETIME), content=CHUNK * 4).raise_for_status()
    before = peak_memory(process.pid)
    url = bucket.upload_url("large", LIFETIME)
    http.put(url, content=iter([CHUNK] * (size // MIB)), headers={"Content-Length": str(size)}).raise_for_status()
    assert digest_of_download(http, bucket.download_url("large", LIFETIME)) == digest_of_zeros(size)
    upload_in_parts(http, bucket, "parts", CHUNK * 64, cut(CHUNK * 64, 32 * MIB, 32 * MIB))
    assert peak_memory(process.pid) - before < ALLOWED_GROWTH


def peak_memory(pid: int) -> int:
    """The largest resident size in bytes that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def digest_of_download(http: httpx.Client, url: str) -> str:
    digest = hashlib.sha256()
    with http.stream("GET", url) as answer:
        for piece in answer.iter_raw():
            digest.update(piece)
        assert answer.headers["X-Luml-Sha256"] == digest.hexdigest()
    return digest.hexdigest()


def digest_of_zeros(size: int) -> str:
    digest = hashlib.sha256()
    for _ in range(size // MIB):
        digest.update(CHUNK)
    return digest.hexdigest()
