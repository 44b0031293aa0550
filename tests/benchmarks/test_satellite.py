"""What a satellite adds: its gateway to a call of a model, and the way of a job from the database to its hands."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luml_app.core.db import Database
from luml_app.resources.satellite_logins import make_login
from satellite.capabilities import capabilities
from satellite.daemon import gateway_settings
from satellite.direct import direct
from satellite.gateway.routes import Backend, Route, RouteWriter
from satellite.gateway.supervisor import GatewaySupervisor
from satellite.platform import Task
from satellite.rest import RestPlatform
from satellite.settings import Settings, inherited_environment
from tests.benchmarks.answering import Ours, answers_in_turns, rows_of
from tests.benchmarks.measuring import Platform, in_turns, p50, p95
from tests.benchmarks.peers import Served
from tests.benchmarks.wire import requests_per_second
from tests.satellite.contract_server import API_KEY, TOKEN, ContractServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
JOBS = 100


class ThroughGateway(Served):
    """The same model, called through a gateway of its own; CPU counts that of both."""

    def __init__(self, ours: Ours, platform: ContractServer, folder: Path) -> None:
        settings = Settings(
            platform_url=platform.url, token=TOKEN, data=folder, inherited=inherited_environment(), concurrency=64
        )
        self.gateway = GatewaySupervisor(gateway_settings(settings), inherited_environment())
        self.gateway.start()
        route = Route("ready", (Backend(ours.address, "r1", "d" * 64),), f"{self.gateway.url}/deployments/d1/compute")
        written = RouteWriter(self.gateway.settings.routes).set("d1", route)
        self.gateway.wait_for_routes(written, (), 10)
        pid = json.loads(self.gateway.settings.state.read_bytes())["pid"]
        super().__init__("gateway", self.gateway.url, pid, "/deployments/d1/compute", ours.body)
        self.ours = ours

    def cpu_seconds(self) -> float:
        return super().cpu_seconds() + self.ours.cpu_seconds()

    def request(self, rows: Any) -> bytes:
        return super().request(rows).replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {API_KEY}\r\n\r\n".encode(), 1)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    server = Ours(tmp_path_factory.mktemp("ours"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def through(ours: Ours, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThroughGateway]:
    platform = ContractServer().start()
    server = ThroughGateway(ours, platform, tmp_path_factory.mktemp("gateway"))
    yield server
    server.gateway.stop()
    platform.stop()


@pytest.mark.parametrize("connections", [1, 16])
@pytest.mark.parametrize("rows", [1, 1000])
def test_what_the_gateway_costs(ours: Ours, through: ThroughGateway, rows: int, connections: int) -> None:
    found = answers_in_turns([ours, through], rows_of(rows), connections)
    more = 1000 / found["gateway"] - 1000 / found["ours"]
    print(f"\n{rows} rows, {connections} connections: the gateway costs {more:.2f} ms of CPU a request, "
          f"beside {1000 / found['ours']:.2f} ms of the model server")  # fmt: skip
    # A call of one row is next to nothing, so that there the gateway is most of it.
    assert found["gateway"] >= found["ours"] * (0.6 if rows == 1000 else 0.05)


def test_the_throughput_behind_the_gateway(ours: Ours, through: ThroughGateway) -> None:
    def ask(side: Served) -> None:
        requests_per_second(side.address, side.request(rows_of(1000)), connections=16, number=320)

    seconds = in_turns(7, ours=lambda: ask(ours), gateway=lambda: ask(through))
    direct, behind = p50(seconds["ours"]), p50(seconds["gateway"])
    print(f"\n1000 rows, 16 connections: {direct / behind:.0%} of the direct throughput")
    assert direct >= 0.6 * behind


class Hands:
    """A satellite that listens for jobs as the daemon does, claims them, and notes when it held each.

    `through_rest` or by the direct door; both claim by the same functions of the database.
    """

    def __init__(self, platform: Platform, door: str) -> None:
        satellites = f"{platform.orbit}/satellites"
        made = platform.post(satellites, {"name": f"bench-{door}"})
        self.id = made["satellite"]["id"]
        self.rest = RestPlatform(platform.address, made["api_key"])
        self.rest.pair("http://127.0.0.1:1", capabilities("process", "benchmarks", ()), None)
        self.jobs: Any = self.rest if door == "rest" else direct(self.rest, self.login(platform))
        self.held: dict[str, float] = {}
        self.some = threading.Condition()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def login(self, platform: Platform) -> str:
        database = Database(platform.database_url)
        try:
            return make_login(database, self.id)
        finally:
            database.close()

    def listen(self) -> None:
        while not self.stopping.is_set():
            for task in self.jobs.tasks("pending", 5):
                self.take(self.jobs.claim(task.id, 30))

    def take(self, task: Task) -> None:
        with self.some:
            self.held[task.deployment_id] = time.perf_counter()
            self.some.notify()

    def wait_for(self, deployment_id: str) -> float:
        with self.some:
            assert self.some.wait_for(lambda: deployment_id in self.held, 30)
            return self.held[deployment_id]

    def close(self) -> None:
        self.stopping.set()
        self.thread.join(timeout=30)
        self.jobs.close()


@pytest.mark.parametrize("door", ["rest", "direct"])
def test_the_way_of_a_job_to_its_satellite(few: Platform, door: str) -> None:
    """From the answer to the request that makes a deployment to its job's being held, beside the request alone."""
    hands = Hands(few, door)
    artifacts = few.get(f"{few.orbit}/artifacts", limit=1)["items"]
    made: list[float] = []
    picked: list[float] = []
    for number in range(JOBS):
        began = time.perf_counter()
        body = {"satellite_id": hands.id, "artifact_id": artifacts[0]["id"], "name": f"d{number}"}
        deployment = few.post(f"{few.orbit}/deployments", body)
        answered = time.perf_counter()
        made.append(answered - began)
        # It may be held before the answer is here: the notification leaves with the commit.
        picked.append(max(0.0, hands.wait_for(deployment["id"]) - answered))
    hands.close()
    print(f"\n{door}: from the answer to the satellite's hands: p50 {p50(picked):.1f} ms, p95 {p95(picked):.1f} ms; "
          f"the request itself: p50 {p50(made):.1f} ms, p95 {p95(made):.1f} ms")  # fmt: skip
    # Polling at an interval would be hundreds of milliseconds on top; a wake-up and a claim are two more requests.
    assert p50(picked) < 4 * p50(made)
