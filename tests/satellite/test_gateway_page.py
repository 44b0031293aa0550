"""The page of a deployment, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.satellite.contract_server import API_KEY
from tests.satellite.gateway_house import House, house, more_upstreams, upstream
from tests.satellite.test_gateway_faces import served

__all__ = ["house", "more_upstreams", "served", "upstream"]


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of Debian's Chromium."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.mark.browser
def test_a_model_is_tried_out_in_the_browser(served: Callable[..., House], page: Any) -> None:
    here = served()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{here.gateway.url}/deployments/d2/docs")

    page.get_by_label("API key").fill("dfs_wrong")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("This API key may not call models here").wait_for()
    complaints.clear()  # the browser itself complains of the 401

    page.get_by_label("API key").fill(API_KEY)
    page.get_by_role("button", name="Open").click()
    page.locator("#operations-LUML-compute").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
    assert '"y"' in page.locator(".live-responses-table .highlight-code").first.inner_text()

    assert complaints == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {f"127.0.0.1:{here.gateway.port}"}
    assert API_KEY not in page.url
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_the_page_and_its_files_need_no_key_and_come_from_here(served: Callable[..., House]) -> None:
    here = served()
    answer = httpx.get(f"{here.gateway.url}/deployments/d2/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for name in ("page.js", "page.css", "swagger-ui.css", "swagger-ui-bundle.js"):
        file = httpx.get(f"{here.gateway.url}/docs/{name}")
        assert file.status_code == 200
        assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert httpx.get(f"{here.gateway.url}/docs/../app.py").status_code == 404
    assert httpx.head(f"{here.gateway.url}/deployments/d2/docs").content == b""
