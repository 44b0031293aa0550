"""Which requests are let through, to which model server each goes, and what is learnt."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from typing import Any

import httpx
import tornado.web

from satellite.gateway.access import Access, PlatformSilent
from satellite.gateway.balancing import Balancer
from satellite.gateway.routes import Backend, Route, RouteReader
from satellite.gateway.settings import GatewaySettings
from satellite.gateway.stats import Window
from satellite.gateway.upstream import Answer, Unreachable, UpstreamGone, Upstreams

RETRY_SECONDS = 2
LOOK_AGAIN_SECONDS = 0.05
MIRRORED_AT_ONCE = 16


class Refused(tornado.web.HTTPError):
    """An answer other than the model's, with its `detail` and perhaps the seconds after which to try again."""

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
        self.balancer = Balancer()
        self.windows: dict[str, dict[str, Window]] = defaultdict(dict)
        self.waiting: Counter[str] = Counter()
        self.in_hand: Counter[str] = Counter()
        self.places: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(settings.concurrency))
        self.copies: set[asyncio.Task[None]] = set()

    def refresh(self) -> None:
        """Take over a new route table, and drop what belonged to routes that are gone."""
        before = self.reader.table
        self.reader.refresh()
        if self.reader.table is before:
            return
        self.upstreams.forget(urls(before.routes) - urls(self.reader.table.routes))
        for gone in before.routes.keys() - self.reader.table.routes.keys():
            self.balancer.forget(gone)
            self.windows.pop(gone, None)
            if not self.waiting[gone]:
                self.places.pop(gone, None)

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

    async def compute(self, deployment_id: str, body: bytes, request_id: str) -> tuple[Backend, Answer]:
        """Pass one request on: a bounded number at a time, a bounded number waiting, none for ever."""
        if self.waiting[deployment_id] >= self.settings.queue_limit + self.settings.concurrency:
            raise Refused(429, "Too many requests are waiting for this deployment", RETRY_SECONDS)
        self.waiting[deployment_id] += 1
        try:
            async with asyncio.timeout(self.settings.request_seconds), self.places[deployment_id]:
                return await self.ask(deployment_id, body, request_id)
        except TimeoutError:
            raise Refused(504, f"The model took longer than {self.settings.request_seconds:g} s") from None
        finally:
            decrement(self.waiting, deployment_id)

    async def ask(self, deployment_id: str, body: bytes, request_id: str) -> tuple[Backend, Answer]:
        """Ask one model server after the other until one answers; while none can be reached, wait for one to come back.

        The route is looked up each time: while a request waits, the deployment may move to another revision. A model
        server that dies over a request is given up after a second one did: some requests kill whoever takes them.
        """
        deadline, deaths = time.monotonic() + self.settings.hold_seconds, 0
        while True:
            route = self.ready_route(deployment_id)
            trouble = "No model server of this deployment can be reached"
            for backend in self.balancer.order(deployment_id, route, self.in_hand):
                try:
                    answer = await self.exchange(deployment_id, backend, body, request_id)
                except UpstreamGone as error:
                    self.balancer.note_down(backend.url)
                    trouble, deaths = str(error), deaths + (not isinstance(error, Unreachable))
                    if deaths > 1:
                        raise Refused(503, trouble, RETRY_SECONDS) from error
                else:
                    self.mirror(deployment_id, route, body, request_id)
                    return backend, answer
            if time.monotonic() >= deadline:
                raise Refused(503, trouble, RETRY_SECONDS)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def exchange(self, deployment_id: str, backend: Backend, body: bytes, request_id: str) -> Answer:
        """One exchange with a model server, counted. Raises UpstreamGone."""
        self.in_hand[backend.url] += 1
        began, failed = time.monotonic(), True
        try:
            answer = await self.upstreams.post(backend.url, "/compute", body, {"X-Request-Id": request_id})
            failed = answer.status >= 500
            return answer
        except asyncio.CancelledError:
            # The caller has hung up, or the time is over; only the latter is the model's fault.
            failed = time.monotonic() - began >= self.settings.request_seconds * 0.9
            raise
        finally:
            decrement(self.in_hand, backend.url)
            self.window(deployment_id, backend.revision).note(time.monotonic() - began, failed=failed)

    def mirror(self, deployment_id: str, route: Route, body: bytes, request_id: str) -> None:
        """Send copies to the revisions that only watch. Nobody waits for them, and they never pile up."""
        for backend in route.backends:
            if backend.mirror and self.in_hand[backend.url] < MIRRORED_AT_ONCE:
                self.start(self.copy(deployment_id, backend, body, f"{request_id}-mirror"))

    async def copy(self, deployment_id: str, backend: Backend, body: bytes, request_id: str) -> None:
        """One copy; what comes of it is in the statistics."""
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                await self.exchange(deployment_id, backend, body, request_id)
        except (TimeoutError, UpstreamGone):
            return

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the requests; asyncio itself would not keep it alive."""
        task = asyncio.ensure_future(work)
        self.copies.add(task)
        task.add_done_callback(self.copies.discard)

    def window(self, deployment_id: str, revision: str) -> Window:
        """The recent past of one revision."""
        windows = self.windows[deployment_id]
        if revision not in windows:
            windows[revision] = Window()
        return windows[revision]

    def ready_route(self, deployment_id: str) -> Route:
        """Where the deployment is served now."""
        self.refresh()
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
        served = urls(self.reader.table.routes)
        return sum(count for url, count in self.in_hand.items() if url not in served)


def urls(routes: dict[str, Route]) -> set[str]:
    """The addresses a table leads to."""
    return {backend.url for route in routes.values() for backend in route.backends}


def decrement(counter: Counter[str], name: str) -> None:
    """One less; what is nothing takes no room."""
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]
