"""A registry of images behind a login, as small as an engine puts up with; it gives one image out and takes none in."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = "luml/base"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Registry:
    """Serves an image of one empty file on loopback, for whoever knows user and password."""

    def __init__(self, user: str, password: str) -> None:
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.blobs: dict[str, bytes] = {}
        layer = self.keep(one_file())
        rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
        config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs, "history": []}
        parts = {"config": {"mediaType": CONFIG, **self.keep(json.dumps(config).encode())}}
        self.manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, **parts, "layers": [{"mediaType": LAYER, **layer}]}
        ).encode()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keep(self, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return {"size": len(data), "digest": digest}

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.server.server_port}/{NAME}:1"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def one_file() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    return made.getvalue()


def handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != registry.login:
                self.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="test"'})
            elif self.path == "/v2/":
                self.answer(200, b"{}", {})
            elif self.path.startswith(f"/v2/{NAME}/manifests/"):
                self.answer(200, registry.manifest, {"Content-Type": MANIFEST})
            else:
                blob = registry.blobs.get(self.path.rpartition("/")[2])
                self.answer(200 if blob else 404, blob or b"{}", {"Content-Type": "application/octet-stream"})

        do_HEAD = do_GET

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            for name, value in {"Content-Length": str(len(body)), "Docker-Content-Digest": digest, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    return Handler
