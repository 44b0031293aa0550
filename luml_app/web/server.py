"""Composition root of the server: REST, store, plain pages and dashboard on one port."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import replace
from functools import partial
from typing import Any

from tornado import netutil
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.routing import AnyMatches, PathMatches, Rule, RuleRouter
from tornado.web import Application

from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.resources.first_steps import check_person, make_first_account
from luml_app.resources.verifying import while_awaited
from luml_app.schemas.errors import ConfigurationError, LumlError
from luml_app.storage.opening import store_signer
from luml_app.web.docs import docs_routes
from luml_app.web.entrance import entrance_routes
from luml_app.web.house import House
from luml_app.web.plain_pages import plain_routes
from luml_app.web.rest import UnknownPath, rest_route, until_ready
from luml_app.web.store import Store, store_routes

log = logging.getLogger(__name__)
_STOP_SECONDS = 5.0
_LOOK_SECONDS = 2.0
_API = (
    r"/(v1|satellites|bucket-secrets|store|cdn|docs)(/.*)?"
    r"|/(healthz|readyz|version|metrics|openapi\.json|login|logout|signup|forgot|reset|confirm|account)?"
)


class Server:
    """One server process. `start` binds and serves; `stop` ends what is open and waits for it."""

    def __init__(self, house: House, *, role: str = "all", reuse_port: bool = False) -> None:
        self.house = house
        self.role = role
        self._reuse_port = reuse_port
        self._http: HTTPServer | None = None
        self._ui: Any = None

    def start(self) -> int:
        """Bind and serve on the current loop; the port. Raises ConfigurationError when it cannot be bound."""
        sockets = _bind(self.house.settings, reuse_port=self._reuse_port)
        port: int = sockets[0].getsockname()[1]
        if self.house.settings.port != port:
            self.house.know(replace(self.house.settings, port=port))
        self.house.hub.attach(asyncio.get_event_loop())
        self.house.listener.start()
        if self.role != "ui":
            self.house.keep()
        api = _api_application(self.house)
        rules = [Rule(PathMatches(_API), api)]
        if self.role in {"all", "ui"}:
            from luml_app.web.ui import Ui

            self._ui = Ui(self.house)
        rules.append(Rule(AnyMatches(), api if self._ui is None else self._ui.application))
        self._http = HTTPServer(
            RuleRouter(rules),
            # Only behind a proxy is there somebody who may say where a request comes from.
            xheaders=self.house.settings.proxied,
            max_body_size=self.house.settings.max_body_bytes,
            idle_connection_timeout=120,
        )
        self._http.add_sockets(sockets)
        if self._ui is not None:
            self._ui.start(self._http)
        return port

    async def stop(self) -> None:
        """Stop accepting, let requests finish for a while, close the rest."""
        if self._http is None:
            return
        self._http.stop()
        if self._ui is not None:
            self._ui.stop()
        try:
            await asyncio.wait_for(self._http.close_all_connections(), _STOP_SECONDS)
        except TimeoutError:
            log.warning("Some connections were still busy when the server stopped.")
        self.house.close()


def serve(settings: Settings, keys: Keys, *, role: str = "all") -> int:
    """Run a server until SIGTERM or SIGINT; the exit code."""
    house = House.build(settings, keys)
    server = Server(house, role=role)
    loop = IOLoop.current()

    async def run() -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        if settings.admin_password is not None:
            check_person(settings.admin_email.strip(), settings.admin_password)
        port = server.start()
        welcome = asyncio.ensure_future(_welcome(house)) if role != "ui" else None
        print(f"LUML serves on http://{settings.host}:{port}", flush=True)
        await ended.wait()
        if welcome is not None:
            welcome.cancel()
        await server.stop()

    try:
        loop.run_sync(run)
    except ConfigurationError as error:
        print(f"luml: {error}", file=sys.stderr)
        return 1
    return 0


async def _welcome(house: House) -> None:
    """As soon as the database has its tables: see that somebody can sign in, or say how that comes about."""
    while not await until_ready(house):
        await asyncio.sleep(_LOOK_SECONDS)
    work = asyncio.get_running_loop().run_in_executor(house.threads, make_first_account, house.database, house.settings)
    try:
        if not await work and house.settings.signup != "open":
            log.warning(
                "Nobody has an account here yet: run `luml users add EMAIL`, or set LUML_ADMIN_EMAIL and "
                "LUML_ADMIN_PASSWORD and start again."
            )
    except LumlError as error:
        log.error("The first account could not be made: %s", error)


def _api_application(house: House) -> Application:
    guard = partial(while_awaited, house.database)
    store = Store(house.settings.store_root, store_signer(house.keys), guard=guard)
    routes = [*entrance_routes(house), rest_route(house), *plain_routes(house), *docs_routes(), *store_routes(store)]
    return Application(routes, default_handler_class=UnknownPath, log_function=_log_request)


def _log_request(handler: Any) -> None:
    if handler.get_status() >= 500:
        log.error("%d %s", handler.get_status(), handler.request.method + " " + handler.request.path)


def _bind(settings: Settings, *, reuse_port: bool) -> list[socket.socket]:
    """Own sockets, so that a port that is taken is said in one sentence before anything else has begun."""
    try:
        return netutil.bind_sockets(settings.port, settings.host, reuse_port=reuse_port)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another with --port."
        ) from error
