"""Tensors of the Open Inference Protocol as arrays, and back: as JSON, or as the raw bytes of its binary extension."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import numpy as np

from .exchange import ENCODE, Refusal
from .inputs import InvalidInput, element_fits, hint
from .outputs import is_container, numbers_of

Array = np.ndarray[Any, Any]
Location = list[str | int]

NUMPY = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = {np.dtype(code): name for name, code in NUMPY.items()}
# What manifests call an element → the datatype that carries it.
OF_ELEMENT = {
    "float32": "FP32", "float64": "FP64", "float": "FP64", "int32": "INT32", "int64": "INT64", "int": "INT64",
    "integer": "INT64", "bool": "BOOL", "boolean": "BOOL",
}  # fmt: skip
DIMENSIONS = 32
# An empty tensor has no bytes that would bound its other dimensions.
LONGEST_OF_NOTHING = 1_000_000


class Tensor(msgspec.Struct):
    """An input of a request. `data` is flat or nested, or else `binary_data_size` bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Any = msgspec.UNSET


def array_of(tensor: Tensor, raw: bytes | None) -> Array:
    """A tensor's content in its shape; raises InvalidInput. Texts are objects."""
    here: Location = ["inputs", tensor.name]
    if tensor.datatype != "BYTES" and tensor.datatype not in NUMPY:
        known = ", ".join([*NUMPY, "BYTES"])
        raise InvalidInput(here, f"`{tensor.name}` has the datatype {tensor.datatype!r}; known are {known}")
    check_shape(tensor, here)
    flat = of_json(tensor, here) if raw is None else of_bytes(tensor, raw, here)
    if flat.size != math.prod(tensor.shape):
        message = (
            f"`{tensor.name}` has {flat.size} values, and its shape {tensor.shape} needs {math.prod(tensor.shape)}"
        )
        raise InvalidInput(here, message)
    return flat.reshape(tensor.shape)


def check_shape(tensor: Tensor, here: Location) -> None:
    """Refuse shapes that no tensor has."""
    shape = tensor.shape
    if len(shape) > DIMENSIONS or any(size < 0 for size in shape):
        message = f"The shape of `{tensor.name}` must be up to {DIMENSIONS} numbers from 0 on"
        raise InvalidInput(here, message)
    if 0 in shape and max(shape) > LONGEST_OF_NOTHING:
        raise InvalidInput(here, f"`{tensor.name}` is empty and has a dimension of {max(shape)}")


def of_json(tensor: Tensor, here: Location) -> Array:
    """Flat or nested lists as an array; nested ones must have the tensor's shape."""
    name, data = tensor.name, tensor.data
    if not isinstance(data, list):
        raise InvalidInput(here, f"`{name}` needs `data`, a list, or `binary_data_size` and bytes after the JSON")
    texts = tensor.datatype == "BYTES"
    try:
        array = np.asarray(data, dtype=object if texts else None)
    except (ValueError, OverflowError, RecursionError):
        raise InvalidInput(here, f"`{name}` has rows of different lengths") from None
    if array.ndim > 1 and list(array.shape) != tensor.shape:
        raise InvalidInput(here, f"`{name}` has data of shape {list(array.shape)}, and says {tensor.shape}")
    if texts:
        if not all(isinstance(item, str) for item in array.flat):
            raise InvalidInput(here, f"`{name}` is BYTES, so its data must be texts")
        return array
    target = np.dtype(NUMPY[tensor.datatype])
    if array.size and not element_fits(array, target):
        raise InvalidInput(here, f"`{name}` must hold {tensor.datatype} values{hint(array, target)}")
    return array.astype(target)


def of_bytes(tensor: Tensor, raw: bytes, here: Location) -> Array:
    """Raw bytes as a flat array: little-endian numbers, one byte for each truth, four bytes of length before a text."""
    if tensor.datatype == "BYTES":
        return np.array(texts_of(raw, here), dtype=object)
    target = np.dtype(NUMPY[tensor.datatype])
    if len(raw) % target.itemsize:
        raise InvalidInput(here, f"`{tensor.name}` has {len(raw)} bytes, which are no whole {tensor.datatype} values")
    if target.kind == "b" and raw.strip(b"\0\1"):
        raise InvalidInput(here, f"`{tensor.name}` is BOOL, so its bytes must be 0 or 1")
    return np.frombuffer(raw, dtype=target)


def texts_of(raw: bytes, here: Location) -> list[str]:
    """Texts with their lengths before them."""
    found: list[str] = []
    place = 0
    while place < len(raw):
        end = place + 4 + int.from_bytes(raw[place : place + 4], "little")
        if place + 4 > len(raw) or end > len(raw):
            raise InvalidInput(here, f"`{here[-1]}` ends in the middle of a text")
        try:
            found.append(raw[place + 4 : end].decode())
        except UnicodeDecodeError:
            raise InvalidInput(here, f"`{here[-1]}` has a text that is not UTF-8") from None
        place = end
    return found


def datatype_of(spec: dict[str, Any]) -> str:
    """The datatype of an input or output of the manifest. What is no number travels as text; JSON as one text."""
    element = str(spec["dtype"]).partition("[")[2].removesuffix("]")
    return OF_ELEMENT.get(element, "BYTES") if spec["content_type"] == "NDJSON" else "BYTES"


def shape_of(spec: dict[str, Any]) -> list[int]:
    """Its shape, with -1 where that may vary."""
    if spec["content_type"] != "NDJSON":
        return [1]
    return [size if isinstance(size, int) else -1 for size in spec["shape"]]


def value_of(spec: dict[str, Any], array: Array, dtype: str, here: Location) -> Any:
    """What the model takes for a tensor: JSON values travel as the one text of a tensor, or as its texts."""
    if spec["content_type"] != "NDJSON":
        if array.dtype.kind != "O" or array.size != 1:
            raise InvalidInput(here, f"`{here[-1]}` is {dtype}; send one BYTES value that holds its JSON")
        return json_in(array.flat[0], here)
    if array.dtype.kind == "O" and "ext::" in dtype:
        items = [json_in(text, here) for text in array.flat]
        boxed = np.empty(len(items), dtype=object)
        boxed[:] = items
        return boxed.reshape(array.shape)
    return array


def json_in(text: str, here: Location) -> Any:
    """The JSON value that a text holds."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidInput(here, f"`{here[-1]}` must hold JSON in its texts") from None


def told(name: str, value: Any) -> tuple[str, Array]:
    """Datatype and array of an output; raises Refusal where it has no form."""
    array = numbers_of(value.data if is_container(value) else value)
    if array is None:
        array = listed(value.data if is_container(value) else value)
    if array.dtype.kind in "biuf" and (datatype := DATATYPES.get(array.dtype.newbyteorder("<"))):
        return datatype, array.astype(NUMPY[datatype], copy=False)
    if array.dtype.kind == "M":
        return "BYTES", np.datetime_as_string(array).astype(object)
    if array.dtype.kind not in "OUS":
        raise Refusal(406, f"The output `{name}` is of type {array.dtype}, which no tensor holds")
    return "BYTES", array.astype(object)


def listed(value: Any) -> Array:
    """A regular list of numbers, truths or texts as an array; everything else as one text of JSON."""
    if isinstance(value, list) and value:
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype.kind in "biuf" or (array.dtype.kind == "U" and all_texts(value)):
            return array
    return np.array([as_text(value)], dtype=object)


def all_texts(value: Any) -> bool:
    """Whether a nested list holds nothing but texts: numpy makes texts of numbers among them."""
    return all(map(all_texts, value)) if isinstance(value, list) else isinstance(value, str)


def as_text(item: Any) -> str:
    """An element of an output as it travels."""
    if isinstance(item, bytes):
        return item.decode(errors="replace")
    return item if isinstance(item, str) else ENCODE(item).decode()


def as_bytes(array: Array) -> bytes:
    """The content of an output for the binary extension."""
    if array.dtype.kind != "O":
        return np.ascontiguousarray(array).tobytes()
    parts = [as_text(item).encode() for item in array.flat]
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def as_list(name: str, array: Array) -> list[Any]:
    """The content of an output for JSON, flat; raises Refusal where JSON has no word for a number."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        message = (
            f"The output `{name}` holds NaN or Infinity, for which the protocol's JSON has no word; ask for binary data"
        )
        raise Refusal(406, message)
    flat = array.ravel()
    return [as_text(item) for item in flat] if array.dtype.kind == "O" else list(flat.tolist())
