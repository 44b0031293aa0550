"""The documentation as a browser gets it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from luml_app.web.docs import PAGES, docs_routes, render


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with the documentation alone."""
    started, box = threading.Event(), {}

    async def run() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
        server = HTTPServer(Application(docs_routes()))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        box["port"] = sockets[0].getsockname()[1]
        started.set()
        await box["stop"].wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{box['port']}"
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(10)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_served_with_its_navigation(address: str, page: str) -> None:
    answer = httpx.get(f"{address}/docs/{page}")
    assert answer.status_code == 200
    assert "text/html" in answer.headers["Content-Type"]
    assert 'aria-current="page"' in answer.text
    assert all(f'href="/docs/{other}"' in answer.text for other in PAGES if other != "index")


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/index.md", "/docs/concepts/", "/docs/docs.css"])
def test_every_way_in_works(address: str, path: str) -> None:
    assert httpx.get(address + path, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/%2e%2e/%2e%2e/README", "/docs/a/b", "/docs/__init__.py"])
def test_what_is_no_page_is_404_in_words(address: str, path: str) -> None:
    answer = httpx.get(address + path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


@pytest.mark.parametrize("path", ["/docs/images/%2e%2e/index.md", "/docs/images/none.png", "/docs/images/"])
def test_of_the_folder_only_images_are_given_out(address: str, path: str) -> None:
    assert httpx.get(address + path).status_code == 404


def test_a_browser_is_told_to_load_nothing_from_elsewhere(address: str) -> None:
    policy = httpx.get(f"{address}/docs/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_markup_and_scripts_in_markdown_stay_text() -> None:
    body = render("# <b>T</b>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))").body
    assert "<script" not in body
    assert "<b>" not in body
    assert 'href="javascript' not in body
