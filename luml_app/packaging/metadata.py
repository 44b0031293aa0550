"""Metadata entries of a model, and the searchable numbers in them."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from luml_app.packaging.errors import PackagingError

PRODUCER = "luml.ai"
REGISTRY_METRICS = "luml.ai::registry_metrics:v1"
INPUT_EXAMPLE = "luml.ai::input_example:v1"
CLASS_LABELS = "luml.ai::class_labels:v1"
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def producer_version() -> str:
    """The version of LUML that writes."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("luml")
    except PackageNotFoundError:
        return "0"


def as_document(value: Any, indent: int | None = 1) -> bytes:
    """`value` as strict JSON: NaN and infinities, which JSON has no words for, become texts as fnnx writes them."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False).encode()


def as_number(value: Any) -> float:
    """A number of a document that `as_document` has written."""
    return _NON_FINITE[value] if isinstance(value, str) else float(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def entry(tag: str, payload: dict[str, Any]) -> dict[str, Any]:
    """One metadata entry under `tag`. Its id names the tag, so that paths of its files can be found by it."""
    return {
        "id": f"{tag.replace(':', '~c~').replace('/', '~s~')}~~et~~{uuid.uuid4().hex}",
        "producer": PRODUCER,
        "producer_version": producer_version(),
        "producer_tags": [tag],
        "payload": payload,
    }


def payloads(entries: Iterable[Any], tag: str) -> list[dict[str, Any]]:
    """Payloads of the entries with `tag`, in any of its spellings: only what follows ``::`` counts."""
    return [entry["payload"] for entry in entries if _is_entry(entry) and has_tag(entry, tag)]


def has_tag(entry: Mapping[str, Any], tag: str) -> bool:
    """Whether an entry (or manifest) carries `tag`, whoever produced it and whatever the list is called."""
    tags = entry.get("producer_tags") or entry.get("tags") or []
    return isinstance(tags, list) and any(_bare(str(own)) == _bare(tag) for own in tags)


def registry_metrics(entries: Iterable[Any]) -> dict[str, float]:
    """The searchable numbers of a model's metadata: tabular metrics first, then what `metrics=` declared."""
    entries = [entry for entry in entries if _is_entry(entry)]
    found: dict[str, float] = {}
    for item in entries:
        found |= _tabular_metrics(item["payload"])
    for payload in payloads(entries, REGISTRY_METRICS):
        found |= numbers(payload.get("metrics"))
    return found


def numbers(values: Any) -> dict[str, float]:
    """The numeric entries of a mapping, NaN and infinities included; anything else is left out."""
    if not isinstance(values, Mapping):
        return {}
    read = {
        str(name): _NON_FINITE.get(value, value) if isinstance(value, str) else value for name, value in values.items()
    }
    return {
        name: value for name, value in read.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }


def checked_metrics(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """`metrics` of a caller as plain numbers (numpy scalars too). Raises `PackagingError` that names a bad one."""
    return {str(name): _number(str(name), value) for name, value in (metrics or {}).items()}


def _number(name: str, value: Any) -> float:
    value = value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PackagingError(f"Metric {name!r} is {value!r}; a metric must be a number.")
    return value


def _tabular_metrics(payload: dict[str, Any]) -> dict[str, float]:
    performance = payload.get("metrics")
    performance = performance.get("performance") if isinstance(performance, dict) else None
    if not isinstance(performance, dict):
        return {}
    found = numbers(performance.get("eval_holdout") or performance.get("eval_cv"))
    return {name: value for name, value in found.items() if name != "N_SAMPLES"}


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("payload"), dict)


def _bare(tag: str) -> str:
    return tag.rsplit("::", 1)[-1]
