"""Pages without Panel: health, the API reference, and Panel's JavaScript for notebooks."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path

import prometheus_client
from tornado.routing import URLSpec
from tornado.web import RedirectHandler, RequestHandler, StaticFileHandler

from luml_app.core.targets import HOME
from luml_app.web.house import House
from luml_app.web.openapi import document
from luml_app.web.rest import JsonHandler, until_ready

HERE = Path(__file__).parent


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
