"""Which requests are let through, to which model server each goes, and what is learnt."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import httpx
import msgspec

from satellite.gateway.access import Access, PlatformSilent, Purpose
from satellite.gateway.balancing import Balancer
from satellite.gateway.bodies import RETRY_SECONDS, Body, Budget
from satellite.gateway.exchange import Header, Refused
from satellite.gateway.log_stream import LogStreams
from satellite.gateway.metrics import Metrics
from satellite.gateway.places import Places
from satellite.gateway.quarantine import LOOK_AGAIN_SECONDS, Quarantine
from satellite.gateway.recording import Recorder
from satellite.gateway.routes import Backend, Route, RouteReader
from satellite.gateway.settings import GatewaySettings
from satellite.gateway.stats import Window
from satellite.gateway.upstream import Connection, Unreachable, UpstreamGone, Upstreams, base_path, request_head

MIRRORED_AT_ONCE = 16
READ_SECONDS = 10.0
UNAVAILABLE = 503
DEADLY = "A model server ended over this request, and so did one that was asked nothing else; send another input"
READING = {"asleep": "The deployment is asleep; a request to its model wakes it"}
WAITING = {"starting": "The deployment is starting", "asleep": "The deployment is waking up"}


@dataclass(frozen=True)
class Order:
    """What a model server is to be asked: a GET where there is no body. `headers` are passed on as they are."""

    deployment_id: str
    path: str
    headers: tuple[Header, ...]
    body: Body | None = None

    def head(self, url: str, suffix: bytes = b"") -> bytes:
        """The head of the request to the model server at `url`; `suffix` marks a copy in its id."""
        headers = [(name, value + suffix if name == b"x-request-id" else value) for name, value in self.headers]
        body = self.body
        return request_head("POST" if body else "GET", base_path(url) + self.path, body.size if body else None, headers)


class Activity(msgspec.Struct):
    """Deployments that are asleep and `wanted`, and how long (seconds) each has had no request: `idle`."""

    wanted: list[str] = []
    idle: dict[str, float] = {}


class Hands(msgspec.Struct):
    """The version of the route table that is used, and the addresses of the model servers with requests in hand."""

    routes_version: int
    busy: list[str]


@dataclass(frozen=True)
class Answered:
    """The model server that has answered, and the connection with its answer (give it back with `Gateway.done`)."""

    order: Order
    backend: Backend
    connection: Connection


@dataclass(frozen=True)
class Bounds:
    """How many requests to a deployment are computed at once, how many may wait, and how long one may take."""

    concurrency: int
    queue: int
    seconds: float


class Gateway:
    """What all requests share: routes, keys, connections, and how many requests each deployment has in hand."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.folder = settings.routes.parent
        self.reader = RouteReader(settings.routes)
        self.platform = httpx.AsyncClient(
            base_url=f"{settings.platform_url}/satellites/v1/",
            headers={"Authorization": f"Bearer {settings.token}"},
            timeout=5.0,
        )
        self.access: dict[Purpose, Access] = {
            purpose: Access(partial(self.ask_platform, purpose=purpose), settings.fresh_seconds, settings.stale_seconds)
            for purpose in get_args(Purpose)
        }
        self.logs = LogStreams(settings.logs)
        self.recorder = Recorder(settings.requests)
        self.upstreams = Upstreams()
        self.balancer = Balancer()
        self.budget = Budget(settings.held_limit)
        self.in_hand: Counter[str] = Counter()
        self.quarantine = Quarantine(self.in_hand)
        self.windows: dict[str, dict[str, Window]] = defaultdict(dict)
        self.waiting: Counter[str] = Counter()
        self.metrics = Metrics(lambda: dict(self.waiting), lambda: self.budget.held)
        self.places: dict[str, Places] = defaultdict(Places)
        self.copies: set[asyncio.Task[None]] = set()
        self.asked: dict[str, float] = {}
        self.wanted: set[str] = set()
        self.woken = asyncio.Event()

    def refresh(self) -> None:
        """Take over a new route table, and drop what belonged to routes that are gone."""
        before = self.reader.table
        self.reader.refresh()
        if self.reader.table is before:
            return
        routes = self.reader.table.routes
        self.upstreams.forget(urls(before.routes) - urls(routes))
        self.note_sleepers(before.routes, routes)
        self.metrics.keep({name: {one.revision for one in route.backends} for name, route in routes.items()})
        for gone in before.routes.keys() - routes.keys():
            self.balancer.forget(gone)
            self.quarantine.forget(gone)
            self.windows.pop(gone, None)
            if not self.waiting[gone]:
                self.places.pop(gone, None)

    async def ask_platform(self, key: str, purpose: Purpose) -> bool:
        """Whether the platform lets a key call models, or read logs, here; raises PlatformSilent."""
        question = {"api_key": key} if purpose == "inference" else {"api_key": key, "for": purpose}
        try:
            answer = await self.platform.post("deployments/inference-access", json=question)
        except httpx.TransportError as error:
            raise PlatformSilent(str(error)) from error
        if answer.status_code == 422:
            return False
        if not answer.is_success:
            raise PlatformSilent(f"the platform answered {answer.status_code}")
        return bool(answer.json()["authorized"])

    async def ask(self, order: Order) -> Answered:
        """Pass one request on: a bounded number at a time, a bounded number waiting, none for ever."""
        name, bounds = order.deployment_id, self.bounds(order.deployment_id)
        places = self.places[name]
        places.resize(bounds.concurrency)
        if self.waiting[name] >= bounds.queue + bounds.concurrency:
            raise Refused(429, "Too many requests are waiting for this deployment", RETRY_SECONDS)
        self.waiting[name] += 1
        self.asked[name] = time.monotonic()
        try:
            async with asyncio.timeout(bounds.seconds), places:
                return await self.ask_somebody(order)
        except TimeoutError:
            raise Refused(504, f"The model took longer than {bounds.seconds:g} s") from None
        finally:
            decrement(self.waiting, name)
            self.asked[name] = time.monotonic()

    def bounds(self, deployment_id: str) -> Bounds:
        """The deployment's own bounds, or the gateway's where it has none."""
        route, ours = self.reader.table.routes.get(deployment_id, Route("starting")), self.settings
        queue = ours.queue_limit if route.queue is None else route.queue
        return Bounds(route.concurrency or ours.concurrency, queue, route.request_seconds or ours.request_seconds)

    async def look_up(self, order: Order) -> Answered:
        """Read something from a model server, now or not at all: readers have no place in the queue of the model."""
        route = self.open_route(order.deployment_id)
        if route.state in WAITING:
            raise Refused(503, READING.get(route.state, WAITING[route.state]), RETRY_SECONDS)
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self.ask_somebody(order)
        except TimeoutError:
            raise Refused(504, f"The model server did not answer within {READ_SECONDS:g} s", RETRY_SECONDS) from None

    async def ask_somebody(self, order: Order) -> Answered:
        """Ask one model server after the other until one answers; while none can be reached, wait for one to come back.

        The route is looked up each time: while a request waits, the deployment may move to another revision.
        """
        deadline = time.monotonic() + self.settings.hold_seconds
        while True:
            route = self.open_route(order.deployment_id, wake=order.body is not None)
            trouble = WAITING.get(route.state, "No model server of this deployment can be reached")
            backends = self.serving(order, route)
            for backend in backends:
                try:
                    answered = await self.exchange(order, backend)
                except UpstreamGone as error:
                    self.balancer.note_down(backend.url)
                    trouble = str(error)
                    if order.body and not isinstance(error, Unreachable):
                        self.metrics.of(order.deployment_id, backend.revision).retries += 1
                        return await self.ask_alone(order, len(backends))
                else:
                    last = backend is backends[-1]
                    if has_no_model(answered) and (not last or time.monotonic() < deadline):
                        self.balancer.note_down(backend.url)
                        self.done(answered)
                    elif answered.connection.answer.status == UNAVAILABLE and not last:
                        self.done(answered)
                    else:
                        self.mirror(route, order)
                        return answered
                self.metrics.of(order.deployment_id, backend.revision).retries += 1
            if time.monotonic() >= deadline:
                raise Refused(503, trouble, RETRY_SECONDS)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def serving(self, order: Order, route: Route) -> list[Backend]:
        """The model servers to ask, the right one first; not those with which somebody has to be alone."""
        backends = self.balancer.order(order.deployment_id, route, self.in_hand)
        return [backend for backend in backends if backend.url not in self.quarantine.reserved]

    async def ask_alone(self, order: Order, replicas: int) -> Answered:
        """Ask once more what a model server has died over, one of `replicas`: it may kill whoever takes it."""
        async with self.quarantine.turn(order.deployment_id):
            deadline = time.monotonic() + self.settings.hold_seconds
            while True:
                backend = await self.one_that_is_well(order, replicas, deadline)
                async with self.quarantine.alone_with(backend.url):
                    try:
                        answered = await self.exchange(order, backend)
                    except Unreachable:
                        continue
                    except UpstreamGone as error:
                        self.balancer.note_down(backend.url)
                        raise Refused(502, DEADLY) from error
                if not has_no_model(answered):
                    return answered
                self.done(answered)

    async def one_that_is_well(self, order: Order, replicas: int, deadline: float) -> Backend:
        """A model server that says that it is ready. The last one of several is spared for as long as another one may
        come back: half of the time until `deadline`.
        """
        careful = time.monotonic() + self.settings.hold_seconds / 2
        while True:
            backends = self.serving(order, self.open_route(order.deployment_id, wake=True))
            ready = await asyncio.gather(*(self.upstreams.is_ready(backend.url) for backend in backends))
            well = [backend for backend, is_ready in zip(backends, ready, strict=True) if is_ready]
            if well and (len(well) >= min(2, replicas) or time.monotonic() > careful):
                return min(well, key=lambda one: (self.balancer.is_down(one.url), self.in_hand[one.url]))
            if time.monotonic() >= deadline:
                raise Refused(503, "The model server ended during this request, and none has come back", RETRY_SECONDS)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def exchange(self, order: Order, backend: Backend, suffix: bytes = b"") -> Answered:
        """One exchange with a model server, counted. Raises UpstreamGone."""
        began = time.monotonic()
        self.count(order, backend, 1)
        try:
            connection = await self.upstreams.ask(backend.url, order.head(backend.url, suffix), order.body)
        except BaseException as error:
            self.count(order, backend, -1)
            seconds = time.monotonic() - began
            # If the caller has hung up, nobody is at fault; if the time is over, the model is.
            gave_up = (
                isinstance(error, asyncio.CancelledError) and seconds < self.bounds(order.deployment_id).seconds * 0.9
            )
            self.note(order, backend, seconds, 499 if gave_up else 0)
            raise
        self.note(order, backend, time.monotonic() - began, connection.answer.status)
        return Answered(order, backend, connection)

    def count(self, order: Order, backend: Backend, step: int) -> None:
        """One request more, or less, is with a model server."""
        self.metrics.of(order.deployment_id, backend.revision).in_hand += step
        self.in_hand[backend.url] += step
        if not self.in_hand[backend.url]:
            del self.in_hand[backend.url]

    def note(self, order: Order, backend: Backend, seconds: float, status: int) -> None:
        """How a request to a model ended; 0 stands for no answer, 499 for a caller who did not wait for it."""
        if order.body:
            self.metrics.of(order.deployment_id, backend.revision).note(seconds, status)
            self.window(order.deployment_id, backend.revision).note(seconds, failed=status >= 500 or not status)

    def done(self, answered: Answered) -> None:
        """The answer has been passed on, or is not wanted."""
        self.count(answered.order, answered.backend, -1)
        self.upstreams.done(answered.backend.url, answered.connection)

    def mirror(self, route: Route, order: Order) -> None:
        """Send copies to the revisions that only watch. Nobody waits for them, and they never pile up."""
        for backend in route.backends:
            if backend.mirror and order.body and self.in_hand[backend.url] < MIRRORED_AT_ONCE:
                order.body.keep()
                self.start(self.copy(order, order.body, backend))

    async def copy(self, order: Order, body: Body, backend: Backend) -> None:
        """One copy; what comes of it is in the statistics."""
        try:
            async with asyncio.timeout(self.bounds(order.deployment_id).seconds):
                self.done(await self.exchange(order, backend, b"-mirror"))
        except (TimeoutError, UpstreamGone):
            return
        finally:
            body.release()

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

    def open_route(self, deployment_id: str, *, wake: bool = False) -> Route:
        """Where the deployment is served now, or will be in a moment. One that is asleep is woken by requests to its
        model (`wake`), not by who reads of it: a probe would never let it sleep.

        The table is looked at every few milliseconds anyway: here only where it does not have what is wanted.
        """
        route = self.reader.table.routes.get(deployment_id)
        if route is None or route.state != "ready":
            self.refresh()
            route = self.reader.table.routes.get(deployment_id)
        if route is None:
            raise Refused(404, "There is no such deployment here")
        if route.state == "failed":
            raise Refused(503, "The deployment failed to start; its page on the platform says why")
        if wake and route.state == "asleep":
            self.wanted.add(deployment_id)
            self.woken.set()
        return route

    def note_sleepers(self, before: dict[str, Route], now: dict[str, Route]) -> None:
        """A new table: who has got up is not to be woken, and who begins to serve has not been idle."""
        self.wanted = {name for name in self.wanted if name in now and now[name].state == "asleep"}
        for name, route in now.items():
            if route.state == "ready" and (name not in before or before[name].state != "ready"):
                self.asked[name] = time.monotonic()
        for gone in before.keys() - now.keys():
            self.asked.pop(gone, None)

    async def activity(self, seconds: float) -> Activity:
        """Who is wanted, who is idle, who is busy; where nobody is wanted, after so many seconds."""
        if not self.wanted:
            self.woken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), seconds)
        self.refresh()
        now = time.monotonic()
        idle = {name: 0.0 if self.waiting[name] else now - at for name, at in self.asked.items()}
        return Activity(sorted(self.wanted), idle)


def urls(routes: dict[str, Route]) -> set[str]:
    """The addresses a table leads to."""
    return {backend.url for route in routes.values() for backend in route.backends}


def has_no_model(answered: Answered) -> bool:
    """Whether a model server has started, again perhaps, and not yet loaded its model. One that has too much to do says
    when to come back.
    """
    answer = answered.connection.answer
    return answer.status == UNAVAILABLE and b"retry-after" not in answer.headers


def decrement(counter: Counter[str], name: str) -> None:
    """One less; what is nothing takes no room."""
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]
