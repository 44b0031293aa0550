"""A browser's session without a browser: the page, its token, and the websocket."""

from __future__ import annotations

import base64
import json
import re
import uuid
from typing import Any

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect


def read_page(address: str, path: str, cookies: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The page's HTML, and the payload that its token carries, readable for everybody who has the page."""
    with httpx.Client(trust_env=False, cookies=cookies) as http:
        html = http.get(address + path).raise_for_status().text
    token = _token(html)
    head = token.split(".")[0]
    return html, json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))


def _token(html: str) -> str:
    found = re.search(r'"token":"([^"]+)"', html)
    assert found, "the page has no session"
    return found.group(1)


async def open_session(
    address: str, path: str, html: str, cookies: dict[str, str], origin: str | None = None
) -> WebSocketClientConnection:
    """The session of a page that has been read, with its document pulled as a browser does it."""
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"Cookie": sent, "Origin": origin or address}
    url = address.replace("http", "ws", 1) + path + "/ws"
    request = HTTPRequest(url, headers=headers)
    socket = await websocket_connect(request, subprotocols=["bokeh", _token(html)])
    await _hear(socket, "ACK")
    for part in ({"msgid": uuid.uuid4().hex, "msgtype": "PULL-DOC-REQ"}, {}, {}):
        await socket.write_message(json.dumps(part))
    await _hear(socket, "PULL-DOC-REPLY")
    return socket


async def _hear(socket: WebSocketClientConnection, kind: str) -> None:
    while (message := await socket.read_message()) is not None:
        if f'"{kind}"' in str(message):
            return
    raise AssertionError(f"the server closed the websocket before its {kind}")
