"""The gateway's HTTP face."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import Counter, defaultdict
from typing import Any

import httpx
import msgspec
import tornado.web

from satellite.gateway.access import Access, PlatformSilent
from satellite.gateway.routes import Route, RouteReader
from satellite.gateway.settings import GatewaySettings
from satellite.gateway.upstream import Answer, UpstreamGone, Upstreams

RETRY_SECONDS = 2
REFRESH_SECONDS = 0.05
# A body of up to so many times the limit is read to its end for the sake of a readable refusal.
PATIENCE = 4
DEPLOYMENT = r"/deployments/([0-9A-Za-z-]{1,64})"
ORIGIN_HEADERS = "Authorization, Content-Type, X-Request-Id"


class Refused(tornado.web.HTTPError):
    """An answer other than 200, with its `detail` and perhaps the seconds after which to try again."""

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(status)
        self.detail = detail
        self.retry_after = retry_after


class Gateway:
    """What the handlers share: routes, keys, connections, and how many requests each deployment has in hand."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.reader = RouteReader(settings.routes)
        self.platform = httpx.AsyncClient(
            base_url=f"{settings.platform_url}/satellites/v1/",
            headers={"Authorization": f"Bearer {settings.token}"},
            timeout=5.0,
        )
        self.access = Access(self.ask_platform, settings.stale_seconds)
        self.upstreams = Upstreams()
        self.waiting: Counter[str] = Counter()
        self.in_hand: Counter[str] = Counter()
        self.places: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(settings.concurrency))

    def refresh(self) -> None:
        """Take over a new route table, and drop what belonged to routes that are gone."""
        before = self.reader.table
        self.reader.refresh()
        if self.reader.table is not before:
            self.upstreams.forget(self.urls(before.routes) - self.urls(self.reader.table.routes))
            for gone in before.routes.keys() - self.reader.table.routes.keys():
                if not self.waiting[gone]:
                    self.places.pop(gone, None)

    @staticmethod
    def urls(routes: dict[str, Route]) -> set[str]:
        """The addresses a table leads to."""
        return {route.url for route in routes.values() if route.url}

    async def ask_platform(self, key: str) -> bool:
        """Whether the platform lets a key call models here; raises PlatformSilent."""
        try:
            answer = await self.platform.post("deployments/inference-access", json={"api_key": key})
        except httpx.TransportError as error:
            raise PlatformSilent(str(error)) from error
        if answer.status_code == 422:
            return False
        if not answer.is_success:
            raise PlatformSilent(f"the platform answered {answer.status_code}")
        return bool(answer.json()["authorized"])

    async def compute(self, deployment_id: str, body: bytes, request_id: str) -> tuple[Route, Answer]:
        """Pass one request on: a bounded number at a time, a bounded number waiting, none for ever."""
        if self.waiting[deployment_id] >= self.settings.queue_limit + self.settings.concurrency:
            raise Refused(429, "Too many requests are waiting for this deployment", RETRY_SECONDS)
        self.waiting[deployment_id] += 1
        try:
            async with asyncio.timeout(self.settings.request_seconds), self.places[deployment_id]:
                # The route is looked up after waiting, when the deployment may have moved to a new revision.
                route = self.ready_route(deployment_id)
                return route, await self.ask_model(route, body, request_id)
        except TimeoutError:
            raise Refused(504, f"The model took longer than {self.settings.request_seconds:g} s") from None
        finally:
            self.waiting[deployment_id] -= 1
            if not self.waiting[deployment_id]:
                del self.waiting[deployment_id]

    async def ask_model(self, route: Route, body: bytes, request_id: str) -> Answer:
        """One exchange with the model server."""
        self.in_hand[route.url] += 1
        try:
            return await self.upstreams.post(route.url, "/compute", body, {"X-Request-Id": request_id})
        except UpstreamGone as error:
            raise Refused(503, str(error), RETRY_SECONDS) from error
        finally:
            self.in_hand[route.url] -= 1
            if not self.in_hand[route.url]:
                del self.in_hand[route.url]

    def ready_route(self, deployment_id: str) -> Route:
        """Where the deployment is served now."""
        route = self.reader.table.routes.get(deployment_id)
        if route is None:
            raise Refused(404, "There is no such deployment here")
        if route.state == "starting":
            raise Refused(503, "The deployment is starting", RETRY_SECONDS)
        if route.state == "failed":
            raise Refused(503, "The deployment failed to start; its page on the platform says why")
        return route

    def busy_elsewhere(self) -> int:
        """Requests still with model servers that no route leads to any more."""
        served = self.urls(self.reader.table.routes)
        return sum(count for url, count in self.in_hand.items() if url not in served)


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
        self.set_header("Access-Control-Expose-Headers", "X-Model-Digest, X-Request-Id, Retry-After")
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
        route, answer = await self.gateway.compute(deployment_id, b"".join(self.chunks), self.request_id)
        self.set_status(answer.status)
        self.set_header("Content-Type", answer.content_type)
        self.set_header("X-Model-Digest", route.digest)
        if answer.status == 503:
            self.set_header("Retry-After", str(RETRY_SECONDS))
        self.finish(answer.body)


class DeploymentsHandler(Handler):
    """`GET /deployments`: what is served here."""

    async def get(self) -> None:
        """List deployments with their state and address."""
        await self.require_key()
        items = [
            {"deployment_id": name, "state": route.state, "digest": route.digest, "inference_url": route.inference_url}
            for name, route in sorted(self.gateway.reader.table.routes.items())
        ]
        self.finish(msgspec.json.encode(items))


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
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=shared,
        log_function=lambda handler: None,
    )
