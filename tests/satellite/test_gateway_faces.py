"""Every protocol through the gateway, with a real model server behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from luml_app.client import inference
from satellite.gateway.routes import Backend, Route
from tests.satellite.contract_server import API_KEY, ContractServer, until
from tests.satellite.gateway_house import DIGEST, KEY, House, Upstream, house, more_upstreams, served_at, upstream
from tests.satellite.models import array
from tests.satellite.protocol_clients import ARROW, stream, table_of, tensor
from tests.satellite.served import Serve

__all__ = ["house", "more_upstreams", "upstream"]
AT = "/deployments/d2"


@pytest.fixture
def served(house: Callable[..., House], serve: Serve) -> Callable[..., House]:
    """A gateway with the deployment `d2`, a model made of the given parts."""

    def open_served(changes: dict[str, Any] | None = None, **parts: Any) -> House:
        here = house(**(changes or {}))
        here.http.headers.update(KEY)
        model = str(serve(**parts).base_url).rstrip("/")
        address = f"{here.gateway.url}{AT}/compute"
        here.route("d2", Route("ready", (Backend(model, "r7", DIGEST),), address))
        return here

    return open_served


def test_every_protocol_answers(served: Callable[..., House]) -> None:
    http = served().http
    inputs = [tensor("x", "FP64", [1.5])]
    answers = [
        http.post(f"{AT}/compute", json={"inputs": {"x": [1.5]}}),
        http.post(f"{AT}/invocations", json={"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}),
        http.post(f"{AT}/invocations", content="x\n1.5\n", headers={"Content-Type": "text/csv"}),
        http.post(f"{AT}/v2/models/double/infer", json={"inputs": inputs}),
        http.post(f"{AT}/v2/models/d2/versions/1/infer", json={"inputs": inputs}),
        http.post("/v2/models/d2/infer", json={"inputs": inputs}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert [re.findall(r"3\.0", answer.text) for answer in answers] == [["3.0"]] * 6
    for answer in answers:
        assert answer.headers["X-Model-Digest"] == DIGEST
        assert answer.headers["X-Revision"] == "r7"
        assert answer.headers["X-Request-Id"]
    assert answers[-1].json()["model_name"] == "d2"


def test_arrow_and_binary_tensors_pass_untouched(served: Callable[..., House]) -> None:
    http = served().http
    batch = stream(pa.table({"x": [float(number) for number in range(200_000)]}))
    answer = http.post(f"{AT}/compute", content=batch, headers={"Content-Type": ARROW})
    assert table_of(answer)["y"][-3:] == [399994.0, 399996.0, 399998.0]
    told = http.post("/v2/models/d2/infer", json={"inputs": [tensor("x", "FP64", [1.0])], "outputs": [BINARY]})
    assert told.content[int(told.headers["Inference-Header-Content-Length"]) :] == b"\0\0\0\0\0\0\0\x40"
    large = http.post(f"{AT}/compute", json={"inputs": {"x": list(range(300_000))}})
    assert large.json()["y"][-1] == 599_998.0


BINARY = {"name": "y", "parameters": {"binary_data": True}}


def test_open_inference_reads(served: Callable[..., House]) -> None:
    here = served()
    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert httpx.get(here.gateway.url + path).status_code == 200
    assert here.http.get("/v2/models/d2").json()["name"] == "d2"
    assert here.http.get("/v2/models/d2/ready").json() == {"name": "d2", "ready": True}
    assert here.http.get(f"{AT}/v2/models/double").json()["inputs"][0]["datatype"] == "FP64"
    assert here.http.get(f"{AT}/v2/health/ready").status_code == 200
    for path in ("/v2/models/d2", f"{AT}/v2/health/ready", f"{AT}/openapi.json"):
        assert httpx.get(here.gateway.url + path).status_code == 401
    assert here.http.get("/v2/models/nobody").json() == {
        "error": "There is no such deployment here",
        "detail": "There is no such deployment here",
    }
    here.route("d2", Route("starting"))
    assert here.http.get("/v2/models/d2/ready").status_code == 503


def test_refusals_are_told_in_the_words_of_the_protocol(served: Callable[..., House]) -> None:
    here = served({"body_limit": 1000})
    nobody = {"Authorization": ""}
    told = here.http.post(f"{AT}/invocations", json={}, headers=nobody).json()
    assert (told["error_code"], told["message"]) == ("BAD_REQUEST", told["detail"])
    assert "error" in here.http.post("/v2/models/d2/infer", json={}, headers=nobody).json()
    large = here.http.post("/v2/models/d2/infer", content=b"x" * 2000)
    assert (large.status_code, "error" in large.json()) == (413, True)
    wrong = here.http.post(f"{AT}/invocations", json={"inputs": {"z": [1]}}, headers={"X-Request-Id": "mine"})
    assert (wrong.status_code, wrong.headers["X-Request-Id"], wrong.headers["X-Model-Digest"]) == (422, "mine", DIGEST)
    assert wrong.json()["detail"][0]["loc"] == ["body", "inputs", "z"]


def test_the_openapi_document_leads_back_here(served: Callable[..., House]) -> None:
    here = served()
    document = here.http.get(f"{AT}/openapi.json").json()
    (server,) = document["servers"]
    assert server["url"] == here.gateway.url + AT
    assert document["security"] == [{"key": []}]
    for path, described in document["paths"].items():
        for method, operation in described.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            answer = here.http.request(method, server["url"] + path, json=body)
            assert answer.status_code == 200, (path, answer.text)


def test_what_a_proxy_leaves_of_its_path_is_no_matter(served: Callable[..., House]) -> None:
    here = served({"base_url": "https://models.example/team/a"})
    for before in ("", "/team/a"):
        assert here.http.post(f"{before}{AT}/compute", json={"inputs": {"x": [1]}}).json() == {"y": [2.0]}
    assert here.http.post(f"/team/b{AT}/compute", json={"inputs": {"x": [1]}}).status_code == 404


def test_metrics(served: Callable[..., House], upstream: Upstream) -> None:
    here = served()
    assert httpx.get(f"{here.gateway.url}/metrics").status_code == 401
    for x in ([1.0], "wrong"):
        here.http.post(f"{AT}/compute", json={"inputs": {"x": x}})
    here.http.get(f"{AT}/openapi.json")
    upstream.hold = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.compute)
        until(lambda: upstream.seen)
        told = here.http.get("/metrics").text
        upstream.release()
        assert waiting.result().status_code == 200
    d2, d1 = 'deployment="d2",revision="r7"', 'deployment="d1",revision="r1"'
    for line in (
        f'luml_gateway_requests_total{{{d2},status="200"}} 1.0',
        f'luml_gateway_requests_total{{{d2},status="422"}} 1.0',
        f'luml_gateway_seconds_bucket{{{d2},le="+Inf"}} 2.0',
        f"luml_gateway_errors_total{{{d2}}} 0.0",
        f"luml_gateway_in_hand{{{d1}}} 1.0",
        'luml_gateway_queue{deployment="d1"} 1.0',
        'luml_gateway_refusals_total{status="401"} 1.0',
        "luml_gateway_held_bytes 2.0",
    ):
        assert line in told or sorted_labels(line) in map(sorted_labels, told.splitlines()), line
    here.route("d2", None)
    assert "d2" not in here.http.get("/metrics").text, "what is not served any more takes no room"


def sorted_labels(line: str) -> str:
    """A line of the exposition format, whatever order its labels are in."""
    name, _, rest = line.partition("{")
    labels, _, value = rest.partition("}")
    return f"{name}{sorted(labels.split(','))}{value}"


def test_running_models_serve_while_the_platform_is_away(
    our_platform: ContractServer, served: Callable[..., House]
) -> None:
    here = served({"fresh_seconds": 0.0})
    ask = {"json": {"inputs": {"x": [1.5]}}}
    for _ in range(3):
        assert here.http.post(f"{AT}/compute", **ask).status_code == 200
    assert our_platform.access_asked >= 3, "nothing is fresh here: every call asks"
    our_platform.stop()
    for path in ("compute", "invocations"):
        assert here.http.post(f"{AT}/{path}", **ask).status_code == 200
    stranger = here.http.post(f"{AT}/compute", **ask, headers={"Authorization": "Bearer dfs_new"})
    assert (stranger.status_code, stranger.headers["Retry-After"]) == (503, "2")
    our_platform.restart()
    until(
        lambda: here.http.post(f"{AT}/compute", **ask, headers={"Authorization": "Bearer dfs_new"}).status_code == 401
    )


def test_a_key_does_not_stay_good_for_ever_while_the_platform_is_away(
    our_platform: ContractServer, served: Callable[..., House]
) -> None:
    here = served({"fresh_seconds": 0.0, "stale_seconds": 1.0})
    assert here.http.get(f"{AT}/v2").status_code == 200
    our_platform.stop()
    until(lambda: here.http.get(f"{AT}/v2").status_code == 503)


def test_a_platform_that_hangs_holds_up_nobody_who_was_good(
    our_platform: ContractServer, served: Callable[..., House]
) -> None:
    here = served({"fresh_seconds": 0.0})
    assert here.http.get(f"{AT}/v2").status_code == 200
    our_platform.access_held = True
    assert here.http.get(f"{AT}/v2", timeout=4.0).status_code == 200
    our_platform.access_held = False


def test_a_deployment_has_limits_of_its_own(house: Callable[..., House], upstream: Upstream) -> None:
    here = house()
    here.route("d2", Route("ready", served_at(upstream.url), concurrency=1, queue=0, request_seconds=0.3))
    upstream.hold = True
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(here.compute, "d2")
        until(lambda: upstream.seen)
        assert here.compute("d2").status_code in {429, 504}
        assert late.result().status_code == 504


def test_a_model_with_other_names_and_shapes(served: Callable[..., House]) -> None:
    here = served(
        expression="{'y y': inputs['a b'][:, 0]}",
        inputs=[array("a b", "float32", ("n", 2))],
        outputs=[array("y y", "float32", ("n",))],
    )
    assert here.http.post(f"{AT}/compute", json={"inputs": {"a b": [[1, 2]]}}).json() == {"y y": [1.0]}
    assert here.http.get(f"{AT}/openapi.json").is_success


def test_the_python_client_reads_every_number(served: Callable[..., House]) -> None:
    here = served(expression="{'y': 1 / inputs['x']}")
    sample = pd.DataFrame({"x": [0.0, -0.0, np.nan, 4.0]}, index=list("abcd"))
    body = {"inputs": inference.request_of_sample(sample)}
    outputs = inference.compute(here.http, f"{here.gateway.url}{AT}/compute", API_KEY, body)
    told = inference.predictions(outputs, sample)["y"]
    assert told.index.tolist() == list("abcd")
    assert told.dtype == np.float64
    assert [told["a"], told["b"], np.isnan(told["c"]), told["d"]] == [np.inf, -np.inf, True, 0.25]
