"""The model server as a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from satellite.model_server.sockets import listening_socket
from tests.satellite.models import array
from tests.satellite.served import Serve, compute


def refusal(answer: httpx.Response) -> tuple[list[Any], str]:
    assert answer.status_code == 422, answer.text
    (detail,) = answer.json()["detail"]
    return detail["loc"], detail["msg"]


def test_mistakes_name_their_input(serve: Serve) -> None:
    inputs = [
        array("x"), array("n", "int64"), array("s", "string"), array("m", "float32", ("batch", 2)), array("b", "bool"),
    ]  # fmt: skip
    client = serve(expression="{'y': inputs['x']}", inputs=inputs)
    good: dict[str, Any] = {"x": [1.5], "n": [1], "s": ["a"], "m": [[1, 2]], "b": [True]}
    assert compute(client, good).json() == {"y": [1.5]}
    wrong: list[tuple[str, Any, str]] = [
        ("x", ["a"], "regular array"), ("x", [[1.0]], "1 dimensions"), ("x", 3, "1 dimensions"),
        ("x", [True], "true/false"), ("x", [1.0, 2.0], "is expected"), ("x", {"a": 1}, "regular array"),
        ("n", [1.5], "fractions"), ("n", [None], "null"), ("n", [2**70], "too large"), ("n", [2**63], "too large"),
        ("n", ["1"], "text"),
        ("s", [1], "string"), ("m", [[1, 2], [1]], "differ"), ("m", [[1]], "2"), ("m", [[1e300, 1]], "too large"),
        ("n", [2.7], "fractions"), ("n", [1, None], "null"), ("n", [True], "true/false"), ("n", ["NaN"], "text"),
        ("b", [1], "bool"), ("b", [None], "null"), ("b", [True, None], "null"), ("b", ["true"], "text"),
        ("s", [1, "a"], "string"), ("s", [[1], ["a"]], "string"),
    ]  # fmt: skip
    for name, value, words in wrong:
        order = {name: value} | {key: given for key, given in good.items() if key != name}
        location, message = refusal(compute(client, order))
        if words != "is expected":
            assert location == ["body", "inputs", name], (name, value, message)
        assert words in message, (name, value, message)
    assert refusal(compute(client, good | {"z": 1}))[0] == ["body", "inputs", "z"]
    del good["s"]
    assert refusal(compute(client, good)) == (["body", "inputs", "s"], "The input `s` (Array[string]) is missing")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '{"inputs": []}', '{"inputs": null}', "[" * 100_000, '{"inputs": {"x": ' + "[" * 900],
)
def test_a_body_of_another_form_is_refused(serve: Serve, body: str) -> None:
    client = serve()
    assert client.post("/compute", content=body).status_code == 422


def test_missing_numbers_go_in_and_out_as_null(serve: Serve) -> None:
    client = serve(expression="{'y': inputs['x'] / np.array([1.0, 0.0, 1.0])}")
    assert compute(client, {"x": [None, 1, 2]}).json() == {"y": [None, "Infinity", 2.0]}
    assert compute(client, {"x": ["NaN", 1, 2]}).json() == {"y": [None, "Infinity", 2.0]}


def test_a_missing_text_is_what_fnnx_calls_it(serve: Serve) -> None:
    client = serve(expression="{'y': inputs['x'] == 'None'}", inputs=[array("x", "string")])
    assert compute(client, {"x": ["a", None]}).json() == {"y": [False, True]}
    assert compute(client, {"x": [None]}).json() == {"y": [True]}


def test_an_empty_batch_is_a_batch(serve: Serve) -> None:
    assert compute(serve(), {"x": []}).json() == {"y": []}


def test_containers_and_json_are_checked_by_their_schema(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    client = serve(
        expression="{'y': [inputs['c'], inputs['j']['a']]}",
        inputs=[
            {"name": "c", "content_type": "NDJSON", "dtype": "NDContainer[string]", "shape": ["n"]},
            {"name": "j", "content_type": "JSON", "dtype": "ext::thing"},
        ],
        outputs=[{"name": "y", "content_type": "JSON", "dtype": "ext::thing"}],
        dtypes={"ext::thing": schema},
    )
    assert compute(client, {"c": ["a"], "j": {"a": 1}}).json() == {"y": [["a"], 1]}
    assert refusal(compute(client, {"c": [1], "j": {"a": 1}}))[0] == ["body", "inputs", "c"]
    assert refusal(compute(client, {"c": ["a"], "j": {"a": "x"}}))[0] == ["body", "inputs", "j"]
    document = client.get("/openapi.json").json()
    assert document["components"]["schemas"]["ComputeRequest"]["properties"]["inputs"]["properties"]["j"] == schema


def hand_over(folder: Path, variables: dict[str, str], attributes: dict[str, str]) -> Path:
    """A folder as the satellite fills it."""
    folder.mkdir(exist_ok=True)
    (folder / "environment.json").write_text(json.dumps(variables))
    (folder / "attributes.json").write_text(json.dumps(attributes))
    return folder


def test_attributes_of_the_request_win_over_the_deployments(serve: Serve, tmp_path: Path) -> None:
    handed = hand_over(tmp_path / "handed", {}, {"a": "1", "b": "2"})
    expression = "{'y': np.array([float(dynamic_attributes[k]) for k in 'ab'])}"
    client = serve("--handover", str(handed), expression=expression, attributes=("a", "b"))
    assert compute(client, {"x": [0]}, dynamic_attributes={"b": "5"}).json() == {"y": [1.0, 5.0]}
    assert refusal(compute(client, {"x": [0]}, dynamic_attributes={"c": "5"}))[0][-1] == "c"
    assert refusal(compute(client, {"x": [0]}, dynamic_attributes={"a": 5}))[0][-1] == "a"


def test_a_model_that_raises_is_a_500_and_lives_on(serve: Serve) -> None:
    client = serve(expression="{'y': 1 / inputs['x'][0]} if inputs['x'][0] != 7 else [][1]")
    answer = compute(client, {"x": [7]})
    assert (answer.status_code, answer.json()) == (
        500,
        {"detail": "The model failed: IndexError: list index out of range"},
    )
    assert compute(client, {"x": [2]}).json() == {"y": 0.5}


def test_a_model_that_cannot_load_keeps_saying_why(serve: Serve) -> None:
    client = serve(ready=False, warmup="sys.exit('no licence')")
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "no licence" in answer.json()["error"]
    assert compute(client, {"x": [1]}).status_code == 503


def test_a_body_over_the_limit_is_a_413(serve: Serve) -> None:
    assert compute(serve("--body-limit", "1000"), {"x": [1.0] * 1000}).status_code == 413


def test_a_slow_request_does_not_hold_up_health(serve: Serve, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(gate)!r}), True)]"
    client = serve(expression=f"({wait}, {{'y': inputs['x']}})[1]")
    with httpx.Client(base_url=client.base_url) as other:
        import threading

        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(compute(other, {"x": [1]})))
        thread.start()
        assert client.get("/healthz").json() == {"status": "ready"}
        gate.touch()
        thread.join(20)
    assert answers[0].json() == {"y": [1.0]}


def test_the_socket_says_that_it_is_tcp() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_it_runs_where_there_is_no_luml(serve: Serve) -> None:
    client = serve(
        expression="{'y': np.array([float(any(m.split('.')[0] in ('satellite', 'luml_app') for m in sys.modules))])}"
    )
    assert compute(client, {"x": [1]}).json() == {"y": [0.0]}
