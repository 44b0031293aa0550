"""Arrow in and out of the model server, and compressed bodies."""

from __future__ import annotations

import gzip
import zlib

import httpx
import numpy as np
import pyarrow as pa

from tests.satellite.models import array
from tests.satellite.protocol_clients import (
    ARROW,
    PARTS,
    send_arrow,
    stream,
    table_of,
)
from tests.satellite.served import Serve
from tests.satellite.test_model_server import refusal


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
