"""The least that an authenticated read by id can cost: a handler, the key's hash, one joined query, JSON.

Run as ``python -m tests.benchmarks.yardstick ADDRESS_OF_THE_DATABASE``; it prints its own address.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
from sqlalchemy.engine import make_url
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tests.cast import KEYS

_QUERY = """
SELECT a.id, a.name, a.description, a.file_name, a.size, a.status, a.created_at, a.tags, a.manifest, a.file_index,
    a.extra_values
FROM api_keys k
JOIN organization_members m ON m.user_id = k.user_id
JOIN orbits o ON o.organization_id = m.organization_id
JOIN artifacts a ON a.orbit_id = o.id
WHERE k.key_hash = %s AND a.id = %s
"""
_threads = ThreadPoolExecutor(10)
_local = threading.local()


def _read(token: str, artifact_id: str) -> Any:
    if not hasattr(_local, "connection"):
        address = make_url(sys.argv[1]).set(drivername="postgresql").render_as_string(hide_password=False)
        _local.connection = psycopg.connect(address, autocommit=True)
    return _local.connection.execute(_QUERY, (KEYS.hash(token), artifact_id), prepare=True).fetchone()


class _Read(RequestHandler):
    async def get(self, artifact_id: str) -> None:
        token = self.request.headers["Authorization"].removeprefix("Bearer ")
        row = await asyncio.get_running_loop().run_in_executor(_threads, _read, token, artifact_id)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(row))


async def _serve() -> None:
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/(.*)", _Read)], log_function=lambda _: None)).add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
