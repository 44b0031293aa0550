"""What the columns of a table look like, computed piece by piece in one pass."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

STATISTICS = "statistics.json"
"""Member of a dataset's archive: ``{"schema_version": 1, "splits": {split: {column: {…}}}}``."""
_MANY = 1_000
_SHOWN = 10


class ColumnStatistics:
    """`count` (missing ones included) and `missing` of a column; of numbers also `min`, `max`, `mean` and `std` (of the
    sample; NaN counts as missing, and infinities are left out of mean and std), of texts, truth values and categories
    `distinct` (None: more than 1,000) and the most frequent as `top`; of times `min` and `max` in ISO format.
    """

    def __init__(self) -> None:
        self.count = self.missing = 0
        self._low: Any = None
        self._high: Any = None
        self._finite, self._mean, self._squares = 0, 0.0, 0.0
        self._values: Counter[str] | None = Counter()
        self._kind = "other"

    def add(self, column: pa.ChunkedArray) -> None:
        """Take the next piece in."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        self.count += len(column)
        self.missing += column.null_count
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            self._kind = "number"
            self._add_numbers(pc.cast(column, pa.float64(), safe=False))
        elif pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
            self._kind = "time"
            self._bound(column)
        elif any(is_kind(kind) for is_kind in _texts()):
            self._kind = "text"
            self._count_values(column)

    def document(self) -> dict[str, Any]:
        """What was found, for JSON."""
        found: dict[str, Any] = {"count": self.count, "missing": self.missing}
        if self._kind == "number":
            spread = math.sqrt(self._squares / (self._finite - 1)) if self._finite > 1 else None
            mean = self._mean if self._finite else None
            return found | {"min": self._low, "max": self._high, "mean": mean, "std": spread}
        if self._kind == "time":
            texts = (None if one is None else one.isoformat() for one in (self._low, self._high))
            return found | dict(zip(("min", "max"), texts, strict=True))
        if self._kind == "text":
            top = [] if self._values is None else self._values.most_common(_SHOWN)
            distinct = None if self._values is None else len(self._values)
            return found | {"distinct": distinct, "top": [[value[:200], times] for value, times in top]}
        return found

    def _add_numbers(self, column: pa.ChunkedArray) -> None:
        import pyarrow.compute as pc

        defined = column.filter(pc.fill_null(pc.invert(pc.is_nan(column)), False))
        self.missing += len(column) - column.null_count - len(defined)
        self._bound(defined)
        finite = defined.filter(pc.is_finite(defined))
        if not len(finite):
            return
        # Two pieces' means and squares are put together as Chan, Golub and LeVeque do (1979).
        count, mean = len(finite), pc.mean(finite).as_py()
        squares, apart = pc.variance(finite, ddof=0).as_py() * count, mean - self._mean
        total = self._finite + count
        self._squares += squares + apart**2 * self._finite * count / total
        self._mean += apart * count / total
        self._finite = total

    def _bound(self, column: pa.ChunkedArray) -> None:
        import pyarrow.compute as pc

        found = pc.min_max(column).as_py()
        if found["min"] is not None:
            self._low = found["min"] if self._low is None else min(self._low, found["min"])
            self._high = found["max"] if self._high is None else max(self._high, found["max"])

    def _count_values(self, column: pa.ChunkedArray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._values is None:
            return
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        # Views and dictionaries are not counted by Arrow.
        plain = pc.cast(column, kind if pa.types.is_boolean(kind) else pa.large_string())
        counted = pc.value_counts(plain.drop_null())
        if len(counted) > _MANY:
            self._values = None
            return
        self._values.update({str(one["values"]): one["counts"] for one in counted.to_pylist()})
        if len(self._values) > _MANY:
            self._values = None


def _texts() -> tuple[Any, ...]:
    import pyarrow as pa

    return pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_boolean
