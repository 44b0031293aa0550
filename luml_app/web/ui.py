"""Panel's part of the server: the dashboard as a BokehTornado beside the REST application."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import panel as pn
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.auth_provider import AuthProvider
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.settings import settings as bokeh_settings
from panel.io.application import Application, _eval_panel
from panel.io.resources import DIST_DIR
from panel.io.server import get_static_routes  # before Bokeh's server, whose handlers it patches
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import OutputTransform, RequestHandler

from luml_app.core.service import Request
from luml_app.dashboard.live import follow
from luml_app.dashboard.shell import shell
from luml_app.resources.sessions import ACCESS, REFRESH
from luml_app.schemas.errors import LumlError
from luml_app.web.docs import UnknownPage
from luml_app.web.house import House
from luml_app.web.principal import credentials_of

log = logging.getLogger(__name__)
THREADS = 8
_ROUTES = ("/app", "/app/(?P<path>.+)")
_URL = "luml_url"
_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; object-src 'none'; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'"
)


class Ui:
    """The dashboard of a house. `application` goes into the server's router, behind REST."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._server: BaseServer | None = None
        bokeh_settings.resources = "server"  # nothing from a CDN
        if pn.state._thread_pool is None:
            pn.config.nthreads = THREADS  # type: ignore[misc]
        self.application = self._build()

    def start(self, http: HTTPServer) -> None:
        """Begin to serve sessions over `http`."""
        self._server = BaseServer(IOLoop.current(), self.application, http)
        self._server.start()

    def stop(self) -> None:
        """End every session and close its websocket."""
        for context in self.application._applications.values():
            for session in list(context.sessions):
                session.request_expiration()
        for client in list(self.application._clients):
            client._socket.close(1001, "The server stops.")
        if self._server is not None:
            self._server.stop(wait=False)

    def _build(self) -> BokehTornado:
        handler = FunctionHandler(partial(_eval_panel, self._page, None, "LUML", False, False))
        application = BokehTornado(
            {route: Dashboard(handler) for route in _ROUTES},  # type: ignore[no-untyped-call]
            extra_patterns=get_static_routes({}),  # type: ignore[no-untyped-call]
            extra_websocket_origins=self._origins(),
            auth_provider=Guard(self._house),
            secret_key=self._house.keys.sessions.encode(),
            sign_sessions=True,
            # By default the page's HTML would carry the cookies of the request, readable to any script in it.
            exclude_cookies=[ACCESS, REFRESH],
            exclude_headers=["Cookie", "Authorization"],
            use_index=False,
            redirect_root=False,
            default_handler_class=UnknownPage,
            ico_path=str(DIST_DIR / "images" / "favicon.ico"),
            unused_session_lifetime_milliseconds=15_000,
            check_unused_sessions_milliseconds=5_000,
        )
        application.add_transform(Headers)
        return application

    def _origins(self) -> list[str]:
        settings = self._house.settings
        names = {f"{name}:{settings.port}" for name in (settings.host, "localhost", "127.0.0.1")}
        return sorted(names | {urlsplit(settings.address).netloc})

    def _page(self) -> Any:
        document = pn.state.curdoc
        context: Any = document.session_context if document else None
        # The real request, not the token inside the page: the session cookie never leaves the server's memory.
        credentials = credentials_of(context.request._request)
        made = shell(self._house.api(credentials), context.token_payload.get(_URL, "/app"))
        follow(self._house.hub, made, document)
        return made.page


class Dashboard(Application):
    """Remembers the address with which a page was asked for."""

    def process_request(self, request: Any) -> dict[str, Any]:
        """What goes into the page's token, signed and readable: an address, and nothing about the person."""
        return {**super().process_request(request), _URL: request.uri}


class Headers(OutputTransform):
    """Security headers for every answer of the dashboard."""

    def transform_first_chunk(self, status: int, headers: Any, chunk: bytes, finishing: bool) -> Any:
        """Add them."""
        headers["Content-Security-Policy"] = _CSP
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        return status, headers, chunk


class Guard(AuthProvider):
    """Lets in whoever has a session; the others are sent to the sign-in page."""

    def __init__(self, house: House) -> None:
        self._house = house
        super().__init__()

    @property
    def get_user(self) -> None:
        """Asked asynchronously only."""
        return None

    @property
    def get_user_async(self) -> Any:
        """Who asks, or None."""
        return self._user

    async def _user(self, handler: RequestHandler) -> str | None:
        operation = self._house.service.operations["auth.me"]
        try:
            answer = await self._house.call(Request(operation, credentials=credentials_of(handler.request)))
        except LumlError:
            return None
        return str(answer.value.id)

    @property
    def login_url(self) -> None:
        """Given by `get_login_url`."""
        return None

    @property
    def get_login_url(self) -> Any:
        """The sign-in page. Panel puts a dot before it, which makes it relative: so climb to the root first."""
        return lambda handler: "/.." * handler.request.path.count("/") + "/login"

    @property
    def login_handler(self) -> None:
        """The sign-in page belongs to the REST application."""
        return None

    @property
    def logout_url(self) -> str:
        """Where sessions end."""
        return "/logout"

    @property
    def logout_handler(self) -> None:
        """Belongs to the REST application, too."""
        return None
