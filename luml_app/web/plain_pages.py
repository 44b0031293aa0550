"""Pages without Panel: sign-in, health, the API reference, and Panel's JavaScript for notebooks."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import prometheus_client
from tornado.escape import xhtml_escape
from tornado.routing import URLSpec
from tornado.web import RedirectHandler, RequestHandler, StaticFileHandler

from luml_app.core.service import Request
from luml_app.resources.sessions import ACCESS, REFRESH
from luml_app.schemas.errors import Invalid, LumlError, Unauthenticated
from luml_app.web.errors import status_of
from luml_app.web.house import House
from luml_app.web.openapi import document
from luml_app.web.principal import check_origin, credentials_of
from luml_app.web.rest import JsonHandler, until_ready

HERE = Path(__file__).parent
HOME = "/app"


def plain_routes(house: House) -> list[URLSpec]:
    """The routes of these pages."""
    arguments = {"house": house}
    return [
        URLSpec(r"/", RedirectHandler, {"url": HOME, "permanent": False}),
        URLSpec(r"/healthz", Health, arguments),
        URLSpec(r"/readyz", Ready, arguments),
        URLSpec(r"/version", Version, arguments),
        URLSpec(r"/metrics", Metrics),
        URLSpec(r"/openapi.json", OpenApi),
        URLSpec(r"/docs/api/?", ApiReference),
        URLSpec(
            r"/docs/api/static/(swagger-ui(?:-bundle)?\.(?:js|css))", StaticFileHandler, {"path": _swagger_files()}
        ),
        URLSpec(r"/cdn/panel/[^/]+/dist/(.*)", PanelFiles, {"path": _package_folder("panel") + "/dist"}),
        URLSpec(r"/login", Login, arguments),
        URLSpec(r"/logout", Logout, arguments),
    ]


def _package_folder(name: str) -> str:
    spec = importlib.util.find_spec(name)
    return str(Path(spec.origin).parent) if spec and spec.origin else ""


def _swagger_files() -> str:
    return _package_folder("swagger_ui") + "/static"


class HouseHandler(JsonHandler):
    """A page that knows the house."""

    def initialize(self, house: House) -> None:
        """Tornado's constructor."""
        self.house = house


class Health(HouseHandler):
    """The process is alive."""

    def get(self) -> None:
        """Say so, without asking anything else."""
        self.write_json({"status": "ok"})

    head = get


class Ready(HouseHandler):
    """The database answers and has this code's schema."""

    async def get(self) -> None:
        """200, or 503 while it is not so."""
        ready = await until_ready(self.house)
        self.write_json({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    head = get


class Version(HouseHandler):
    """Which LUML this is."""

    def get(self) -> None:
        """Versions of the platform and of its Python."""
        self.write_json({"version": version("luml"), "python": sys.version.split()[0]})


class Metrics(RequestHandler):
    """Metrics for Prometheus."""

    def get(self) -> None:
        """All metrics of this process."""
        self.set_header("Content-Type", prometheus_client.CONTENT_TYPE_LATEST)
        self.finish(prometheus_client.generate_latest())


class OpenApi(RequestHandler):
    """The OpenAPI document."""

    def get(self) -> None:
        """The document."""
        self.set_header("Content-Type", "application/json")
        self.finish(document())


class ApiReference(RequestHandler):
    """Swagger UI over the OpenAPI document."""

    def get(self) -> None:
        """The page."""
        self.set_header(
            "Content-Security-Policy",
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
        )
        self.finish((HERE / "static" / "api.html").read_text())


class PanelFiles(StaticFileHandler):
    """Panel's JavaScript for notebooks, which load it from here and never from a CDN."""

    def set_default_headers(self) -> None:
        """Notebooks are other origins; the files are public."""
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")


class Login(RequestHandler):
    """Sign in, by e-mail and password or by a one-time link."""

    def initialize(self, house: House) -> None:
        """Tornado's constructor."""
        self.house = house

    async def get(self) -> None:
        """The form; with ``?token=`` sign in by the link; with a refresh token that is still good, quietly."""
        token = self.get_query_argument("token", None)
        if token:
            await self._enter("auth.use_link", {"token": token})
        elif not (credentials_of(self.request).refresh_token and await self._try("auth.refresh")):
            self._form()

    async def post(self) -> None:
        """Sign in by the form's e-mail and password."""
        try:
            check_origin(self.request)
        except LumlError as error:
            self._form(error)
            return
        form = {name: self.get_body_argument(name, "") for name in ("email", "password")}
        await self._enter("auth.signin", body=form, email=form["email"])

    async def _try(self, name: str) -> bool:
        try:
            await self._sign_in(name)
        except Unauthenticated:
            self.clear_cookie(REFRESH, path="/")
            return False
        except LumlError:  # the database is away for a moment; the session may still be good
            return False
        return True

    async def _enter(self, name: str, query: dict[str, Any] | None = None, body: Any = None, email: str = "") -> None:
        try:
            await self._sign_in(name, query, body)
        except Invalid:
            self._form(Unauthenticated("Give the e-mail address and the password of your account."), email)
        except LumlError as error:
            self._form(error, email)

    async def _sign_in(self, name: str, query: dict[str, Any] | None = None, body: Any = None) -> None:
        operation = self.house.service.operations[name]
        request = Request(operation, {}, query or {}, body, credentials_of(self.request))
        answer = await self.house.call(request)
        for cookie, (value, seconds) in answer.cookies.items():
            secure = self.house.settings.secure or self.request.protocol == "https"
            self.set_cookie(cookie, value, path="/", max_age=seconds, httponly=True, samesite="Lax", secure=secure)
        self.redirect(_own_page(self.get_argument("next", HOME)))

    def _form(self, error: LumlError | None = None, email: str = "") -> None:
        page = (HERE / "static" / "login.html").read_text()
        said = f'<p class="error" role="alert">{xhtml_escape(error.message)}</p>' if error else ""
        action = "/login?next=" + quote(_own_page(self.get_query_argument("next", HOME)), safe="")
        filled = {"ERROR": said, "ACTION": xhtml_escape(action), "EMAIL": xhtml_escape(email)}
        for name, text in filled.items():
            page = page.replace(f"<!--{name}-->", text)
        self.set_status(status_of(error) if error else 200)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header(
            "Content-Security-Policy",
            "default-src 'self'; style-src 'unsafe-inline'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        )
        self.finish(page)


class Logout(Login):
    """End the session."""

    async def get(self) -> None:
        """Revoke the session, forget the cookies, and show the form again."""
        operation = self.house.service.operations["auth.logout"]
        await self.house.call(Request(operation, credentials=credentials_of(self.request)))
        for cookie in (ACCESS, REFRESH):
            self.clear_cookie(cookie, path="/")
        self.redirect("/login")


def _own_page(target: str) -> str:
    """The target if it is a page of ours, else the home page: nobody is sent to another site after signing in."""
    parts = urlsplit(target)
    ours = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith("//")
    return target if ours and "\\" not in target and target.isprintable() else HOME
