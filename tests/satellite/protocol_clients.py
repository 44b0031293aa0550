"""How clients of the protocols ask, and models to ask."""

from __future__ import annotations

from typing import Any

import httpx
import pyarrow as pa

from tests.satellite.models import array

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
