"""Batches as Arrow IPC streams. pyarrow comes from the model's own environment; where it is not, this is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .exchange import Outputs, Refusal, Reply, Request
from .flatbuffer import root_of
from .inputs import InvalidInput
from .tables import columns_of

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
ATTRIBUTES = b"dynamic_attributes"
# Fields of the format's own messages, by their number, and one kind of message.
MESSAGE_HEADER_TYPE, MESSAGE_HEADER, DICTIONARY_DATA, BATCH_COMPRESSION = 1, 2, 1, 3
DICTIONARY_BATCH = 2


def wanted(request: Request) -> bool:
    """Whether the answer shall be Arrow: because it is asked for, or because the request is and nothing else is."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.header(b"accept").split(",")]
    if MEDIA_TYPE in accepted:
        library(406)
        return True
    return request.content_type == MEDIA_TYPE and not {"application/json", "application/*"} & set(accepted)


def library(status: int = 415) -> Any:
    """pyarrow; raises Refusal where it is not installed."""
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        message = "The model's environment has no pyarrow, so it speaks no Arrow; use JSON, or add pyarrow to the model"
        raise Refusal(status, message) from None
    return pyarrow


def read(body: bytes) -> tuple[dict[str, Any], Any]:
    """The columns of a stream by name, as arrays, and the dynamic attributes in the metadata of its schema.

    Raises Refusal. The stream may say of itself what it likes: everything is checked before it is used.
    """
    pa = library()
    try:
        check_uncompressed(pa, body)
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        if table.num_rows > 8 * len(body):
            raise InvalidInput([], "The Arrow stream has more rows than its bytes can hold")
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput([], f"The body is not an Arrow stream: {error}", "arrow_invalid") from None
    names = table.column_names
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InvalidInput(["inputs", min(repeated)], f"The column `{min(repeated)}` is there more than once")
    columns = {name: values(pa, name, table.column(name).combine_chunks()) for name in names}
    return columns, attributes_of(table.schema.metadata or {})


def check_uncompressed(pa: Any, body: bytes) -> None:
    """Refuse compressed buffers: they say themselves how large they will be. HTTP's compression has a bound."""
    messages = pa.ipc.MessageReader.open_stream(body)
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            return
        if message.type in {"record batch", "dictionary"} and is_compressed(message.metadata.to_pybytes()):
            raise InvalidInput([], "The Arrow stream is compressed inside; send it plain, or with gzip around it")


def is_compressed(metadata: bytes) -> bool:
    """Whether the record batch of a message, or that of a dictionary, names a compression of its buffers."""
    message = root_of(metadata)
    header = message.follow(MESSAGE_HEADER)
    if message.byte(MESSAGE_HEADER_TYPE) == DICTIONARY_BATCH and header:
        header = header.follow(DICTIONARY_DATA)
    return header is None or header.has(BATCH_COMPRESSION)


def values(pa: Any, name: str, column: Any) -> np.ndarray[Any, Any]:
    """A column as an array; lists of one length become further dimensions. Raises InvalidInput."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks else pa.array([], kind)
    if pa.types.is_null(kind):
        return np.full(len(column), None, dtype=object)
    if pa.types.is_dictionary(kind):
        # A short index may stand for a long text a million times over: the texts are shared, not copied.
        words = np.array([*column.dictionary.to_pylist(), None], dtype=object)
        return np.asarray(words[column.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return nested(pa, name, column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    raise InvalidInput(["inputs", name], f"The column `{name}` is of type {kind}; send numbers, true/false or texts")


def nested(pa: Any, name: str, column: Any) -> np.ndarray[Any, Any]:
    """A column of lists that are equally long."""
    if column.null_count:
        raise InvalidInput(["inputs", name], f"The column `{name}` has rows without a list")
    rows = len(column)
    inner = values(pa, name, column.flatten())
    width = len(inner) // rows if rows else 0
    lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
    uneven = lengths is not None and rows and (lengths.to_numpy() != width).any()
    if uneven or width * rows != len(inner):
        raise InvalidInput(["inputs", name], f"`{name}` has rows of different lengths")
    return inner.reshape(rows, width, *inner.shape[1:])


def attributes_of(metadata: dict[bytes, bytes]) -> Any:
    """The dynamic attributes, a JSON object."""
    try:
        return json.loads(metadata[ATTRIBUTES]) if ATTRIBUTES in metadata else None
    except (ValueError, RecursionError):
        raise InvalidInput([ATTRIBUTES.decode()], "`dynamic_attributes` in the schema must be a JSON object") from None


def answer(outputs: Outputs) -> Reply:
    """The outputs as a stream with one column each; raises Refusal where they are no columns of one length."""
    pa = library(406)
    columns = columns_of(outputs)
    if columns is None:
        raise Refusal(406, "The outputs are not columns of one length, so they have no Arrow form; ask for JSON")
    try:
        table = pa.table({name: column_of(pa, value) for name, value in columns.items()})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Refusal(406, f"An output has no Arrow form ({error}); ask for JSON") from None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Reply(200, sink.getvalue().to_pybytes(), MEDIA_TYPE.encode())


def column_of(pa: Any, value: Any) -> Any:
    """An array or list as a column; further dimensions become lists of one length."""
    if not isinstance(value, np.ndarray):
        return pa.array(value)
    array = pa.array(value.ravel().tolist() if value.dtype.kind in "OU" else np.ascontiguousarray(value).ravel())
    for size in reversed(value.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array
