"""The gateway's HTTP face."""

from __future__ import annotations

import hmac
import math
import uuid
from typing import Any

import msgspec
import tornado.web

from satellite.gateway.access import PlatformSilent
from satellite.gateway.dispatch import RETRY_SECONDS, Gateway, Refused

REFRESH_SECONDS = 0.05
# A body of up to so many times the limit is read to its end for the sake of a readable refusal.
PATIENCE = 4
DEPLOYMENT = r"/deployments/([0-9A-Za-z-]{1,64})"
ORIGIN_HEADERS = "Authorization, Content-Type, X-Request-Id"


class Handler(tornado.web.RequestHandler):
    """What every answer has: JSON, CORS, a request id, errors as `{"detail"}`."""

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado with the arguments of the route."""
        self.gateway = gateway

    def set_default_headers(self) -> None:
        """A browser form may call a model: the key comes in a header, never in a cookie, so any origin may."""
        given = self.request.headers.get("X-Request-Id", "")
        self.request_id = (
            given if given.isascii() and given.isprintable() and 0 < len(given) <= 128 else uuid.uuid4().hex
        )
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Access-Control-Expose-Headers", "X-Model-Digest, X-Revision, X-Request-Id, Retry-After")
        self.clear_header("Server")

    def options(self, *_: str) -> None:
        """The browser's question before the call."""
        self.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
        self.set_header("Access-Control-Allow-Headers", ORIGIN_HEADERS)
        self.set_header("Access-Control-Max-Age", "600")
        self.set_status(204)

    async def require_key(self) -> None:
        """Let through only callers with an API key that the platform knows."""
        scheme, _, key = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(key) <= 255:
            raise Refused(401, "Send an API key: Authorization: Bearer dfs_…")
        try:
            allowed = await self.gateway.access.allows(key.strip())
        except PlatformSilent:
            raise Refused(503, "The platform cannot be asked about this key at the moment", RETRY_SECONDS) from None
        if not allowed:
            raise Refused(401, "This API key may not call models here")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors in the contract's form."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        detail = error.detail if isinstance(error, Refused) else self._reason
        if isinstance(error, Refused) and error.retry_after:
            self.set_header("Retry-After", str(math.ceil(error.retry_after)))
        self.finish(msgspec.json.encode({"detail": detail}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """What a caller did wrong is not our log's business."""
        if not isinstance(value, Refused):
            super().log_exception(typ, value, tb)


@tornado.web.stream_request_body
class ComputeHandler(Handler):
    """`POST /deployments/{id}/compute`.

    A refusal is decided before the body but told after it: closing on a caller who is still sending resets the
    connection, and the answer is lost. A refused body is read and dropped, never kept.
    """

    async def prepare(self) -> None:
        """Check size, key and deployment, which are known before the body."""
        self.chunks: list[bytes] = []
        self.size = 0
        self.refusal: Refused | None = None
        announced = int(self.request.headers.get("Content-Length") or 0)
        if announced > PATIENCE * self.gateway.settings.body_limit:
            raise self.too_large()
        if announced > self.gateway.settings.body_limit:
            self.refusal = self.too_large()
        elif self.request.method == "POST":
            await self.check_caller()

    async def check_caller(self) -> None:
        """Keep the refusal, if there is one, until the body has been read."""
        try:
            await self.require_key()
            self.gateway.ready_route(self.path_args[0])
        except Refused as refusal:
            self.refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        """A part of the body."""
        self.size += len(chunk)
        limit = self.gateway.settings.body_limit
        if self.size > PATIENCE * limit:
            raise self.too_large()
        if self.size > limit and not self.refusal:
            self.refusal = self.too_large()
        if self.refusal:
            self.chunks.clear()
        else:
            self.chunks.append(chunk)

    def too_large(self) -> Refused:
        """The refusal of a body over the limit."""
        return Refused(413, f"The body is larger than {self.gateway.settings.body_limit} bytes")

    async def post(self, deployment_id: str) -> None:
        """Pass the request on and the answer back, both untouched."""
        if self.refusal:
            raise self.refusal
        backend, answer = await self.gateway.compute(deployment_id, b"".join(self.chunks), self.request_id)
        self.set_status(answer.status)
        self.set_header("Content-Type", answer.content_type)
        self.set_header("X-Model-Digest", backend.digest)
        self.set_header("X-Revision", backend.revision)
        if answer.status == 503:
            self.set_header("Retry-After", str(RETRY_SECONDS))
        self.finish(answer.body)


class DeploymentsHandler(Handler):
    """`GET /deployments`: what is served here."""

    async def get(self) -> None:
        """List deployments with their state and address."""
        await self.require_key()
        items = [
            {
                "deployment_id": name,
                "state": route.state,
                "digest": max(route.backends, key=lambda one: one.weight).digest if route.backends else "",
                "inference_url": route.inference_url,
            }
            for name, route in sorted(self.gateway.reader.table.routes.items())
        ]
        self.finish(msgspec.json.encode(items))


class StatisticsHandler(Handler):
    """`GET /statistics`, for the satellite itself: how each revision of each deployment has done lately."""

    def get(self) -> None:
        """By deployment and revision; whoever asks must know the satellite's key."""
        given = self.request.headers.get("Authorization", "").partition(" ")[2].strip()
        if not hmac.compare_digest(given.encode(), self.gateway.settings.token.encode()):
            raise Refused(401, "This is for the satellite itself")
        told = {
            deployment: {revision: window.summary() for revision, window in windows.items()}
            for deployment, windows in self.gateway.windows.items()
        }
        self.finish(msgspec.json.encode(told))


class HealthHandler(Handler):
    """`GET /healthz`: alive, the version of its routes, and requests still with model servers that were replaced."""

    def get(self) -> None:
        """Answer without asking anybody."""
        self.gateway.refresh()
        state = {
            "status": "ok",
            "routes_version": self.gateway.reader.table.version,
            "draining": self.gateway.busy_elsewhere(),
        }
        self.finish(msgspec.json.encode(state))


class NotFoundHandler(Handler):
    """Everything else."""

    def prepare(self) -> None:
        """Whatever the verb."""
        raise Refused(404, "Not found")


def application(gateway: Gateway) -> tornado.web.Application:
    """All routes of the gateway."""
    shared = {"gateway": gateway}
    return tornado.web.Application(
        [
            (DEPLOYMENT + "/compute", ComputeHandler, shared),
            (r"/deployments", DeploymentsHandler, shared),
            (r"/healthz", HealthHandler, shared),
            (r"/statistics", StatisticsHandler, shared),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=shared,
        log_function=lambda handler: None,
    )
