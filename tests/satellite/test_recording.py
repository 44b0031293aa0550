"""Requests that a gateway records, because their deployment is monitored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from satellite.gateway.recording import MOST_KEPT
from tests.satellite.contract_server import API_KEY
from tests.satellite.gateway_house import House, house, more_upstreams, upstream
from tests.satellite.test_gateway_faces import AT, DIGEST, served
from tests.serving import until

__all__ = ["house", "more_upstreams", "served", "upstream"]


def recorded(here: House, **question: Any) -> list[dict[str, Any]]:
    """What the gateway tells of the deployment's requests."""
    answer = here.http.get(f"{AT}/requests", params=question)
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [{**line, **json.loads(line["line"])} for line in lines]


@pytest.fixture
def monitored(served: Callable[..., House]) -> Callable[..., House]:
    """A deployment of which so many percent are recorded."""

    def open_monitored(percent: float, **parts: Any) -> House:
        here = served(**parts)
        route = here.routes.get("d2")
        here.route("d2", msgspec.structs.replace(route, monitoring=percent))
        return here

    return open_monitored


def test_all_are_recorded_with_what_was_asked_and_answered(monitored: Callable[..., House]) -> None:
    here = monitored(100)
    body = {"inputs": {"x": [1.5]}, "dynamic_attributes": {}}
    asked = here.http.post(f"{AT}/compute", json=body, headers={"X-Request-Id": "mine"})
    one = until(lambda: recorded(here), "the request is recorded")[0]
    assert (one["request_id"], one["path"], one["status"]) == ("mine", "/compute", 200)
    assert (one["asked"], one["answered"]) == (body, asked.json())
    assert (one["stream"], one["revision"], one["digest"]) == ("request", "r7", DIGEST)
    assert 0 < one["seconds"] < 60
    assert one["answered_bytes"] == len(asked.content)


def test_refusals_of_the_model_are_recorded_too(monitored: Callable[..., House]) -> None:
    here = monitored(100)
    assert here.http.post(f"{AT}/compute", json={"inputs": {"y": [1]}}).status_code == 422
    one = until(lambda: recorded(here), "the request is recorded")[0]
    assert one["status"] == 422
    assert "`y`" in json.dumps(one["answered"])


def test_values_of_dynamic_attributes_are_not_kept(monitored: Callable[..., House]) -> None:
    here = monitored(100)
    secret = "s3cr3t-of-a-caller"
    here.http.post(f"{AT}/compute", json={"inputs": {"x": [1.0]}, "dynamic_attributes": {"token": secret}})
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}
    here.http.post(f"{AT}/v2/models/d2/infer", json={"inputs": [tensor], "parameters": {"token": secret}})
    both = until(lambda: len(found := recorded(here)) == 2 and found, "both are recorded")
    assert both[0]["asked"]["dynamic_attributes"] == {"token": "***"}
    assert secret not in json.dumps(both)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"x\n1.5\n", "text/csv"), (b'{"inputs": {"x": [' + b"1.0," * MOST_KEPT + b"1.0]}}", "application/json")],
)
def test_of_others_only_the_size_is_kept(content: bytes, kind: str, monitored: Callable[..., House]) -> None:
    here = monitored(100)
    path = "invocations" if kind == "text/csv" else "compute"
    assert here.http.post(f"{AT}/{path}", content=content, headers={"Content-Type": kind}).status_code == 200
    one = until(lambda: recorded(here), "the request is recorded")[0]
    assert "asked" not in one
    assert one["asked_bytes"] == len(content)


def test_what_is_no_json_does_not_harm(monitored: Callable[..., House]) -> None:
    here = monitored(100)
    deep = b"[" * 30_000 + b"]" * 30_000
    for content in (b'{"inputs":', deep, b"\xff\xfe", b""):
        assert here.http.post(f"{AT}/compute", content=content).status_code == 422
    until(lambda: len(recorded(here)) == 4, "all are recorded")


def test_a_share_is_recorded_by_chance(monitored: Callable[..., House]) -> None:
    here = monitored(50)
    for _ in range(200):
        here.http.post(f"{AT}/compute", json={"inputs": {"x": [1.5]}})
    here.route("d2", msgspec.structs.replace(here.routes.get("d2"), monitoring=100))
    here.http.post(f"{AT}/compute", json={"inputs": {"x": [2.5]}})

    def last_is_there() -> list[dict[str, Any]] | None:
        found = recorded(here)
        return found if found and found[-1]["asked"]["inputs"]["x"] == [2.5] else None

    all_of_them = until(last_is_there, "the last request is recorded")
    # Outside of these bounds once in ten million runs.
    assert 62 <= len(all_of_them) - 1 <= 138
    assert Counter(one["request_id"] for one in all_of_them).most_common(1)[0][1] == 1


def test_none_is_recorded_unless_it_is_asked_for(monitored: Callable[..., House]) -> None:
    here = monitored(0)
    here.http.post(f"{AT}/compute", json={"inputs": {"x": [1.5]}})
    assert recorded(here) == []
    assert not here.gateway.settings.requests.exists()


def test_reading_takes_a_key_that_reads_logs(monitored: Callable[..., House]) -> None:
    here = monitored(100)
    assert here.http.get(f"{AT}/requests", headers={"Authorization": ""}).status_code == 401
    assert here.http.get(f"{AT}/requests", headers={"Authorization": f"Bearer {API_KEY}x"}).status_code == 401
    assert here.http.get(f"{AT}/requests", params={"tail": "many"}).status_code == 422
    assert here.http.get("/deployments/elsewhere/requests").status_code == 404
