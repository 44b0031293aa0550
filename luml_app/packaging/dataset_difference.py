"""What two versions of a dataset differ in: columns, types, rows, and how the values are distributed."""

from __future__ import annotations

from typing import Any

import msgspec


class ColumnChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a column of one split differs: what was measured, before and after.

    `shift` is the distance of the means in standard deviations of the first version; None for what has no mean.
    """

    split: str
    column: str
    before: dict[str, Any]
    after: dict[str, Any]
    shift: float | None = None


class DatasetDifference(msgspec.Struct, frozen=True, kw_only=True):
    """From one version of a dataset to another.

    `added` and `removed` columns, `types` of columns as (before, after), `rows` of splits as (before, after; None where
    the split is not there), and the `columns` whose statistics changed, those whose mean has shifted most first. It is
    true when anything differs.
    """

    added: list[str]
    removed: list[str]
    types: dict[str, tuple[str, str]]
    rows: dict[str, tuple[int | None, int | None]]
    columns: list[ColumnChange]

    def __bool__(self) -> bool:
        changed = any(before != after for before, after in self.rows.values())
        return bool(self.added or self.removed or self.types or self.columns or changed)


def difference(
    manifests: tuple[dict[str, Any], dict[str, Any]], statistics: tuple[dict[str, Any], dict[str, Any]]
) -> DatasetDifference:
    """Compare two datasets by their manifests and by the documents of their statistics (empty where there are none)."""
    before, after = (_types(manifest) for manifest in manifests)
    rows_before, rows_after = (_rows(manifest) for manifest in manifests)
    splits = list(dict.fromkeys([*rows_before, *rows_after]))
    changes = _changes(statistics[0].get("splits") or {}, statistics[1].get("splits") or {})
    return DatasetDifference(
        added=[name for name in after if name not in before],
        removed=[name for name in before if name not in after],
        types={name: (before[name], after[name]) for name in before if after.get(name, before[name]) != before[name]},
        rows={split: (rows_before.get(split), rows_after.get(split)) for split in splits},
        columns=sorted(changes, key=lambda change: -(change.shift or 0.0)),
    )


def _types(manifest: dict[str, Any]) -> dict[str, str]:
    schema = manifest.get("payload", {}).get("schema") or []
    return {str(one.get("column")): str(one.get("type")) for one in schema}


def _rows(manifest: dict[str, Any]) -> dict[str, int]:
    subsets = manifest.get("payload", {}).get("subsets") or {}
    found = {}
    for subset, inside in subsets.items():
        for split, facts in (inside.get("splits") or {}).items() if isinstance(inside, dict) else ():
            found[split if len(subsets) == 1 else f"{subset}/{split}"] = facts.get("num_rows")
    return found


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[ColumnChange]:
    both = [(split, name) for split in before if split in after for name in before[split] if name in after[split]]
    pairs = ((split, name, before[split][name], after[split][name]) for split, name in both)
    return [
        ColumnChange(split=split, column=name, before=old, after=new, shift=_shift(old, new))
        for split, name, old, new in pairs
        if old != new
    ]


def _shift(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    means, spread = (before.get("mean"), after.get("mean")), before.get("std")
    if not all(isinstance(one, int | float) for one in (*means, spread)) or not spread:
        return None
    return abs(float(means[1] or 0.0) - float(means[0] or 0.0)) / float(spread)
