"""The protocols of the model server, asked over HTTP as their own clients ask."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from openapi_spec_validator import validate

from tests.satellite.models import array
from tests.satellite.protocol_clients import (
    MATRIX,
    MIXED,
    PARTS,
    infer,
    invoke,
    tensor,
    tensors,
)
from tests.satellite.served import Serve, compute
from tests.satellite.test_model_server import refusal


class TestOpenInference:
    def test_health_and_metadata(self, serve: Serve) -> None:
        client = serve(**PARTS)
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
        assert client.get("/v2/models/double/ready").json() == {"name": "double", "ready": True}
        told = client.get("/v2/models/double").json()
        assert told["versions"] == ["1"]
        assert told["inputs"][1] == {"name": "n", "datatype": "INT64", "shape": [-1]}
        assert client.get("/v2/models/double/versions/1").json() == told
        for unknown in ("/v2/models/triple", "/v2/models/double/versions/7", "/v2/nothing"):
            answer = client.get(unknown)
            assert answer.status_code == 404
            assert isinstance(answer.json()["error"], str)

    def test_a_request_in_json(self, serve: Serve) -> None:
        client = serve(**PARTS)
        answer = infer(client, tensors(), id="42", outputs=[{"name": "t"}, {"name": "y"}])
        assert answer.json() == {
            "model_name": "double",
            "model_version": "1",
            "id": "42",
            "outputs": [
                {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
                {"name": "y", "datatype": "FP64", "shape": [2], "data": [3.0, 6.0]},
            ],
        }
        assert "id" not in infer(client, tensors()).json()
        assert client.post("/v2/models/double/versions/1/infer", json={"inputs": tensors()}).status_code == 200
        assert client.post("/v2/models/triple/infer", json={"inputs": tensors()}).status_code == 404

    def test_flat_and_nested_data_are_the_same(self, serve: Serve) -> None:
        client = serve(**MATRIX)
        for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
            one = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": data}
            assert infer(client, [one]).json()["outputs"][0]["data"] == [3.0, 7.0]

    def test_binary_data_in_and_out(self, serve: Serve) -> None:
        client = serve(**PARTS)
        raw = [
            np.array([1.5, float("inf")]).tobytes(),
            np.array([2, 3]).tobytes(),
            b"".join(struct.pack("<I", len(text)) + text for text in (b"a", "ü".encode())),
        ]
        shapes = [("x", "FP64"), ("n", "INT64"), ("s", "BYTES")]
        header = json.dumps(
            {
                "inputs": [
                    {"name": name, "datatype": kind, "shape": [2], "parameters": {"binary_data_size": len(part)}}
                    for (name, kind), part in zip(shapes, raw, strict=True)
                ],
                "parameters": {"binary_data_output": True},
            }
        ).encode()
        headers = {"Inference-Header-Content-Length": str(len(header))}
        answer = client.post("/v2/models/double/infer", content=header + b"".join(raw), headers=headers)
        size = int(answer.headers["Inference-Header-Content-Length"])
        told = json.loads(answer.content[:size])
        assert [one["parameters"]["binary_data_size"] for one in told["outputs"]] == [16, 11]
        assert np.frombuffer(answer.content[size : size + 16]).tolist() == [3.0, float("inf")]
        assert answer.content[size + 16 :] == raw[2]
        short = client.post("/v2/models/double/infer", content=header + b"".join(raw)[:-1], headers=headers)
        assert refusal(short)[0] == ["body", "inputs", "s"]
        too_long = client.post("/v2/models/double/infer", content=header + b"".join(raw) + b"x", headers=headers)
        assert "belong to no input" in refusal(too_long)[1]
        for size_told in ("-1", "x", "9" * 20):
            headers = {"Inference-Header-Content-Length": size_told}
            assert client.post("/v2/models/double/infer", content=header, headers=headers).status_code == 400

    def test_what_json_cannot_say_is_refused_and_binary_says_it(self, serve: Serve) -> None:
        client = serve(expression="{'y': inputs['x'] / 0}")
        answer = infer(client, [tensor("x", "FP64", [0.0, 1.0])])
        assert answer.status_code == 406
        assert "binary" in answer.json()["error"]
        binary = infer(
            client, [tensor("x", "FP64", [1.0])], outputs=[{"name": "y", "parameters": {"binary_data": True}}]
        )
        assert np.frombuffer(binary.content[-8:])[0] == float("inf")

    @pytest.mark.parametrize(
        "change",
        [
            {"shape": [10**12]}, {"shape": [2**70]}, {"shape": [-1]}, {"shape": [2, 1]}, {"shape": [1] * 40 + [2]},
            {"shape": [0, 10**12], "data": []}, {"shape": [3]}, {"data": [[1], [2]]}, {"data": [[1], 2]},
            {"data": ["a", "b"]}, {"data": [None, 1]}, {"data": None}, {"data": {"a": 1}}, {"datatype": "FP128"},
            {"datatype": "BF16"}, {"datatype": "BOOL"}, {"datatype": "INT8", "data": [300, 1]},
            {"datatype": "UINT8", "data": [-1, 1]}, {"datatype": "BYTES"}, {"parameters": {"binary_data_size": 16}},
        ],
        ids=str,
    )  # fmt: skip
    def test_tensors_that_cannot_be_are_refused_by_name(self, serve: Serve, change: dict[str, Any]) -> None:
        client = serve()
        answer = infer(client, [tensor("x", "FP64", [1.0, 2.0]) | change])
        location, message = refusal(answer)
        assert location[:3] == ["body", "inputs", "x"], message
        assert answer.json()["error"] == message

    def test_mistakes_are_told_as_in_every_protocol(self, serve: Serve) -> None:
        client = serve(**PARTS)
        good = {"x": [1.0], "n": [1], "s": ["a"]}
        kinds = {"x": "FP64", "n": "INT64", "s": "BYTES"}
        for wrong in ({"n": [1.5]}, {"z": [1]}, {"x": [1.0, 2.0]}, {"n": ["1"]}):
            given = good | wrong
            expected = refusal(compute(client, given))
            assert refusal(invoke(client, inputs=given)) == expected
            sent = [
                tensor(name, "FP64" if values == [1.5] else kinds.get(name, "FP64"), values)
                for name, values in given.items()
                if values != ["1"]
            ]
            if len(sent) == len(given):
                assert refusal(infer(client, sent)) == expected

    def test_other_kinds_of_values(self, serve: Serve) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 5}}, "required": ["a"]}
        client = serve(
            expression="{'y': inputs['j'], 'c': inputs['c'], 'b': inputs['b']}",
            inputs=[
                {"name": "j", "content_type": "JSON", "dtype": "ext::thing"},
                {"name": "c", "content_type": "NDJSON", "dtype": "NDContainer[ext::thing]", "shape": ["n"]},
                array("b", "bool", ("n",)),
            ],
            outputs=[{"name": name, "content_type": "JSON", "dtype": "ext::thing"} for name in "ycb"],
            dtypes={"ext::thing": schema},
        )
        inputs = [
            tensor("j", "BYTES", ['{"a": 1}']),
            tensor("c", "BYTES", ['{"a": 2}', '{"a": 3}']),
            tensor("b", "BOOL", [True, False]),
        ]
        told = infer(client, inputs).json()["outputs"]
        assert [one["data"] for one in told] == [['{"a":1}'], ['[{"a":2},{"a":3}]'], [True, False]]
        too_much = [tensor("j", "BYTES", ['{"a": 6}']), *inputs[1:]]
        assert refusal(infer(client, too_much)) == refusal(
            compute(client, {"j": {"a": 6}, "c": [{"a": 2}, {"a": 3}], "b": [True, False]})
        )

    def test_parameters_fill_dynamic_attributes_and_others_are_let_be(self, serve: Serve) -> None:
        expression = "{'y': np.array([float(dynamic_attributes['factor'])])}"
        client = serve(expression=expression, attributes=("factor",))
        answer = infer(client, [tensor("x", "FP64", [1.0])], parameters={"factor": 3, "priority": 1})
        assert answer.json()["outputs"][0]["data"] == [3.0]

    def test_while_there_is_no_model(self, serve: Serve) -> None:
        client = serve(ready=False, warmup="sys.exit('no licence')")
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 503
        for answer in (client.get("/v2/models/double/ready"), infer(client, [])):
            assert answer.status_code == 503
            assert "error" in answer.json()


class TestInvocations:
    @pytest.mark.parametrize(
        "body",
        [
            {"dataframe_split": {"columns": ["n", "x", "s"], "data": [[2, 1.5, "a"], [3, 2, "b"]], "index": [0, 1]}},
            {"dataframe_records": [{"x": 1.5, "n": 2, "s": "a"}, {"s": "b", "n": 3, "x": 2}]},
            {"instances": [{"x": 1.5, "n": 2, "s": "a"}, {"x": 2, "n": 3, "s": "b"}]},
        ],
        ids=lambda body: next(iter(body)),
    )
    def test_rows_in_rows_out(self, serve: Serve, body: dict[str, Any]) -> None:
        assert invoke(serve(**PARTS), **body).json() == {"predictions": [{"y": 3.0, "t": "a"}, {"y": 6.0, "t": "b"}]}

    def test_columns_in_columns_out(self, serve: Serve) -> None:
        answer = invoke(serve(**PARTS), inputs={"x": [1.5], "n": [2], "s": ["a"]})
        assert answer.json() == {"predictions": {"y": [3.0], "t": ["a"]}}

    @pytest.mark.parametrize(
        "body",
        [
            {"inputs": [[1, 2], [3, 4]]},
            {"instances": [[1, 2], [3, 4]]},
            {"inputs": {"x": [[1, 2], [3, 4]]}},
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}},
            {"dataframe_split": {"data": [[1, 2], [3, 4]]}},
            {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
            {"instances": [{"x": [1, 2]}, {"x": [3, 4]}]},
        ],
        ids=str,
    )
    def test_the_only_input_needs_no_name(self, serve: Serve, body: dict[str, Any]) -> None:
        assert invoke(serve(**MATRIX), **body).json() == {"predictions": [3.0, 7.0]}

    def test_csv(self, serve: Serve) -> None:
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        client = serve(**PARTS)
        answer = client.post("/invocations", content='x,n,s\n1.5,2,"a, b"\n,3,\n', headers=headers)
        assert answer.json() == {"predictions": [{"y": 3.0, "t": "a, b"}, {"y": None, "t": "None"}]}
        assert refusal(client.post("/invocations", content="x,n,s\n1,x,a\n", headers=headers))[0][-1] == "n"
        for broken in ("", "x,x,s\n", "x,n\n1,2,3\n", 'x,n,s\n"1', b"\xff\xfe", "x,n,s\n1,2,\0\n"):
            assert client.post("/invocations", content=broken, headers=headers).status_code in {200, 422}
        table = serve(**MATRIX).post("/invocations", content="a,b\n1,2\n3,4\n", headers=headers)
        assert table.json() == {"predictions": [3.0, 7.0]}

    @pytest.mark.parametrize(
        "body",
        [
            {}, [], None, {"inputs": [], "instances": []}, {"dataframe_split": []}, {"dataframe_split": {"data": 1}},
            {"dataframe_split": {"columns": ["x"], "data": [[1], [1, 2]]}}, {"dataframe_records": {}},
            {"dataframe_split": {"columns": ["x", "x"], "data": []}}, {"dataframe_records": [1]},
            {"dataframe_split": {"columns": 3, "data": [[1]]}}, {"instances": 5}, {"inputs": None},
            {"instances": [1, 2], "params": []}, {"instances": [1, 2], "params": {"unknown": 1}},
        ],
        ids=str,
    )  # fmt: skip
    def test_bodies_of_another_form(self, serve: Serve, body: Any) -> None:
        answer = serve().post("/invocations", json=body)
        assert answer.status_code == 422
        assert answer.json()["error_code"] == "BAD_REQUEST"
        assert answer.json()["message"] == answer.json()["detail"][0]["msg"]

    def test_other_kinds_of_bodies(self, serve: Serve) -> None:
        answer = serve().post(
            "/invocations", content=b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code == 415
        assert "text/csv" in answer.json()["message"]

    def test_params_are_dynamic_attributes(self, serve: Serve) -> None:
        client = serve(expression="{'y': inputs['x'] * float(dynamic_attributes['factor'])}", attributes=("factor",))
        for factor in (3, "3", 3.0):
            assert invoke(client, inputs=[2.0], params={"factor": factor}).json() == {"predictions": [6.0]}

    def test_infinity_has_no_word_here(self, serve: Serve) -> None:
        client = serve(expression="{'y': inputs['x'] / 0}")
        assert invoke(client, inputs=[0.0]).json() == {"predictions": [None]}
        answer = invoke(client, inputs=[1.0])
        assert (answer.status_code, "`y`" in answer.json()["message"]) == (406, True)


class TestNumbersWithoutAWord:
    def test_they_go_in_and_out_of_the_contract(self, serve: Serve) -> None:
        client = serve(
            expression="{'y': inputs['x'], 'l': [float('inf'), [float('nan')]], 'd': {'a': -np.inf}}",
            outputs=[array("y"), *({"name": name, "content_type": "JSON", "dtype": "ext::any"} for name in "ld")],
            dtypes={"ext::any": {}},
        )
        assert compute(client, {"x": ["NaN", None, "Infinity", "-Infinity"]}).json() == {
            "y": [None, None, "Infinity", "-Infinity"],
            "l": ["Infinity", [None]],
            "d": {"a": "-Infinity"},
        }

    def test_texts_of_which_arrays_would_be_huge_are_refused(self, serve: Serve) -> None:
        client = serve(inputs=[array("s", "string")], expression="{'y': inputs['s']}")
        texts = ["a" * 1_000_000] + ["b"] * 2000
        location, message = refusal(compute(client, {"s": texts}))
        assert (location[-1], "too much" in message) == ("s", True)

    def test_deep_lists_are_refused(self, serve: Serve) -> None:
        assert (
            refusal(serve().post("/compute", content='{"inputs": {"x": ' + "[" * 900 + "]" * 900 + "}}"))[0][-1] == "x"
        )


class TestOpenApi:
    def test_it_covers_every_protocol_and_its_examples_work(self, serve: Serve) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]}
        client = serve(
            expression="{'y': inputs['x']}",
            inputs=[
                *MIXED,
                array("m", "float32", ("batch", 3)),
                {"name": "j", "content_type": "JSON", "dtype": "ext::j"},
            ],
            dtypes={"ext::j": schema},
        )
        document = client.get("/openapi.json").json()
        validate(document)
        posts = {path: one["post"] for path, one in document["paths"].items() if "post" in one}
        assert set(posts) == {"/compute", "/invocations", "/v2/models/double/infer"}
        for path, described in posts.items():
            example = described["requestBody"]["content"]["application/json"]["example"]
            assert client.post(path, json=example).status_code == 200, path
        for path in set(document["paths"]) - set(posts):
            assert client.get(path).status_code == 200, path

    def test_huge_shapes_have_no_example(self, serve: Serve) -> None:
        client = serve(inputs=[array("x", shape=(1000, 1000, 1000))])
        assert len(client.get("/openapi.json").content) < 20_000
