"""Checks a request against the manifest before the model sees anything, so that every mistake names its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .exchange import Refusal
from .model import LoadedModel

# What manifests call an element type → the numpy type it is held in.
ELEMENT_TYPES = {
    "float32": np.float32, "float64": np.float64, "float": np.float64,
    "int32": np.int32, "int64": np.int64, "int": np.int64, "integer": np.int64,
    "bool": np.bool_, "boolean": np.bool_, "string": np.str_, "str": np.str_,
}  # fmt: skip
# What an array of texts may weigh in memory.
TEXT_BYTES = 512 * 1024 * 1024
NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class InvalidInput(Refusal):
    """A part of the request does not fit the manifest; `location` is its path inside the body."""

    def __init__(self, location: list[str | int], message: str, kind: str = "value_error") -> None:
        super().__init__(422, message, location, kind)


def check_request(model: LoadedModel, body: Any, defaults: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the model's inputs and dynamic attributes, ready for `compute`.

    Arrays come back as numpy arrays of the declared type; JSON `null` in a float array is NaN,
    in an array of texts it is the word "None" (as fnnx itself has it).
    Raises InvalidInput naming the first part that is wrong.
    """
    if not isinstance(body, dict):
        raise InvalidInput([], 'The body must be an object: {"inputs": {…}, "dynamic_attributes": {…}}')
    inputs = checked_inputs(model, body.get("inputs"))
    return inputs, checked_attributes(model, body.get("dynamic_attributes"), defaults)


def checked_inputs(model: LoadedModel, given: Any) -> dict[str, Any]:
    """Every declared input, converted; unknown and missing ones are refused by name."""
    if not isinstance(given, dict):
        raise InvalidInput(["inputs"], "`inputs` must be an object with one entry per input of the model")
    specs = {spec["name"]: spec for spec in model.manifest["inputs"]}
    for name in given:
        if name not in specs:
            raise InvalidInput(["inputs", name], f"The model has no input `{name}`, only {', '.join(specs)}")
    dimensions: dict[str, int] = {}
    checked = {}
    for name, spec in specs.items():
        if name not in given:
            raise InvalidInput(["inputs", name], f"The input `{name}` ({spec['dtype']}) is missing")
        checked[name] = checked_value(model, spec, given[name], dimensions)
    return checked


def checked_value(model: LoadedModel, spec: dict[str, Any], value: Any, dimensions: dict[str, int]) -> Any:
    """One input, checked for its type and shape."""
    location: list[str | int] = ["inputs", spec["name"]]
    dtype = spec["dtype"]
    if isinstance(value, np.ndarray) and not dtype.startswith("Array["):
        value = value.tolist()
    if spec["content_type"] != "NDJSON":
        check_schema(model.check_json, dtype, value, location)
        return value
    if dtype.startswith("Array["):
        array = as_array(value, dtype[len("Array[") : -1], location)
        check_shape(array.shape, spec["shape"], dimensions, location)
        return array
    if not isinstance(value, list):
        raise InvalidInput(location, f"`{spec['name']}` must be a list")
    check_shape(list_shape(value, len(spec["shape"]), location), spec["shape"], dimensions, location)
    check_schema(model.check_elements, dtype[len("NDContainer[") : -1], value, location)
    return value


def check_schema(check: Callable[[str, Any], None], dtype: str, value: Any, location: list[str | int]) -> None:
    """Run fnnx's own check of a type; it raises errors of several kinds, all of which mean the same here."""
    try:
        check(dtype, value)
    except Exception as error:
        raise InvalidInput(location, f"`{location[-1]}` does not fit {dtype}: {error}") from error


def as_array(value: Any, element: str, location: list[str | int]) -> np.ndarray[Any, Any]:
    """A nested list as an array of the declared element type, refusing what would lose its meaning."""
    target = np.dtype(ELEMENT_TYPES.get(element, np.float64))
    name = location[-1]
    try:
        # numpy would write numbers among texts as texts, so texts are looked at one by one.
        array = np.asarray(value, dtype=object if target.kind == "U" else None)
        if target.kind == "f" and array.dtype.kind in "OU":
            listed = value.tolist() if isinstance(value, np.ndarray) else value
            array = np.asarray(with_missing_as_nan(listed), dtype=np.float64)
        elif target.kind == "U" and all(map(is_text_or_missing, array.flat)):
            check_room(array, location)
            # fnnx has no missing text either: the word "None" is what models stored by our packaging understand.
            array = array.astype(np.str_)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        message = f"`{name}` is not a regular array of {element}: rows differ in length or a value is of another kind"
        raise InvalidInput(location, message) from error
    if array.size and not element_fits(array, target):
        raise InvalidInput(location, f"`{name}` must hold {element} values{hint(array, target)}")
    return array.astype(target)


def check_room(texts: np.ndarray[Any, Any], location: list[str | int]) -> None:
    """Refuse texts of which numpy would make something huge: it gives each the room of the longest."""
    longest = max((len(text) for text in texts.flat if text), default=0)
    if 4 * longest * texts.size > TEXT_BYTES:
        message = f"`{location[-1]}` has {texts.size} texts, one of them {longest} characters long, which is too much"
        raise InvalidInput(location, message)


def is_text_or_missing(value: Any) -> bool:
    """Whether a value may stand in an array of texts."""
    return value is None or isinstance(value, str)


def with_missing_as_nan(value: Any) -> Any:
    """JSON has no NaN: `null` and fnnx's markers "NaN", "Infinity", "-Infinity" stand for it."""
    if isinstance(value, list):
        return [with_missing_as_nan(item) for item in value]
    if isinstance(value, str):
        if value not in NOT_FINITE:
            raise ValueError(value)
        return NOT_FINITE[value]
    return NOT_FINITE["NaN"] if value is None else value


def element_fits(array: np.ndarray[Any, Any], target: np.dtype[Any]) -> bool:
    """Whether every element keeps its meaning in the declared type."""
    if target.kind == "f":
        return array.dtype.kind in "fiu" and not exceeds(array, target)
    if target.kind in "iu":
        limits = np.iinfo(target)
        whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool(np.all(array == np.floor(array))))
        return whole and bool(array.min() >= limits.min) and bool(array.max() <= limits.max)
    return bool(array.dtype.kind == target.kind)


def exceeds(array: np.ndarray[Any, Any], target: np.dtype[Any]) -> bool:
    """Whether a number would become infinite in a shorter type."""
    if target.itemsize >= array.dtype.itemsize:
        return False
    return bool(np.any(np.isfinite(array) & (np.abs(array) > np.finfo(target).max)))


def hint(array: np.ndarray[Any, Any], target: np.dtype[Any]) -> str:
    """What was found instead, where numpy can tell."""
    found = {"U": "text", "f": "fractions", "b": "true/false", "i": "whole numbers", "u": "whole numbers"}
    # Whole numbers beyond 64 bits are objects to numpy, like what is mixed.
    whole = array.dtype.kind in "iu" or all(type(value) is int for value in array.flat)
    if array.dtype.kind == target.kind or (whole and target.kind == "i"):
        return "; a value is too large"
    if array.dtype.kind == "O":
        return "; values of several kinds (or null) are mixed"
    return f"; it holds {found.get(array.dtype.kind, 'something else')}"


def list_shape(value: Any, depth: int, location: list[str | int]) -> tuple[int, ...]:
    """The shape of nested lists down to `depth`; lists of one level must be equally long."""
    if depth == 0 or not isinstance(value, list):
        return ()
    inner = {list_shape(item, depth - 1, location) for item in value}
    if len(inner) > 1:
        raise InvalidInput(location, f"`{location[-1]}` has rows of different lengths")
    return (len(value), *(inner.pop() if inner else ()))


def check_shape(
    shape: tuple[int, ...], declared: list[str | int], dimensions: dict[str, int], location: list[str | int]
) -> None:
    """Compare with the declared shape; a named dimension must be equally long in all inputs of one request."""
    name = location[-1]
    if len(shape) != len(declared):
        message = f"`{name}` must have {len(declared)} dimensions {declared}; it has {len(shape)}"
        raise InvalidInput(location, message)
    for size, expected in zip(shape, declared, strict=True):
        wanted = dimensions.setdefault(expected, size) if isinstance(expected, str) else expected
        if size != wanted:
            raise InvalidInput(location, f"`{name}` has {size} where {expected} = {wanted} is expected")


def checked_attributes(model: LoadedModel, given: Any, defaults: Mapping[str, str]) -> dict[str, str]:
    """The request's dynamic attributes over the deployment's own; all of them text."""
    if given is None:
        return dict(defaults)
    if not isinstance(given, dict):
        raise InvalidInput(["dynamic_attributes"], "`dynamic_attributes` must be an object of texts")
    known = {attribute["name"] for attribute in model.manifest.get("dynamic_attributes", [])}
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(["dynamic_attributes", name], f"The model has no dynamic attribute `{name}`")
        if not isinstance(value, str):
            raise InvalidInput(["dynamic_attributes", name], f"The dynamic attribute `{name}` must be a text")
    return {**defaults, **given}
