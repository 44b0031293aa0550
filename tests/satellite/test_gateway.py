"""The gateway as a process of its own, in front of a model server whose behaviour the test decides."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from satellite.daemon import gateway_settings
from satellite.gateway.dispatch import Hands
from satellite.gateway.routes import Backend, Route, RouteReader, RouteWriter
from satellite.gateway.supervisor import COMMAND, GatewayFailed, GatewaySupervisor, give_input
from satellite.settings import Settings, inherited_environment
from tests.satellite.contract_server import ContractServer, until
from tests.satellite.gateway_house import (
    DIGEST,
    KEY,
    House,
    Upstream,
    house,
    more_upstreams,
    nobody_at,
    served_at,
    upstream,
)

__all__ = ["house", "more_upstreams", "upstream"]


def test_the_body_passes_untouched(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    body = b'{ "inputs" : {"x":[1.0]}  }'
    answer = here.compute(content=body, headers=KEY | {"X-Request-Id": "abc"})
    assert (answer.status_code, answer.content) == (200, b'{"y":[1]}')
    assert answer.headers["X-Model-Digest"] == DIGEST
    assert answer.headers["X-Request-Id"] == "abc"
    assert upstream.seen[0][0] == body
    assert upstream.seen[0][1]["X-Request-Id"] == "abc"
    assert "Authorization" not in upstream.seen[0][1]


def test_connections_are_kept(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    for _ in range(20):
        assert here.compute().status_code == 200
    assert len(upstream.seen) == 20
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("status", [422, 500])
def test_the_models_own_errors_pass(house: Callable[..., House], upstream: Upstream, status: int) -> None:
    upstream.status = status
    assert house().compute().status_code == status


def test_callers_need_a_key(house: Callable[..., House], our_platform: ContractServer, upstream: Upstream) -> None:
    here = house()
    for given in ("", "Bearer dfs_bad", "Basic x", "Bearer"):
        answer = here.compute(headers={"Authorization": given})
        assert answer.status_code == 401
        assert "detail" in answer.json()
    assert upstream.seen == []
    asked = our_platform.access_asked
    for _ in range(10):
        here.compute(headers={"Authorization": "Bearer dfs_bad"})
        here.compute()
    assert our_platform.access_asked <= asked + 2


def test_unknown_starting_and_failed_deployments(house: Callable[..., House]) -> None:
    here = house(hold_seconds=0.2)
    assert here.compute("nobody").status_code == 404
    for state in ("starting", "asleep"):
        here.route("d2", Route(state))
        answer = here.compute("d2")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    here.route("d2", Route("failed"))
    answer = here.compute("d2")
    assert answer.status_code == 503
    assert "Retry-After" not in answer.headers
    assert here.http.get("/elsewhere").status_code == 404
    assert here.http.get("/deployments/d1/compute", headers=KEY).status_code == 405


def test_a_model_server_that_is_gone_is_a_503(house: Callable[..., House], upstream: Upstream) -> None:
    here = house(hold_seconds=0.2)
    with nobody_at() as url:
        here.route("d2", Route("ready", served_at(url)))
        assert here.compute("d2").status_code == 503
    upstream.hang_up = True
    deadly = here.compute()
    assert (deadly.status_code, "ended over this request" in deadly.json()["detail"]) == (502, True)
    assert "Retry-After" not in deadly.headers
    assert len(upstream.seen) == 2, "a request that kills model servers is not tried for ever"


def test_a_request_finds_another_model_server_when_one_is_gone_or_dies_over_it(
    house: Callable[..., House], more_upstreams: Callable[[], Upstream]
) -> None:
    here, dying, well = house(), more_upstreams(), more_upstreams()
    dying.hang_up = True
    with nobody_at() as gone:
        here.route("d2", Route("ready", served_at(gone, dying.url, well.url)))
        for _ in range(20):
            assert here.compute("d2").status_code == 200
    assert len(dying.seen) < 20


def test_a_request_waits_for_a_model_server_that_comes_back(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    with nobody_at() as gone, ThreadPoolExecutor(1) as pool:
        here.route("d2", Route("ready", served_at(gone)))
        answer = pool.submit(here.compute, "d2")
        with pytest.raises(TimeoutError):
            answer.result(0.5)
        here.routes.set("d2", Route("ready", served_at(upstream.url)))
        assert answer.result(20).status_code == 200


def test_revisions_share_requests_by_weight_and_a_mirror_gets_copies(
    house: Callable[..., House], more_upstreams: Callable[[], Upstream]
) -> None:
    here = house()
    old, new, shadow = (more_upstreams() for _ in range(3))
    shadow.status = 500
    parts = (
        Backend(old.url, "old", DIGEST, 90), Backend(new.url, "new", DIGEST, 10),
        Backend(shadow.url, "shadow", DIGEST, 0, mirror=True),
    )  # fmt: skip
    here.route("d2", Route("ready", parts))
    answers = [here.compute("d2") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.headers["X-Revision"] for answer in answers) == ["new"] * 2 + ["old"] * 18
    until(lambda: len(shadow.seen) == 20)
    assert all(headers["X-Request-Id"].endswith("-mirror") for _, headers in shadow.seen)

    token = {"Authorization": f"Bearer {here.gateway.settings.token}"}
    told = until(lambda: counted(here.http.get("/statistics", headers=token).json()["d2"], "shadow", 20))
    assert {name: (one["requests"], one["errors"]) for name, one in told.items()} == {
        "old": (18, 0), "new": (2, 0), "shadow": (20, 20),
    }  # fmt: skip
    assert here.http.get("/statistics", headers=KEY).status_code == 401


def counted(told: dict[str, Any], revision: str, requests: int) -> dict[str, Any] | None:
    return told if told[revision]["requests"] == requests else None


@pytest.mark.parametrize("told", ["gateway", "route"])
def test_a_full_queue_is_a_429(house: Callable[..., House], upstream: Upstream, told: str) -> None:
    here = house(concurrency=1, queue_limit=1) if told == "gateway" else house()
    if told == "route":
        here.route("d1", Route("ready", served_at(upstream.url), concurrency=1, queue=1))
    upstream.hold = True
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(here.compute) for _ in range(2)]

        def refused() -> httpx.Response | None:
            answer = here.http.post("/deployments/d1/compute", content=b"{}", headers=KEY, timeout=1.0)
            return answer if answer.status_code == 429 else None

        until(lambda: upstream.seen)
        answer = patiently(refused)
        upstream.release()
        assert [future.result().status_code for future in waiting] == [200, 200]
    assert answer.headers["Retry-After"] == "2"
    assert len(upstream.seen) <= 3


def patiently(ask: Callable[[], httpx.Response | None]) -> httpx.Response:
    """The first answer that is not waited for in vain."""

    def attempt() -> httpx.Response | None:
        try:
            return ask()
        except httpx.TimeoutException:
            return None

    answer: httpx.Response = until(attempt)
    return answer


def test_a_model_that_takes_too_long_is_a_504(house: Callable[..., House], upstream: Upstream) -> None:
    here = house(request_seconds=0.2)
    upstream.hold = True
    assert here.compute().status_code == 504
    upstream.hold = False
    assert here.compute().status_code == 200


def test_a_deployment_may_have_another_patience_than_the_gateway(
    house: Callable[..., House], upstream: Upstream
) -> None:
    here = house()
    here.route("d1", Route("ready", served_at(upstream.url), request_seconds=0.2))
    upstream.hold = True
    answer = here.compute()
    assert (answer.status_code, answer.json()["detail"]) == (504, "The model took longer than 0.2 s")


def test_more_places_let_more_requests_in(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    here.route("d1", Route("ready", served_at(upstream.url), concurrency=1))
    upstream.hold = True
    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(here.compute) for _ in range(2)]
        until(lambda: upstream.seen)
        here.route("d1", Route("ready", served_at(upstream.url), concurrency=3))
        second = [pool.submit(here.compute) for _ in range(2)]
        until(lambda: len(upstream.seen) == 3)
        upstream.release()
        assert {future.result().status_code for future in (*first, *second)} == {200}


def test_a_body_over_the_limit_is_a_413(house: Callable[..., House], upstream: Upstream) -> None:
    here = house(body_limit=1000)
    assert here.compute(content=b"x" * 1001).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 600, b"x" * 600)

    answer = here.http.post("/deployments/d1/compute", content=chunks(), headers=KEY)
    assert answer.status_code == 413
    assert upstream.seen == []


def test_a_browser_may_ask(house: Callable[..., House]) -> None:
    here = house()
    answer = here.http.options("/deployments/d1/compute", headers={"Origin": "http://dash.example"})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert here.compute(headers={}).headers["Access-Control-Allow-Origin"] == "*"


def test_the_list_needs_a_key_and_shows_no_address_inside(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    assert here.http.get("/deployments").status_code == 401
    answer = here.http.get("/deployments", headers=KEY)
    assert [item["deployment_id"] for item in answer.json()] == ["d1"]
    assert upstream.url not in answer.text


def test_requests_in_hand_are_drained(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    upstream.hold = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.compute)
        until(lambda: upstream.seen)
        version = here.routes.set("d1", None)
        until(lambda: hands_of(here).routes_version == version)
        assert hands_of(here).busy == [upstream.url]
        upstream.release()
        assert waiting.result().status_code == 200
    until(lambda: hands_of(here).busy == [])
    assert here.http.get("/hands", headers=KEY).status_code == 401
    assert here.http.get("/activity", headers=KEY).status_code == 401


def hands_of(here: House) -> Hands:
    told = here.gateway.told("hands", Hands)
    assert told
    return told


def test_who_sleeps_is_wanted_by_its_first_request_and_waited_for(
    house: Callable[..., House], upstream: Upstream
) -> None:
    here = house(hold_seconds=20)
    assert here.gateway.activity().wanted == []
    here.route("d1", Route("asleep"))
    assert here.http.get("/deployments/d1/openapi.json", headers=KEY).status_code == 503
    assert here.gateway.activity().wanted == [], "readers wake nobody"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.compute)
        until(lambda: here.gateway.activity().wanted == ["d1"])
        here.route("d1", Route("starting"))
        assert here.gateway.activity().wanted == []
        here.route("d1", Route("ready", served_at(upstream.url)))
        assert waiting.result().status_code == 200
    assert here.gateway.activity().idle["d1"] < 10


def test_no_token_in_the_gateways_environment(house: Callable[..., House]) -> None:
    here = house()
    assert here.gateway.process
    process = psutil.Process(here.gateway.process.pid)
    assert here.gateway.settings.token not in " ".join([*process.cmdline(), *process.environ().values()])


def test_a_busy_port_is_one_clear_sentence(our_platform: ContractServer, settings: Callable[..., Settings]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = settings(our_platform, gateway_port=taken.getsockname()[1])
        chosen.data.mkdir(parents=True)
        gateway = GatewaySupervisor(gateway_settings(chosen), inherited_environment())
        with pytest.raises(GatewayFailed, match="cannot listen on"):
            gateway.start()
        gateway.stop()


def test_a_gateway_ends_with_its_folder(our_platform: ContractServer, settings: Callable[..., Settings]) -> None:
    chosen = settings(our_platform)
    chosen.data.mkdir(parents=True)
    given = msgspec.json.encode(gateway_settings(chosen))
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, env=inherited_environment()) as gateway:
        give_input(gateway, given)
        until((chosen.data / "gateway.json").exists)
        shutil.rmtree(chosen.data)
        assert gateway.wait(20) == 0


def test_a_table_that_is_not_readable_changes_nothing(tmp_path: Path) -> None:
    writer, reader = RouteWriter(tmp_path / "routes.json"), RouteReader(tmp_path / "routes.json")
    reader.refresh()
    assert reader.table.routes == {}
    writer.set("d", Route("starting"))
    reader.refresh()
    assert reader.table == writer.table
    (tmp_path / "routes.json").write_text("{")
    reader.refresh()
    assert reader.table == writer.table
    assert msgspec.json.decode(msgspec.json.encode(writer.table))["version"] == 1
