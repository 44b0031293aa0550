"""The protocols of the model server, asked over HTTP as their own clients ask."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from openapi_spec_validator import validate

from tests.satellite.models import array
from tests.satellite.served import Serve, compute
from tests.satellite.test_model_server import refusal

ARROW = "application/vnd.apache.arrow.stream"
MIXED = [array("x"), array("n", "int64"), array("s", "string")]
PARTS: dict[str, Any] = {
    "expression": "{'y': inputs['x'] * inputs['n'], 't': inputs['s']}",
    "inputs": MIXED,
    "outputs": [array("y"), array("t", "string")],
}
MATRIX: dict[str, Any] = {"expression": "{'y': inputs['x'].sum(axis=1)}", "inputs": [array("x", shape=("batch", 2))]}


def tensor(name: str, datatype: str, data: list[Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data, **more}


def tensors() -> list[dict[str, Any]]:
    return [tensor("x", "FP64", [1.5, 2]), tensor("n", "INT32", [2, 3]), tensor("s", "BYTES", ["a", "b"])]


def infer(client: httpx.Client, inputs: Any, **more: Any) -> httpx.Response:
    return client.post("/v2/models/double/infer", json={"inputs": inputs, **more})


def invoke(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/invocations", json=body)


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def send_arrow(client: httpx.Client, body: bytes, path: str = "/compute", **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={"Content-Type": ARROW, **headers})


def table_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == ARROW, answer.text
    return dict(pa.ipc.open_stream(answer.content).read_all().to_pydict())


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


class TestArrow:
    def table(self) -> pa.Table:
        return pa.table({"x": [1.5, None], "n": pa.array([2, 3], pa.int16()), "s": pa.array(["a", None])})

    def test_batches_in_and_out(self, serve: Serve) -> None:
        client = serve(**PARTS)
        body = stream(self.table())
        for path in ("/compute", "/invocations"):
            told = table_of(send_arrow(client, body, path))
            assert told["t"] == ["a", "None"]
            assert told["y"][0] == 3.0
            assert np.isnan(told["y"][1])
        in_json = send_arrow(client, body, Accept="application/json")
        assert in_json.json() == {"y": [3.0, None], "t": ["a", "None"]}
        asked = client.post("/compute", json={"inputs": {"x": [1], "n": [1], "s": ["a"]}}, headers={"Accept": ARROW})
        assert table_of(asked) == {"y": [1.0], "t": ["a"]}

    def test_numbers_survive_whatever_they_are(self, serve: Serve) -> None:
        client = serve(expression="{'y': inputs['x']}")
        numbers = np.array([np.nan, np.inf, -np.inf, 5e-324, -0.0, 1.7976931348623157e308])
        told = table_of(send_arrow(client, stream(pa.table({"x": numbers}))))["y"]
        assert np.array(told).tobytes() == numbers.tobytes()

    def test_texts_that_repeat_and_rows_of_lists(self, serve: Serve) -> None:
        client = serve(
            expression="{'y': inputs['m'], 't': inputs['s']}",
            inputs=[array("s", "string"), array("m", shape=("batch", 2))],
            outputs=[array("y", shape=("batch", 2)), array("t", "string")],
        )
        for lists in (pa.list_(pa.float32(), 2), pa.list_(pa.float64()), pa.large_list(pa.int8())):
            rows = pa.array([[1, 2], [3, 4], [5, 6]], lists)
            texts = pa.array(["a", "b", "a"]).dictionary_encode()
            told = table_of(send_arrow(client, stream(pa.table({"s": texts, "m": rows}))))
            assert told == {"y": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "t": ["a", "b", "a"]}

    def test_attributes_travel_in_the_schema(self, serve: Serve) -> None:
        client = serve(expression="{'y': inputs['x'] * float(dynamic_attributes['factor'])}", attributes=("factor",))
        table = pa.table({"x": [2.0]}).replace_schema_metadata({"dynamic_attributes": '{"factor": "3"}'})
        assert table_of(send_arrow(client, stream(table))) == {"y": [6.0]}

    def test_columns_of_other_types_are_refused_by_name(self, serve: Serve) -> None:
        client = serve()
        day = pa.array([0], pa.date32())
        ragged = pa.array([[1.0], [1.0, 2.0]])
        for column in (day, ragged, pa.array([[1.0], None]), pa.array(["a"]), pa.array([True]), pa.array([b"a"])):
            assert refusal(send_arrow(client, stream(pa.table({"x": column}))))[0] == ["body", "inputs", "x"]
        assert refusal(send_arrow(client, stream(pa.table({"z": [1.0]}))))[0] == ["body", "inputs", "z"]
        twice = pa.table([[1.0], [2.0]], names=["x", "x"])
        assert refusal(send_arrow(client, stream(twice)))[0] == ["body", "inputs", "x"]

    def test_streams_that_lie_are_refused(self, serve: Serve) -> None:
        client = serve(**PARTS)
        body = stream(self.table())
        assert "compressed" in refusal(send_arrow(client, stream(self.table(), compression="zstd")))[1]
        coded = stream(pa.table({"s": pa.array(["a"]).dictionary_encode()}), compression="lz4")
        assert "compressed" in refusal(send_arrow(client, coded))[1]
        for broken in (b"", b"\0" * 64, b"ARROW1\0\0", body[:40], body[: len(body) // 2], b"[1]"):
            assert send_arrow(client, broken).status_code == 422
        rows = pa.RecordBatch.from_arrays([pa.nulls(1)], ["x"])
        endless = stream(pa.Table.from_batches([rows])).replace(
            (1).to_bytes(8, "little"), (2**50).to_bytes(8, "little")
        )
        assert send_arrow(client, endless).status_code == 422
        for place in range(8, len(body), 5):
            twisted = bytearray(body)
            twisted[place] ^= 0xFF
            assert send_arrow(client, bytes(twisted)).status_code in {200, 422}, place
        assert client.get("/healthz").status_code == 200

    def test_without_pyarrow_it_is_refused_with_a_sentence(self, serve: Serve) -> None:
        client = serve(warmup="sys.modules['pyarrow'] = None")
        answer = send_arrow(client, stream(pa.table({"x": [1.0]})))
        assert answer.status_code == 415
        assert "pyarrow" in answer.json()["detail"]
        asked = client.post("/compute", json={"inputs": {"x": [1]}}, headers={"Accept": ARROW})
        assert asked.status_code == 406


class TestCompression:
    BODY = b'{"inputs": {"x": [1, 2]}}'

    def send(self, client: httpx.Client, body: bytes, encoding: str) -> httpx.Response:
        return client.post("/compute", content=body, headers={"Content-Encoding": encoding})

    def test_compressed_bodies(self, serve: Serve) -> None:
        client = serve()
        half = len(self.BODY) // 2
        members = gzip.compress(self.BODY[:half]) + gzip.compress(self.BODY[half:])
        for body, encoding in (
            (gzip.compress(self.BODY), "gzip"),
            (zlib.compress(self.BODY), "deflate"),
            (members, "gzip"),
        ):
            assert self.send(client, body, encoding).json() == {"y": [2.0, 4.0]}
        assert self.send(client, gzip.compress(self.BODY)[:-3], "gzip").status_code == 400
        assert self.send(client, b"nonsense", "gzip").status_code == 400
        assert self.send(client, self.BODY, "br").status_code == 415

    def test_a_body_that_swells_is_refused(self, serve: Serve) -> None:
        client = serve("--body-limit", "1000000")
        for body in (gzip.compress(b" " * 50_000_000), gzip.compress(b"") * 100 + gzip.compress(b" " * 2_000_000)):
            assert self.send(client, body, "gzip").status_code == 413


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
