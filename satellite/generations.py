"""Model files of earlier years in the form that fnnx reads today, whichever version of it the model asks for.

What older writers left out gets its plain meaning, patches of the manifest are applied for versions of fnnx that do
not know them, and every element type has one name.
"""

from __future__ import annotations

import re
from typing import Any

_TYPE = re.compile(r"(Array|NDContainer)\[(.*)\]")
_ELEMENTS = {
    "Array": {
        "float": "float64", "double": "float64", "int": "int64", "integer": "int64", "str": "string", "boolean": "bool",
    },
    "NDContainer": {
        "float64": "float", "float32": "float", "int": "integer", "int64": "integer", "int32": "integer",
        "str": "string", "bool": "boolean",
    },
}  # fmt: skip
_MANIFEST: dict[str, Any] = {
    "producer_name": "", "producer_version": "", "producer_tags": [], "inputs": [], "outputs": [],
    "dynamic_attributes": [], "env_vars": [],
}  # fmt: skip


def current_manifest(manifest: dict[str, Any], variant_config: Any) -> dict[str, Any]:
    """The manifest with all that today's readers expect; patches have been applied by then."""
    is_pyfunc = isinstance(variant_config, dict) and "pyfunc_classname" in variant_config
    found = {**_MANIFEST, "variant": "pyfunc" if is_pyfunc else "pipeline"} | manifest
    return found | {part: [current_spec(spec) for spec in found[part]] for part in ("inputs", "outputs")}


def current_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """An input or output."""
    is_array = bool(_TYPE.fullmatch(str(spec.get("dtype"))))
    kind = spec.get("content_type") or ("NDJSON" if is_array else "JSON")
    return spec | {"content_type": kind, "dtype": current_type(spec.get("dtype"))}


def current_type(dtype: Any) -> Any:
    """A type under its one name: `Array[int]` is `Array[int64]`, `NDContainer[str]` is `NDContainer[string]`."""
    found = _TYPE.fullmatch(str(dtype))
    if not found:
        return dtype
    outer, element = found.groups()
    return f"{outer}[{_ELEMENTS[outer].get(element, element)}]"


def current_ops(ops: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The instances of operators that a pipeline is made of."""
    return [
        {"attributes": {}, "dynamic_attributes": {}}
        | op
        | {
            part: [one | {"dtype": current_type(one.get("dtype"))} for one in op.get(part, [])]
            for part in ("inputs", "outputs")
        }
        for op in ops
    ]


def current_variant(config: dict[str, Any]) -> dict[str, Any]:
    """The variant's configuration; nodes of a pipeline may have attributes of their own, and older ones do not say."""
    if not isinstance(config, dict):
        raise TypeError("variant_config.json is not an object")
    if "nodes" not in config:
        return config
    return config | {"nodes": [{"extra_dynattrs": {}} | node for node in config["nodes"]]}
