"""What the gateway answers at which path."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from functools import cache
from importlib.metadata import version
from urllib.parse import parse_qsl

import msgspec

from satellite.gateway import pages
from satellite.gateway.access import PlatformSilent, Purpose
from satellite.gateway.bodies import RETRY_SECONDS, drop, receive, too_large
from satellite.gateway.dispatch import Answered, Gateway, Hands, Order
from satellite.gateway.exchange import JSON, Exchange, Header, Refused, TooSlow
from satellite.gateway.log_stream import NDJSON, LogStreams, NotUnderstood, TooManyFollow, parse_question
from satellite.gateway.metrics import CONTENT_TYPE as METRICS_TYPE
from satellite.gateway.upstream import UpstreamGone
from satellite.gateway.visit import Answer, Visit

log = logging.getLogger("satellite.gateway")

# A body of up to so many times the limit is read to its end for the sake of a readable refusal.
PATIENCE = 4
ACTIVITY_SECONDS = 2.0
DEPLOYMENT = re.compile(r"/deployments/([0-9A-Za-z-]{1,64})(/.*)")
MODEL = re.compile(r"/v2/models/([0-9A-Za-z-]{1,64})(/.*)?")
INFER = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")
PASSED = (
    b"content-type",
    b"content-encoding",
    b"accept",
    b"accept-encoding",
    b"inference-header-content-length",
    b"traceparent",
)
REFUSALS: dict[Purpose, str] = {
    "inference": "This API key may not call models here",
    "logs": "This API key may not read logs here; it takes one of scope api or logs, of somebody who sees the orbit",
}
PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Accept, Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, X-Request-Id",
    ),
    (b"access-control-max-age", b"600"),
)


class App:
    """Takes every exchange, finds out who answers it, and tells what went wrong in the words of its protocol."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        try:
            if exchange.refusal:
                raise exchange.refusal
            await self.answer(exchange)
        except Refused as refused:
            self.gateway.metrics.refusals[refused.status] += 1
            exchange.refuse(refused, in_words_of(exchange.path, refused))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("Request %s failed", exchange.request_id)
            exchange.refuse(Refused(500, "The gateway failed; its log says why, under this request's id"))

    async def answer(self, exchange: Exchange) -> None:
        """Route by path; nearly every path knows one method."""
        if exchange.method == "OPTIONS":
            exchange.respond(204, headers=PREFLIGHT)
            return
        path = exchange.path.removeprefix(self.gateway.settings.base_path)
        if found := DEPLOYMENT.fullmatch(path):
            await self.answer_for(Visit(self.gateway, exchange, *found.groups()))
        elif found := MODEL.fullmatch(path):
            await self.answer_for(Visit(self.gateway, exchange, found[1], path))
        elif path in READS:
            expect(exchange, "GET")
            await READS[path](Visit(self.gateway, exchange))
        else:
            raise Refused(404, "Not found")

    async def answer_for(self, visit: Visit) -> None:
        """What belongs to one deployment."""
        if visit.rest in {"/compute", "/invocations"} or INFER.fullmatch(visit.rest):
            expect(visit.exchange, "POST")
            await infer(visit)
        elif answer := DEPLOYMENT_READS.get(visit.rest):
            expect(visit.exchange, "GET")
            await answer(visit)
        elif visit.rest == "/v2" or visit.rest.startswith("/v2/"):
            expect(visit.exchange, "GET")
            await look_up(visit)
        else:
            raise Refused(404, "Not found")


def expect(exchange: Exchange, method: str) -> None:
    """Refuse other methods; HEAD is a GET without its body."""
    if exchange.method != method and (method, exchange.method) != ("GET", "HEAD"):
        raise Refused(405, f"Use {method}")


def in_words_of(path: str, refused: Refused) -> dict[str, str]:
    """What the clients of a protocol look for, beside `detail`."""
    if path.endswith("/invocations"):
        return {"error_code": "BAD_REQUEST" if refused.status < 500 else "INTERNAL_ERROR", "message": refused.detail}
    return {"error": refused.detail} if "/v2/" in path else {}


async def require_key(visit: Visit, purpose: Purpose = "inference") -> None:
    """Let through only callers with an API key that the platform knows, and that opens what is asked for."""
    scheme, _, key = visit.exchange.header(b"authorization").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not 0 < len(key) <= 255:
        raise Refused(401, "Send an API key: Authorization: Bearer dfs_…")
    try:
        allowed = await visit.gateway.access[purpose].allows(key)
    except PlatformSilent:
        raise Refused(503, "The platform cannot be asked about this key at the moment", RETRY_SECONDS) from None
    if not allowed:
        raise Refused(401, REFUSALS[purpose])


async def infer(visit: Visit) -> None:
    """Ask the model. A refusal is decided before the body but told after it, so that it can be read."""
    gateway, exchange = visit.gateway, visit.exchange
    limit = gateway.settings.body_limit
    try:
        if exchange.announced > limit:
            raise too_large(limit)
        await require_key(visit)
        route = gateway.open_route(visit.deployment_id, wake=True)
        body = await receive(exchange, gateway.budget, gateway.folder, limit)
    except TooSlow:
        raise
    except Refused:
        if exchange.announced <= PATIENCE * limit:
            await drop(exchange, PATIENCE * limit)
        raise
    try:
        order, began = Order(visit.deployment_id, visit.rest, passed_headers(visit), body), time.monotonic()
        answered = await gateway.ask(order)
        gateway.recorder.keep(route, answered, time.monotonic() - began)
        await pass_on(visit, answered)
    finally:
        body.release()


async def look_up(visit: Visit) -> None:
    """Pass on what the model server says of its model."""
    await require_key(visit)
    visit.gateway.open_route(visit.deployment_id)
    await pass_on(visit, await visit.gateway.look_up(Order(visit.deployment_id, visit.rest, passed_headers(visit))))


def passed_headers(visit: Visit) -> tuple[Header, ...]:
    """What a model server is told of a request beside its body. The key is not."""
    given = visit.exchange.headers
    return (
        *((name, given[name]) for name in PASSED if name in given),
        (b"x-request-id", visit.exchange.request_id.encode()),
        (b"x-deployment-id", visit.deployment_id.encode()),
    )


async def pass_on(visit: Visit, answered: Answered) -> None:
    """The model server's answer, untouched: at once where it is whole, else as it comes and as the caller takes it."""
    exchange, answer = visit.exchange, answered.connection.answer
    headers = [
        (b"x-model-digest", answered.backend.digest.encode()),
        (b"x-revision", answered.backend.revision.encode()),
    ]
    for name in (b"inference-header-content-length", b"retry-after"):
        if name in answer.headers:
            headers.append((name, answer.headers[name]))
    if answer.status == 503 and b"retry-after" not in answer.headers:
        headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
    try:
        if answer.complete:
            exchange.respond(answer.status, answer.take(), answer.content_type, headers)
            return
        exchange.begin(answer.status, answer.content_type, headers, answer.length)
        while chunk := await next_part(visit, answered):
            await exchange.write(chunk)
        exchange.end()
    except UpstreamGone:
        exchange.abort()
    finally:
        visit.gateway.done(answered)


async def next_part(visit: Visit, answered: Answered) -> bytes:
    """More of a long answer; raises UpstreamGone, also when none comes."""
    try:
        async with asyncio.timeout(visit.gateway.bounds(answered.order.deployment_id).seconds):
            return await answered.connection.more()
    except TimeoutError:
        raise UpstreamGone("The model server stopped in the middle of an answer") from None


async def deployments(visit: Visit) -> None:
    """`GET /deployments`: what is served here, with its state and address."""
    await require_key(visit)
    items = [
        {
            "deployment_id": name,
            "state": route.state,
            "digest": max(route.backends, key=lambda one: one.weight).digest if route.backends else "",
            "inference_url": route.inference_url,
        }
        for name, route in sorted(visit.gateway.reader.table.routes.items())
    ]
    visit.exchange.respond(200, msgspec.json.encode(items))


def require_satellite(visit: Visit) -> None:
    """Let through only the satellite itself, which knows its key."""
    given = visit.exchange.header(b"authorization").partition(" ")[2].strip()
    if not hmac.compare_digest(given.encode(), visit.gateway.settings.token.encode()):
        raise Refused(401, "This is for the satellite itself")


async def activity(visit: Visit) -> None:
    """`GET /activity`, for the satellite itself: which deployments are wanted although they sleep (the answer comes as
    soon as there is one, else after a moment), and for how long each has had no request.
    """
    require_satellite(visit)
    visit.exchange.respond(200, msgspec.json.encode(await visit.gateway.activity(ACTIVITY_SECONDS)))


async def statistics(visit: Visit) -> None:
    """`GET /statistics`, for the satellite itself: how each revision of each deployment has done lately."""
    require_satellite(visit)
    told = {
        deployment: {revision: window.summary() for revision, window in windows.items()}
        for deployment, windows in visit.gateway.windows.items()
    }
    visit.exchange.respond(200, msgspec.json.encode(told))


async def health(visit: Visit) -> None:
    """`GET /healthz`: alive."""
    visit.exchange.respond(200, b'{"status":"ok"}')


async def hands(visit: Visit) -> None:
    """`GET /hands`, for the satellite itself: the version of the routes, and which model servers are busy."""
    require_satellite(visit)
    visit.gateway.refresh()
    state = Hands(visit.gateway.reader.table.version, sorted(visit.gateway.in_hand))
    visit.exchange.respond(200, msgspec.json.encode(state))


async def metrics(visit: Visit) -> None:
    """`GET /metrics` for Prometheus, with an API key like everything that tells of deployments."""
    await require_key(visit)
    visit.exchange.respond(200, visit.gateway.metrics.text(), METRICS_TYPE)


async def live(visit: Visit) -> None:
    """Open Inference: the gateway is there."""
    visit.exchange.respond(200, b'{"live":true}')


async def ready(visit: Visit) -> None:
    """Open Inference: the gateway takes requests. Each model has a readiness of its own."""
    visit.exchange.respond(200, b'{"ready":true}')


async def server_metadata(visit: Visit) -> None:
    """Open Inference: what this is."""
    visit.exchange.respond(200, about())


@cache
def about() -> bytes:
    """Name, version and extensions of the server."""
    return msgspec.json.encode({"name": "luml", "version": version("luml"), "extensions": ["binary_tensor_data"]})


async def openapi(visit: Visit) -> None:
    """The model's OpenAPI document, with the address and the key of its deployment."""
    await require_key(visit)
    gateway, exchange = visit.gateway, visit.exchange
    route = gateway.open_route(visit.deployment_id)
    answered = await gateway.look_up(Order(visit.deployment_id, "/openapi.json", passed_headers(visit)))
    body = bytearray()
    try:
        while chunk := await next_part(visit, answered):
            body += chunk
    except UpstreamGone as error:
        raise Refused(503, str(error), RETRY_SECONDS) from error
    finally:
        gateway.done(answered)
    address = route.inference_url.removesuffix("/compute")
    exchange.respond(200, pages.with_address(bytes(body), address), JSON)


async def logs(visit: Visit) -> None:
    """`GET /deployments/{id}/logs`: kept lines, and with `follow` those to come, until the caller hangs up."""
    await read_lines(visit, visit.gateway.logs)


async def requests(visit: Visit) -> None:
    """`GET /deployments/{id}/requests`: the same of the recorded requests."""
    await read_lines(visit, visit.gateway.recorder.streams)


async def read_lines(visit: Visit, streams: LogStreams) -> None:
    """Lines of one kind, for those who may read logs."""
    await require_key(visit, "logs")
    gateway, exchange, name = visit.gateway, visit.exchange, visit.deployment_id

    def alive() -> bool:
        return name in gateway.reader.table.routes or streams.has(name)

    if not alive():
        raise Refused(404, "There is no such deployment here")
    try:
        question = parse_question(dict(parse_qsl(exchange.query)))
        with streams.place(name, question):
            exchange.begin(200, NDJSON, ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")), None)
            async for block in streams.lines(name, question, alive):
                await exchange.write(block)
            exchange.end()
    except NotUnderstood as error:
        raise Refused(422, str(error)) from error
    except TooManyFollow:
        raise Refused(429, "Too many follow these logs already", RETRY_SECONDS) from None


READS: dict[str, Answer] = {
    "/activity": activity,
    "/hands": hands,
    "/deployments": deployments,
    "/healthz": health,
    "/metrics": metrics,
    "/statistics": statistics,
    "/v2": server_metadata,
    "/v2/health/live": live,
    "/v2/health/ready": ready,
    **{f"/docs/{name}": pages.asset for name in pages.ASSETS},
}
DEPLOYMENT_READS: dict[str, Answer] = {
    "/docs": pages.docs,
    "/logs": logs,
    "/openapi.json": openapi,
    "/requests": requests,
}
"""What can be read of a deployment beside what its model server says itself: one line for each."""
