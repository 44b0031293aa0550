"""Runs beside each other, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from luml_app.packaging.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas as pd


def compare(runs: Iterable[Any], *, differing: bool = False) -> pd.DataFrame:
    """One row for each run: its ``name``, ``params.…`` and the last values of its ``metrics.…``; the index is its id.

    `runs` are runs of this machine, artifacts as lists of an orbit give them, or their handles, also mixed, and models,
    too. What a run does not have is missing (NaN, or None beside texts). With `differing`, only what is not the same
    in all of them. Needs pandas.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingPackageError("Comparing runs needs pandas: pip install pandas.") from error
    rows = [_row(run) for run in runs]
    columns = sorted({column for row in rows for column in row}, key=_order)
    frame = pd.DataFrame(rows, columns=columns or ["id", "name"]).set_index("id")
    if not differing:
        return frame
    return frame[[name for name in frame if name == "name" or _differs([row.get(str(name)) for row in rows])]]


def _row(run: Any) -> dict[str, Any]:
    data = getattr(run, "data", run)
    stored = hasattr(data, "extra_values")
    params, metrics = (data.params, data.extra_values) if stored else (data.params(), data.metrics())
    return {
        "id": str(data.id),
        "name": data.name,
        **{f"params.{key}": value for key, value in params.items()},
        **{f"metrics.{key}": value for key, value in metrics.items()},
    }


def _order(column: str) -> tuple[int, str]:
    kinds = ("id", "name", "params", "metrics")
    return kinds.index(column.partition(".")[0]), column


def _differs(values: list[Any]) -> bool:
    # As text, so that NaN is like NaN, and a list may be a value.
    return len({f"{type(value).__name__} {value!r}" for value in values}) > 1
